"""The life of one use case, step by step, as a client of the running system.

Nothing here reaches into a room: it triggers Dags, waits, and reads what they and the serving
app say. Whatever the summary shows has happened in Airflow and can be looked up there.
"""

import calendar
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from sqlalchemy import Engine

from pennant.declaration.effects import ALL
from pennant.declaration.model import UseCase
from pennant.demo.airflow import AirflowClient, Run
from pennant.demo.past import Past
from pennant.demo.progress import Progress, Step
from pennant.reference import Window
from pennant.release.client import ServingClient

Stride = Literal["month", "week"]

# An honest bad model of each kind: one small tree that learns next to nothing, a line held flat, doubt spread
# over a forecast that is given.
_STUMP: dict[str, float | int] = {
    "max_depth": 1,
    "learning_rate": 0.001,
    "n_estimators": 1,
    "min_child_weight": 100.0,
    "subsample": 0.5,
}
_BAD: dict[str, dict[str, float | int]] = {
    "xgboost": _STUMP,
    "trees_count": _STUMP,
    "path_residual": _STUMP,
    "logistic": {"c": 1e-6},
    "ridge": {"alpha": 1e9},
    "poisson": {"alpha": 1e9},
    "column": {"sharpness": 0.1},
    "constant_velocity": {},
}


def bad_hyperparameters(use_case: UseCase) -> dict[str, dict[str, float | int]]:
    """Hyper-parameters that no search would choose, for every member that has any."""
    found = {name: _BAD[member.kind] for name, member in use_case.training.members.items()}
    return {name: values for name, values in found.items() if values}


class Life(Past):
    """Drives one use case through its rooms.

    Args:
        use_case: the declaration.
        airflow: client of the running Airflow.
        warehouse: where the story's figures are read from.
        serving: client of the serving app.
        progress: where the steps are shown.
    """

    parts: ClassVar[tuple[str, ...]] = ALL

    def __init__(
        self,
        use_case: UseCase,
        airflow: AirflowClient,
        warehouse: Engine,
        serving: ServingClient,
        progress: Progress,
    ) -> None:
        super().__init__(use_case, airflow, warehouse, progress)
        self.use_case = use_case
        self.serving = serving
        self._seen: dict[str, set[str]] = {}

    def wake(self) -> None:
        """Unpause the Dags and remember which runs were there before."""
        super().wake()
        for part in ("train", "release"):
            self._seen[part] = {run.run_id for run in self.airflow.runs(self.dag(part))}

    def train(self, title: str, as_of: datetime, **conf: Any) -> dict[str, Any]:
        """Train and judge at a moment; gives the gate's conclusion."""
        with self.progress.step(title) as step:
            run = self.airflow.trigger(self.dag("train"), {"as_of": as_of.isoformat(), **conf})
            return self._verdict(run, step)

    def await_retrain(self) -> dict[str, Any]:
        """Wait for the training run that the watch Dag's request has woken."""
        with self.progress.step("The retrain request wakes the training Dag") as step:
            run = self.airflow.wait_for_new(self.dag("train"), self._seen["train"])
            return self._verdict(run, step)

    def await_release(self, title: str, occasion: str) -> str:
        """Wait for the release that the gate's verdict has asked for; gives the version served then."""
        with self.progress.step(title) as step:
            run = self.airflow.wait(self.airflow.wait_for_new(self.dag("release"), self._seen["release"]))
            self._seen["release"].add(run.run_id)
            concluded = self.airflow.result(run, "conclude") or {}
            version = self.served_version()
            step.note = f"{concluded.get('state', '?')}: version {version} is served"
            self.story.served.append((occasion, version))
            return version

    def await_canary(self) -> None:
        """Wait until the release Dag has sent a share of the traffic to the challenger."""
        with self.progress.step("The challenger goes out as a canary") as step:
            run = self.airflow.wait_for_new(self.dag("release"), self._seen["release"])
            started = self.airflow.wait_for_result(run, "start")
            step.note = f"version {started['version']} gets {self.use_case.release.canary_share:.0%}"

    def served_version(self) -> str:
        """The version that the serving app itself names as champion, or `none`."""
        model = self.serving.model(self.use_case.name) or {"arms": []}
        return next((str(each["version"]) for each in model["arms"] if each["arm"] == "champion"), "none")

    def live(self, window: Window) -> list[str]:
        """One step of the simulated clock: ingest, score before the events, settle, watch.

        Returns:
            The failure classes whose retrain request is pending.
        """
        with self.progress.step(f"{window.start:%d %b %Y} to {window.as_of:%d %b %Y}") as step:
            self._ingest(window)
            scored = self._run("score", window)
            predicted = self.airflow.result(scored, "predict") or {"predictions": 0, "arms": {}}
            watched = self._run("watch", window)
            report = self.airflow.result(watched, "measure") or {}
            self._note_step(step, predicted, report)
        return [name for name, state in report.get("failures", {}).items() if state == "pending"]

    def _verdict(self, run: Run, step: Step) -> dict[str, Any]:
        run = self.airflow.wait(run)
        self._seen["train"].add(run.run_id)
        # What counts is how it was concluded: a person may have held what the gate would promote.
        judged = self.airflow.result(run, "judge") | self.airflow.result(run, "conclude")
        step.note = f"version {judged['version']}: {judged['outcome']}. {judged['summary'].splitlines()[0]}"
        self.story.verdicts.append({"title": step.title, "run": run.run_id, **judged})
        return dict(judged)

    def _note_step(self, step: Step, predicted: dict[str, Any], report: dict[str, Any]) -> None:
        self.story.predictions += predicted["predictions"]
        for arm, count in predicted["arms"].items():
            self.story.arms[arm] = self.story.arms.get(arm, 0) + count
        arms = ", ".join(f"{count} by {arm}" for arm, count in sorted(predicted["arms"].items()))
        newest = report.get("newest_loss")
        figures = f", newest window {self.use_case.gate.metric} {newest:.3f}" if newest is not None else ""
        alarms = "".join(f"; ALERT {name} ({state})" for name, state in report.get("failures", {}).items())
        step.note = f"{predicted['predictions']} predictions ({arms}){figures}{alarms}"
        self.story.alerts += [
            f"{step.title}: {name}, {state}" for name, state in report.get("failures", {}).items()
        ]


def windows(use_case: UseCase, stride: Stride) -> Iterator[Window]:
    """The windows of the live span, month by month or week by week."""
    start, until = use_case.replay.live_from, use_case.replay.until
    while start < until:
        end = _next_month(start) if stride == "month" else start + timedelta(days=7)
        yield Window(start=start, as_of=min(end, until))
        start = end


def _next_month(moment: datetime) -> datetime:
    return moment + timedelta(days=calendar.monthrange(moment.year, moment.month)[1])
