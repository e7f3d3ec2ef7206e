"""`pennant quarantine`: look at rows that were set aside, release them or correct them by hand."""

import getpass
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pennant.cli.output import Json, answer, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from pennant.data.batches import BatchName
    from pennant.settings import Settings

_NAME = Annotated[str, typer.Argument(help="Name of the use case.")]
_SOURCE = Annotated[str, typer.Argument(help="Name of its source.")]
_BATCH = Annotated[str, typer.Argument(help="Id of the batch, as `list` shows it.")]
_ROW = Annotated[int, typer.Option("--row", help="Number of the row, as `show` tells it.")]
_WHY = Annotated[str, typer.Option("--why", help="The reason, for the ledger.")]
_FORCE = Annotated[
    bool,
    typer.Option("--force", help="Though rules fail or newer values are known; the ledger says so."),
]
_WHO = Annotated[str, typer.Option("--who", help="Who decides. Default: the login name.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(no_args_is_help=True, help="Rows that were set aside: list, show, release, correct.")
    group.command("list")(list_batches)
    group.command("show")(show)
    group.command("release")(release)
    group.command("correct")(correct)
    app.add_typer(group, name="quarantine")


def list_batches(name: _NAME, as_json: Json = False) -> None:
    """List the batches with rows in quarantine, newest first.

    Example: pennant quarantine list epl_matches
    """
    from sqlalchemy import select

    from pennant.warehouse.tables import data_batches

    _, warehouse = _open()
    query = (
        select(data_batches)
        .where(data_batches.c.use_case == name, data_batches.c.quarantined > 0)
        .order_by(data_batches.c.as_of.desc(), data_batches.c.source)
    )
    with warehouse.connect() as connection:
        found = [
            {
                "source": row.source,
                "batch": row.batch_id,
                "state": row.state,
                "rows": row.quarantined,
                "reasons": row.reasons,
                "page": row.report_uri,
            }
            for row in connection.execute(query)
        ]
    text = "\n".join(
        f"{each['source']}  {each['batch']}  {each['rows']} rows, {each['state']}: "
        f"{_counted(each['reasons'])}"
        for each in found
    )
    answer({"use_case": name, "batches": found}, text or f"Nothing of {name} is in quarantine.", as_json)


def show(name: _NAME, source: _SOURCE, batch: _BATCH, as_json: Json = False) -> None:
    """Show the rows of a batch that were set aside, with their numbers and reasons.

    Example: pennant quarantine show epl_matches matches 20200801T000000Z_20210801T000000Z
    """
    from pennant.data.lake import Lake
    from pennant.data.quarantine import rows

    settings, _ = _open()
    found = rows(Lake(settings.lake), _batch(name, source, batch))
    text = "\n".join(
        f"{each.number:>4}  {each.words}" + (f"  [{each.decided}]" if each.decided else "") for each in found
    )
    answer({"rows": [asdict(each) for each in found]}, text, as_json)


def release(
    name: _NAME,
    source: _SOURCE,
    batch: _BATCH,
    row: _ROW,
    why: _WHY,
    who: _WHO = "",
    force: _FORCE = False,
    as_json: Json = False,
) -> None:
    """Let a row pass as it is. It counts from now on; snapshots of the past do not change.

    Example: pennant quarantine release epl_matches matches 20200801T000000Z_20210801T000000Z --row 3
    --why "checked against the league's own page"
    """
    _decide(_batch(name, source, batch), row, {}, who, why, force=force, as_json=as_json)


def correct(  # noqa: PLR0913, PLR0917  (one per option)
    name: _NAME,
    source: _SOURCE,
    batch: _BATCH,
    row: _ROW,
    why: _WHY,
    changes: Annotated[list[str], typer.Option("--set", help="column=value; may be given several times.")],
    who: _WHO = "",
    force: _FORCE = False,
    as_json: Json = False,
) -> None:
    """Let a row pass with other values. The rules judge it again, and it counts from now on.

    Example: pennant quarantine correct epl_matches matches 20200801T000000Z_20210801T000000Z --row 3
    --set FTHG=2 --why "the league's own page"
    """
    given = dict(each.partition("=")[::2] for each in changes)
    _decide(_batch(name, source, batch), row, given, who, why, force=force, as_json=as_json)


def _decide(
    batch: "BatchName",
    row: int,
    changes: Mapping[str, str],
    who: str,
    why: str,
    *,
    force: bool,
    as_json: bool,
) -> None:
    from pennant.data.lake import Lake
    from pennant.data.quarantine import Wish, decide
    from pennant.declaration.loader import load

    settings, warehouse = _open()
    # A person decides now: the one moment that no earlier task could have resolved.
    now = datetime.now(UTC).replace(microsecond=0)
    wish = Wish(row, changes, who or getpass.getuser(), why, now, force)
    use_case = load(settings.use_cases / batch.use_case)
    done = decide(use_case, batch, wish, Lake(settings.lake), settings, _ledger(warehouse, batch.use_case))
    told = (
        "was decided so before"
        if done.repeated
        else f"counts from {done.decided_at:%Y-%m-%d %H:%M:%S} UTC on"
    )
    answer({**asdict(done), "batch": done.batch.to_json()}, f"Row {row}: {done.action}, {told}.", as_json)


def _ledger(warehouse: "Engine", use_case: str) -> Callable[[str, Mapping[str, object]], None]:
    from pennant.registry.ledger import append

    def write_down(action: str, entry: Mapping[str, object]) -> None:
        with warehouse.begin() as connection:
            append(connection, use_case, action, entry)

    return write_down


def _open() -> "tuple[Settings, Engine]":
    from pennant.platform.discover import connections, located
    from pennant.warehouse.engine import connect

    settings = located(load_settings())
    return settings, connect(connections(settings).warehouse_url)


def _batch(name: str, source: str, batch: str) -> "BatchName":
    from pennant.data.batches import BatchName
    from pennant.data.errors import NothingAside
    from pennant.reference import Window

    try:
        return BatchName(name, source, Window.from_key(batch))
    except ValueError:
        allowed = f"an id of `pennant quarantine list {name}`"
        raise NothingAside(f"{name}/{source}", f"batch {batch!r}", allowed) from None


def _counted(reasons: Mapping[str, Any]) -> str:
    return ", ".join(f"{reason} ({count})" for reason, count in reasons.items())
