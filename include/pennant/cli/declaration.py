"""`pennant use-cases`, `plan`, `schema` and `new`: declarations read, compared, described, begun."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pennant.cli.output import Json, answer, load_settings
from pennant.declaration.loader import FILE, folders, load_all
from pennant.declaration.problems import DeclarationError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pennant.declaration.model import DataUseCase
    from pennant.declaration.plan import Group, Plan

_NAME = Annotated[str, typer.Argument(help="Name of the use case.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("use-cases")(use_cases)
    app.command("plan")(show_plan)
    app.command("schema")(schema)
    app.command("new")(new)


def use_cases(as_json: Json = False) -> None:
    """List the use cases and whether their declarations load. Fails if one does not.

    Example: pennant use-cases --json
    """
    settings = load_settings()
    names = sorted(each.name for each in folders(settings.use_cases)) if settings.use_cases.is_dir() else []
    rows = [_row(name, each) for name, each in zip(names, load_all(settings.use_cases), strict=True)]
    if as_json:
        answer({"use_cases": rows}, "", as_json)
    else:
        _print_use_cases(rows)
    if any(row["state"] == "broken" for row in rows):
        raise typer.Exit(1)


def show_plan(
    name: Annotated[str | None, typer.Argument(help="Name of the use case; empty: all of them.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Compare with this git revision or file, not with the applied one.")
    ] = None,
    mark_applied: Annotated[
        bool, typer.Option("--mark-applied", help="Keep what was shown as the applied declaration.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what a changed declaration would change, before anything runs with it.

    Example: pennant plan nfl_games --against HEAD~1
    """
    from pennant.declaration import plan as plans

    settings = load_settings()
    chosen = [settings.use_cases / name] if name else sorted(folders(settings.use_cases))
    made = [plans.plan(folder, settings, against) for folder in chosen]
    if as_json:
        answer({"plans": [{**asdict(each), "empty": each.empty} for each in made]}, "", as_json)
    else:
        for each in made:
            _print_plan(each)
    if mark_applied:
        for folder in chosen:
            plans.mark_applied(folder, settings)


def schema(
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of printing.")] = None,
    as_json: Json = False,
) -> None:
    """Print the JSON Schema of use_case.yaml, for editors.

    Example: pennant schema --output use_case.schema.json
    """
    from pennant.declaration.schema import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    if output is None:
        typer.echo(text)
        return
    output.write_text(text + "\n", encoding="utf-8")
    answer({"written": output}, f"Written to {output}.", as_json)


def new(  # noqa: PLR0913, PLR0917  # each is one option of the command
    name: _NAME,
    table: Annotated[Path, typer.Option("--csv", help="CSV file with a header, to read the columns from.")],
    key: Annotated[str, typer.Option(help="Column that names the predicted entity.")],
    event_time: Annotated[str, typer.Option(help="Column with the moment of the event.")],
    label: Annotated[str, typer.Option(help="Label: a column of 0 and 1, or `a > b` of two columns.")],
    label_delay_hours: Annotated[float, typer.Option(min=0, help="From the event to its known label.")],
    team: Annotated[str, typer.Option(help="Team that owns the use case.")],
    email: Annotated[str, typer.Option(help="Its e-mail address.")],
    slack_channel: Annotated[str, typer.Option(help="Its Slack channel, with #.")],
    as_json: Json = False,
) -> None:
    """Begin a use case: a folder that loads, made from a CSV file, to be made right by hand.

    Example: pennant new churn --csv churn.csv --key customer --event-time day --label left
    --label-delay-hours 720 --team growth --email growth@example.org --slack-channel "#churn"
    """
    from pennant.declaration.scaffold import Request, create

    settings = load_settings()
    request = Request(name, table, key, event_time, label, label_delay_hours, team, email, slack_channel)
    folder = create(request, settings.use_cases)
    text = f"Made {folder / FILE} and features.py beside it. Read both, then: pennant plan {name}"
    answer({"name": name, "folder": folder}, text, as_json)


def _row(name: str, loaded: "DataUseCase | DeclarationError") -> dict[str, object]:
    if isinstance(loaded, DeclarationError):
        problems = [each.to_json() for each in loaded.problems]
        return {"name": name, "state": "broken", "error": str(loaded), "problems": problems}
    return {
        "name": name,
        "state": "ok",
        "title": loaded.title,
        "owner": loaded.owner.team,
        "task": loaded.task,
        "ends_with": "model" if hasattr(loaded, "training") else "features",
    }


def _print_use_cases(rows: list[dict[str, object]]) -> None:
    from rich.console import Console

    console = Console()
    table = _table("use case", "title", "owner", "task", "ends with", "state")
    for row in rows:
        cells = [str(row.get(each, "")) for each in ("name", "title", "owner", "task", "ends_with", "state")]
        table.add_row(*cells, style="red" if row["state"] == "broken" else None)
    console.print(table)
    for row in rows:
        if row["state"] == "broken":
            console.print(f"\n{row['error']}", style="red", markup=False, highlight=False, soft_wrap=True)


def _print_plan(plan: "Plan") -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(f"\n{plan.use_case}, compared with {plan.against}", style="bold", markup=False)
    if plan.empty:
        console.print("  Nothing would change.")
    for word, dags in (("new", plan.new_dags), ("removed", plan.removed_dags)):
        if dags:
            console.print(f"  {word} Dags: {', '.join(dags)}", markup=False)
    for group in plan.groups:
        _print_group(console, group)


def _print_group(console: "Console", group: "Group") -> None:
    severity = group.severity.replace("_", " ")
    dags = ", ".join(group.dags) or "no Dag"
    colour = {"note": "dim", "change": "cyan", "new_model": "yellow", "new_history": "red"}[group.severity]
    console.print(f"\n  {severity}: {group.room} ({dags})", style=colour, markup=False)
    console.print(f"  {group.effect}.", markup=False)
    table = _table("    field", "before", "after")
    for each in group.changes:
        table.add_row(f"    {each.field}", _cell(each.before), _cell(each.after))
    console.print(table, markup=False)


def _cell(value: object) -> str:
    text = "-" if value is None else json.dumps(value, ensure_ascii=False)
    # A square bracket would be read as a colour.
    return text.replace("[", "\\[")


def _table(*headings: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for each in headings:
        table.add_column(each, overflow="fold")
    return table
