"""The common shape of the generated Dags: documentation, tags, typed parameters, dates."""

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, CronDataIntervalTimetable, Param
from croniter import croniter

from pennant.declaration.effects import ALL, DATA, TRAINED
from pennant.declaration.model import DataUseCase, TrainedUseCase, UseCase
from pennant.orchestration.failure import tell
from pennant.orchestration.names import dag_id
from pennant.settings import Settings

_MOMENT = {"type": ["null", "string"], "format": "date-time"}


def moment_params() -> dict[str, Param]:
    """The two parameters by which a run can be told its window instead of taking its interval."""
    return {
        "as_of": Param(
            None,
            title="As of (UTC)",
            description="The moment the run is about. Empty: the end of the run's data interval.",
            **_MOMENT,
        ),
        "window_start": Param(
            None,
            title="Window start (UTC)",
            description="Where the run's window begins. Empty: the schedule's tick before `as_of`.",
            **_MOMENT,
        ),
    }


def time_or_asset(cron: str, asset: Asset, settings: Settings) -> Any:
    """A schedule by the clock that an event can run ahead of; in a replay the event alone.

    Airflow holds a Dag's end date against schedules by the clock, not against those that also take events.
    """
    if settings.replay:
        return [asset]
    timetable = CronDataIntervalTimetable(cron, timezone="UTC")
    return AssetOrTimeSchedule(timetable=timetable, assets=[asset])


def use_case_dag(
    use_case: DataUseCase,
    settings: Settings,
    part: str,
    *,
    schedule: Any,
    doc: str,
    params: dict[str, Param] | None = None,
    max_active_runs: int = 1,
) -> DAG:
    """Open one Dag of a use case, with what all of them share.

    Under `settings.replay` every schedule ends with the replay, so that a simulated clock is the
    only one that starts runs.
    """
    return DAG(
        dag_id=dag_id(use_case.name, part),
        schedule=schedule,
        start_date=use_case.schedules.start,
        end_date=end_date(use_case, part, settings),
        catchup=False,
        max_active_runs=max_active_runs,
        params={**moment_params(), **(params or {})},
        tags=sorted({"pennant", use_case.name, part, *use_case.tags}),
        description=" ".join(doc.split()).split(". ")[0] + ".",
        doc_md=documentation(use_case, part, doc),
        default_args={"owner": use_case.owner.team, "on_failure_callback": tell},
        render_template_as_native_obj=False,
    )


def end_date(use_case: DataUseCase, part: str, settings: Settings) -> datetime | None:
    """Where the schedule ends in a replay: one without a model is replayed over its history.

    Airflow counts an interval by its start: one that starts in the replay and ends after it is none of it.
    """
    if not settings.replay:
        return None
    until = use_case.replay.until if isinstance(use_case, UseCase) else use_case.schedules.history_until
    cron = getattr(use_case.schedules, part, None) if part != "ingest" else None
    if cron is None:
        return until
    ticks = croniter(cron, until + timedelta(seconds=1), ret_type=datetime)
    ticks.get_prev()
    last: datetime = ticks.get_prev()
    return max(last, use_case.schedules.start)


def documentation(use_case: DataUseCase, part: str, doc: str) -> str:
    """The Dag's page in the Airflow UI: what it does, for whom, and where its neighbours are."""
    trained = TRAINED if isinstance(use_case, TrainedUseCase) else DATA
    others = ALL if isinstance(use_case, UseCase) else trained
    links = " · ".join(
        f"**{each}**" if each == part else f"[{each}](/dags/{dag_id(use_case.name, each)})" for each in others
    )
    return (
        f"## {use_case.title}: {part}\n\n{doc.strip()}\n\n"
        f"{use_case.description.strip()}\n\n"
        f"Owner: {use_case.owner.team} ({use_case.owner.email}), Slack {use_case.owner.slack_channel}.\n\n"
        f"{links}\n\n"
        "Trigger it with `as_of` and `window_start` to run it for another moment; "
        "a backfill does the same for many."
    )
