"""Nobody asks a provider more often than it may be asked, however many workers there are."""

import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from pennant.data.asking.limits import Blocked, Limits
from pennant.data.asking.wishes import wishes_of
from pennant.data.errors import SourceDown, Throttled
from pennant.declaration.model import Rate

from .conftest import month
from .engine_desk import Asked, Said, desk, engine

WORKER = Path(__file__).with_name("engine_worker.py")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def limits(warehouse: Engine, requests: int = 2, per_seconds: float = 60) -> Limits:
    name = f"test {uuid.uuid4()}"
    return Limits(warehouse, name, f"{name} key", Rate(requests=requests, per_seconds=per_seconds))


def taken(warehouse: Engine, name: str) -> list[datetime]:
    with warehouse.connect() as connection:
        query = text("SELECT taken FROM source_limits WHERE name = :name")
        found: list[datetime] = connection.execute(query, {"name": name}).scalar_one()
    return found


@settings(max_examples=15, deadline=None)
@given(requests=st.integers(1, 5), per_seconds=st.sampled_from([0.01, 1.0, 3600.0]), turns=st.integers(1, 16))
def test_no_span_sees_more_turns_than_the_rate_allows(
    warehouse: Engine, requests: int, per_seconds: float, turns: int
) -> None:
    bucket = limits(warehouse, requests, per_seconds)
    moments = []
    for _ in range(turns):
        bucket.take(patience=1e9)
        moments.append(taken(warehouse, bucket.name)[-1])
    spans = [later - earlier for earlier, later in zip(moments, moments[requests:], strict=False)]
    assert all(span >= timedelta(seconds=per_seconds) for span in spans)


def test_workers_that_come_together_get_turns_one_after_the_other(warehouse: Engine) -> None:
    bucket = limits(warehouse, requests=3, per_seconds=100)
    with ThreadPoolExecutor(6) as pool:
        waits = sorted(pool.map(lambda _: bucket.take(patience=1e9), range(12)))
    assert [round(wait / 100) for wait in waits] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


def test_a_turn_that_comes_too_late_is_left_to_others(warehouse: Engine) -> None:
    bucket = limits(warehouse, requests=1, per_seconds=100)
    assert bucket.take(patience=0) == 0
    before = taken(warehouse, bucket.name)
    with pytest.raises(Blocked) as caught:
        bucket.take(patience=50)
    assert 90 < caught.value.seconds <= 100
    assert "the declared rate of 1 in 100 s" in caught.value.why
    assert taken(warehouse, bucket.name) == before


def test_a_changed_rate_counts_from_what_was_taken(warehouse: Engine) -> None:
    bucket = limits(warehouse, requests=5, per_seconds=100)
    for _ in range(5):
        bucket.take(patience=0)
    slower = Limits(warehouse, bucket.name, bucket.holder, Rate(requests=1, per_seconds=100))
    with pytest.raises(Blocked):
        slower.take(patience=50)
    faster = Limits(warehouse, bucket.name, bucket.holder, Rate(requests=9, per_seconds=100))
    assert faster.take(patience=0) == 0


def test_the_rate_holds_over_several_processes(warehouse: Engine, tmp_path: Path) -> None:
    with desk() as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, rate={"requests": 3, "per_seconds": 0.8})
        url = warehouse.url.render_as_string(hide_password=False)
        given = [url, tmp_path.as_uri(), asking.use_case.model_dump_json(by_alias=True), month(2).key, "3"]
        workers = [
            subprocess.Popen([sys.executable, str(WORKER), *given], stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        outcomes = [json.loads(worker.communicate(timeout=120)[0]) for worker in workers]
        moments = sorted(asked.moment for asked in provider.asked)
    assert outcomes == [[["answered", "csv"]] * 3] * 3
    # The first may have been on its way for a moment; each further three come a span later.
    waits = [moment - moments[0] for moment in moments]
    assert [wait >= number // 3 * 0.8 - 0.2 for number, wait in enumerate(waits)] == [True] * 9
    assert asking.health()["requests"] == 9


@pytest.mark.parametrize(
    ("headers", "wait", "remaining", "reset"),
    [
        ({"retry-after": "7"}, 7, None, None),
        ({"retry-after": "0"}, 0, None, None),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90, None, None),
        ({"retry-after": format_datetime(NOW - timedelta(days=1), usegmt=True)}, 0, None, None),
        ({"retry-after": "soon"}, None, None, None),
        ({"retry-after": "1e300"}, None, None, None),
        ({"retry-after": "nan"}, None, None, None),
        ({"retry-after": "-5"}, 0, None, None),
        ({"retry-after": "99999999"}, 31 * 86400, None, None),
        ({"x-requests-remaining": "0"}, None, 0, None),
        ({"x-requests-remaining": "499.0"}, None, 499, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, None, 0, 30),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": str(int(NOW.timestamp()) + 40)}, None, 3, 40),
        ({"ratelimit-remaining": "1", "ratelimit-reset": "9"}, None, 1, 9),
        ({"x-ratelimit-remaining": "many"}, None, None, None),
    ],
)
def test_a_provider_is_understood(
    headers: dict[str, str], wait: float | None, remaining: int | None, reset: float | None
) -> None:
    found = wishes_of(headers, NOW)
    assert (found.wait_seconds, found.remaining, found.reset_seconds) == (wait, remaining, reset)


def test_a_clock_that_is_wrong_by_hours_changes_no_wait() -> None:
    theirs = NOW + timedelta(hours=5)
    headers = {
        "date": format_datetime(theirs, usegmt=True),
        "retry-after": format_datetime(theirs + timedelta(seconds=20), usegmt=True),
        "x-ratelimit-reset": str(int(theirs.timestamp()) + 60),
    }
    found = wishes_of(headers, NOW)
    assert (found.wait_seconds, found.reset_seconds) == (20, 60)


def busy(status: int, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _, number: Said(status, headers=named) if number == 0 else Said()


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(warehouse: Engine, tmp_path: Path, status: int) -> None:
    with desk(busy(status, Retry_After="1")) as provider:
        engine(warehouse, tmp_path, url=provider.at).ask()
    first, second = provider.asked
    assert second.moment - first.moment >= 1


def test_retry_after_as_a_date_is_waited_for(warehouse: Engine, tmp_path: Path) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    with desk(busy(503, Retry_After=when, Date="not a date")) as provider:
        engine(warehouse, tmp_path, url=provider.at).ask()
    first, second = provider.asked
    assert second.moment - first.moment >= 0.9


def test_a_longer_wait_than_the_deadline_is_told_at_once_and_holds_for_all(
    warehouse: Engine, tmp_path: Path
) -> None:
    with desk(busy(429, Retry_After="3600")) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, deadline_seconds=5)
        with pytest.raises(Throttled) as caught:
            asking.ask()
        assert 3590 < caught.value.seconds <= 3600
        assert caught.value.why == "status 429 with Retry-After 3600"
        with pytest.raises(Throttled):
            asking.ask()
        assert len(provider.asked) == 1
        health = asking.health()
        # Not down, only busy: the breaker has nothing to do with it.
        assert (health["state"], health["consecutive_failures"], health["breaker"]) == (
            "failing",
            0,
            "closed",
        )
        asking.execute(
            "UPDATE source_limits SET blocked_until = blocked_until - interval '1 hour'"
            " WHERE name = :name || '.games'"
        )
        asking.ask()


def test_a_quota_that_is_used_up_stops_asking_until_it_resets(warehouse: Engine, tmp_path: Path) -> None:
    def last_one(asked: Asked, number: int) -> Said:
        return Said(headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "600"})

    with desk(last_one) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, deadline_seconds=5)
        assert asking.ask()[0].part == "table"  # the last one counts
        assert asking.health()["quota_remaining"] == 0
        with pytest.raises(Throttled) as caught:
            asking.ask()
        assert 590 < caught.value.seconds <= 600
        assert "quota" in caught.value.why
        assert len(provider.asked) == 1


def test_the_quota_of_the_odds_api_ends_with_the_month(warehouse: Engine, tmp_path: Path) -> None:
    with desk(Said(headers={"X-Requests-Remaining": "0"})) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, deadline_seconds=5)
        asking.ask()
        with pytest.raises(Throttled) as caught:
            asking.ask()
    ends = datetime.now(UTC) + timedelta(seconds=caught.value.seconds + 5)
    assert (ends.day, ends.hour, ends.minute) == (1, 0, 0)


def test_a_quota_belongs_to_the_key_whichever_source_uses_it(warehouse: Engine, tmp_path: Path) -> None:
    from pennant.data.asking.access import Access

    keyed = {
        "connection": "shared",
        "options": {"key_in": "query", "key_name": "k"},
        "deadline_seconds": 5,
    }
    first = uuid.uuid4().hex
    with desk(Said(headers={"X-Requests-Remaining": "0"})) as provider:
        one = engine(warehouse, tmp_path / "a", {"shared": Access(password=first)}, url=provider.at, **keyed)
        other = engine(
            warehouse, tmp_path / "b", {"shared": Access(password=first)}, url=provider.at, **keyed
        )
        new = engine(
            warehouse, tmp_path / "c", {"shared": Access(password=uuid.uuid4().hex)}, url=provider.at, **keyed
        )
        one.ask()
        with pytest.raises(Throttled):
            other.ask()
        new.ask()  # a new key has a quota of its own
        assert [asked.params["k"] == first for asked in provider.asked] == [True, False]


def test_a_refusal_without_a_wish_blocks_nobody(warehouse: Engine, tmp_path: Path) -> None:
    with desk(busy(404, Retry_After="3600")) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at)
        with pytest.raises(SourceDown):
            asking.ask()
        asking.ask()
