"""`pennant leaks`, `pennant discover`, `pennant snapshot`: what a use case's features know, and could."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pennant.cli.output import Json, answer, load_settings
from pennant.errors import PennantError

if TYPE_CHECKING:
    from pennant.data.lake import Lake
    from pennant.reference import Reference
    from pennant.settings import Settings

_NAME = Annotated[str, typer.Argument(help="Name of the use case.")]
_SHA = Annotated[str, typer.Argument(help="The snapshot's hash, or the beginning of it.")]
_AS_OF = Annotated[
    str | None, typer.Option("--as-of", help="ISO moment, UTC. Default: schedules.history_until.")
]


class NoSuchSnapshot(PennantError):
    """No snapshot of the lake, or more than one, begins like this."""

    def __init__(self, found: str, allowed: list[str]) -> None:
        self.found, self.allowed = found, allowed
        names = ", ".join(each[:12] for each in allowed[:10]) or "none is there"
        super().__init__(f"snapshot {found!r}: found {len(allowed)} in the lake: {names}. Name one of them")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("leaks")(leaks)
    app.command("discover")(discover)
    group = typer.Typer(no_args_is_help=True, help="Training snapshots: show, diff, rebuild.")
    group.command("show")(show)
    group.command("diff")(diff)
    group.command("rebuild")(rebuild)
    app.add_typer(group, name="snapshot")


def leaks(
    name: _NAME,
    as_of: _AS_OF = None,
    as_json: Json = False,
) -> None:
    """Take a snapshot and look through its features for leaks. Fails if there is one.

    Example: pennant leaks epl_matches --as-of 2024-07-01
    """
    from pennant.declaration.loader import load
    from pennant.features.leak_report import examine
    from pennant.features.snapshot import build_snapshot

    settings, lake = _open()
    use_case = load(settings.use_cases / name)
    moment = _moment(as_of) or use_case.schedules.history_until
    taken = build_snapshot(use_case, lake, settings, moment)
    found = examine(use_case, lake, settings, moment, taken)
    lines = [
        f"{leak.feature} of {leak.entity} at {leak.moment:%Y-%m-%d %H:%M} UTC: {leak.before} became "
        f"{leak.after}, read from {leak.origin}"
        for leak in found.leaks
    ]
    lines += [f"worth a look: {sign.column} {sign.words}" for sign in found.signs]
    lines.append(f"{len(found.leaks)} leaks in snapshot {taken.sha256[:12]}. The page: {found.reference.uri}")
    content = {
        "use_case": name,
        "as_of": moment.isoformat(),
        "snapshot": taken.sha256,
        "leaks": found.leaks,
        "signs": found.signs,
        "page": found.reference.uri,
    }
    answer(content, "\n".join(lines), as_json)
    if found.leaks:
        raise typer.Exit(1)


def discover(
    name: _NAME,
    as_of: _AS_OF = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Candidates tried at most.")] = 400,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Candidates kept at most.")] = 12,
    minutes: Annotated[float, typer.Option("--minutes", min=0.1, help="No fold is begun after so long.")] = 5,
    as_json: Json = False,
) -> None:
    """Try features made of the declared columns; print the lines of those that would add something.

    Only training rows are looked at: the newest days stay unseen for the gate. Nothing is changed.

    Example: pennant discover nfl_games --keep 5
    """
    from pennant.declaration.loader import load
    from pennant.features.discovery import Limits
    from pennant.features.discovery import discover as look
    from pennant.features.snapshot import build_snapshot

    settings, lake = _open()
    use_case = load(settings.use_cases / name)
    moment = _moment(as_of) or use_case.schedules.history_until
    taken = build_snapshot(use_case, lake, settings, moment)
    found = look(use_case, lake, settings, moment, taken, Limits(most, keep, minutes))
    lines = [f"# {each.name}: {each.words}; beat luck in folds {each.folds}" for each in found.kept]
    lines += ["", found.snippet]
    lines.append(f"# {len(found.kept)} of {found.candidates} candidates. The page: {found.reference.uri}")
    content: dict[str, Any] = {
        "use_case": name,
        "as_of": moment.isoformat(),
        "snapshot": taken.sha256,
        "candidates": found.candidates,
        "kept": found.kept,
        "snippet": found.snippet,
        "page": found.reference.uri,
    }
    answer(content, "\n".join(lines).lstrip("\n"), as_json)


def show(sha: _SHA, as_json: Json = False) -> None:
    """Show what a snapshot says of itself, and its columns.

    Example: pennant snapshot show 486161d9b0af
    """
    from pennant.features.snapshot import load_snapshot, snapshot_manifest

    _, lake = _open()
    reference = _found(lake, sha)
    said, rows = snapshot_manifest(lake, reference), load_snapshot(lake, reference)
    columns = [
        {
            "column": column,
            "type": str(rows[column].dtype),
            "missing": rows[column].null_count() / max(rows.height, 1),
            **_range(rows[column]),
        }
        for column in rows.columns
    ]
    head = (
        f"{said.use_case} as of {said.as_of:%Y-%m-%d %H:%M} UTC: {said.rows} rows\nsha256 {reference.sha256}"
    )
    lines = [
        f"  {each['column']:<32} {str(each['type']).partition('(')[0]:<9} {each['missing']:>6.1%} missing"
        f"  {each['range']}"
        for each in columns
    ]
    content = {"sha256": reference.sha256, "use_case": said.use_case, "as_of": said.as_of, "rows": said.rows}
    answer({**content, "code": said.code, "columns": columns}, "\n".join([head, *lines]), as_json)


def diff(first: _SHA, second: _SHA, as_json: Json = False) -> None:
    """Say how two snapshots differ: rows and columns that one has alone, values that are not the same.

    Example: pennant snapshot diff 486161d9b0af 359a82aa1f15
    """
    from pennant.features.snapshot import load_snapshot

    _, lake = _open()
    found = _difference(*(load_snapshot(lake, _found(lake, sha)) for sha in (first, second)))
    answer(found, "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in found.items()), as_json)


def rebuild(sha: _SHA, as_json: Json = False) -> None:
    """Build a snapshot again from the lake and say whether it has the same bytes. Fails if it has not.

    Example: pennant snapshot rebuild 486161d9b0af
    """
    from pennant.declaration.loader import load
    from pennant.features.module import code_hash
    from pennant.features.snapshot import build_snapshot, load_snapshot, snapshot_manifest

    settings, lake = _open()
    reference = _found(lake, sha)
    said = snapshot_manifest(lake, reference)
    again = build_snapshot(load(settings.use_cases / said.use_case), lake, settings, said.as_of, anew=True)
    content: dict[str, Any] = {
        "sha256": reference.sha256,
        "rebuilt": again.sha256,
        "equal": again == reference,
    }
    if again == reference:
        answer(content, f"Equal, byte for byte: {reference.sha256}", as_json)
        return
    content["code_changed"] = code_hash(settings.use_cases / said.use_case) != said.code
    content |= _difference(load_snapshot(lake, reference), load_snapshot(lake, again))
    answer(
        content, "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in content.items()), as_json
    )
    raise typer.Exit(1)


def _difference(first: Any, second: Any) -> dict[str, object]:
    """What two snapshots' rows differ in."""
    import polars as pl

    both = [name for name in first.columns if name in second.columns and name != "entity"]
    joined = first.select("entity", *both).join(second.select("entity", *both), on="entity", suffix="__other")
    other = {name: joined.filter(pl.col(name).ne_missing(pl.col(f"{name}__other"))).height for name in both}
    return {
        "rows_of_the_first_alone": first.join(second, on="entity", how="anti").height,
        "rows_of_the_second_alone": second.join(first, on="entity", how="anti").height,
        "columns_of_the_first_alone": [name for name in first.columns if name not in second.columns],
        "columns_of_the_second_alone": [name for name in second.columns if name not in first.columns],
        "rows_with_other_values": {name: count for name, count in other.items() if count},
    }


def _range(column: Any) -> dict[str, object]:
    if column.dtype.is_nested() or not column.count():
        return {"range": ""}
    ends = (column.min(), column.max())
    low, high = (f"{each:.6g}" if isinstance(each, float) else str(each) for each in ends)
    return {"range": f"{low} to {high}"}


def _open() -> "tuple[Settings, Lake]":
    from pennant.data.lake import Lake
    from pennant.platform.discover import located

    settings = located(load_settings())
    return settings, Lake(settings.lake)


def _found(lake: "Lake", sha: str) -> "Reference":
    from pennant.reference import Reference

    held = sorted({path.split("/")[1] for path in lake.list("snapshots") if path.endswith("/data.parquet")})
    fitting = [each for each in held if each.startswith(sha)]
    if len(fitting) != 1:
        raise NoSuchSnapshot(sha, fitting or held)
    return Reference(uri=lake.uri(f"snapshots/{fitting[0]}/data.parquet"), sha256=fitting[0])


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"found {text!r}; allowed is an ISO moment", param_hint="--as-of") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
