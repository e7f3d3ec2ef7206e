"""`pennant ledger`, `pennant rollback` and `pennant release status`."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from pennant.cli.output import Json, answer, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pennant.registry.ledger import LedgerBreak, LedgerEntry
    from pennant.release.policy import Policy
    from pennant.release.target import Served
    from pennant.settings import Settings

Database = Annotated[
    str, typer.Option(help="URL of the warehouse; empty: the running stack's, or PENNANT_WAREHOUSE_URL.")
]
Mlflow = Annotated[
    str, typer.Option(help="Tracking URI of MLflow; empty: the running stack's, or PENNANT_MLFLOW_URL.")
]
Name = Annotated[str, typer.Argument(metavar="USE_CASE", help="Name of the use case.")]


@dataclass(frozen=True)
class _Place:
    settings: "Settings"
    warehouse: "Engine"


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    ledger = typer.Typer(no_args_is_help=True, help="The ledger of promotions, rollbacks and healing.")
    ledger.command()(verify)
    ledger.command()(show)
    app.add_typer(ledger, name="ledger")
    app.command()(rollback)
    release = typer.Typer(no_args_is_help=True, help="Releases: what is on its way, and what is served.")
    release.command()(status)
    app.add_typer(release, name="release")


def verify(database: Database = "", as_json: Json = False) -> None:
    """Check every entry, every link and every remembered head. Exit code 1 when history was changed.

    Example: pennant ledger verify --json
    """
    from pennant.data.lake import Lake
    from pennant.registry import heads, ledger

    with _place(database) as place:
        remembered = heads.read(Lake(place.settings.lake))
        breaks = ledger.verify(place.warehouse, remembered)
        newest = ledger.head(place.warehouse)
        count = len(ledger.entries(place.warehouse))
    content: dict[str, object] = {
        "whole": not breaks,
        "entries": count,
        "remembered_heads": len(remembered),
        "head": newest and asdict(newest),
        "breaks": [asdict(each) for each in breaks],
    }
    answer(content, _verdict(count, len(remembered), breaks), as_json)
    if breaks:
        raise typer.Exit(1)


def show(
    use_case: Annotated[str, typer.Argument(metavar="[USE_CASE]", help="Only this use case.")] = "",
    last: Annotated[int, typer.Option(min=1, help="How many of the newest entries.")] = 20,
    database: Database = "",
    as_json: Json = False,
) -> None:
    """Show the newest entries: who moved what, when and why.

    Example: pennant ledger show league_demo --last 5
    """
    from pennant.registry import ledger

    with _place(database) as place:
        found = ledger.entries(place.warehouse, use_case or None)[-last:]
    text = "\n".join(_line(each) for each in found) or "The ledger has no entries yet."
    answer({"entries": [asdict(each) for each in found]}, text, as_json)


def rollback(
    use_case: Name,
    why: Annotated[str, typer.Option(help="The reason, for the ledger.")],
    actor: Annotated[str, typer.Option(help="Who asks for it; empty: the user of this shell.")] = "",
    database: Database = "",
    mlflow: Mlflow = "",
    as_json: Json = False,
) -> None:
    """Serve the previous champion again. Fails unless the service answers that it does.

    A second rollback swaps them back. An interrupted one is finished by running it again.

    Example: pennant rollback league_demo --why "support reports nonsense since noon"
    """
    from pennant.declaration.loader import load_modelled
    from pennant.registry.models import Models
    from pennant.release.rollback import rollback as roll_back
    from pennant.release.target import target_for

    if not why.strip():
        raise typer.BadParameter("found nothing; allowed is a reason in a few words", param_hint="--why")
    with _place(database, mlflow) as place:
        declared = load_modelled(place.settings.use_cases / use_case)
        target = target_for(declared, place.settings, place.warehouse)
        models = Models(place.settings)
        done = roll_back(models, place.warehouse, target, declared.name, actor or _user(), why)
    finished = " (finished a rollback that was interrupted)" if done.resumed else ""
    text = (
        f"{use_case}: version {done.after} serves again, version {done.before} is kept loaded{finished}. "
        f"Policy {done.policy_id}, ledger entry {done.ledger_seq}."
    )
    answer(done.to_json(), text, as_json)


def status(use_case: Name, database: Database = "", as_json: Json = False) -> None:
    """Show aliases, traffic policy and releases of a use case, and what the service answers.

    Exit code 1 when the service does not serve the policy in force.

    Example: pennant release status league_demo
    """
    from pennant.declaration.loader import load_modelled
    from pennant.registry.aliases import ledger_state
    from pennant.release import deployments, policy
    from pennant.release import target as places
    from pennant.release.errors import ServingDown

    with _place(database) as place:
        declared = load_modelled(place.settings.use_cases / use_case)
        state = ledger_state(place.warehouse, use_case)
        current = policy.current(place.warehouse, use_case)
        releases = deployments.of(place.warehouse, use_case)
        try:
            served = places.target_for(declared, place.settings, place.warehouse).served(use_case)
            trouble = ""
        except ServingDown as error:
            served, trouble = places.Served(None, {}, ready=False), str(error)
    in_force = current is None or (served.policy_id, served.ready) == (current.id, True)
    content: dict[str, object] = {
        "use_case": use_case,
        "aliases": state,
        "policy": current and asdict(current),
        "releases": [each.to_json() for each in releases],
        "served": asdict(served),
        "serves_the_policy": in_force,
        "trouble": trouble,
    }
    lines = [
        "aliases   "
        + (", ".join(f"{alias} {version}" for alias, version in sorted(state.items())) or "none"),
        f"policy    {_policy(current) if current else 'none'}",
        f"served    {_served(served)}" + ("" if in_force else "   NOT THE POLICY IN FORCE"),
        *(f"release   {each.id}: version {each.version} {each.state}" for each in releases[-5:]),
        *([trouble] if trouble else []),
    ]
    answer(content, "\n".join(lines), as_json)
    if not in_force:
        raise typer.Exit(1)


@contextmanager
def _place(database: str, mlflow: str = "") -> Iterator[_Place]:
    """Settings and warehouse of the options, else of the running stack, else of the environment."""
    from sqlalchemy.exc import OperationalError

    from pennant.platform.discover import is_running, located, running_settings
    from pennant.warehouse.engine import WarehouseUnreachableError, connect

    settings = located(load_settings())
    if is_running(settings) or not (database or settings.warehouse_url):
        settings = running_settings(settings)
    settings = replace(
        settings,
        warehouse_url=database or settings.warehouse_url,
        mlflow_url=mlflow or settings.mlflow_url,
    )
    engine = connect(settings.warehouse_url)
    try:
        yield _Place(settings, engine)
    except OperationalError as error:
        raise WarehouseUnreachableError(engine.url.render_as_string(), str(error.orig).strip()) from error
    finally:
        engine.dispose()


def _verdict(entries: int, heads: int, breaks: "list[LedgerBreak]") -> str:
    if not breaks:
        return f"The ledger is whole: {entries} entries, {heads} remembered heads."
    lines = (
        f"  seq {each.seq}: {each.kind}; expected {each.expected}, found {each.found}" for each in breaks
    )
    return "\n".join([f"History was changed: {len(breaks)} break(s) in {entries} entries.", *lines])


def _line(entry: "LedgerEntry") -> str:
    from pennant.registry.moves import changes_of

    head = f"{entry.seq:>5}  {entry.recorded_at[:19]}  {entry.use_case}  {entry.action}"
    if "aliases" not in entry.entry:
        return head
    moved = ", ".join(
        f"{alias} {change['from'] or '-'} > {change['to'] or '-'}"
        for alias, change in sorted(changes_of(entry).items())
    )
    return f"{head}  {moved}  by {entry.entry['actor']}: {entry.entry['why']}"


def _policy(policy: "Policy") -> str:
    arms = "; ".join(f"{each.arm} {each.version} {each.weight:.0%}" for each in policy.arms)
    return f"{policy.id}: {arms} ({policy.why})"


def _served(served: "Served") -> str:
    arms = ", ".join(f"{arm} {version}" for arm, version in sorted(served.arms.items()))
    return f"policy {served.policy_id}: {arms}" if served.ready else "nothing"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
