"""`pennant backtest`: a walk forward over past periods, without Airflow and MLflow."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pennant.cli.data import BadSpan, moment_of, spans_of
from pennant.cli.output import load_settings
from pennant.errors import PennantError
from pennant.platform.discover import is_running, located, running_settings

if TYPE_CHECKING:
    from datetime import datetime
    from types import ModuleType

    from rich.progress import Progress

    from pennant.declaration.model import TrainedUseCase
    from pennant.settings import Settings

_CORES = os.cpu_count() or 1
_MOMENT = "An ISO date or moment, UTC."
_FILE = Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, as JSON.")]
_PAGE = Annotated[Path | None, typer.Option("--report", help="Write a page with plots to this file.")]
_ROWS = Annotated[Path | None, typer.Option("--forecasts", help="Write each forecast to this Parquet file.")]
_MEMBERS = Annotated[str, typer.Option(help="Only these members of the model, by comma: what one is worth.")]
_VARIANT = Annotated[str, typer.Option(help="One of training.variants: other moments, other members.")]
_WORKERS = Annotated[int, typer.Option(min=1, help="Periods at once. Default: one per core.")]


class NothingToSettle(PennantError):
    """A span without an event whose outcome is known."""

    def __init__(self, use_case: str, start: str, end: str) -> None:
        self.use_case, self.start, self.end = use_case, start, end
        super().__init__(
            f"{use_case}: no event from {start} to {end} has a known outcome. Choose another span, or look "
            "whether its sources tell of that time"
        )


class UnknownMember(PennantError):
    """A member that the declaration does not have."""

    def __init__(self, use_case: str, found: list[str], allowed: list[str]) -> None:
        self.use_case, self.found, self.allowed = use_case, found, allowed
        super().__init__(f"{use_case}: no member {', '.join(found)}; allowed are {', '.join(allowed)}")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("backtest")(backtest)


def backtest(  # noqa: PLR0913, PLR0917 - the options of a command
    name: Annotated[str, typer.Argument(help="Name of the use case.")],
    start: Annotated[str, typer.Option("--from", help=f"{_MOMENT} The first period's start.")],
    end: Annotated[str, typer.Option("--to", help=f"{_MOMENT} The last period's end.")],
    file: _FILE = None,
    page: _PAGE = None,
    forecasts: _ROWS = None,
    members: _MEMBERS = "",
    variant: _VARIANT = "",
    workers: _WORKERS = _CORES,
) -> None:
    """Train at each period's start on what was known then, predict the period, and settle it.

    A running stack's data is used. Without one, the data is fetched first, into the folder `backtest` of the
    home folder, with a PostgreSQL of its own for as long as that takes.

    Example: pennant backtest nfl_games --from 2018-09-01 --to 2025-03-01 --json nfl.json
    Example: pennant backtest nfl_games --variant at_kick_off --from 2018-09-01 --to 2025-03-01
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from pennant.data.lake import Lake
    from pennant.gate import walk, walk_results
    from pennant.gate.bets import bets_on

    settings = load_settings()
    asked, functions = _asked(settings, name, variant)
    use_case = _only(asked, [each for each in members.split(",") if each])
    since, until = moment_of(start), moment_of(end)
    if since is None or until is None or since >= until:
        raise BadSpan(f"{start} to {end}", "a --from before --to")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, transient=True) as bar:
        settings, known_until = _data(use_case, settings, until, bar)
        building = bar.add_task(f"Build the features of {name}", total=None)
        given = walk.material(use_case, Lake(settings.lake), settings, known_until, functions)
        bar.remove_task(building)
        work = list(walk.jobs(given, since, until))
        if not work:
            raise NothingToSettle(name, start, end)
        walking = bar.add_task("Walk forward", total=len(work))
        periods = walk.walked(work, min(workers, len(work)), lambda _: bar.advance(walking))
    # The declared prices are those of the use case's own moment, not of a variant's.
    record = None if variant else bets_on(use_case, periods)
    found = walk_results.to_json(use_case, periods, since, until, record)
    if variant:
        found = {"variant": variant, **found}
    if file is not None:
        file.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if page is not None:
        from pennant.gate.walk_page import page_of

        page.write_bytes(page_of(use_case, periods, found, record))
    if forecasts is not None:
        from pennant.gate.walk_rows import forecast_rows

        forecast_rows(periods).write_parquet(forecasts)
    typer.echo("\n".join(_lines(found, [file, page, forecasts])))


def _asked(settings: "Settings", name: str, variant: str) -> "tuple[TrainedUseCase, ModuleType | None]":
    """The use case, or its variant with the functions that give its features."""
    from pennant.declaration.loader import load_trained
    from pennant.declaration.variants import as_variant
    from pennant.features.module import variant_module

    folder = settings.use_cases / name
    declared = load_trained(folder)
    if not variant:
        return declared, None
    made = as_variant(declared, variant)
    return made, variant_module(folder, variant, declared.training.variants[variant])


def _only(use_case: "TrainedUseCase", names: list[str]) -> "TrainedUseCase":
    declared = use_case.training.members
    unknown = [name for name in names if name not in declared]
    if unknown:
        raise UnknownMember(use_case.name, unknown, list(declared))
    kept = {name: declared[name] for name in names} if names else declared
    training = use_case.training.model_copy(update={"members": kept})
    return use_case.model_copy(update={"training": training})


def _data(
    use_case: "TrainedUseCase", settings: "Settings", until: "datetime", bar: "Progress"
) -> "tuple[Settings, datetime]":
    """Where the data is, fetched if need be, and until when it is known."""
    from pennant.gate.own_data import fetched, newest, own

    if settings.warehouse_url or is_running(located(settings)):
        found = running_settings(settings) if is_running(located(settings)) else settings
        return found, newest(use_case, found)
    from math import ceil

    alone = own(use_case, settings)
    known = until + timedelta(hours=ceil(use_case.label.delay_hours))
    windows = spans_of(use_case, None, known)
    task = bar.add_task(f"Fetch {use_case.name}", total=len(windows) * len(use_case.sources))
    fetched(use_case, alone, windows, lambda: bar.advance(task))
    bar.remove_task(task)
    return alone, windows[-1].as_of


def _lines(found: dict[str, Any], written: "list[Path | None]") -> list[str]:
    metric, pooled = found["metric"], found["pooled"]
    whose = " ".join([found["use_case"], *([found["variant"]] if "variant" in found else [])])
    lines = [f"{whose}: {pooled['rows']} rows in {len(found['periods'])} periods, {metric}"]
    for each in found["periods"]:
        others = "  ".join(
            f"{name} {told[metric]:.4f}"
            + (f" (of {told['rows']:.0f})" if told["rows"] < each["rows"] else "")
            for name, told in each["baselines"].items()
            if metric in told
        )
        value = each["metrics"].get(metric)
        lines.append(f"  {each['period']:<24} {each['rows']:>6} rows  model {value:.4f}  {others}")
    lines.append(f"  {'all':<24} {pooled['rows']:>6} rows  model {pooled['metrics'][metric]:.4f}")
    for name, told in pooled["differences"].items():
        if told["mean"] is None or told["low"] is None:
            continue
        verdict = "better" if told["high"] < 0 else "worse" if told["low"] > 0 else "not told apart"
        lines.append(
            f"  model less {name} ({told['metric']}): {told['mean']:+.4f} "
            f"[{told['low']:+.4f}, {told['high']:+.4f}]: {verdict}"
        )
    if "betting" in found:
        lines.append(f"  {found['betting']['verdict']}")
    lines += [f"  written: {each}" for each in written if each is not None]
    return lines
