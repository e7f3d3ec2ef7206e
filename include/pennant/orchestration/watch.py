"""`<name>__watch`: settle, measure, alert, and ask for a new model when the old one is failing."""

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable
from airflow.sdk.exceptions import AirflowSkipException

from pennant.declaration.model import UseCase
from pennant.orchestration import clock
from pennant.orchestration.channels import open_channels
from pennant.orchestration.names import retrain_requested
from pennant.orchestration.shape import use_case_dag
from pennant.orchestration.steps import step
from pennant.orchestration.workplace import workplace
from pennant.settings import Settings

_DOC = """
Settles predictions with the outcomes that became known, measures drift and performance window by
window, and alerts.

One bad window is noise: only several of the last few, the newest among them, raise an alert. A retrain
is requested within its cooldown and weekly budget; beyond them a person is asked. Drift alone never
promotes anything.
"""


def build(use_case: UseCase, settings: Settings) -> DAG:
    """Build the Dag. Its steps: resolve, settle, settle bets, measure, wake the training Dag if asked to."""
    name = use_case.name
    schedule = CronDataIntervalTimetable(use_case.schedules.watch, timezone="UTC")
    with use_case_dag(use_case, settings, "watch", schedule=schedule, doc=_DOC) as dag:

        @step()
        def resolve(**context: Any) -> dict[str, str]:
            return clock.to_xcom(clock.window(context, use_case.schedules.watch))

        @step()
        def settle(window: dict[str, str]) -> dict[str, Any]:
            from pennant.watch.settle import settle as settle_outcomes

            place = workplace(name)
            as_of = clock.from_xcom(window).as_of
            return {"settled": settle_outcomes(place.use_case, place.lake, place.warehouse, as_of)}

        @step()
        def settle_bets(window: dict[str, str]) -> dict[str, Any]:
            from pennant.watch import bets

            place = workplace(name)
            as_of = clock.from_xcom(window).as_of
            done = bets.settle_bets(place.use_case, place.lake, place.settings, place.warehouse, as_of)
            return {"settled": done, "record": bets.record_of(name, place.warehouse).text}

        @step()
        def measure(window: dict[str, str]) -> dict[str, Any]:
            from pennant.watch.run import watch

            place = workplace(name)
            report = watch(
                place.use_case,
                place.lake,
                place.warehouse,
                place.settings,
                clock.from_xcom(window).as_of,
                open_channels(place.use_case),
            )
            return report.to_json()

        @step(outlets=[retrain_requested(name)])
        def request_retrain() -> dict[str, Any]:
            from pennant.watch.healing import pending_retrains

            waiting = pending_retrains(workplace(name).warehouse, name)
            if not waiting:
                raise AirflowSkipException("No retrain is pending.")
            return {"pending": len(waiting)}

        window = resolve()
        settle(window) >> measure(window) >> request_retrain()
        if use_case.market is not None and use_case.market.price_columns:
            settle_bets(window)
    return dag
