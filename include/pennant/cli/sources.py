"""`pennant sources`: how every source is, who answered last, and what it waits for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pennant.cli.output import Json, answer, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pennant.data.asking.health import Health
    from pennant.settings import Settings

_DATABASE = Annotated[
    str, typer.Option(help="URL of the warehouse; empty: the running stack's, or PENNANT_WAREHOUSE_URL.")
]
_NAME = Annotated[str, typer.Argument(metavar="[USE_CASE]", help="Only this use case.")]
_HEAD = (
    "source",
    "state",
    "breaker",
    "answered by",
    "last success",
    "behind",
    "quota",
    "requests",
    "last error",
)


@dataclass(frozen=True)
class _Line:
    health: "Health"
    minutes_behind: float
    allowed_minutes: float | None

    @property
    def lagging(self) -> bool:
        return self.allowed_minutes is not None and self.minutes_behind > self.allowed_minutes

    def to_json(self) -> dict[str, object]:
        lag = {"minutes_behind": round(self.minutes_behind, 2), "max_lag_minutes": self.allowed_minutes}
        return {**asdict(self.health), **lag, "lagging": self.lagging}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("sources")(sources)


def sources(use_case: _NAME = "", database: _DATABASE = "", as_json: Json = False) -> None:
    """Show how every source is that was ever asked: state, breaker, who answered, lag, quota, last error.

    Example: pennant sources nfl_games --json
    """
    from pennant.data.asking.health import database_moment, healths, minutes_behind

    with _place(database) as (settings, warehouse):
        now, found = database_moment(warehouse), healths(warehouse, use_case or None)
        allowed = _allowed(settings)
    lines = [
        _Line(each, minutes_behind(each, now), allowed.get((each.use_case, each.source))) for each in found
    ]
    content: dict[str, object] = {"at": now, "sources": [line.to_json() for line in lines]}
    answer(content, _table(lines, now) if lines else "No source was asked yet.", as_json)


@contextmanager
def _place(database: str) -> Iterator[tuple["Settings", "Engine"]]:
    from sqlalchemy.exc import OperationalError

    from pennant.platform.discover import is_running, located, running_settings
    from pennant.warehouse.engine import WarehouseUnreachableError, connect

    settings = located(load_settings())
    if is_running(settings) or not (database or settings.warehouse_url):
        settings = running_settings(settings)
    settings = replace(settings, warehouse_url=database or settings.warehouse_url)
    engine = connect(settings.warehouse_url)
    try:
        yield settings, engine
    except OperationalError as error:
        raise WarehouseUnreachableError(engine.url.render_as_string(), str(error.orig).strip()) from error
    finally:
        engine.dispose()


def _allowed(settings: "Settings") -> dict[tuple[str, str], float]:
    """The declared lag of every live source; a declaration that does not load has none."""
    from pennant.declaration.loader import load_all
    from pennant.declaration.model import DataUseCase

    return {
        (each.name, name): source.max_lag_minutes
        for each in load_all(settings.use_cases)
        if isinstance(each, DataUseCase)
        for name, source in each.sources.items()
        if source.max_lag_minutes is not None
    }


def _table(lines: list[_Line], now: datetime) -> str:
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in _HEAD:
        table.add_column(name, overflow="fold")
    for line in lines:
        held = line.health
        cells = (
            f"{held.use_case}.{held.source}",
            held.state,
            _breaker(held),
            held.answered_by or "-",
            f"{held.last_success_at:%Y-%m-%d %H:%M:%S}" if held.last_success_at else "never",
            _span(line.minutes_behind) + (" LATE" if line.lagging else ""),
            _quota(held, now),
            f"{held.requests} ({held.retries} retries)",
            held.last_error or "-",
        )
        table.add_row(*map(Text, cells))  # plain: a square bracket is no colour
    out = StringIO()
    # Wide enough for a line of a log; a terminal that is narrower wraps it.
    Console(file=out, width=200, highlight=False, color_system=None).print(table)
    return "\n".join(each.rstrip() for each in out.getvalue().splitlines())


def _breaker(held: "Health") -> str:
    if held.breaker == "closed":
        return "closed" + (f", {held.consecutive_failures} failed" if held.consecutive_failures else "")
    since = f" since {held.opened_at:%H:%M:%S}" if held.opened_at else ""
    return f"{held.breaker.replace('_', '-')}{since}, {held.consecutive_failures} failed"


def _quota(held: "Health", now: datetime) -> str:
    if held.quota_remaining is None:
        return "-"
    ahead = held.quota_resets_at is not None and held.quota_resets_at > now
    return f"{held.quota_remaining}" + (f" until {held.quota_resets_at:%H:%M:%S}" if ahead else "")


def _span(minutes: float) -> str:
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
