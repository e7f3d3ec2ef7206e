"""Many windows over many columns at once: one sort, sums shared between windows, columns side by side.

The sum of the last 2k rows is the sum of the last k and of the k before them, so windows of 5, 10 and 20 rows
cost a handful of additions per row. Every number follows from its own entity's rows up to it, in their order:
other entities, later rows and the size of the table change not one bit of it.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Stat = Literal["mean", "std", "sum", "count"]
STATS: tuple[Stat, ...] = ("mean", "std", "sum", "count")
WORKERS = min(4, os.cpu_count() or 1)
"""Columns at once: each holds some ten arrays of the table's length while it is worked on."""
_CLOCKS = ("entity", "known_at", "event_time")


@dataclass(frozen=True)
class Window:
    """Statistics over an entity's last rows, the newest one included; None: all of them so far."""

    rows: int | None
    stats: tuple[Stat, ...] = ("mean",)

    def names(self, column: str) -> list[str]:
        """Names of what it gives of a column, for example `yards_mean_5` or `yards_mean_all`."""
        return [f"{column}_{stat}_{self.rows or 'all'}" for stat in self.stats]


def windows(
    rows: pl.DataFrame,
    columns: Sequence[str],
    *,
    last: Sequence[int] = (),
    stats: Sequence[Stat] = ("mean",),
    expanding: Sequence[Stat] = (),
    dtype: pl.DataType | type[pl.DataType] = pl.Float32,
) -> pl.DataFrame:
    """Timeline of statistics over each entity's rows, in the order they became known.

    Joined as of a moment, they tell of what was known before it: the present event is not among them.

    Args:
        rows: `entity`, `known_at`, `event_time` and the columns.
        columns: numbers; null is passed over, and a window without any number gives null.
        last: windows of so many rows.
        stats: what of those windows; `std` is the sample's (n - 1), null for fewer than two numbers.
        expanding: what of all rows so far.
        dtype: of the results; sums are made in 64 bits.

    Returns:
        `entity`, `known_at`, `event_time`, then per column `<column>_<stat>_<rows>` and
        `<column>_<stat>_all`; in order of entity, known_at, event_time. Where an entity learns several
        rows at once, the last row stands for all.
    """
    chosen = [Window(each, tuple(stats)) for each in last]
    chosen += [Window(None, tuple(expanding))] if expanding else []
    # A stable sort, and by number where it can be: texts compare slowly.
    ordered = rows.select(*_CLOCKS, *columns).sort("entity", "known_at", "event_time", maintain_order=True)
    frame = _Frame.of(ordered["entity"])
    made: dict[str, pl.Series] = {}
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        for each in pool.map(lambda name: _column(frame, ordered[name], chosen, dtype), columns):
            made |= each
    timeline = ordered.select(_CLOCKS).with_columns(**made)
    again = (timeline["entity"] == timeline["entity"].shift(-1)) & (
        timeline["known_at"] == timeline["known_at"].shift(-1)
    )
    return timeline.filter(~again.fill_null(value=False)) if again.any() else timeline


@dataclass(frozen=True)
class _Frame:
    """Where entities begin: `rank` counts the rows of an entity before each row."""

    rank: npt.NDArray[np.int64]

    @classmethod
    def of(cls, entity: pl.Series) -> "_Frame":
        size = len(entity)
        position = np.arange(size)
        begins = np.zeros(size, dtype=bool)
        if size:
            begins[0] = True
            begins[1:] = (entity != entity.shift(1)).fill_null(value=True).to_numpy()[1:]
        first = np.maximum.accumulate(np.where(begins, position, 0))
        return cls(position - first)

    def before(self, values: Floats, rows: int) -> Floats:
        """Each row's value of so many rows earlier; 0 where the entity has none."""
        moved = np.zeros_like(values)
        moved[rows:] = values[: len(values) - rows] if rows < len(values) else values[:0]
        moved[self.rank < rows] = 0.0
        return moved


class _Sums:
    """Sums over an entity's last rows of one array, each power of two made once."""

    def __init__(self, frame: _Frame, values: Floats) -> None:
        self._frame = frame
        self._of: dict[int, Floats] = {1: values}

    def of(self, rows: int) -> Floats:
        """The sum over the last `rows` rows, fewer at an entity's beginning."""
        if rows not in self._of:
            half = rows // 2
            made = self.of(half)
            made = made + self._frame.before(made, half)
            if rows % 2:
                made = made + self._frame.before(self._of[1], rows - 1)
            self._of[rows] = made
        return self._of[rows]


def _column(
    frame: _Frame, column: pl.Series, chosen: Sequence[Window], dtype: pl.DataType | type[pl.DataType]
) -> Mapping[str, pl.Series]:
    values = column.cast(pl.Float64).fill_nan(None)
    whole = values.null_count() == 0
    given = np.ones(len(values)) if whole else values.is_not_null().cast(pl.Float64).to_numpy()
    numbers = values.fill_null(0.0).to_numpy()
    # Spread is measured about the entity's first number: squares of large numbers would swallow it.
    centre = _first_of(frame, values)
    moved = np.where(given > 0, numbers - centre, 0.0) if not whole else numbers - centre
    wants_spread = any("std" in each.stats for each in chosen)
    sums = {
        "count": _Sums(frame, given),
        "moved": _Sums(frame, moved),
        "squares": _Sums(frame, moved * moved if wants_spread else moved),
    }
    made: dict[str, pl.Series] = {}
    for window in chosen:
        needed = {name: each for name, each in sums.items() if name != "squares" or "std" in window.stats}
        if window.rows is None:
            total = {name: _running(frame, each.of(1)) for name, each in needed.items()}
        else:
            if whole:
                del needed["count"]
            total = {name: each.of(window.rows) for name, each in needed.items()}
            if whole:
                total["count"] = np.minimum(frame.rank + 1.0, window.rows)
        for stat, name in zip(window.stats, window.names(column.name), strict=True):
            made[name] = _stat(stat, total, centre).cast(dtype).rename(name)
    return made


def _stat(stat: Stat, total: Mapping[str, Floats], centre: Floats) -> pl.Series:
    count = total["count"]
    with np.errstate(divide="ignore", invalid="ignore"):
        if stat == "count":
            return pl.Series(count)
        if stat == "sum":
            made, fewest = total["moved"] + count * centre, 1
        elif stat == "mean":
            made, fewest = total["moved"] / count + centre, 1
        else:
            spread = total["squares"] - total["moved"] * total["moved"] / count
            made, fewest = np.sqrt(np.maximum(spread, 0.0) / (count - 1.0)), 2
    enough = count >= fewest
    series = pl.Series(made)
    return series if enough.all() else series.set(pl.Series(~enough), None)


def _first_of(frame: _Frame, values: pl.Series) -> Floats:
    """Each entity's first number, for all of its rows up to and after it; 0 before it has one."""
    numbers = values.to_numpy()
    position = np.arange(len(numbers))
    known = ~np.isnan(numbers)
    begins = frame.rank == 0
    if known.all():
        at = np.maximum.accumulate(np.where(begins, position, 0))
        return np.asarray(numbers[at], dtype=np.float64)
    # The first known row at or after an entity's beginning, carried forward within the entity.
    earlier = _running(frame, known.astype(np.float64))
    is_first = known & (earlier == 1.0)
    at = np.maximum.accumulate(np.where(is_first | begins, position, 0))
    found = numbers[at]
    return np.where(np.isnan(found), 0.0, found)


def _running(frame: _Frame, values: Floats) -> Floats:
    """Sums of all of an entity's rows so far, by themselves: no other entity's rounding is in them."""
    begins = np.flatnonzero(frame.rank == 0)
    ends = np.append(begins, len(values))[1:]
    made = np.empty_like(values)
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        np.cumsum(values[begin:end], out=made[begin:end])
    return made
