"""What is the same for every use case, with a model or without: the backfill, the snapshot, the leak check.

Nothing here reaches into a room: it triggers Dags, waits, and reads what they say.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import Engine, text

from pennant.declaration.effects import DATA
from pennant.declaration.model import DataUseCase
from pennant.demo.airflow import AirflowClient, Run
from pennant.demo.progress import Progress
from pennant.reference import Window


@dataclass
class Story:
    """What happened, in figures, for the summary."""

    windows: int = 0
    rows: int = 0
    quarantined: int = 0
    snapshot_rows: int = 0
    leaks: int | None = None
    """Leaks found in the snapshot's features; None where no run of the features Dag has looked."""
    predictions: int = 0
    arms: dict[str, int] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    served: list[tuple[str, str]] = field(default_factory=list)
    """What was served when: (occasion, version)."""


class Past:
    """Drives one use case through its data and its features.

    Args:
        use_case: the declaration.
        airflow: client of the running Airflow.
        warehouse: where the story's figures are read from.
        progress: where the steps are shown.
    """

    parts: ClassVar[tuple[str, ...]] = DATA

    def __init__(
        self, use_case: DataUseCase, airflow: AirflowClient, warehouse: Engine, progress: Progress
    ) -> None:
        self.declared = use_case
        self.airflow = airflow
        self.warehouse = warehouse
        self.progress = progress
        self.story = Story()

    def dag(self, part: str) -> str:
        return f"{self.declared.name}__{part}"

    def wake(self) -> None:
        """Unpause the Dags."""
        with self.progress.step("Airflow parses the Dags"):
            self.airflow.wait_for_dags([self.dag(part) for part in self.parts])

    def history(self, since: datetime, until: datetime, at_once: int) -> None:
        """Ingest the past as a backfill, coarse step by coarse step, and what lies between it and `until`."""
        coarse = self.declared.schedules.history_until
        with self.progress.step(f"Backfill {since:%Y} to {coarse - timedelta(days=1):%Y}") as step:
            runs = self.airflow.backfill(
                self.dag("ingest"), since, coarse - timedelta(seconds=1), at_once, seconds=1500
            )
            if until > coarse:
                self._ingest(Window(start=coarse, as_of=until))
            self._count_batches()
            step.note = (
                f"{runs} runs, {self.story.rows} rows, {self.story.quarantined} quarantined with reasons"
            )

    def examine(self, as_of: datetime) -> dict[str, Any]:
        """Take a snapshot and look through it for leaks."""
        with self.progress.step(f"Snapshot as of {as_of:%d %b %Y}, and a look for leaks") as step:
            conf = {"as_of": as_of.isoformat()}
            run = self.airflow.wait(self.airflow.trigger(self.dag("features"), conf))
            taken = self.airflow.result(run, "snapshot") or {}
            found = self.airflow.result(run, "examine") or {}
            self.story.snapshot_rows, self.story.leaks = taken["rows"], found["leaks"]
            step.note = f"{taken['rows']} rows, {taken['columns']} columns, {found['leaks']} leaks"
        return dict(found)

    def _ingest(self, window: Window) -> None:
        self._run("ingest", window)
        self._count_batches()

    def _run(self, part: str, window: Window) -> Run:
        conf = {"as_of": window.as_of.isoformat(), "window_start": window.start.isoformat()}
        return self.airflow.wait(self.airflow.trigger(self.dag(part), conf))

    def _count_batches(self) -> None:
        query = text(
            "SELECT count(*), coalesce(sum(rows), 0), coalesce(sum(quarantined), 0)"
            " FROM data_batches WHERE use_case = :name"
        )
        with self.warehouse.connect() as connection:
            windows, rows, quarantined = connection.execute(query, {"name": self.declared.name}).one()
        self.story.windows, self.story.rows, self.story.quarantined = windows, int(rows), int(quarantined)
