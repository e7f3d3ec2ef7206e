"""The window rule: which items a window `(start, as_of]` takes, and since when they count as known.

- on time: the rule says known within the window; `known_at` is the rule's moment.
- correction: known before `start` and stored by an earlier window, with another content now;
  `known_at` is the window's `as_of`, because nobody could have read it before.
- late: the rule says known within an earlier window that has landed, but it was not there then;
  `known_at` is the window's `as_of`.
- live (rule `retrieved`): new since the last batch; `known_at` is when it was told, also after `as_of`.
- anything else is left out: what is not known by `as_of`, and what belongs to windows that never
  landed. So a backfill may land its windows in any order, or at once, and gives the same batches.

Rows that vanish from the provider's table stay as they were: a provider that lists only its newest
season has not taken the others back. An item that becomes empty is a correction to nothing.
"""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from pennant.data.reading import TEXT, UTC_MOMENT
from pennant.reference import Window

ARRIVALS = ("on_time", "correction", "late")


def take(
    items: pl.DataFrame, stored: pl.DataFrame, key: Sequence[str], window: Window, landed: Sequence[Window]
) -> pl.DataFrame:
    """The items of `window`, with a column `arrival`, sorted; `known_at` is in the window, or later if live.

    Args:
        items: every item of the provider's table (see `pennant.data.items`).
        stored: items of the landed batches with `as_of <= window.start`, with `batch_as_of`.
        key: names of the source's key columns.
        window: the window to fill.
        landed: the windows of `stored`, also the empty ones.
    """
    keys = ["group", *(TEXT + name for name in key)]
    items = _compared(items, stored, keys)
    faulty = pl.col("faults").list.len() > 0
    before = pl.col("known_at") <= window.start
    # The same broken row again is no news, whatever came between; a sound one is measured against
    # what holds now.
    news = pl.when(faulty).then(~pl.col("ever_held")).otherwise(~pl.col("now_held"))
    silent = pl.col("empty") & (~pl.col("seen") | pl.col("elsewhere"))
    # A provider that only tells how things stand now: what is new is known since it was told.
    told = pl.when(~pl.col("empty") & ~pl.col("now_held")).then(pl.lit("on_time"))
    arrival = (
        pl.when(pl.col("live"))
        .then(told)
        .when(silent | (pl.col("known_at") > window.as_of))
        .then(None)
        .when(~before)
        .then(pl.when(~pl.col("empty")).then(pl.lit("on_time")))
        .when(pl.col("seen"))
        .then(pl.when(news).then(pl.lit("correction")))
        .when(_within(landed))
        .then(pl.lit("late"))
    )
    taken = items.with_columns(arrival=arrival).filter(pl.col("arrival").is_not_null())
    as_of = pl.lit(window.as_of).cast(UTC_MOMENT)
    taken = taken.with_columns(
        known_at=pl.when(pl.col("arrival") == "on_time").then("known_at").otherwise(as_of)
    )
    taken = taken.drop("seen", "now_held", "ever_held", "elsewhere", "live")
    return taken.sort("group", "known_at", "event_time", *keys[1:], "digest", "line", nulls_last=True)


def _compared(items: pl.DataFrame, stored: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Say of each item whether its key is stored, and whether its content is: now, or ever."""
    latest = stored.filter(pl.col("batch_as_of") == pl.col("batch_as_of").max().over(keys))
    marks = [
        (stored.select(keys).unique(), keys, "seen"),
        (latest.select(*keys, "digest").unique(), [*keys, "digest"], "now_held"),
        (stored.select(*keys, "digest").unique(), [*keys, "digest"], "ever_held"),
    ]
    for rows, on, name in marks:
        marked = rows.with_columns(pl.lit(True).alias(name))
        items = items.join(marked, on=on, how="left", nulls_equal=True, maintain_order="left")
        items = items.with_columns(pl.col(name).fill_null(False))
    # A row of this key that does say something, beside an empty one.
    return items.with_columns(elsewhere=(~pl.col("empty")).any().over(keys))


def _within(landed: Sequence[Window]) -> pl.Expr:
    spans: list[tuple[datetime, datetime]] = []
    for window in sorted(landed, key=lambda each: (each.start, each.as_of)):
        if spans and window.start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], window.as_of))
        else:
            spans.append((window.start, window.as_of))
    inside = pl.lit(False)
    for start, as_of in spans:
        inside |= (pl.col("known_at") > start) & (pl.col("known_at") <= as_of)
    return inside
