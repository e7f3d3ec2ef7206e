"""`<name>__ingest`: land what became known in a window, validate it, wake what waits for it."""

from typing import Any

from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException

from pennant.declaration.model import UseCase
from pennant.orchestration import clock
from pennant.orchestration.names import validated
from pennant.orchestration.shape import use_case_dag
from pennant.orchestration.steps import step
from pennant.orchestration.timetable import HistoryThenPresent
from pennant.orchestration.workplace import workplace
from pennant.settings import Settings

_DOC = """
Fetches every declared source for one window, keeps the raw batch unchanged, validates what is pending
and sets bad rows aside with their reasons.

A window that has landed stays as it is, however often it is run; what a provider corrects later arrives
with the next window, under the moment it became known. Backfills can run in parallel and in any order.
"""


def build(use_case: UseCase, settings: Settings) -> DAG:
    """Build the Dag. Its steps: resolve the moment, fetch each source, validate what is pending."""
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
            from pennant.data.ingest import fetch as land

            place = workplace(name)
            landed = land(
                place.use_case, source, clock.from_xcom(window), place.lake, place.warehouse, place.settings
            )
            return landed.to_json()

        @step(outlets=[validated(name)])
        def validate(window: dict[str, str]) -> dict[str, Any]:
            return _drain(name, window)

        window = resolve()
        fetch.partial(window=window).expand(source=sorted(use_case.sources)) >> validate(window)
    return dag


def _drain(name: str, window: dict[str, str]) -> dict[str, Any]:
    """Validate every pending batch, this run's and any that an earlier run left behind.

    One run at a time drains a use case; the next finds nothing left and ends at once. A stopped batch
    fails the run after the others were validated.
    """
    from pennant.data.errors import BatchStopped
    from pennant.data.ingest import pending, validate
    from pennant.warehouse.lock import held

    place = workplace(name)
    done = {"batches": 0, "rows": 0, "quarantined": 0}
    stopped: list[BatchStopped] = []
    with held(place.warehouse, f"validate:{name}"):
        for batch in pending(place.use_case, place.lake, place.warehouse, clock.from_xcom(window).as_of):
            try:
                result = validate(place.use_case, batch, place.lake, place.warehouse)
            except BatchStopped as error:
                stopped.append(error)
                continue
            done["batches"] += 1
            done["rows"] += result.rows
            done["quarantined"] += result.quarantined
    if stopped:
        raise stopped[0]
    if not done["batches"]:
        raise AirflowSkipException("Nothing was pending: another run has validated this window.")
    return done
