"""The moment a run is about: resolved once, by the first task, and handed on.

A run gets its `as_of` from the parameter, else from its data interval, else from the moment it
was due. Nothing after the first task asks for the time again.
"""

from datetime import UTC, datetime
from typing import Any

from croniter import croniter

from pennant.errors import PennantError
from pennant.reference import Window


class BadMoment(PennantError):
    """A run's parameters name a moment that cannot be used."""

    def __init__(self, parameter: str, found: object, allowed: str) -> None:
        self.parameter = parameter
        self.found = found
        self.allowed = allowed
        super().__init__(
            f"Parameter {parameter}: found {found!r}; allowed is {allowed}. "
            "Trigger the run again with it mended."
        )


def parse(parameter: str, text: str) -> datetime:
    """Read an ISO moment; one without an offset is taken as UTC.

    Raises:
        BadMoment: the text is not an ISO date and time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise BadMoment(parameter, text, "an ISO date and time, for example 2024-10-01T00:00:00Z") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def window(context: dict[str, Any], cron: str) -> Window:
    """The window of a run: parameters first, then the data interval, then the last tick of `cron`.

    Args:
        context: the task's Airflow context.
        cron: the schedule in force, used where a run names only its end.

    Raises:
        BadMoment: a parameter cannot be read, or the window would be empty.
    """
    params = context["params"]
    run = context["dag_run"]
    start = context.get("data_interval_start")
    if params.get("as_of"):
        as_of = parse("as_of", params["as_of"])
        start = None
    elif context.get("data_interval_end"):
        as_of = context["data_interval_end"]
    else:
        as_of = run.run_after
    as_of = _plain(as_of)
    if params.get("window_start"):
        start = parse("window_start", params["window_start"])
    if start is None:
        start = croniter(cron, as_of).get_prev(datetime)
    start = _plain(start)
    if start >= as_of:
        raise BadMoment("window_start", start.isoformat(), f"a moment before as_of, {as_of.isoformat()}")
    return Window(start=start, as_of=as_of)


def _plain(moment: datetime) -> datetime:
    """Give a plain UTC datetime of whole seconds: Airflow's own are a subclass that Polars refuses."""
    return datetime.fromtimestamp(int(moment.timestamp()), tz=UTC)


def to_xcom(value: Window) -> dict[str, str]:
    return {"window_start": value.start.isoformat(), "as_of": value.as_of.isoformat()}


def from_xcom(value: dict[str, str]) -> Window:
    return Window(
        start=datetime.fromisoformat(value["window_start"]), as_of=datetime.fromisoformat(value["as_of"])
    )
