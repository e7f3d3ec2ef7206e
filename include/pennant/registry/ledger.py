"""The ledger: what was promoted, turned back, rolled back or healed, chained by hash.

`hash = sha256(previous_hash + canonical JSON of seq, use case, action, entry and recorded_at)`.
The canonical JSON is compact, has sorted keys, and writes numbers in positional notation, which
is how PostgreSQL keeps them in `jsonb`: so the hash covers every stored digit.

The chain alone does not show that its newest entries were cut off, nor that all of it was computed
anew: `pennant.registry.heads` keeps what was seen of it in the lake, and `verify` takes that.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Literal

from sqlalchemy import Connection, Engine, Text, cast, func, insert, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from pennant.errors import PennantError
from pennant.registry.errors import LedgerBroken
from pennant.warehouse.tables import ledger

GENESIS = "0" * 64
"""The previous hash of the first entry."""
_APPEND_LOCK = 0x50454E4E414E54
_NEWEST = select(ledger.c.seq, ledger.c.hash).order_by(ledger.c.seq.desc()).limit(1)

BreakKind = Literal["changed", "missing", "broken_link", "unexpected", "cut_off", "rewritten"]


@dataclass(frozen=True)
class LedgerEntry:
    """One entry; `recorded_at` is ISO 8601 text in UTC, kept as text so that it hashes as stored."""

    seq: int
    use_case: str
    action: str
    entry: dict[str, object]
    previous_hash: str
    hash: str
    recorded_at: str


@dataclass(frozen=True)
class Head:
    """The newest entry of the ledger at some moment, remembered outside the database."""

    seq: int
    hash: str


@dataclass(frozen=True)
class LedgerBreak:
    """One place where the ledger is not what was written.

    `kind`: `changed` (the entry does not give its hash), `missing` (no entry with this seq),
    `broken_link` (it does not name the hash before it), `unexpected` (a seq below 1), `cut_off`
    (a remembered head lies beyond the end), `rewritten` (the entry is not the remembered one).
    """

    seq: int
    kind: BreakKind
    expected: str
    found: str


class LedgerRefused(PennantError, ValueError):
    """The entry holds something that JSON in PostgreSQL cannot keep exactly.

    Attributes:
        where: path in the entry, for example `entry.numbers.mean`.
        found: what was there.
    """

    def __init__(self, where: str, found: object) -> None:
        self.where = where
        self.found = found
        super().__init__(
            f"{where}: found {found!r} ({type(found).__name__}); a ledger entry holds text without NUL, "
            "whole numbers, finite numbers, true, false, null, lists and objects with text keys. "
            "Write moments as ISO 8601 text and a number that is not finite as text"
        )


class _Digits(str):
    """A number as the database wrote it."""

    __slots__ = ()


def canonical(value: object, where: str = "entry") -> str:
    """The one text of a JSON value: sorted keys, no spaces, positional numbers.

    Raises:
        LedgerRefused: a value that JSON cannot hold, naming its path.
    """
    if isinstance(value, _Digits):
        return str(value)
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, str):
        return _text(value, where)
    if isinstance(value, float) and isfinite(value):
        # PostgreSQL has no negative zero.
        digits = format(Decimal(repr(float(value) or 0.0)), "f")
        return digits if "." in digits else f"{digits}.0"
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise LedgerRefused(where, key)
        items = (f"{_text(key, where)}:{canonical(value[key], f'{where}.{key}')}" for key in sorted(value))
        return "{" + ",".join(items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(canonical(each, f"{where}[{n}]") for n, each in enumerate(value)) + "]"
    raise LedgerRefused(where, value)


def append(
    connection: Connection,
    use_case: str,
    action: str,
    entry: Mapping[str, object],
    recorded_at: datetime | None = None,
) -> LedgerEntry:
    """Add an entry in the transaction of `connection`; it exists when the caller commits.

    Appends wait for each other until the end of their transactions, so seq has no gaps: keep the
    transaction short.

    Args:
        connection: a connection with the isolation level `READ COMMITTED`.
        use_case: name of the use case.
        action: what was done, for example `promote`.
        entry: who, from, to, why, evidence: JSON only.
        recorded_at: aware moment; the database's clock when left out.

    Raises:
        LedgerRefused: `entry` holds something that JSON cannot keep.
    """
    content = canonical(dict(entry))
    connection.execute(select(func.pg_advisory_xact_lock(_APPEND_LOCK)))
    moment = recorded_at or connection.execute(select(func.clock_timestamp())).scalar_one()
    recorded = moment.astimezone(UTC).isoformat(timespec="microseconds")
    newest = connection.execute(_NEWEST).first()
    seq, previous = (newest.seq + 1, newest.hash) if newest else (1, GENESIS)
    digest = _hash(previous, seq, use_case, action, content, recorded)
    connection.execute(
        insert(ledger).values(
            seq=seq,
            use_case=use_case,
            action=action,
            entry=cast(literal(content, Text), JSONB),
            previous_hash=previous,
            hash=digest,
            recorded_at=recorded,
        )
    )
    return LedgerEntry(seq, use_case, action, json.loads(content), previous, digest, recorded)


def entries(source: Engine | Connection, use_case: str | None = None) -> list[LedgerEntry]:
    """All entries in order, of one use case when it is named."""
    query = select(ledger).order_by(ledger.c.seq)
    if use_case is not None:
        query = query.where(ledger.c.use_case == use_case)
    if isinstance(source, Engine):
        with source.connect() as connection:
            rows = connection.execute(query).all()
    else:
        rows = source.execute(query).all()
    return [
        LedgerEntry(r.seq, r.use_case, r.action, r.entry, r.previous_hash, r.hash, r.recorded_at)
        for r in rows
    ]


def head(engine: Engine) -> Head | None:
    """The newest entry's seq and hash; None while the ledger is empty."""
    with engine.connect() as connection:
        row = connection.execute(_NEWEST).first()
    return Head(row.seq, row.hash) if row else None


def verify(engine: Engine, heads: Iterable[Head] = ()) -> list[LedgerBreak]:
    """Every break of the chain, in order of seq; an empty list is a whole ledger.

    Args:
        engine: the warehouse.
        heads: what was remembered of the ledger, from `pennant.registry.heads.read`.
    """
    remembered = {each.seq: each.hash for each in heads}
    breaks: list[LedgerBreak] = []
    expected_seq, previous = 1, GENESIS
    for row, digest in _stored(engine):
        if row.seq < 1:
            breaks.append(LedgerBreak(row.seq, "unexpected", "seq from 1", str(row.seq)))
            continue
        whole = row.seq == expected_seq
        if not whole:
            breaks.append(LedgerBreak(expected_seq, "missing", str(expected_seq), str(row.seq)))
        elif row.previous_hash != previous:
            breaks.append(LedgerBreak(row.seq, "broken_link", previous, row.previous_hash))
        if digest != row.hash:
            breaks.append(LedgerBreak(row.seq, "changed", row.hash, digest))
        elif remembered.get(row.seq, row.hash) != row.hash:
            breaks.append(LedgerBreak(row.seq, "rewritten", remembered[row.seq], row.hash))
        expected_seq, previous = row.seq + 1, row.hash
    end = f"the ledger ends at {expected_seq - 1}"
    beyond = (seq for seq in sorted(remembered) if seq >= expected_seq)
    return breaks + [LedgerBreak(seq, "cut_off", remembered[seq], end) for seq in beyond]


def raise_if_broken(engine: Engine, heads: Iterable[Head] = ()) -> None:
    """Verify, and raise when anything is broken.

    Raises:
        LedgerBroken: names the first breaks.
    """
    breaks = verify(engine, heads)
    if breaks:
        raise LedgerBroken([f"{each.kind} at {each.seq}" for each in breaks[:5]], len(breaks))


class _Row:
    __slots__ = ("hash", "previous_hash", "seq")

    def __init__(self, seq: int, previous_hash: str, digest: str) -> None:
        self.seq = seq
        self.previous_hash = previous_hash
        self.hash = digest


def _stored(engine: Engine) -> Iterator[tuple[_Row, str]]:
    """Each row with the hash that its stored content gives."""
    query = select(ledger, cast(ledger.c.entry, Text).label("content")).order_by(ledger.c.seq)
    with engine.connect().execution_options(yield_per=500) as connection:
        for r in connection.execute(query):
            content = canonical(json.loads(r.content, parse_float=_Digits, parse_int=_Digits))
            digest = _hash(r.previous_hash, r.seq, r.use_case, r.action, content, r.recorded_at)
            yield _Row(r.seq, r.previous_hash, r.hash), digest


def _hash(previous: str, seq: int, use_case: str, action: str, content: str, recorded_at: str) -> str:
    parts = (
        f'"action":{_text(action, "action")}',
        f'"entry":{content}',
        f'"recorded_at":{_text(recorded_at, "recorded_at")}',
        f'"seq":{seq}',
        f'"use_case":{_text(use_case, "use_case")}',
    )
    return hashlib.sha256((previous + "{" + ",".join(parts) + "}").encode()).hexdigest()


def _text(value: str, where: str) -> str:
    if "\x00" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise LedgerRefused(where, value)
    return json.dumps(value)
