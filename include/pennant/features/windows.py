"""Many windows over many columns at once: one sort, sums shared between windows, columns side by side.

The sum of the last 2k rows is the sum of the last k and of the k before them, so windows of 5, 10 and 20 rows
cost a handful of additions per row. Every number follows from its own entity's rows up to it, in their order:
other entities, later rows and the size of the table change not one bit of it. So a new day needs only each
entity's last rows and its running sums, and gives the bits that a build of everything would.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from pennant.features.errors import NotLater, UnknownColumns

Floats = npt.NDArray[np.float64]
Stat = Literal["mean", "std", "sum", "count"]
WORKERS = min(4, os.cpu_count() or 1)
"""Columns at once: each holds some ten arrays of the table's length while it is worked on."""
ROWS_PER_WORKER = 250_000
"""Fewer are done sooner by one: the work is shorter than the waiting for each other."""
CLOCKS = ("entity", "known_at", "event_time")
_TOTALS = ("centre", "count", "moved", "squares")


@dataclass(frozen=True)
class Windows:
    """Statistics over an entity's last rows, the newest one included, and over all of them so far.

    Attributes:
        columns: numbers; null is passed over, and a window without any number gives null.
        last: windows of so many rows.
        stats: what of those windows; `std` is the sample's (n - 1), null for fewer than two numbers.
        expanding: what of all rows so far.
        dtype: of the results; sums are made in 64 bits.
    """

    columns: tuple[str, ...]
    last: tuple[int, ...] = ()
    stats: tuple[Stat, ...] = ("mean",)
    expanding: tuple[Stat, ...] = ()
    dtype: pl.DataType | type[pl.DataType] = pl.Float32

    def __post_init__(self) -> None:
        taken = sorted({*CLOCKS, "rank", "newest"} & set(self.columns))
        if taken:
            raise UnknownColumns("columns of windows", taken, ["names other than " + ", ".join(taken)])

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Timeline over rows; see `windows`."""
        return self.begun(rows, keep=False)[0]

    def begun(self, rows: pl.DataFrame, *, keep: bool = True) -> "tuple[pl.DataFrame, State | None]":
        """Timeline over rows, and what is needed to go on from there (None unless `keep`)."""
        ordered = self._ordered(rows)
        frame = Frame.of(ordered["entity"])
        timeline, totals = self._made(frame, ordered, None, keep=keep)
        return _last_of_each(timeline), self._state(frame, ordered, totals) if keep else None

    def extended(self, state: "State", rows: pl.DataFrame) -> "tuple[pl.DataFrame, State]":
        """Timeline of only the new rows, bit for bit as in a build of everything, and the state after them.

        Raises:
            NotLater: a row became known no later than what its entity had already: build anew.
        """
        new = self._ordered(rows)
        seen = new.join(state.entities.select("entity", "newest"), on="entity", how="left")
        early = seen.filter(pl.col("known_at") <= pl.col("newest"))
        if early.height:
            raise NotLater(str(early["entity"][0]), early["known_at"][0], early["newest"][0])
        touched = new.select("entity").unique()
        held = state.tail.join(touched, on="entity", how="semi").with_columns(_new=pl.lit(False))
        both = pl.concat([held.select(*new.columns, "_new"), new.with_columns(_new=pl.lit(True))])
        both = both.sort(*CLOCKS, maintain_order=True)
        whose = both.select("entity").unique(maintain_order=True)
        before = whose.join(state.entities, on="entity", how="left", maintain_order="left")
        frame = Frame.after(both["entity"], both["_new"].to_numpy(), before)
        timeline, totals = self._made(frame, both.drop("_new"), before, keep=True)
        return _last_of_each(timeline), state.followed_by(
            self._state(frame, both.drop("_new"), totals), touched
        )

    def _ordered(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select(*CLOCKS, *self.columns).sort(*CLOCKS, maintain_order=True)

    def _made(
        self, frame: "Frame", ordered: pl.DataFrame, before: pl.DataFrame | None, *, keep: bool
    ) -> tuple[pl.DataFrame, dict[str, Floats]]:
        made: dict[str, pl.Series] = {}
        totals: dict[str, Floats] = {}
        with ThreadPoolExecutor(min(WORKERS, 1 + ordered.height // ROWS_PER_WORKER)) as pool:
            for values, ends in pool.map(
                lambda name: _column(self, frame, ordered[name], before, keep=keep), self.columns
            ):
                made |= values
                totals |= ends
        told = ordered.select(CLOCKS)
        told = told if frame.news is None else told[frame.news]
        return told.with_columns(**made), totals

    def _state(self, frame: "Frame", ordered: pl.DataFrame, totals: Mapping[str, Floats]) -> "State":
        ends = frame.ends
        entities = ordered[ends].select("entity", pl.col("known_at").alias("newest"))
        entities = entities.with_columns(
            pl.Series("rank", frame.rank[ends]), *(pl.Series(name, each) for name, each in totals.items())
        )
        most = max(self.last, default=1) - 1
        tail = ordered.with_columns(_from_end=pl.Series(frame.from_end)).filter(pl.col("_from_end") < most)
        return State(entities, tail.drop("_from_end"))


@dataclass(frozen=True)
class State:
    """Where a build ended, per entity.

    Attributes:
        entities: `entity`, `newest` (the last known_at), `rank` (its rows, less one), and per column the
            running sums and the number that they are centred on.
        tail: each entity's last rows, as many as the longest window less one.
    """

    MARK: ClassVar[str] = "total__"
    """Prefix of the running sums' columns where they are written beside the tail's."""

    entities: pl.DataFrame
    tail: pl.DataFrame

    def followed_by(self, later: "State", touched: pl.DataFrame) -> "State":
        """The state after an extension that touched some entities; the others stay as they were."""
        return State(
            pl.concat([self.entities.join(touched, on="entity", how="anti"), later.entities]).sort("entity"),
            pl.concat([self.tail.join(touched, on="entity", how="anti"), later.tail]).sort(
                *CLOCKS, maintain_order=True
            ),
        )


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
        columns: see `Windows`, as for the other arguments.
        last: windows of so many rows.
        stats: what of those windows.
        expanding: what of all rows so far.
        dtype: of the results.

    Returns:
        `entity`, `known_at`, `event_time`, then per column `<column>_<stat>_<rows>` and
        `<column>_<stat>_all`; in order of entity, known_at, event_time. Where an entity learns several
        rows at once, the last row stands for all.
    """
    return Windows(tuple(columns), tuple(last), tuple(stats), tuple(expanding), dtype).of(rows)


@dataclass(frozen=True)
class Frame:
    """Where entities begin and end: `rank` counts the earlier rows of the entity, in all of its past."""

    rank: npt.NDArray[np.int64]
    begins: npt.NDArray[np.int64]
    news: npt.NDArray[np.intp] | None = None
    """In an extension: where the new rows are, which running sums are over."""
    _young: dict[int, npt.NDArray[np.intp]] = field(default_factory=dict, compare=False, repr=False)
    """Rows with fewer than so many before them."""

    @classmethod
    def of(cls, entity: pl.Series) -> "Frame":
        """The frame of a whole table, sorted by entity."""
        size = len(entity)
        changes = (entity != entity.shift(1)).fill_null(value=True).to_numpy() if size else np.zeros(0, bool)
        begins = np.flatnonzero(changes)
        first = np.repeat(begins, np.diff(np.append(begins, size)))
        return cls(np.arange(size) - first, begins)

    @classmethod
    def after(cls, entity: pl.Series, counted: npt.NDArray[np.bool_], before: pl.DataFrame) -> "Frame":
        """The frame of tails and new rows: ranks go on from those of `before`, a row for each entity."""
        part = cls.of(entity)
        earlier = (before["rank"].fill_null(-1) + 1).to_numpy()
        sizes = part.sizes
        news = np.add.reduceat(counted.astype(np.int64), part.begins) if len(entity) else sizes
        moved = np.repeat(earlier - (sizes - news), sizes)
        return cls(part.rank + moved, part.begins, np.flatnonzero(counted))

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """How many rows each entity has here."""
        return np.diff(np.append(self.begins, len(self.rank)))

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """The last row of each entity."""
        return np.append(self.begins, len(self.rank))[1:] - 1

    @property
    def from_end(self) -> npt.NDArray[np.int64]:
        """How many rows of the entity come after each row."""
        return np.repeat(self.ends, self.sizes) - np.arange(len(self.rank))

    def told(self, totals: Mapping[str, Floats]) -> dict[str, Floats]:
        """What is said of the rows that are told of: all, or in an extension the new ones."""
        return {name: each if self.news is None else each[self.news] for name, each in totals.items()}

    def before(self, values: Floats, rows: int) -> Floats:
        """Each row's value of so many rows earlier; 0 where the entity has none."""
        moved = np.empty_like(values)
        moved[rows:] = values[: max(len(values) - rows, 0)]
        if rows not in self._young:
            self._young[rows] = np.flatnonzero(self.rank < rows)
        moved[self._young[rows]] = 0.0
        return moved

    def running(self, values: Floats, start: Floats | None) -> Floats:
        """Sums of all of an entity's rows so far: no other entity's rounding is in them.

        In an extension, from `start` (a number for each entity) over the new rows; the others' are of no use.
        """
        if not len(values):
            return values
        sizes, new, made = self.sizes, values, np.empty_like(values)
        if self.news is not None:
            sizes = np.diff(np.searchsorted(self.news, np.append(self.begins, len(values))))
            new = values[self.news]
        first = np.zeros(len(sizes)) if start is None else start
        longest = int(sizes.max())
        if longest * len(sizes) <= 2 * len(values) + 2 * len(sizes):
            sums = _side_by_side(new, sizes, first, longest)
        else:
            sums = np.empty_like(new)
            ends = np.cumsum(sizes)
            for end, size, begin in zip(ends.tolist(), sizes.tolist(), first.tolist(), strict=True):
                sums[end - size : end] = np.cumsum(np.append(begin, new[end - size : end]))[1:]
        if self.news is None:
            return sums
        made[self.news] = sums
        return made


def _side_by_side(values: Floats, sizes: npt.NDArray[np.int64], first: Floats, longest: int) -> Floats:
    """Running sums of entities in a rectangle, one row each: the same sums in the same order, at once."""
    inside = np.arange(longest) < sizes[:, None]
    square = np.zeros((len(sizes), longest + 1))
    square[:, 0] = first
    square[:, 1:][inside] = values
    return np.asarray(np.cumsum(square, axis=1)[:, 1:][inside], dtype=np.float64)


class _Sums:
    """Sums over an entity's last rows of one array, each power of two made once."""

    def __init__(self, frame: Frame, values: Floats) -> None:
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
    spec: Windows, frame: Frame, column: pl.Series, before: pl.DataFrame | None, *, keep: bool
) -> tuple[dict[str, pl.Series], dict[str, Floats]]:
    """One column's statistics, and its running sums at each entity's end."""
    values = column.cast(pl.Float64).fill_nan(None)
    given = values.is_not_null().cast(pl.Float64).to_numpy()
    numbers = values.fill_null(0.0).to_numpy()
    start = {} if before is None else {name: _held(before, column.name, name) for name in _TOTALS}
    # Spread is measured about the entity's first number: squares of large numbers would swallow it.
    centre = _first_of(frame, values.to_numpy(), start.get("centre"))
    moved = np.where(given > 0, numbers - np.nan_to_num(centre), 0.0)
    spread = "std" in (*spec.stats, *spec.expanding)
    arrays = {"count": given, "moved": moved} | ({"squares": moved * moved} if spread else {})
    # Where no number is missing, counting is knowing the rank; of all rows so far only if none ever was.
    whole = values.null_count() == 0
    made: dict[str, pl.Series] = {}
    sums = {name: _Sums(frame, each) for name, each in arrays.items() if not (whole and name == "count")}
    for rows in spec.last:
        total = {name: each.of(rows) for name, each in sums.items()}
        if whole:
            total["count"] = np.minimum(frame.rank + 1.0, float(rows))
        told = frame.told({**total, "centre": centre})
        for stat in spec.stats:
            name = f"{column.name}_{stat}_{rows}"
            made[name] = _stat(stat, told).cast(spec.dtype).rename(name)
    if not keep and not spec.expanding:
        return made, {}
    wanted = (
        arrays if keep or "std" in spec.expanding else {name: arrays[name] for name in ("count", "moved")}
    )
    running: dict[str, Floats] = {
        name: np.asarray(frame.rank + 1.0, dtype=np.float64)
        if whole and before is None and name == "count"
        else frame.running(each, start.get(name))
        for name, each in wanted.items()
    }
    told = frame.told({**running, "centre": centre})
    for stat in spec.expanding:
        name = f"{column.name}_{stat}_all"
        made[name] = _stat(stat, told).cast(spec.dtype).rename(name)
    held = {**running, "centre": centre}
    ends = {
        f"{column.name}__{name}": held[name][frame.ends] if name in held else np.zeros(len(frame.begins))
        for name in _TOTALS
    }
    return made, ends


def _held(before: pl.DataFrame, column: str, total: str) -> Floats:
    """A running sum of each entity; 0 (and no centre) for one that is new."""
    nothing = float("nan") if total == "centre" else 0.0
    return before[f"{column}__{total}"].fill_null(nothing).to_numpy()


def _stat(stat: Stat, total: Mapping[str, Floats]) -> pl.Series:
    count, centre = total["count"], total["centre"]
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


def _first_of(frame: Frame, numbers: Floats, held: Floats | None) -> Floats:
    """Each entity's first number, for all of its rows from there on; NaN before it has one."""
    if not len(numbers):
        return numbers
    known = ~np.isnan(numbers)
    sizes = frame.sizes
    position = np.where(known, np.arange(len(numbers)), len(numbers))
    at = np.minimum.reduceat(position, frame.begins)
    padded = np.append(numbers, np.nan)
    first = np.repeat(padded[at], sizes)
    first[np.arange(len(numbers)) < np.repeat(at, sizes)] = np.nan
    if held is None:
        return first
    before = np.repeat(held, sizes)
    return np.where(np.isnan(before), first, before)


def _last_of_each(timeline: pl.DataFrame) -> pl.DataFrame:
    same = [pl.col(name) == pl.col(name).shift(-1) for name in ("entity", "known_at")]
    again = timeline.select(pl.all_horizontal(same).fill_null(value=False).alias("again"))["again"]
    return timeline.filter(~again) if again.any() else timeline
