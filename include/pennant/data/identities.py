"""Who is meant: names of teams and players brought together by the declaration's tables, at reading time.

What landed keeps the provider's spelling. An alias holds for all time, or between `since` and `until` of the
event's time (a club that moved). A name that no table knows stays as it is, and is reported.
"""

from datetime import UTC, datetime

import polars as pl

from pennant.declaration.model import Source
from pennant.declaration.model_data import Identities

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, tzinfo=UTC)


def resolve(rows: pl.DataFrame, source: Source, tables: dict[str, Identities]) -> pl.DataFrame:
    """Rows with the declared columns in canonical names.

    Args:
        rows: with `event_time` and any of the source's columns.
        source: its `identities` say which column is resolved by which table.
        tables: the declaration's `identities`.
    """
    named = {column: name for column, name in source.identities.items() if column in rows.columns}
    return rows.with_columns(canonical(column, tables[name]).alias(column) for column, name in named.items())


def canonical(column: str, identities: Identities) -> pl.Expr:
    """The canonical name of a column's value at the row's `event_time`; an unknown name as it is.

    A name in force for a time comes before one for all time, and before a canonical name of the same
    spelling: `STL` can be the Rams until 2015 and a club of its own later.
    """
    value = pl.col(column)
    always: dict[str, str] = {}
    timed: list[tuple[str, str, datetime, datetime]] = []
    for name, aliases in identities.items():
        for alias in aliases:
            if alias.since is None and alias.until is None:
                always[alias.name] = name
            else:
                timed.append((alias.name, name, alias.since or _FIRST, alias.until or _LAST))
    found = value.replace(always) if always else value
    for text, name, since, until in timed:
        inside = (pl.col("event_time") >= _moment(since)) & (pl.col("event_time") < _moment(until))
        found = pl.when((value == text) & inside).then(pl.lit(name)).otherwise(found)
    return found


def unresolved(
    rows: pl.DataFrame, source: Source, tables: dict[str, Identities]
) -> dict[str, dict[str, int]]:
    """Names that no table knows, by column, with the rows they stand in; columns without any are left out."""
    found: dict[str, dict[str, int]] = {}
    resolved = resolve(rows, source, tables)
    for column, table in source.identities.items():
        if column not in rows.columns:
            continue
        strange = resolved.filter(pl.col(column).is_not_null() & ~pl.col(column).is_in(list(tables[table])))
        counted = strange.group_by(column).len().sort(column)
        if counted.height:
            found[column] = dict(counted.iter_rows())
    return found


def _moment(moment: datetime) -> pl.Expr:
    return pl.lit(moment).cast(pl.Datetime("us", "UTC"))
