"""`<name>__backtest`: what a model trained at the start of a period would have done in it."""

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable

from pennant.declaration.model import TrainedUseCase, UseCase
from pennant.orchestration import clock
from pennant.orchestration.shape import use_case_dag
from pennant.orchestration.steps import step
from pennant.orchestration.workplace import workplace
from pennant.settings import Settings

_DOC = """
Trains on what was known at the start of a period, predicts the period, and settles it: one run per
period.

Backfill it over past periods for a walk-forward backtest; `pennant backtest` does the same without Airflow.
Nothing of a period is seen by the model that predicts it; the figures land in `model_performance`, with an
interval, and with the paired differences to the baselines.
"""


def build(use_case: TrainedUseCase, settings: Settings) -> DAG:
    """Build the Dag: one period per run, by the training schedule."""
    name = use_case.name
    cron = use_case.schedules.train if isinstance(use_case, UseCase) else use_case.schedules.features
    schedule = CronDataIntervalTimetable(cron, timezone="UTC")
    with use_case_dag(use_case, settings, "backtest", schedule=schedule, doc=_DOC, max_active_runs=2) as dag:

        @step()
        def resolve(**context: Any) -> dict[str, str]:
            return clock.to_xcom(clock.window(context, cron))

        @step()
        def walk(window: dict[str, str]) -> dict[str, Any]:
            from pennant.gate.backtest import run_period

            place = workplace(name)
            return run_period(
                place.trained, clock.from_xcom(window), place.lake, place.warehouse, place.settings
            )

        walk(resolve())
    return dag
