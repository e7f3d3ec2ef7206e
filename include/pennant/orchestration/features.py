"""`<name>__features`: a snapshot, looked through for leaks."""

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from pennant.declaration.model import DataUseCase
from pennant.orchestration import clock, feature_steps
from pennant.orchestration.shape import use_case_dag
from pennant.orchestration.steps import step
from pennant.settings import Settings

_DOC = """
Builds the training snapshot as of a moment, and changes everything that was not yet known to see whether a
feature moves.

A leak fails the run; the page of the leak check is in the lake. A backfill over past dates takes the
snapshots of those dates, byte for byte the same as they were.

With `discover`, features made of the declared columns are tried on the training rows, and a page tells which
of them would add something.
"""


def build(use_case: DataUseCase, settings: Settings) -> DAG:
    """Build the Dag. Its steps: resolve the moment, snapshot, examine, discover if asked to."""
    name = use_case.name
    schedule = CronDataIntervalTimetable(use_case.schedules.features, timezone="UTC")
    params = {
        "discover": Param(
            default=False,
            type="boolean",
            title="Try new features",
            description="Look for features that would add to the declared ones. Nothing is changed by it.",
        )
    }
    with use_case_dag(use_case, settings, "features", schedule=schedule, doc=_DOC, params=params) as dag:

        @step()
        def resolve(**context: Any) -> dict[str, str]:
            return clock.to_xcom(clock.window(context, use_case.schedules.features))

        @step()
        def snapshot(window: dict[str, str]) -> dict[str, Any]:
            return feature_steps.snapshot(name, clock.from_xcom(window))

        @step()
        def examine(window: dict[str, str], taken: dict[str, Any]) -> dict[str, Any]:
            return feature_steps.examine(name, clock.from_xcom(window), taken["snapshot"])

        @step()
        def discover(window: dict[str, str], taken: dict[str, Any], **context: Any) -> dict[str, Any]:
            return feature_steps.discover(name, clock.from_xcom(window), taken["snapshot"], context)

        window = resolve()
        taken = snapshot(window)
        examine(window, taken) >> discover(window, taken)
    return dag
