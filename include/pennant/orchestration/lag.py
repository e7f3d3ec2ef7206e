"""`pennant__lag`: tells when a live source has had nothing new for longer than it may."""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable

from pennant.declaration.loader import load_all
from pennant.declaration.model import DataUseCase
from pennant.orchestration.channels import open_channels
from pennant.orchestration.steps import step
from pennant.orchestration.workplace import open_warehouse
from pennant.settings import Settings

DAG_ID = "pennant__lag"

_DOC = """
Compares, every minute, when each live source (one with `max_lag_minutes`) was last learned from with the
moment the run was due, and raises an alert for those that lag. It asks no provider itself.
"""


def live_sources(declared: list[DataUseCase]) -> list[str]:
    """`<use case>.<source>` of every source that has to be fresh."""
    return [
        f"{each.name}.{name}"
        for each in declared
        for name, source in each.sources.items()
        if source.max_lag_minutes is not None
    ]


def build(live: list[str], settings: Settings, start: Any) -> DAG:
    """Build the Dag for the live sources of an installation."""
    with DAG(
        dag_id=DAG_ID,
        schedule=CronDataIntervalTimetable("* * * * *", timezone="UTC"),
        start_date=start,
        catchup=False,
        max_active_runs=1,
        tags=["live", "pennant"],
        description="Data lag of live sources.",
        doc_md=f"## Data lag\n\n{_DOC.strip()}\n\nWatched: {', '.join(live)}.",
        default_args={"owner": "pennant"},
    ) as dag:

        @step()
        def lag(**context: Any) -> dict[str, Any]:
            from pennant.data.asking.health import lagging

            at = datetime.fromtimestamp(int(context["dag_run"].run_after.timestamp()), tz=UTC)
            declared = [each for each in load_all(settings.use_cases) if isinstance(each, DataUseCase)]
            found = lagging(declared, open_warehouse(), at)
            return {"lagging": [_tell(settings, each, declared, at) for each in found]}

        lag()
    return dag


def _tell(settings: Settings, late: Any, declared: list[DataUseCase], at: datetime) -> str:
    from pennant.watch.alerts import AlertEvent, raise_alert

    use_case = next(each for each in declared if each.name == late.use_case)
    event = AlertEvent(
        use_case=late.use_case,
        class_=f"data_lag_{late.source}",
        severity="critical",
        what=f"Source {late.source} is {late.minutes:.0f} minutes behind; {late.allowed:g} are allowed.",
        action="Nothing was changed; what is asked meanwhile answers from older data.",
        as_of=at,
        evidence={
            "last answer": str(late.last_success or "never"),
            "newest data": str(late.newest_known or "none"),
            "error": late.error or "none",
        },
        links={"Ingest Dag": f"{settings.airflow}/dags/{late.use_case}__ingest"},
    )
    raise_alert(event, use_case, open_warehouse(), open_channels(use_case))
    return f"{late.use_case}.{late.source}"
