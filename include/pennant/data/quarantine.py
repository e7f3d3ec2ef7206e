"""Rows that were set aside, decided on by a person: released as they are, or corrected.

What landed and what was validated stay as they were. A decision is a small validated batch of its own, whose
values are known from the moment of the decision: a snapshot of yesterday does not change. Each decision is
in the ledger before its values count, and one row is decided once: by what it says, not by its number, which
another validation of its batch may change.

Whoever is killed on the way decides again, the same way: what was begun is finished.
"""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import polars as pl

from pennant.data.batches import BatchName
from pennant.data.errors import LakeConflict, NothingAside, NotReleasable
from pennant.data.expectations import evaluate
from pennant.data.items import event_time, group_items
from pennant.data.judging import in_words, typed_rows
from pennant.data.lake import Lake
from pennant.data.quality.suites import rules_of
from pennant.data.reading import TEXT, UTC_MOMENT
from pennant.data.validated import versions
from pennant.declaration.model import DataUseCase
from pennant.reference import Reference, Window
from pennant.settings import Settings

WriteDown = Callable[[str, Mapping[str, object]], None]
"""Appends an entry (action, content) to the ledger; the caller brings it, for `registry/` is another room."""


@dataclass(frozen=True)
class Aside:
    """One row in quarantine: its number in its batch, and what a person needs to decide."""

    number: int
    group: str
    line: int
    reasons: list[str]
    values: dict[str, str | None]
    words: str
    decided: str | None
    """`release` or `correct`, with who did it; None while nobody has."""


@dataclass(frozen=True)
class Wish:
    """What a person wants of one row.

    Attributes:
        number: of the row in its quarantine file.
        changes: column to its new text; empty releases the row as it is.
        who: the person.
        why: the reason, for the ledger.
        decided_at: the moment from which the values are known, whole seconds, UTC.
        force: let the row pass although a corrected one still breaks rules, or the provider has told
            something newer; the ledger says so.
    """

    number: int
    changes: Mapping[str, str]
    who: str
    why: str
    decided_at: datetime
    force: bool = False

    @property
    def action(self) -> str:
        """`correct` or `release`."""
        return "correct" if self.changes else "release"


@dataclass(frozen=True)
class Decision:
    """What a person decided about one row."""

    action: str
    number: int
    who: str
    why: str
    decided_at: datetime
    batch: Reference
    """The validated batch that carries the row."""
    repeated: bool
    """The row was decided so before; nothing was written."""


def rows(lake: Lake, name: BatchName) -> list[Aside]:
    """The rows of a batch that were set aside, in the order of the quarantine file.

    Raises:
        NothingAside: no row of this batch was set aside.
    """
    found = []
    for number, row in enumerate(_quarantined(lake, name).iter_rows(named=True)):
        taken = _taken(lake, name, row)
        values = {key.removeprefix(TEXT): each for key, each in row.items() if key.startswith(TEXT)}
        found.append(
            Aside(
                number,
                row["group"],
                row["line"],
                row["reasons"],
                {key: each for key, each in values.items() if each is not None},
                in_words(row),
                f"{taken['action']} by {taken['who']}" if taken and taken["done"] else None,
            )
        )
    return found


def decide(
    use_case: DataUseCase,
    name: BatchName,
    wish: Wish,
    lake: Lake,
    settings: Settings,
    write_down: WriteDown,
) -> Decision:
    """Let one row flow on: as it is, or with some of its values changed.

    Args:
        use_case: the declaration.
        name: the row's batch.
        wish: which row, what of it, who and why.
        lake: where the batch is.
        settings: where the use case's expectations.py lies.
        write_down: how the ledger is told.

    Raises:
        NothingAside: no such batch or row.
        NotReleasable: a value cannot be read, a column does not exist, a corrected row breaks a rule, or the
            row was decided otherwise before.
    """
    held, place = _quarantined(lake, name), name.path("quarantine")
    if not 0 <= wish.number < held.height:
        raise NothingAside(place, f"row {wish.number}", f"0 to {held.height - 1}")
    aside = held.row(wish.number, named=True)
    before = _taken(lake, name, aside)
    if before is not None:
        if before["done"] or not _same(before, wish):
            return _again(before, wish, place)
        wish = replace(wish, decided_at=datetime.fromisoformat(before["decided_at"]))
    item = _item(use_case, name, held[wish.number], wish)
    group = item["group"][0]
    against = _broken_rules(use_case, name, item, settings) if wish.changes else []
    against += _newer(use_case, name, item, wish, lake)
    if against and not wish.force:
        raise NotReleasable(place, wish.number, f"it breaks {'; '.join(against)}")
    row = typed_rows(item, use_case.sources[name.source], group)
    row = row.with_columns(known_at=pl.lit(wish.decided_at).cast(UTC_MOMENT))
    entry: dict[str, object] = {
        "source": name.source,
        "batch_id": name.batch_id,
        "row": wish.number,
        "line": item["line"][0],
        "reasons": held["reasons"][wish.number].to_list(),
        "changes": dict(wish.changes),
        "who": wish.who,
        "why": wish.why,
        "decided_at": wish.decided_at.isoformat(),
        "forced": bool(against),
    }
    if before is not None:  # begun by somebody who was killed: their words stay
        entry |= {key: before[key] for key in entry}
    folder = _claimed(name, wish, entry, lake)
    _put(lake, _place(name, aside), {**entry, "action": wish.action})
    write_down(f"quarantine_{wish.action}", entry)
    batch = _commit(folder, group, row, entry, lake)
    _put(lake, _done(name, aside), {"batch": batch.to_json()})
    who, why = str(entry["who"]), str(entry["why"])
    return Decision(wish.action, wish.number, who, why, wish.decided_at, batch, repeated=False)


def _same(before: Mapping[str, Any], wish: Wish) -> bool:
    return bool(before["action"] == wish.action and before["changes"] == dict(wish.changes))


def _again(before: Mapping[str, Any], wish: Wish, place: str) -> Decision:
    if not _same(before, wish):
        what = before["changes"] or "as it is"
        found = f"it was decided before: {before['action']} by {before['who']}, {what}"
        raise NotReleasable(place, wish.number, found)
    moment = datetime.fromisoformat(before["decided_at"])
    batch = Reference.from_json(before["batch"])
    return Decision(wish.action, wish.number, before["who"], before["why"], moment, batch, repeated=True)


def _item(use_case: DataUseCase, name: BatchName, held: pl.DataFrame, wish: Wish) -> pl.DataFrame:
    """The row as an item again, its changes read by the same rules as the provider's text."""
    source, place = use_case.sources[name.source], name.path("quarantine")
    known = [column.removeprefix(TEXT) for column in held.columns if column.startswith(TEXT)]
    for column in wish.changes:
        if column not in known:
            reason = f"there is no column {column!r}; there are {', '.join(known)}"
            raise NotReleasable(place, wish.number, reason)
    texts = [pl.lit(value).alias(TEXT + column) for column, value in wish.changes.items()]
    table = held.with_columns(*texts, misfit=pl.lit(None, pl.String), retrieved_at=held["known_at"])
    table = table.with_columns(event_time=event_time(source))
    table = table.with_columns(filed=pl.col("event_time"))
    items = group_items(table, source, held["group"][0])
    faults = items["faults"].explode().drop_nulls().to_list() if items.height else ["no moment can be read"]
    if faults:
        raise NotReleasable(place, wish.number, f"{'; '.join(faults)}; correct it with --set")
    return items


def _broken_rules(
    use_case: DataUseCase, name: BatchName, item: pl.DataFrame, settings: Settings
) -> list[str]:
    group = item["group"][0]
    mine = [
        rule
        for rule in rules_of(use_case, settings.use_cases)
        if (rule.source, rule.group, rule.on_failure) == (name.source, group, "quarantine")
    ]
    typed = typed_rows(item, use_case.sources[name.source], group)
    return [each.rule.name for each in evaluate(use_case.name, mine, typed) if not each.success]


def _newer(use_case: DataUseCase, name: BatchName, item: pl.DataFrame, wish: Wish, lake: Lake) -> list[str]:
    """What the provider has told of this item since the row's batch: the decision would take its place."""
    source, group = use_case.sources[name.source], item["group"][0]
    row = typed_rows(item, source, group)
    known = versions(use_case, name.source, group, lake, wish.decided_at - timedelta(seconds=1))
    later = known.join(row.select(source.key), on=source.key, how="semi")
    later = later.filter(pl.col("batch_as_of") > name.window.as_of)
    return [f"what {name.source} has told since, in {later.height} newer versions"] if later.height else []


def _claimed(name: BatchName, wish: Wish, entry: Mapping[str, object], lake: Lake) -> str:
    """The folder of the decision's batch: that of the second in which it was made, for one decision alone."""
    window = Window(wish.decided_at - timedelta(seconds=1), wish.decided_at)
    folder = BatchName(name.use_case, name.source, window).path("validated")
    try:
        _put(lake, f"{folder}/decision.json", entry)
    except LakeConflict:
        reason = f"another decision was made at {wish.decided_at.isoformat()}; try again"
        raise NotReleasable(name.path("quarantine"), wish.number, reason) from None
    return folder


def _commit(folder: str, group: str, row: pl.DataFrame, entry: Mapping[str, object], lake: Lake) -> Reference:
    """The decision as a validated batch; what a killed one left there is finished."""
    body = io.BytesIO()
    row.write_parquet(body)
    stored = lake.replace(f"{folder}/{group}.parquet", body.getvalue())
    told = {"groups": {group: {"rows": row.height, "sha256": stored.sha256}}, "decision": dict(entry)}
    return _put(lake, f"{folder}/batch.json", told)


def _put(lake: Lake, path: str, content: Mapping[str, object]) -> Reference:
    return lake.put(path, json.dumps(content, indent=1, sort_keys=True).encode())


def _quarantined(lake: Lake, name: BatchName) -> pl.DataFrame:
    path = f"{name.path('quarantine')}.parquet"
    if not lake.exists(path):
        raise NothingAside(path, "no rows set aside", "a batch of `pennant quarantine list`")
    return pl.read_parquet(io.BytesIO(lake.get(lake.uri(path))))


def _place(name: BatchName, aside: Mapping[str, Any]) -> str:
    """Where the decision on a row is, by what the row says."""
    said = {key: each for key, each in aside.items() if key.startswith(TEXT) or key in {"group", "line"}}
    mark = sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24]
    return f"{name.path('decisions')}/{mark}.json"


def _done(name: BatchName, aside: Mapping[str, Any]) -> str:
    return _place(name, aside).replace(".json", ".done.json")


def _taken(lake: Lake, name: BatchName, aside: Mapping[str, Any]) -> dict[str, Any] | None:
    """The decision on a row, with `done` and, if it is, `batch`."""
    path, done = _place(name, aside), _done(name, aside)
    if not lake.exists(path):
        return None
    taken: dict[str, Any] = json.loads(lake.get(lake.uri(path)))
    ended = json.loads(lake.get(lake.uri(done))) if lake.exists(done) else {}
    return {**taken, **ended, "done": bool(ended)}
