"""`pennant gate certify` and `pennant gate explain`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pennant.cli.output import Json, answer, load_settings

if TYPE_CHECKING:
    from datetime import datetime

    from rich.progress import Progress

    from pennant.declaration.model import UseCase
    from pennant.gate.certificate import Certificate, Rate
    from pennant.gate.outcome import Verdict
    from pennant.gate.planted import PlantedRows
    from pennant.settings import Settings

_CORES = os.cpu_count() or 1

Name = Annotated[str, typer.Argument(metavar="USE_CASE", help="Name of the use case.")]
Simulations = Annotated[int, typer.Option(min=50, help="Judgements per planted scenario.")]
Rows = Annotated[
    int | None, typer.Option(min=10, help="Fresh rows of a judgement. Default: as many as are usual.")
]
Delta = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        help="The smallest gain worth having, by the metric. Default: the margin, or a part of the loss.",
    ),
]
Until = Annotated[
    str | None, typer.Option(help="Where no data is there yet: fetch what was known then. An ISO date, UTC.")
]
Synthetic = Annotated[bool, typer.Option(help="Plant on made-up rows and leave the use case's own alone.")]
Only = Annotated[str, typer.Option(help="Only these scenarios, by comma: more simulations of what matters.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same certificate.")]
Page = Annotated[
    Path | None, typer.Option("--report", help="Write a page with plots to this file.", dir_okay=False)
]
Workers = Annotated[int, typer.Option(min=1, help="Processes. Default: one per core.")]
Uri = Annotated[
    str, typer.Argument(metavar="EVIDENCE", help="The evidence's address in the lake, or its hash.")
]

_DEMANDS = {"at_most": "at most", "at_least": "at least"}


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    gate = typer.Typer(no_args_is_help=True, help="The gate: its certificate, and why it said what it said.")
    gate.command()(certify)
    gate.command()(explain)
    app.add_typer(gate, name="gate")


def certify(  # noqa: PLR0913, PLR0917 - one option each
    use_case: Name,
    simulations: Simulations = 2000,
    rows: Rows = None,
    delta: Delta = None,
    until: Until = None,
    synthetic: Synthetic = False,
    only: Only = "",
    seed: Seed = 20240229,
    page: Page = None,
    workers: Workers = _CORES,
    as_json: Json = False,
) -> None:
    """Put the gate, under this use case's policy, through challengers whose worth is planted.

    Events are the use case's own: a running stack's, or else those in the folder `backtest` of the home
    folder, fetched if none are there. Labels are drawn anew from the model's forecasts: the truth is known.
    Where there is no data, rows are made up, and the certificate says so.

    Exit code 1 when a scenario fails. Example: pennant gate certify league_demo --simulations 2000
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from pennant.declaration.loader import load_modelled
    from pennant.gate.baselines import required_baselines
    from pennant.gate.certificate import certify as measure

    settings = load_settings()
    declared = load_modelled(settings.use_cases / use_case)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, transient=True, console=Console(stderr=True)) as bar:
        planted = _planted(declared, settings, until, synthetic, workers, bar)
        task = bar.add_task("Plant the scenarios", total=None)

        def told(done: int, of: int) -> None:
            bar.update(task, description="Judge", completed=done, total=of)

        made = measure(
            planted,
            declared.gate,
            required_baselines(declared),
            simulations,
            seed,
            only=[each for each in only.split(",") if each],
            rows=rows,
            delta=delta,
            workers=workers,
            told=told,
        )
    if page is not None:
        from pennant.gate.certificate_page import page_of

        page.write_bytes(page_of(declared.name, declared.title, made))
    answer({"use_case": use_case, **made.to_json()}, _certificate(use_case, made, page), as_json)
    if not made.passed:
        raise typer.Exit(1)


def explain(use_case: Name, evidence: Uri, as_json: Json = False) -> None:
    """Show a verdict that was kept, with its reasons and numbers; the hash of the evidence is verified.

    Example: pennant gate explain league_demo 3f0c...e1
    """
    from pennant.data.lake import Lake
    from pennant.gate.evidence import load_evidence
    from pennant.reference import Reference

    lake = Lake(load_settings().lake)
    sha256 = evidence.rsplit("/", 1)[-1].removesuffix(".json")
    kept = Reference(lake.uri(f"reports/{use_case}/gate/{sha256}.json"), sha256)
    data, verdict = load_evidence(lake, kept)
    answer(data, _verdict(data, verdict), as_json)


def _planted(
    use_case: "UseCase",
    settings: "Settings",
    until: str | None,
    synthetic: bool,
    workers: int,
    bar: "Progress",
) -> "PlantedRows":
    """The use case's own rows, or made-up ones that say why."""
    from pennant.data.lake import Lake
    from pennant.errors import PennantError
    from pennant.gate.own_data import Busy, DatabaseGone
    from pennant.gate.planted_own import own_rows
    from pennant.gate.planted_synthetic import synthetic_rows

    if synthetic:
        return synthetic_rows(use_case, "asked for by --synthetic")
    try:
        found, known = _data(use_case, settings, until, bar)
        task = bar.add_task(f"Forecast events of {use_case.name}", total=None)
        planted = own_rows(use_case, Lake(found.lake), found, known, workers, lambda: bar.advance(task))
        bar.remove_task(task)
    except (Busy, DatabaseGone):
        raise
    except PennantError as error:
        return synthetic_rows(use_case, f"none of its own: {error}")
    return planted


def _data(
    use_case: "UseCase", settings: "Settings", until: str | None, bar: "Progress"
) -> "tuple[Settings, datetime]":
    """Where the data is, fetched if there is none, and until when it is known."""
    from pennant.cli.data import moment_of, spans_of
    from pennant.gate.own_data import NothingKnown, fetched, newest, own
    from pennant.platform.discover import is_running, located, running_settings

    if settings.warehouse_url or is_running(located(settings)):
        found = running_settings(settings) if is_running(located(settings)) else settings
        return found, newest(use_case, found)
    alone, wanted = own(use_case, settings), moment_of(until)
    if wanted is None:
        try:
            return alone, newest(use_case, alone)
        except NothingKnown:
            pass  # then the declared past is fetched
    windows = spans_of(use_case, None, wanted)
    task = bar.add_task(f"Fetch {use_case.name}", total=len(windows) * len(use_case.sources))
    fetched(use_case, alone, windows, lambda: bar.advance(task))
    bar.remove_task(task)
    return alone, windows[-1].as_of


def _certificate(use_case: str, made: "Certificate", page: Path | None) -> str:
    lines = [
        f"Gate of {use_case}: {made.policy} by {made.metric}, alpha {made.alpha:g}, margin {made.margin:g}",
        f"Source: {made.source}. {made.about}",
        f"{made.simulations} judgements of {made.rows} rows per scenario; intervals 99 %; the smallest gain "
        f"worth having is {made.delta:.4g}",
        "",
    ]
    lines += [_line(rate) for rate in made.rates]
    lines += ["", *(f"Note: {note}" for note in made.notes)]
    over = [rate.scenario for rate in made.rates if rate.over and rate.passed]
    if over:
        lines.append(
            f"Note: for {', '.join(over)} the interval reaches over alpha: a rate above it is not ruled out."
        )
    lines += [f"written: {page}"] if page is not None else []
    lines.append("The gate is certified." if made.passed else f"NOT certified: {', '.join(made.failed)}.")
    return "\n".join(lines)


def _line(rate: "Rate") -> str:
    limit = rate.demand if rate.demand in {"always", "shown"} else f"{_DEMANDS[rate.demand]} {rate.limit:.3f}"
    mark = "FAIL" if not rate.passed else "    " if rate.demand == "shown" else "ok  "
    return (
        f"{mark}  {rate.scenario:20} {rate.counted:8} {rate.rate:.4f} [{rate.low:.4f}, {rate.high:.4f}]  "
        f"{limit:16} {rate.planted}"
    )


def _verdict(data: Mapping[str, Any], verdict: "Verdict") -> str:
    marks = {"promote": "+", "hold": "!", "refuse": "x"}
    champion = data["champion"]
    against = f"champion version {champion['version']}" if champion else "no champion"
    head = (
        f"{data['use_case']} version {data['challenger']['version']} against {against}, "
        f"as of {data['as_of']}: {verdict.outcome.upper()}"
    )
    return "\n".join(
        [head, *(f"  {marks[each.argues_for]} {each.text} [{each.code}]" for each in verdict.reasons)]
    )
