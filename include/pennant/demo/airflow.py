"""A small client of Airflow's REST API: trigger, backfill, wait, read what a task returned."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from pennant.errors import PennantError

_DONE = frozenset({"success", "failed"})
_POLL_SECONDS = 0.5


class RunFailed(PennantError):
    """A Dag run failed; carries the failing task and the end of its log."""

    def __init__(self, dag_id: str, run_id: str, task_id: str, log: str, url: str) -> None:
        self.dag_id = dag_id
        self.run_id = run_id
        self.task_id = task_id
        self.log = log
        self.url = url
        super().__init__(
            f"Run {run_id} of {dag_id} failed in task {task_id}.\n{log}\n"
            f"See {url}, mend the cause, and clear the task."
        )


class TooSlow(PennantError):
    """Something did not end within its deadline."""

    def __init__(self, what: str, seconds: float, state: str, url: str) -> None:
        self.what = what
        self.seconds = seconds
        self.state = state
        super().__init__(
            f"{what} is still {state} after {seconds:.0f} s. Look at {url} and the scheduler's log."
        )


@dataclass(frozen=True)
class Run:
    """One Dag run, named as the REST API names it."""

    dag_id: str
    run_id: str
    state: str
    queued_at: str


class AirflowClient:
    """Logs in once and speaks to one Airflow.

    Args:
        url: address of the api-server.
        user: login name.
        password: its password.
        alive: called at every poll; raises if the system behind it has died.
    """

    def __init__(self, url: str, user: str, password: str, alive: Callable[[], None]) -> None:
        self.url = url
        self._alive = alive
        self._http = httpx.Client(base_url=url, timeout=30)
        token = self._http.post("/auth/token", json={"username": user, "password": password})
        token.raise_for_status()
        self._http.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def __enter__(self) -> "AirflowClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def wait_for_dags(self, dag_ids: list[str], seconds: float = 120) -> None:
        """Wait until every Dag is parsed, then unpause it."""
        missing = set(dag_ids)
        deadline = time.monotonic() + seconds
        while missing:
            for dag_id in sorted(missing):
                if self._http.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": False}).is_success:
                    missing.discard(dag_id)
            if missing:
                self._rest(deadline, f"Parsing {sorted(missing)[0]}", seconds, "missing", f"{self.url}/dags")

    def import_errors(self) -> list[str]:
        return [str(each["stack_trace"]) for each in self._get("/api/v2/importErrors")["import_errors"]]

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> Run:
        answer = self._http.post(f"/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        if answer.is_error:
            raise RunFailed(dag_id, "(not started)", "-", answer.text, f"{self.url}/dags/{dag_id}")
        return _run(answer.json())

    def wait(self, run: Run, seconds: float = 900) -> Run:
        """Wait for the end of a run.

        Raises:
            RunFailed: the run failed.
            TooSlow: it did not end in time.
        """
        deadline = time.monotonic() + seconds
        while run.state not in _DONE:
            self._rest(deadline, f"Run {run.run_id} of {run.dag_id}", seconds, run.state, self.link(run))
            run = _run(self._get(f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}"))
        if run.state == "failed":
            raise self._failure(run)
        return run

    def runs(self, dag_id: str) -> list[Run]:
        """The newest runs of a Dag, newest first."""
        query = {"order_by": "-run_after", "limit": 100}
        return [_run(each) for each in self._get(f"/api/v2/dags/{dag_id}/dagRuns", query)["dag_runs"]]

    def wait_for_new(self, dag_id: str, seen: set[str], seconds: float = 120) -> Run:
        """Wait until a run exists that is not in `seen`, as an asset event starts one."""
        deadline = time.monotonic() + seconds
        while True:
            fresh = [each for each in self.runs(dag_id) if each.run_id not in seen]
            if fresh:
                return fresh[-1]
            self._rest(deadline, f"The run of {dag_id}", seconds, "not started", f"{self.url}/dags/{dag_id}")

    def backfill(self, dag_id: str, first: datetime, until: datetime, at_once: int, seconds: float) -> int:
        """Backfill all intervals that start in `[first, until)`; gives how many runs there were.

        Raises:
            RunFailed: one of the runs failed.
            TooSlow: they did not all end in time.
        """
        answer = self._http.post(
            "/api/v2/backfills",
            json={
                "dag_id": dag_id,
                "from_date": first.isoformat(),
                "to_date": until.isoformat(),
                "max_active_runs": at_once,
                "run_backwards": False,
                "dag_run_conf": {},
                "reprocess_behavior": "completed",
            },
        )
        if answer.is_error:
            raise RunFailed(dag_id, "(backfill)", "-", answer.text, f"{self.url}/dags/{dag_id}/backfills")
        number = answer.json()["id"]
        deadline = time.monotonic() + seconds
        while not self._get(f"/api/v2/backfills/{number}")["completed_at"]:
            self._rest(
                deadline,
                f"The backfill of {dag_id}",
                seconds,
                "running",
                f"{self.url}/dags/{dag_id}/backfills",
            )
        runs = [each for each in self._all_runs(dag_id) if each.run_id.startswith("backfill")]
        for failed in (each for each in runs if each.state == "failed"):
            raise self._failure(failed)
        return len(runs)

    def _all_runs(self, dag_id: str) -> list[Run]:
        """Every run of a Dag, page by page: a long backfill has more than one answer holds."""
        found: list[Run] = []
        while True:
            query = {"order_by": "run_after", "limit": 100, "offset": len(found)}
            page = self._get(f"/api/v2/dags/{dag_id}/dagRuns", query)
            found += [_run(each) for each in page["dag_runs"]]
            if not page["dag_runs"] or len(found) >= page["total_entries"]:
                return found

    def result(self, run: Run, task_id: str) -> Any:
        """What a task returned, or None if it was skipped."""
        path = (
            f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        )
        answer = self._http.get(path, params={"deserialize": "false", "stringify": "false"})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        return answer.json()["value"]

    def wait_for_result(self, run: Run, task_id: str, seconds: float = 120) -> Any:
        """Wait until a task of a running run has returned something.

        Raises:
            RunFailed: the run failed before.
            TooSlow: nothing came in time.
        """
        deadline = time.monotonic() + seconds
        while (found := self.result(run, task_id)) is None:
            self._rest(deadline, f"Task {task_id} of {run.dag_id}", seconds, "running", self.link(run))
            if _run(self._get(f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}")).state == "failed":
                raise self._failure(run)
        return found

    def tasks(self, run: Run) -> list[dict[str, Any]]:
        """The task instances of a run as the REST API gives them: `task_id`, `state`, `try_number`, `pid`."""
        path = f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances"
        return list(self._get(path)["task_instances"])

    def link(self, run: Run) -> str:
        return f"{self.url}/dags/{run.dag_id}/runs/{run.run_id}"

    def _get(self, path: str, query: dict[str, Any] | None = None) -> Any:
        answer = self._http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    def _rest(self, deadline: float, what: str, seconds: float, state: str, url: str) -> None:
        """Pause between two polls, unless the deadline has passed or the system has died."""
        self._alive()
        if time.monotonic() > deadline:
            raise TooSlow(what, seconds, state, url)
        time.sleep(_POLL_SECONDS)

    def _failure(self, run: Run) -> RunFailed:
        failed = next((each for each in self.tasks(run) if each["state"] == "failed"), None)
        if failed is None:
            return RunFailed(run.dag_id, run.run_id, "(none)", "No task says why.", self.link(run))
        path = (
            f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{failed['task_id']}"
            f"/logs/{failed['try_number']}"
        )
        query = {"map_index": failed["map_index"], "full_content": "true"}
        answer = self._http.get(path, params=query, headers={"Accept": "application/json"})
        events = answer.json().get("content", []) if answer.is_success else []
        return RunFailed(run.dag_id, run.run_id, failed["task_id"], _last_lines(events), self.link(run))


def _last_lines(events: list[Any], count: int = 12) -> str:
    lines: list[str] = []
    for each in events:
        if not isinstance(each, dict):
            lines.append(str(each))
            continue
        lines.append(str(each.get("event", "")))
        details = each.get("error_detail") or []
        lines.extend(f"{detail.get('exc_type')}: {detail.get('exc_value')}" for detail in details)
    return "\n".join([line for line in lines if line][-count:])


def _run(value: dict[str, Any]) -> Run:
    return Run(value["dag_id"], value["dag_run_id"], value["state"], str(value.get("queued_at")))
