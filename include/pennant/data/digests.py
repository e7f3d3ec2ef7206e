"""Short marks of what rows say, to find corrections by: 64 bits for an item's key, 64 for its content.

Two contents of one item have the same mark once in 2**64 pairs. Keys that meet in one mark (one pair in 2**65
of a table's pairs) are told apart where rows would be set aside for it; see `items.group_items`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path

import polars as pl

_CODE = ("digests.py", "items.py", "reading.py")
_MULTIPLIER = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio, odd (Knuth, TAOCP 3, 6.4)


def mark_of(parts: Iterable[pl.Expr]) -> pl.Expr:
    """One mark (UInt64) for the parts of each row, in their order; equal for equal parts, also for nulls."""
    mark = pl.lit(0, pl.UInt64)
    for number, part in enumerate(parts, 1):
        mark = mark * pl.lit(_MULTIPLIER, pl.UInt64) + part.hash(seed=number)
    return mark


@cache
def fingerprint() -> str:
    """What marks depend on: the code that makes them, and what this machine makes of known values.

    Marks that were kept are read again only by whoever would make the same ones.
    """
    here = Path(__file__).parent
    code = sha256(b"".join((here / name).read_bytes() for name in _CODE)).hexdigest()
    moment = datetime(2024, 2, 29, 12, tzinfo=UTC)
    probe = pl.DataFrame(
        {
            "text": ["x" * size for size in (*range(40), 64, 127, 128, 129, 240, 241, 1000, 5000)] + [None],
            "whole": [*range(-24, 24), None],
        },
        schema_overrides={"whole": pl.Int64},
    )
    parts = [
        pl.col("text"),
        pl.col("whole"),
        pl.col("whole") / 7,
        pl.col("whole") > 0,
        pl.lit(moment).cast(pl.Datetime("us", "UTC")).dt.offset_by(pl.format("{}h", pl.col("whole"))),
    ]
    marks = probe.select(mark_of(parts).alias("mark"))["mark"]
    return sha256(f"{code} {marks.to_list()}".encode()).hexdigest()
