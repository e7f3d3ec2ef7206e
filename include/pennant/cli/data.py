"""`pennant ingest`: fetch and validate the declared windows of a span, without Airflow."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pennant.cli.output import Json, answer, load_settings
from pennant.errors import PennantError

if TYPE_CHECKING:
    from pennant.declaration.model import DataUseCase
    from pennant.reference import Window

_NAME = Annotated[str, typer.Argument(help="Name of the use case.")]
_MOMENT = "An ISO date or moment, UTC."


class BadSpan(PennantError):
    """`--from` and `--to` name no span that can be ingested."""

    def __init__(self, found: str, allowed: str) -> None:
        self.found, self.allowed = found, allowed
        super().__init__(f"the span cannot be ingested: found {found}; allowed: {allowed}")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("ingest")(ingest)


def ingest(
    name: _NAME,
    start: Annotated[str | None, typer.Option("--from", help=f"{_MOMENT} Default: schedules.start.")] = None,
    end: Annotated[str | None, typer.Option("--to", help=f"{_MOMENT} Default: history_until.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch and validate a use case's data, window by window as its Dag would, into the lake.

    Needs the warehouse (`pennant up` in another terminal). A window that has landed stays as it is.
    Keys come from AIRFLOW_CONN_<ID> variables.

    Example: pennant ingest epl_matches --from 2015-07-01 --to 2020-07-01
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from pennant.data.asking.access import from_environment
    from pennant.data.ingest import fetch, validate
    from pennant.data.lake import Lake
    from pennant.declaration.loader import load
    from pennant.platform.discover import connections, located
    from pennant.warehouse.engine import connect

    settings = located(load_settings())
    use_case = load(settings.use_cases / name)
    spans = spans_of(use_case, moment_of(start), moment_of(end))
    warehouse, lake = connect(connections(settings).warehouse_url), Lake(settings.lake)
    done = {"windows": len(spans), "rows": 0, "quarantined": 0}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, disable=as_json) as bar:
        task = bar.add_task(f"Ingest {name}", total=len(spans) * len(use_case.sources))
        for window in spans:
            for source in sorted(use_case.sources):
                landed = fetch(use_case, source, window, lake, warehouse, settings, from_environment)
                result = validate(use_case, landed, lake, warehouse, settings)
                done["rows"] += result.rows
                done["quarantined"] += result.quarantined
                bar.advance(task)
    text = f"{name}: {done['windows']} windows, {done['rows']} rows, {done['quarantined']} set aside."
    answer({"use_case": name, **done}, text, as_json)


def spans_of(use_case: "DataUseCase", start: datetime | None, end: datetime | None) -> "list[Window]":
    """The windows of the ingest schedule between two moments: coarse before `history_until`, fine after.

    Raises:
        BadSpan: no window lies between them.
    """
    from croniter import croniter

    from pennant.reference import Window

    schedules = use_case.schedules
    at, until = start or schedules.start, end or schedules.history_until
    windows = []
    while at < until:
        cron = schedules.ingest_history if at < schedules.history_until else schedules.ingest
        following = min(croniter(cron, at).get_next(datetime), until)
        if at < schedules.history_until:
            following = min(following, schedules.history_until)
        windows.append(Window(start=at, as_of=following))
        at = following
    if not windows:
        raise BadSpan(f"{at:%Y-%m-%d} to {until:%Y-%m-%d}", "a --from before --to")
    return windows


def moment_of(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadSpan(repr(text), "an ISO date or moment such as 2020-07-01") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
