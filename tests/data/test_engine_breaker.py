"""A provider that is down is left alone, tried by one, and stood in for by its fallback."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from pennant.data.asking.breaker import Circuit
from pennant.data.asking.tally import Tally
from pennant.data.connectors.kinds import provider_name, source_of
from pennant.data.errors import BreakerOpen, SourceDown, SourceMalformed
from pennant.declaration.model import Breaker
from pennant.platform.ports import unused_ports

from .conftest import month
from .engine_desk import BODY, Asked, Said, Stage, desk, engine

WORKER = Path(__file__).with_name("engine_worker.py")
WEEK = "UPDATE source_health SET {} = {} - interval '7 days' WHERE use_case = :name"


class Switch:
    """A provider that is well or not, as the test says."""

    def __init__(self) -> None:
        self.well = False

    def __call__(self, asked: Asked, number: int) -> Said:
        return Said() if self.well else Said(500)


def failing(asking: Stage, times: int) -> None:
    for _ in range(times):
        with pytest.raises(SourceDown):
            asking.ask()


def rested(asking: Stage) -> None:
    """As if the breaker had been open for long enough."""
    asking.execute(WEEK.format("opened_at", "opened_at"))


RULE: dict[str, Any] = {"breaker": {"failures": 3, "open_seconds": 3600}, "max_attempts": 1}


def test_the_breaker_opens_after_failures_in_a_row_and_then_nothing_is_asked(
    warehouse: Engine, tmp_path: Path
) -> None:
    with desk(Switch()) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, **RULE)
        failing(asking, 2)
        assert asking.health()["breaker"] == "closed"
        failing(asking, 1)
        assert asking.health()["breaker"] == "open"
        with pytest.raises(BreakerOpen) as caught:
            asking.ask()
        assert (caught.value.state, caught.value.attempts) == ("open", 0)
        assert 3590 < caught.value.seconds <= 3600
        assert "status 500" in (caught.value.last_error or "")
        assert len(provider.asked) == 3
        assert asking.health()["consecutive_failures"] == 3  # a refusal of ours is no failure of theirs


def test_an_answer_in_between_starts_the_count_again(warehouse: Engine, tmp_path: Path) -> None:
    switch = Switch()
    with desk(switch) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, **RULE)
        failing(asking, 2)
        switch.well = True
        asking.ask()
        switch.well = False
        failing(asking, 2)
        assert asking.health()["breaker"] == "closed"


def test_a_rested_breaker_closes_with_the_probes_success(warehouse: Engine, tmp_path: Path) -> None:
    switch = Switch()
    with desk(switch) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, **RULE)
        failing(asking, 3)
        rested(asking)
        switch.well = True
        asking.ask()
    health = asking.health()
    assert (health["breaker"], health["state"], health["consecutive_failures"]) == ("closed", "ok", 0)
    assert (health["opened_at"], health["probe_until"], health["last_error"]) == (None, None, None)


def test_a_probes_failure_opens_the_breaker_again_after_one_attempt(
    warehouse: Engine, tmp_path: Path
) -> None:
    with desk(Switch()) as provider:
        asking = engine(
            warehouse,
            tmp_path,
            url=provider.at,
            **RULE | {"max_attempts": 4, "breaker": {"failures": 1, "open_seconds": 3600}},
        )
        failing(asking, 1)
        assert len(provider.asked) == 4
        rested(asking)
        failing(asking, 1)
        assert len(provider.asked) == 5
        assert asking.health()["breaker"] == "open"
        with pytest.raises(BreakerOpen):
            asking.ask()


def test_of_many_workers_exactly_one_tries_a_provider_that_was_down(
    warehouse: Engine, tmp_path: Path
) -> None:
    others_are_done, down = threading.Event(), threading.Event()
    down.set()

    def held(asked: Asked, number: int) -> Said:
        if down.is_set():
            return Said(500)
        others_are_done.wait(30)
        return Said()

    workers = 6
    with desk(held) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, **RULE)
        failing(asking, 3)
        rested(asking)
        down.clear()
        refused = threading.Semaphore(0)

        def work(_: int) -> str:
            try:
                asking.ask()
            except BreakerOpen as error:
                refused.release()
                return error.state
            return "answered"

        with ThreadPoolExecutor(workers) as pool:
            outcomes = pool.map(work, range(workers))
            for _ in range(workers - 1):
                assert refused.acquire(timeout=30)
            assert asking.health()["breaker"] == "half_open"
            others_are_done.set()
        assert sorted(outcomes) == ["answered"] + ["half_open"] * (workers - 1)
        assert len(provider.asked) == 3 + 1
        assert asking.health()["breaker"] == "closed"


def test_those_who_come_at_the_same_moment_send_one_probe(warehouse: Engine, tmp_path: Path) -> None:
    rule = Breaker(failures=1, open_seconds=3600)
    first = Circuit(warehouse, tmp_path.name, "games", rule, 60)
    first.enter()
    first.fail("down", Tally())
    workers = 4
    together = threading.Barrier(workers)

    def enter(_: int) -> bool:
        circuit = Circuit(warehouse, tmp_path.name, "games", rule, 60)
        together.wait(20)
        try:
            circuit.enter()
        except BreakerOpen:
            return False
        return circuit.probe is not None

    with ThreadPoolExecutor(workers) as pool:
        for _ in range(25):
            with warehouse.begin() as connection:
                rest = "UPDATE source_health SET breaker = 'open', opened_at = 'epoch' WHERE use_case = :name"
                connection.execute(text(rest), {"name": tmp_path.name})
            assert sum(pool.map(enter, range(workers))) == 1


def test_a_probe_that_was_killed_gives_its_place_to_another(warehouse: Engine, tmp_path: Path) -> None:
    switch = Switch()
    with desk(switch) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, **RULE)
        failing(asking, 3)
        asking.execute(
            "UPDATE source_health SET breaker = 'half_open', probe_until = now() + interval '1 day'"
            " WHERE use_case = :name"
        )
        switch.well = True
        with pytest.raises(BreakerOpen):
            asking.ask()
        asking.execute(WEEK.format("probe_until", "probe_until"))
        asking.ask()
        assert asking.health()["breaker"] == "closed"


def test_who_began_before_the_breaker_opened_does_not_judge_the_probe(
    warehouse: Engine, tmp_path: Path
) -> None:
    rule = Breaker(failures=1, open_seconds=3600)
    late, early, probe = (Circuit(warehouse, tmp_path.name, "games", rule, 60) for _ in range(3))
    late.enter()
    early.enter()
    early.fail("down", Tally())
    with pytest.raises(BreakerOpen):
        probe.enter()
    with warehouse.begin() as connection:
        statement = text(WEEK.format("opened_at", "opened_at"))
        connection.execute(statement, {"name": tmp_path.name})
    probe.enter()
    late.fail("still down", Tally())
    with pytest.raises(BreakerOpen) as caught:
        Circuit(warehouse, tmp_path.name, "games", rule, 60).enter()
    assert caught.value.state == "half_open"
    probe.close()
    Circuit(warehouse, tmp_path.name, "games", rule, 60).enter()


def test_the_breaker_is_still_open_in_a_new_process(warehouse: Engine, tmp_path: Path) -> None:
    with desk(Switch()) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, **RULE)
        failing(asking, 3)
        url = warehouse.url.render_as_string(hide_password=False)
        declaration = asking.use_case.model_dump_json(by_alias=True)
        given = [url, tmp_path.as_uri(), declaration, month(2).key, "1"]
        done = subprocess.run(
            [sys.executable, str(WORKER), *given], capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout)[0][0] == "BreakerOpen"
        assert len(provider.asked) == 3


def test_what_was_kept_makes_the_request_of_a_new_process_conditional(
    warehouse: Engine, tmp_path: Path
) -> None:
    def tagged(asked: Asked, number: int) -> Said:
        return Said(304 if "if-none-match" in asked.headers else 200, headers={"ETag": '"a"'})

    with desk(tagged) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at)
        asking.ask()
        url = warehouse.url.render_as_string(hide_password=False)
        declaration = asking.use_case.model_dump_json(by_alias=True)
        given = [url, tmp_path.as_uri(), declaration, month(2).key, "1"]
        done = subprocess.run(
            [sys.executable, str(WORKER), *given], capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout) == [["answered", "csv"]]
        assert "if-none-match" in provider.asked[1].headers


def test_a_fallback_answers_for_a_provider_that_is_down_and_says_so(
    warehouse: Engine, tmp_path: Path
) -> None:
    switch = Switch()
    with desk(switch) as first, desk(Said(body=b"[]")) as second:
        fallback = {"kind": "json", "url": second.at}
        asking = engine(warehouse, tmp_path, url=first.at, fallback=fallback, **RULE)
        (answer,) = asking.ask()
        assert (answer.content, answer.provider, answer.address) == (b"[]", "json", second.at)
        assert source_of(asking.use_case.sources["games"], answer.provider).kind == "json"
        health = asking.health()
        assert (health["state"], health["answered_by"], health["consecutive_failures"]) == (
            "fallback",
            "json",
            1,
        )
        assert "status 500" in health["last_error"]
        assert health["last_success_at"] is not None
        asking.ask()
        asking.ask()
        assert asking.health()["breaker"] == "open"
        asking.ask()  # the first is not even asked any more
        assert (len(first.asked), len(second.asked)) == (3, 4)
        rested(asking)
        switch.well = True
        (answer,) = asking.ask()
        assert (answer.content, answer.provider) == (BODY, "csv")
        assert (asking.health()["state"], asking.health()["answered_by"]) == ("ok", "csv")


def test_a_fallback_of_the_same_kind_is_told_apart(warehouse: Engine, tmp_path: Path) -> None:
    with desk(Said(500)) as first, desk() as second:
        fallback = {"kind": "csv", "url": second.at, "options": {"separator": ";"}}
        asking = engine(warehouse, tmp_path, url=first.at, fallback=fallback, **RULE)
        (answer,) = asking.ask()
    source = asking.use_case.sources["games"]
    assert answer.provider == provider_name(source, fallback=True) == "csv_fallback"
    assert source_of(source, answer.provider).options == {"separator": ";"}
    assert source_of(source, "csv").options == {}


def test_two_providers_that_are_down_are_both_named(warehouse: Engine, tmp_path: Path) -> None:
    with desk(Said(500)) as first:
        url = f"http://127.0.0.1:{unused_ports(1)[0]}/games.json"
        asking = engine(warehouse, tmp_path, url=first.at, fallback={"kind": "json", "url": url}, **RULE)
        with pytest.raises(SourceDown) as caught:
            asking.ask()
    assert "status 500" in caught.value.found
    assert "its fallback, json: ConnectError" in caught.value.found


def test_a_slow_first_provider_leaves_its_fallback_time(warehouse: Engine, tmp_path: Path) -> None:
    closing = threading.Event()

    def silent(asked: Asked, number: int) -> Said:
        closing.wait(20)
        return Said()

    with desk(silent) as first, desk(Said(body=b"[]")) as second:
        asking = engine(
            warehouse,
            tmp_path,
            url=first.at,
            fallback={"kind": "json", "url": second.at},
            timeout_seconds=60,
            deadline_seconds=2,
        )
        assert asking.ask()[0].provider == "json"
        closing.set()


def test_a_malformed_archive_does_not_fail_over(warehouse: Engine, tmp_path: Path) -> None:
    with desk(Said(body=b"\x1f\x8b nonsense")) as first, desk(Said(body=b"[]")) as second:
        asking = engine(warehouse, tmp_path, url=first.at, fallback={"kind": "json", "url": second.at})
        with pytest.raises(SourceMalformed):
            asking.ask()
        assert second.asked == []
