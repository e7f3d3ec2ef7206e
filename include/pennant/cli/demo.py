"""`pennant demo`: the whole life of a use case on one machine, driven through the real Airflow."""

import json
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer
from rich.console import Console

from pennant.settings import Settings

_HELP = """Run the life of a use case on this machine: ingest, train, judge, release, serve, watch, replace.

Starts PostgreSQL, Airflow, MLflow and the serving app, drives them with a simulated clock, shows what
happened, and stays up until Ctrl-C. Example: pennant demo --use-case nfl_games --step week
"""


def register(app: typer.Typer) -> None:
    app.command("demo", help=_HELP)(demo)


def demo(
    use_case: Annotated[str, typer.Option(help="Which use case to run.")] = "league_demo",
    once: Annotated[bool, typer.Option("--once", help="End by itself instead of staying up.")] = False,
    step: Annotated[Literal["month", "week"], typer.Option(help="Stride of the simulated clock.")] = "month",
    steps: Annotated[int, typer.Option(min=1, help="At most this many live steps.")] = 6,
    history_from: Annotated[
        str, typer.Option(help="Start of the history, as a date; empty: as declared.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the story as JSON at the end.")] = False,
) -> None:
    """Play the demo and, unless `once`, keep everything up for a look around."""
    from pennant.demo.stage import perform

    since = _date(history_from)
    # A terminated demo has to stop what it started, as an interrupted one does.
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=as_json)
    settings = Settings.load()
    with perform(settings, use_case, step, steps, since, console) as played:
        if as_json:
            typer.echo(json.dumps(asdict(played.story)))
        if not once:
            console.print("\nEverything stays up. Press Ctrl-C to stop it.", style="bold")
            _stay(played.alive)


def _stay(alive: Callable[[], None]) -> None:
    try:
        while True:
            alive()
            time.sleep(1)
    except KeyboardInterrupt:
        return


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _date(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter(
            f"found {text!r}; allowed is a date such as 2015-03-01", param_hint="--history-from"
        ) from None
