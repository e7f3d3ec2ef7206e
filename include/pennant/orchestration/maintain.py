"""`pennant__maintain`: the upkeep that belongs to no use case."""

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable

from pennant.declaration.loader import load_all
from pennant.declaration.model import DataUseCase, UseCase
from pennant.orchestration.channels import open_channels
from pennant.orchestration.steps import step
from pennant.orchestration.workplace import open_warehouse
from pennant.settings import Settings

DAG_ID = "pennant__maintain"

_DOC = """
Keeps partitions of the prediction table ahead of time, verifies the ledger, compares the registry's
aliases with it, delivers alerts whose channel was down, and keeps the declarations in force for
`pennant plan` to compare with.

Aliases that were moved behind Pennant's back are moved back to what the ledger says, and reported.
"""


def build(settings: Settings, start: Any) -> DAG:
    """Build the Dag. `start` is any fixed moment: the Dag never catches up."""
    with DAG(
        dag_id=DAG_ID,
        schedule=CronDataIntervalTimetable("17 * * * *", timezone="UTC"),
        start_date=start,
        catchup=False,
        max_active_runs=1,
        tags=["maintain", "pennant"],
        description="Upkeep: partitions, ledger, aliases, undelivered alerts.",
        doc_md=f"## Pennant upkeep\n\n{_DOC.strip()}",
        default_args={"owner": "pennant"},
    ) as dag:

        @step()
        def partitions(**context: Any) -> dict[str, Any]:
            from pennant.warehouse.engine import ensure_prediction_partitions

            first = context["dag_run"].run_after.date()
            ensure_prediction_partitions(open_warehouse(), first, 14)
            return {"first_day": first.isoformat(), "days": 14}

        @step()
        def verify_ledger() -> dict[str, Any]:
            from pennant.data.lake import Lake
            from pennant.registry.heads import read
            from pennant.registry.ledger import entries, raise_if_broken

            warehouse = open_warehouse()
            raise_if_broken(warehouse, read(Lake(settings.lake)))
            return {"entries": len(entries(warehouse))}

        @step()
        def reconcile() -> dict[str, Any]:
            from pennant.registry.aliases import reconcile as compare
            from pennant.registry.models import Models

            found = compare(Models(settings), open_warehouse(), _modelled(settings), True)
            return {"deviations": [each.to_json() for each in found][:10]}

        @step()
        def redeliver_alerts() -> dict[str, Any]:
            from pennant.watch.alerts import redeliver

            warehouse = open_warehouse()
            return {
                each.name: redeliver(each, warehouse, open_channels(each)) for each in _declared(settings)
            }

        @step()
        def note_declarations() -> list[str]:
            from pennant.declaration.plan import mark_applied

            folders = [settings.use_cases / each.name for each in _declared(settings)]
            return [mark_applied(each, settings).stem for each in folders][:50]

        note_declarations()
        partitions()
        verify_ledger() >> reconcile()
        redeliver_alerts()
    return dag


def _declared(settings: Settings) -> list[DataUseCase]:
    return [each for each in load_all(settings.use_cases) if isinstance(each, DataUseCase)]


def _modelled(settings: Settings) -> list[str]:
    return [each.name for each in _declared(settings) if isinstance(each, UseCase)]
