"""Views: declared pure functions that give timelines of what is known of an entity.

A timeline has the columns `entity`, `known_at`, `event_time` and the view's values, one row for each time
that something about an entity became known; the rows of an entity in the order of knowing. Training joins it
as of each request's moment, the online store holds its newest row per entity: the same function, so the same
numbers.

```python
@feature_view(entity="team", reads=["games.schedule", "games.result"], fresh_hours=24 * 14)
def form(known: Known) -> pl.DataFrame:
    rows = sides(known.events("games", "schedule", "result"), {"goals": ("home_goals", "away_goals")})
    ...
```

A view may leave its statistics to declared `windows`: then its function gives rows, one or more for each
thing that became known, and the timeline is the windows' over them. Such a view can be continued from where
it ended (see `continued`) and spread over a cluster (see `partition`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import ModuleType

import polars as pl

from pennant.features.errors import ClockViolation, FeaturesMismatch, UnknownColumns
from pennant.features.partition import windowed
from pennant.features.tables import Tables
from pennant.features.windows import Windows

CLOCKS = ("entity", "known_at", "event_time")


@dataclass(frozen=True)
class Known:
    """What is known at a moment: the newest version of every row, and nothing later.

    Attributes:
        tables: versions on two clocks.
        until: the moment; None knows nothing.
        reads: the groups that may be read, `source.group`; None allows all.
        since: what became known by then is left out; for views of windows that are continued.
    """

    tables: Tables
    until: datetime | None
    reads: tuple[str, ...] | None = None
    since: datetime | None = None

    def events(self, source: str, *groups: str) -> pl.DataFrame:
        """Return the rows of a source whose named groups are all known, in the order they became known.

        Columns: key, `event_time`, `known_at` (when the last of the groups was first known) and the
        groups' columns, in the newest version.

        Raises:
            ClockViolation: a group that the view does not declare to read.
            UnknownColumns: no such group.
        """
        key = self.tables.keys[source]
        shown: pl.DataFrame | None = None
        for group in groups:
            rows = self._newest(source, group)
            if shown is None:
                shown = rows
                continue
            shown = shown.join(rows.drop("event_time"), on=key, how="inner", suffix="_of_group")
            shown = shown.with_columns(pl.max_horizontal("known_at", "known_at_of_group").alias("known_at"))
            shown = shown.drop("known_at_of_group")
        if shown is None:
            allowed = [group for each, group in self.tables.frames if each == source]
            raise UnknownColumns(f"column groups of events({source!r})", ["none"], allowed)
        if self.since is not None:
            shown = shown.filter(pl.col("known_at") > self.since)
        if len(groups) == 1 and not self.tables.corrected(source, groups[0]):
            return shown  # in the tables' own order
        return shown.sort("known_at", "event_time", *key)

    def _newest(self, source: str, group: str) -> pl.DataFrame:
        """Return one row per key: the newest version, at its first version's known_at."""
        if self.reads is not None and f"{source}.{group}" not in self.reads:
            reason = f"the view reads {', '.join(self.reads)}; add it to `reads`"
            raise ClockViolation(source, group, reason)
        key = self.tables.keys[source]
        versions = self.tables.versions(source, group).drop("batch_as_of")
        known = versions.clear() if self.until is None else versions.filter(pl.col("known_at") <= self.until)
        if not self.tables.corrected(source, group):
            return known
        first = pl.col("known_at").first().over(key).alias("known_at")
        return known.with_columns(first).unique(subset=key, keep="last", maintain_order=True)


ViewFunction = Callable[[Known], pl.DataFrame | pl.LazyFrame]


@dataclass(frozen=True)
class FeatureView:
    """A declared view.

    Attributes:
        name: of its function.
        entity: what its rows are about, for people: `team`.
        reads: the groups that it reads, `source.group`; others are refused.
        fresh_hours: how old the newest value of an entity may be when it is looked up online.
        function: what makes the timeline; of a view of windows, the rows that they are over.
        windows: statistics over an entity's rows. Each row may follow only from values that became known
            at its `known_at`, or from keys: then a part of the rows is what a part of the past gives.
    """

    name: str
    entity: str
    reads: tuple[str, ...]
    fresh_hours: float
    function: ViewFunction
    windows: Windows | None = None

    def timeline(self, known: Known) -> pl.DataFrame:
        """The view's timeline over what is known; the rows of an entity in the order of knowing.

        Raises:
            FeaturesMismatch: the function gives no timeline, or one that knows something later.
            ClockViolation: it reads a group that it does not declare.
        """
        made = self.rows(known)
        if self.windows is None:
            return made
        return windowed(self.windows, made, known.tables.cluster_from_rows)

    def rows(self, known: Known) -> pl.DataFrame:
        """What the function gives over what is known; see `timeline` for what is raised."""
        made = self.function(replace(known, reads=self.reads)).lazy().collect()
        missing = [name for name in CLOCKS if name not in made.columns]
        if missing or len(made.columns) == len(CLOCKS):
            raise FeaturesMismatch(
                self.name, "view", "gave no timeline", made.columns, [*CLOCKS, "at least one value"]
            )
        endless = [
            name
            for name in self.values(made)
            if made.schema[name].is_float() and made[name].is_infinite().any()
        ]
        if endless:
            raise FeaturesMismatch(
                self.name, "view", "gave infinite values", endless, "finite numbers or null"
            )
        newest = made["known_at"].max()
        if known.until is not None and isinstance(newest, datetime) and newest > known.until:
            raise FeaturesMismatch(self.name, "view", "knows something later", newest, f"<= {known.until}")
        return made

    def values(self, timeline: pl.DataFrame) -> list[str]:
        """The value columns of a timeline of this view."""
        return [name for name in timeline.columns if name not in CLOCKS]


def feature_view(
    *, entity: str, reads: Sequence[str], fresh_hours: float, windows: Windows | None = None
) -> Callable[[ViewFunction], FeatureView]:
    """Declare a function as a view; see the module's example."""

    def declare(function: ViewFunction) -> FeatureView:
        name = getattr(function, "__name__", "view")
        return FeatureView(name, entity, tuple(reads), fresh_hours, function, windows)

    return declare


def timeline(rows: pl.DataFrame, **values: pl.DataFrame) -> pl.DataFrame:
    """One timeline of several: those of blocks, each with a `value`, under names.

    Args:
        rows: `entity`, `known_at`, `event_time`; where an entity learns several things at once, the last row.
        values: timelines over the same rows by the name of their value.
    """
    at = ["entity", "known_at"]
    made = rows.select(CLOCKS).unique(subset=at, keep="last", maintain_order=True)
    for name, each in values.items():
        named = each.select(*at, pl.col("value").alias(name))
        made = made.join(named, on=at, how="left", maintain_order="left", validate="1:1")
    # A row that a block passes over (a game without a score) leaves what was known before it.
    return made.with_columns(pl.col(list(values)).forward_fill().over("entity"))


def views_of(module: ModuleType) -> dict[str, FeatureView]:
    """The views of a `features.py`, in the order they are defined."""
    return {each.name: each for each in vars(module).values() if isinstance(each, FeatureView)}


def timelines(module: ModuleType, tables: Tables, as_of: datetime) -> dict[str, pl.DataFrame]:
    """Every view's timeline over what was known at `as_of`."""
    known = Known(tables, as_of)
    return {name: each.timeline(known) for name, each in views_of(module).items()}
