"""The life of a use case, asserted through Airflow's REST API, the warehouse and the serving API."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.stack.conftest import Played

from pennant.demo.airflow import Run, RunFailed
from pennant.registry.ledger import verify

pytestmark = [pytest.mark.stack, pytest.mark.timeout(2400)]


def _rows(played: Played, query: str) -> list[Any]:
    with played.warehouse.connect() as connection:
        return list(connection.execute(text(query), {"name": played.use_case.name}))


def _command(played: Played, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("pennant")), *arguments],
        env={**os.environ, "PENNANT_HOME": str(played.settings.home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_airflow_has_no_import_error_and_no_failed_run(played: Played) -> None:
    assert played.airflow.import_errors() == []
    for verdict in played.story.verdicts:
        runs = {run.run_id: run.state for run in played.airflow.runs(f"{played.use_case.name}__train")}
        assert runs[verdict["run"]] == "success"
    for part in ("release", "score", "watch"):
        runs_of = played.airflow.runs(f"{played.use_case.name}__{part}")
        assert runs_of
        assert {run.state for run in runs_of} == {"success"}, part


def test_history_was_ingested_by_a_backfill_of_the_real_scheduler(played: Played) -> None:
    runs = played.airflow.runs(f"{played.use_case.name}__ingest")
    assert sum(run.run_id.startswith("backfill") for run in runs) >= 4
    states = {row.state for row in _rows(played, "SELECT state FROM data_batches WHERE use_case = :name")}
    assert states == {"validated"}


def test_the_first_champion_beat_the_declared_baselines_with_numbers(played: Played) -> None:
    first = played.story.verdicts[0]
    assert first["outcome"] == "promote"
    assert "base_rate" in first["summary"]


def test_the_bad_challenger_is_held_with_numbers(played: Played) -> None:
    last = played.story.verdicts[-1]
    assert last["outcome"] in {"hold", "refuse"}
    assert any(character.isdigit() for character in last["summary"])


def test_every_event_was_predicted_before_it_happened(played: Played) -> None:
    late = _rows(
        played, "SELECT entity FROM predictions WHERE use_case = :name AND as_of >= event_time LIMIT 5"
    )
    assert late == []
    [(count,)] = _rows(played, "SELECT count(*) FROM predictions WHERE use_case = :name")
    assert count == played.story.predictions > 0


def test_no_prediction_is_logged_twice(played: Played) -> None:
    doubled = _rows(
        played,
        "SELECT prediction_id FROM predictions WHERE use_case = :name GROUP BY 1 HAVING count(*) > 1",
    )
    assert doubled == []


def test_predicted_events_are_settled(played: Played) -> None:
    [(settled, all_)] = _rows(
        played,
        "SELECT count(o.entity), count(*)"
        " FROM (SELECT DISTINCT entity FROM predictions WHERE use_case = :name) p"
        " LEFT JOIN (SELECT DISTINCT entity FROM outcomes WHERE use_case = :name) o USING (entity)",
    )
    assert settled > 0.9 * all_


def test_the_served_version_is_the_one_the_story_ends_with(played: Played) -> None:
    model = played.serving.model(played.use_case.name)
    assert model is not None
    champion = next(arm for arm in model["arms"] if arm["arm"] == "champion")
    assert str(champion["version"]) == played.story.served[-1][1]
    assert champion["golden"]["max_error"] <= 1e-6


def test_a_client_without_a_key_is_refused(played: Played) -> None:
    answer = httpx.get(f"{played.reached.serving_url}/api/v2/models")
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_a_window_that_is_run_again_changes_nothing(played: Played) -> None:
    before = _rows(played, "SELECT * FROM data_batches WHERE use_case = :name ORDER BY source, batch_id")
    window = before[-1]
    run = played.airflow.trigger(
        f"{played.use_case.name}__ingest",
        {"as_of": window.as_of.isoformat(), "window_start": window.window_start.isoformat()},
    )
    assert played.airflow.wait(run).state == "success"
    after = _rows(played, "SELECT * FROM data_batches WHERE use_case = :name ORDER BY source, batch_id")
    assert after == before


def test_the_ledger_verifies_and_one_changed_byte_of_history_is_found(played: Played) -> None:
    assert verify(played.warehouse) == []
    assert _command(played, "ledger", "verify").returncode == 0
    _change_history(played, "'{\"planted\": true}'")
    try:
        found = _command(played, "ledger", "verify")
        assert found.returncode != 0
    finally:
        _change_history(played, "'{\"planted\": true}'", back=True)
    assert _command(played, "ledger", "verify").returncode == 0


def _change_history(played: Played, added: str, *, back: bool = False) -> None:
    """As a person with the database's own rights would: around the trigger that refuses updates."""
    change = "entry - 'planted'" if back else f"entry || {added}"
    with played.warehouse.begin() as connection:
        connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER ALL"))
        connection.execute(text(f"UPDATE ledger SET entry = {change} WHERE seq = 1"))
        connection.execute(text("ALTER TABLE ledger ENABLE TRIGGER ALL"))


def test_a_run_whose_every_task_is_killed_once_is_finished_by_its_retries(played: Played) -> None:
    [(start,)] = _rows(played, "SELECT max(as_of) FROM data_batches WHERE use_case = :name")
    run = played.airflow.trigger(
        f"{played.use_case.name}__ingest",
        {"window_start": start.isoformat(), "as_of": (start + timedelta(days=31)).isoformat()},
    )
    killed: set[str] = set()
    while not _ended(played, run):
        for task in played.airflow.tasks(run):
            if task["state"] == "running" and task["try_number"] == 1 and task["task_id"] not in killed:
                _kill(task["pid"], task["task_id"], killed)
    assert played.airflow.wait(run).state == "success"
    assert {"fetch", "validate"} <= killed
    newest = _rows(
        played, "SELECT state, as_of FROM data_batches WHERE use_case = :name ORDER BY as_of DESC LIMIT 1"
    )
    assert [(row.state, row.as_of) for row in newest] == [("validated", start + timedelta(days=31))]


def _ended(played: Played, run: Run) -> bool:
    states = {each.run_id: each.state for each in played.airflow.runs(run.dag_id)}
    return states[run.run_id] in {"success", "failed"}


def _kill(pid: int | None, task_id: str, killed: set[str]) -> None:
    if pid:
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(pid, signal.SIGKILL)
            killed.add(task_id)


def test_a_task_that_fails_for_good_is_told_and_not_retried(played: Played) -> None:
    dag = f"{played.use_case.name}__ingest"
    with pytest.raises(RunFailed) as failed:
        played.airflow.wait(
            played.airflow.trigger(dag, {"as_of": "2024-01-01", "window_start": "2024-01-01"})
        )
    assert failed.value.task_id == "resolve"
    told = _rows(
        played,
        "SELECT severity, evidence->>'error' AS error FROM system_alerts"
        " WHERE use_case = :name AND class = 'ingest_resolve_failed'",
    )
    assert [row.severity for row in told] == ["critical"]
    assert "window_start" in told[0].error


def test_the_backtest_dag_settles_a_past_period(played: Played) -> None:
    schedules = played.use_case.schedules
    until = schedules.history_until
    start = until.replace(year=until.year - 1)
    run = played.airflow.trigger(
        f"{played.use_case.name}__backtest",
        {"as_of": until.isoformat(), "window_start": start.isoformat()},
    )
    played.airflow.wait_for_dags([f"{played.use_case.name}__backtest"])
    result = played.airflow.result(played.airflow.wait(run), "walk")
    assert result["rows"] > 200
    [(stored,)] = _rows(
        played,
        "SELECT count(*) FROM model_performance WHERE use_case = :name AND source = 'backtest' "
        "AND metric = 'log_loss'",
    )
    assert stored == 1


def test_maintenance_finds_nothing_to_mend(played: Played) -> None:
    played.airflow.wait_for_dags(["pennant__maintain"])
    run = played.airflow.wait(played.airflow.trigger("pennant__maintain", {}))
    assert played.airflow.result(run, "reconcile") == {"deviations": []}
