"""What the tables of this layer have to bring, checked where they come in."""

from collections.abc import Sequence

import polars as pl

from pennant.decisions.errors import ColumnsError, DuplicateError

MOMENT = pl.Datetime("us", "UTC")

Columns = dict[str, pl.DataType | type[pl.DataType]]
Optional = dict[str, tuple[pl.DataType | type[pl.DataType], object]]
"""Column to its type, and to its type and the value of a table that does not bring it."""

MARKET = ["entity", "market", "line"]
"""One market: what is asked of whom, and at which line. `line` is null where there is none."""


def taken(
    table: str,
    frame: pl.DataFrame,
    columns: Columns,
    optional: Optional,
    nullable: Sequence[str] = (),
) -> pl.DataFrame:
    """The columns that are asked for, in their types; an optional one that is missing gets its default.

    Raises:
        ColumnsError: a column is missing, has nulls it may not have, or holds moments without UTC.
    """
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ColumnsError(table, missing, "missing", frame.columns)
    wanted = {**columns, **{name: kind for name, (kind, _) in optional.items()}}
    for name, kind in wanted.items():
        if kind == MOMENT and name in frame.columns:
            found = frame.schema[name]
            if not isinstance(found, pl.Datetime) or found.time_zone != "UTC":
                raise ColumnsError(table, [name], "not UTC", found)
    made = (
        frame.with_columns(pl.selectors.float().fill_nan(None))
        .with_columns(
            pl.lit(default, dtype=kind).alias(name)
            for name, (kind, default) in optional.items()
            if name not in frame.columns
        )
        .select(pl.col(name).cast(kind) for name, kind in wanted.items())
    )
    counts = {name: made[name].null_count() for name in wanted if name not in nullable}
    empty = {name: count for name, count in counts.items() if count}
    if empty:
        raise ColumnsError(table, list(empty), "null", empty)
    return made


def refuse_duplicates(table: str, frame: pl.DataFrame, key: Sequence[str]) -> None:
    """Refuse rows of which it is not clear which one holds.

    Raises:
        DuplicateError: two rows of one key.
    """
    doubled = frame.group_by(key, maintain_order=True).len().filter(pl.col("len") > 1)
    if doubled.height:
        raise DuplicateError(table, key, doubled.row(0)[:-1], doubled.height)
