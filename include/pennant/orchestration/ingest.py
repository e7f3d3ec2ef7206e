"""`<name>__ingest`: land what became known in a window, validate it, wake what waits for it."""

from typing import Any

from airflow.sdk import DAG, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

from pennant.declaration.model import DataUseCase
from pennant.orchestration import clock, ingest_steps
from pennant.orchestration.names import validated
from pennant.orchestration.shape import use_case_dag
from pennant.orchestration.steps import step
from pennant.orchestration.timetable import HistoryThenPresent
from pennant.settings import Settings

_DOC = """
Fetches every declared source for one window, keeps the raw batch unchanged, validates what is pending,
sets bad rows aside with their reasons, and publishes the newest values of each view to the online store.

A window that has landed stays as it is, however often it is run; what a provider corrects later arrives
with the next window, under the moment it became known. Backfills can run in parallel and in any order.
"""


def build(use_case: DataUseCase, settings: Settings) -> DAG:
    """Build the Dag. Its steps: resolve the moment, fetch each source, validate what is pending, publish."""
    name, schedules = use_case.name, use_case.schedules
    schedule = HistoryThenPresent(
        schedules.ingest_history, schedules.history_until.isoformat(), schedules.ingest
    )
    with use_case_dag(use_case, settings, "ingest", schedule=schedule, doc=_DOC, max_active_runs=4) as dag:

        @step()
        def resolve(**context: Any) -> dict[str, str]:
            return clock.to_xcom(clock.window(context, schedules.ingest))

        @step(map_index_template="{{ task.op_kwargs['source'] }}")
        def fetch(window: dict[str, str], source: str) -> dict[str, str]:
            return ingest_steps.fetch(name, clock.from_xcom(window), source)

        @step(outlets=[validated(name)])
        def validate(window: dict[str, str]) -> dict[str, Any]:
            done = ingest_steps.drain(name, clock.from_xcom(window))
            if not done["batches"]:
                raise AirflowSkipException("Nothing was pending: another run has validated this window.")
            return done

        @step(trigger_rule=TriggerRule.NONE_FAILED)
        def publish(window: dict[str, str]) -> dict[str, Any]:
            return ingest_steps.publish(name, clock.from_xcom(window))

        window = resolve()
        fetched = fetch.partial(window=window).expand(source=sorted(use_case.sources))
        fetched >> validate(window) >> publish(window)
    return dag
