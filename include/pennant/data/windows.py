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

Every item has a fate: it arrives, or it is counted under what it is left out for (`LEFT_OUT`).
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from pennant.data.reading import TEXT, UTC_MOMENT
from pennant.reference import Window

ARRIVALS = ("on_time", "correction", "late")
LEFT_OUT = ("held", "empty", "later", "other_window", "not_known_yet")
"""Held as it stands by an earlier window; nothing said; known after this window; known within a window that
has not landed; without a moment of knowledge."""


def take(
    items: pl.DataFrame, stored: pl.DataFrame, key: Sequence[str], window: Window, landed: Sequence[Window]
) -> tuple[pl.DataFrame, dict[str, dict[str, int]]]:
    """The items of `window`, and how many of each group are left out, by reason.

    Args:
        items: every item of the provider's table (see `pennant.data.items`).
        stored: `item`, `digest` and `batch_as_of` of the landed batches with `as_of <= window.start`.
        key: names of the source's key columns.
        window: the window to fill.
        landed: the windows of `stored`, also the empty ones.

    Returns:
        The items, with a column `arrival`, sorted; `known_at` is in the window, or later if live. And per
        group the counts of `LEFT_OUT` that are not zero.
    """
    items = _compared(items, stored).with_columns(fate=_fate(window, _within(items["known_at"], landed)))
    arrives = pl.col("fate").is_in(ARRIVALS)
    left: dict[str, dict[str, int]] = {}
    counted = items.filter(~arrives).group_by("group", "fate").len().sort("group", "fate")
    for group, fate, count in counted.iter_rows():
        left.setdefault(group, {})[fate] = count
    as_of = pl.lit(window.as_of).cast(UTC_MOMENT)
    taken = items.filter(arrives).with_columns(
        known_at=pl.when(pl.col("fate") == "on_time").then("known_at").otherwise(as_of)
    )
    taken = taken.drop("seen", "now_held", "ever_held", "elsewhere", "live").rename({"fate": "arrival"})
    keys = [TEXT + name for name in key]
    return taken.sort("group", "known_at", "event_time", *keys, "part", "line", nulls_last=True), left


def _fate(window: Window, landed: pl.Series) -> pl.Expr:
    faulty = pl.col("faults").list.len() > 0
    # The same broken row again is no news, whatever came between; a sound one is measured against
    # what holds now.
    held = pl.when(faulty).then("ever_held").otherwise("now_held")
    silent = pl.col("empty") & (~pl.col("seen") | pl.col("elsewhere"))
    words = {name: pl.lit(name) for name in (*ARRIVALS, *LEFT_OUT)}
    # A provider that only tells how things stand now: what is new is known since it was told.
    told = pl.when("empty").then(words["empty"]).when("now_held").then(words["held"])
    return (
        pl.when("live")
        .then(told.otherwise(words["on_time"]))
        .when(silent)
        .then(words["empty"])
        .when(pl.col("known_at") > window.as_of)
        .then(words["later"])
        .when(pl.col("known_at") > window.start)
        .then(pl.when("empty").then(words["empty"]).otherwise(words["on_time"]))
        .when("seen")
        .then(pl.when(held).then(words["held"]).otherwise(words["correction"]))
        .when(pl.lit(landed))
        .then(words["late"])
        .otherwise(words["other_window"])
    )


def _compared(items: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Say of each item whether its key is stored, and whether its content is: now, or ever."""
    if stored.is_empty():
        absent = pl.lit(value=False)
        return items.with_columns(seen=absent, now_held=absent, ever_held=absent, elsewhere=absent)
    held = stored.group_by("item", "digest").agg(said=pl.col("batch_as_of").max())
    latest = held.group_by("item").agg(newest=pl.col("said").max())
    items = items.join(latest, on="item", how="left", maintain_order="left")
    items = items.join(held, on=["item", "digest"], how="left", maintain_order="left")
    items = items.with_columns(
        seen=pl.col("newest").is_not_null(),
        now_held=(pl.col("said") == pl.col("newest")).fill_null(value=False),
        ever_held=pl.col("said").is_not_null(),
    ).drop("newest", "said")
    # A row of this key that does say something, beside an empty one.
    silent = items.filter(pl.col("empty") & pl.col("seen"))["item"].unique()
    beside = items.filter(~pl.col("empty") & pl.col("item").is_in(silent.implode()))["item"].unique()
    return items.with_columns(elsewhere=pl.col("item").is_in(beside.implode()))


def _within(moments: pl.Series, landed: Sequence[Window]) -> pl.Series:
    """Whether each moment lies in a window that has landed."""
    spans: list[tuple[datetime, datetime]] = []
    for window in sorted(landed, key=lambda each: (each.start, each.as_of)):
        if spans and window.start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], window.as_of))
        else:
            spans.append((window.start, window.as_of))
    if not spans:
        return pl.repeat(value=False, n=len(moments), eager=True)
    starts, ends = (
        pl.Series(each, dtype=UTC_MOMENT).to_physical().to_numpy() for each in zip(*spans, strict=True)
    )
    at = moments.to_physical().to_numpy()
    span = np.searchsorted(starts, at, side="left") - 1
    return pl.Series((span >= 0) & (at <= ends[span]))
