"""Law 12: an answered prediction reaches the warehouse exactly once."""

import http.client
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from serving_process import Client, Process, until

from pennant_serving.drain import Drain
from pennant_serving.metrics import Metrics
from pennant_serving.spool import Entry, IdTaken, Spool, SpoolError, record_text
from pennant_serving.warehouse import Warehouse

FEATURES = {"rating": 40.0, "rest": 1.0, "heat": None}
Launch = Callable[..., Process]
Publish = Callable[..., int]


def body(prediction_id: str | None = None, **change: Any) -> dict[str, Any]:
    given = {} if prediction_id is None else {"prediction_id": prediction_id}
    return {"use_case": "toy", "entity": "a", "features": FEATURES} | given | change


def logged(url: str) -> dict[str, int]:
    """How often each prediction_id stands in the table, on any day."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT prediction_id, count(*) FROM predictions GROUP BY 1").fetchall()
    return dict(rows)


def backlog(process: Process) -> Any:
    return process.send("GET", "/ready")[2].get("backlog")


class Fire:
    """Clients that predict in threads, and what they were answered; errors of the line are no answers."""

    def __init__(self, process: Process, clients: int = 4) -> None:
        self.answered: list[str] = []
        self.statuses: set[int] = set()
        self._stop = threading.Event()
        self._process = process
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]
        for each in self._threads:
            each.start()

    def _run(self, number: int) -> None:
        client: Client | None = None
        while not self._stop.is_set():
            try:
                client = client or self._process.client()
                sent = {"use_case": "toy", "rows": [{"entity": f"{number}", "features": FEATURES}] * 3}
                path, content = ("/batch", sent) if number % 2 else ("", body())
                status, _, answer = client.send("POST", f"/api/v2/predict{path}", content)
            except (OSError, http.client.HTTPException):  # the server was stopped: that was no answer
                if client is not None:
                    client.close()
                client = None
                self._stop.wait(0.02)  # leave the processor to the server that starts
                continue
            self.statuses.add(status)
            if status == 200:
                self.answered += [each["prediction_id"] for each in answer.get("predictions", [answer])]
        if client is not None:
            client.close()

    def until_more(self, count: int) -> None:
        seen = len(self.answered)
        until(lambda: len(self.answered) > seen + count)

    def stop(self) -> list[str]:
        self._stop.set()
        for each in self._threads:
            each.join()
        return self.answered


def test_the_row_in_the_warehouse_is_the_answer(warehouse: str, launch: Launch, publish: Publish) -> None:
    policy = publish(warehouse, {"champion": ("1", 1.0)})
    process = launch(warehouse).wait_ready()
    moments = {"event_time": "2024-01-01T03:00:00+02:00", "as_of": "2023-12-31T00:00:00Z"}
    answer = process.send("POST", "/api/v2/predict", body("mine/é 1", **moments))[2]
    until(lambda: logged(warehouse))
    with psycopg.connect(warehouse) as connection:
        row = connection.execute(
            "SELECT prediction_id, use_case, entity, event_time, as_of, version, arm, policy_id, features, "
            "prediction, low, high, day = (answered_at AT TIME ZONE 'UTC')::date, extra ? 'bundle_sha256' "
            "FROM predictions"
        ).fetchone()
    assert row is not None
    assert row[:3] == ("mine/é 1", "toy", "a")
    assert row[3:5] == (datetime(2024, 1, 1, 1, tzinfo=UTC), datetime(2023, 12, 31, tzinfo=UTC))
    assert row[5:9] == ("1", "champion", policy, FEATURES)
    assert row[9:12] == (answer["prediction"], answer["low"], answer["high"])
    assert row[12:] == (True, True)


def test_a_repeated_id_gets_the_first_answer_and_one_row(
    warehouse: str, launch: Launch, publish: Publish
) -> None:
    publish(warehouse, {"champion": ("1", 1.0)})
    process = launch(warehouse).wait_ready()
    first = process.send("POST", "/api/v2/predict", body("x"))[2]
    until(lambda: logged(warehouse) == {"x": 1})
    publish(warehouse, {"champion": ("2", 1.0)})
    assert process.send("POST", "/api/v2/models/toy/reload")[0] == 200
    assert process.send("POST", "/api/v2/predict", body("x"))[2] == first
    rows = [{"entity": "a", "features": FEATURES, "prediction_id": each} for each in ("x", "y", "y")]
    answers = process.send("POST", "/api/v2/predict/batch", {"use_case": "toy", "rows": rows})[2][
        "predictions"
    ]
    assert answers[0] == first
    assert answers[1] == answers[2]
    assert answers[1]["version"] == "2"
    process.terminate()
    again = launch(warehouse).wait_ready()
    assert again.send("POST", "/api/v2/predict", body("x"))[2] == first
    again.terminate()
    assert logged(warehouse) == {"x": 1, "y": 1}


def test_an_id_of_another_entity_is_refused_and_nothing_of_the_batch_is_logged(
    warehouse: str, launch: Launch, publish: Publish
) -> None:
    publish(warehouse, {"champion": ("1", 1.0)})
    process = launch(warehouse).wait_ready()
    assert process.send("POST", "/api/v2/predict", body("x"))[0] == 200
    rows = [{"entity": "b", "features": FEATURES, "prediction_id": each} for each in ("new", "x")]
    status, _, document = process.send("POST", "/api/v2/predict/batch", {"use_case": "toy", "rows": rows})
    assert (status, document["prediction_id"]) == (409, "x")
    process.terminate()
    assert logged(warehouse) == {"x": 1}


def test_sigkill_under_load_loses_and_doubles_nothing(
    warehouse: str, launch: Launch, publish: Publish
) -> None:
    publish(warehouse, {"champion": ("1", 1.0)})
    process = launch(warehouse).wait_ready()
    fire = Fire(process)
    for _ in range(2):
        fire.until_more(60)
        process.kill()
        process.lines.clear()
        process.start()
        process.wait_ready()
    fire.until_more(60)
    answered = fire.stop()
    assert process.terminate() == 0
    found = logged(warehouse)
    assert set(found.values()) == {1}
    assert set(answered) <= found.keys()
    assert len(answered) == len(set(answered))


def test_a_warehouse_that_stops_under_load_and_comes_back_gets_each_prediction_once(
    tmp_path: Path, launch: Launch, publish: Publish, own_postgres: Any
) -> None:
    server, url = own_postgres
    publish(url, {"champion": ("1", 1.0)})
    process = launch(url, drain_seconds="20").wait_ready()
    fire = Fire(process)
    fire.until_more(60)
    server.stop()
    fire.until_more(60)
    server.start()
    fire.until_more(60)
    answered = fire.stop()
    assert fire.statuses == {200}  # the callers saw nothing of it
    assert process.terminate() == 0
    assert logged(url) == dict.fromkeys(answered, 1)


def test_what_is_left_at_a_shutdown_without_warehouse_is_handed_over_later(
    launch: Launch, publish: Publish, own_postgres: Any
) -> None:
    server, url = own_postgres
    publish(url, {"champion": ("1", 1.0)})
    process = launch(url, drain_seconds="0.2").wait_ready()
    server.stop()
    answered = [process.send("POST", "/api/v2/predict", body())[2]["prediction_id"] for _ in range(5)]
    assert process.terminate() == 0
    assert process.lines[-1]["event"] == "stopped"
    server.start()
    again = launch(url).wait_ready()
    until(lambda: logged(url) == dict.fromkeys(answered, 1))
    again.terminate()


def test_sigterm_finishes_requests_and_hands_over(warehouse: str, launch: Launch, publish: Publish) -> None:
    publish(warehouse, {"champion": ("1", 1.0)})
    process = launch(warehouse).wait_ready()
    fire = Fire(process)
    fire.until_more(60)
    assert process.terminate() == 0
    answered = fire.stop()
    assert logged(warehouse) == dict.fromkeys(answered, 1)
    assert fire.statuses == {200}


def test_a_full_log_answers_nothing_and_recovers_when_there_is_room(
    launch: Launch, publish: Publish, own_postgres: Any
) -> None:
    server, url = own_postgres
    publish(url, {"champion": ("1", 1.0)})
    process = launch(url, spool_megabytes="1").wait_ready()
    server.stop()
    rows = [{"entity": str(n), "features": FEATURES} for n in range(200)]
    answered: list[str] = []
    status = 200
    while status == 200:
        status, headers, found = process.send(
            "POST", "/api/v2/predict/batch", {"use_case": "toy", "rows": rows}
        )
        answered += [each["prediction_id"] for each in found.get("predictions", [])]
    assert (status, found["type"]) == (507, "urn:pennant:problem:log-full")
    assert headers["Retry-After"] == "5" if "Retry-After" in headers else headers["retry-after"] == "5"
    assert 0 < len(answered) < 5000
    server.start()
    until(
        lambda: process.send("POST", "/api/v2/predict/batch", {"use_case": "toy", "rows": rows[:9]})[0] == 200
    )
    assert process.terminate() == 0
    found = logged(url)
    assert set(found.values()) == {1}
    assert len(found) >= len(answered) + 9
    assert set(answered) <= found.keys()


def entry(prediction_id: str, owner: str = "o", chosen: bool = True, text: str = "1") -> Entry:
    return Entry(prediction_id, owner, chosen, datetime(2024, 1, 1, tzinfo=UTC).isoformat(), text)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path, 100)
    yield opened
    opened.close()


def test_one_process_holds_a_spool(spool: Spool, tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="another serving process"):
        Spool(tmp_path, 100)


def test_a_damaged_spool_is_left_alone_and_named(tmp_path: Path) -> None:
    (tmp_path / "spool.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(SpoolError, match=r"spool\.sqlite"):
        Spool(tmp_path, 100)
    assert (tmp_path / "spool.sqlite").read_bytes().startswith(b"not a database")


def test_ids_are_kept_after_the_hand_over_and_forgotten_in_time(spool: Spool) -> None:
    spool.append([entry("chosen", text="first"), entry("made", chosen=False)]).result()
    waiting = spool.waiting(10)
    spool.drained(waiting.seqs)
    assert spool.waiting(10).seqs == []
    assert spool.backlog == 0
    assert spool.append([entry("chosen", text="second")]).result() == ["first"]
    assert spool.backlog == 0
    with pytest.raises(IdTaken):
        spool.append([entry("chosen", owner="other")]).result()
    spool.forget("2024-01-01T00:00:00")
    assert spool.append([entry("chosen", text="second")]).result() == ["first"]
    spool.forget("2024-02-01T00:00:00")
    assert spool.append([entry("chosen", text="second")]).result() == ["second"]


def test_a_row_that_still_waits_is_never_forgotten(spool: Spool) -> None:
    spool.append([entry("x")]).result()
    spool.forget("2099-01-01T00:00:00")
    assert spool.backlog == len(spool.waiting(10).seqs) == 1


def test_many_requests_at_once_are_each_answered_once(spool: Spool) -> None:
    futures = [spool.append([entry(str(n % 50), text=str(n))]) for n in range(2000)]
    answers = [each.result()[0] for each in futures]
    assert len(set(answers)) == 50
    assert answers[:50] == answers[50:100]
    assert spool.backlog == 50


def test_a_record_reads_back_to_the_same_bits() -> None:
    import json

    numbers = [0.1 + 0.2, 5e-324, 1 - 1e-16, 1 / 3]
    assert json.loads(record_text({"n": numbers}))["n"] == numbers
    with pytest.raises(ValueError, match="JSON"):
        record_text({"n": float("nan")})


def test_the_state_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        target = Path("/proc/pennant")
    else:
        tmp_path.chmod(0o500)
        target = tmp_path / "state"
    with pytest.raises((SpoolError, OSError)):
        Spool(target, 10)


def test_a_hand_over_that_was_cut_off_after_its_commit_is_repeated_without_doubles(
    warehouse: str, tmp_path: Path
) -> None:
    """The process dies after the warehouse committed and before the spool let go: an old spool comes back."""
    answered_at = datetime(2024, 1, 1, 12, tzinfo=UTC).isoformat()
    row = {"day": "2024-01-01", "use_case": "toy", "entity": "a", "version": "1", "arm": "champion"}
    row |= {"policy_id": 1, "features": {}, "prediction": 0.5, "extra": {}, "answered_at": answered_at}
    entries = [
        Entry(str(n), "o", n % 2 == 0, answered_at, record_text(row | {"prediction_id": str(n)}))
        for n in range(2500)
    ]
    first = Spool(tmp_path / "first", 100)
    first.append(entries).result()
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    hand_over(first, warehouse)
    assert logged(warehouse) == {str(n): 1 for n in range(2500)}
    hand_over(Spool(tmp_path / "second", 100), warehouse)
    assert logged(warehouse) == {str(n): 1 for n in range(2500)}


def hand_over(spool: Spool, url: str) -> None:
    assert spool.backlog == 2500
    drain = Drain(spool, Warehouse(url), Metrics(), ids_kept_days=30)
    drain.start()
    drain.stop(within_seconds=20)
    assert spool.backlog == 0
    spool.close()


def test_every_commit_reaches_the_disk_before_it_counts(spool: Spool) -> None:
    """FULL: in WAL mode a commit is synced, so that the death of the power loses no answered prediction."""
    assert spool._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert spool._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
