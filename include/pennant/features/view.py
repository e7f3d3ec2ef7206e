"""The view of a feature function: what was known when, and nothing else.

A view holds the requests of one *epoch*, a span in which no value was replaced by a correction. So it can
show one version of every value, the newest known in the epoch, and still no request reads a value before it
was known: rows that became known later than a request's moment are cut off by the as-of joins.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from pennant.features.errors import ClockViolation, UnknownColumns
from pennant.features.tables import Group, Tables
from pennant.features.views import FeatureView, Known

_ROW = "_row"
_AT = "_at"


@dataclass(frozen=True)
class View:
    """Requests and what they may know.

    Attributes:
        requests: one row per prediction: `entity`, `event_time`, `moment` (features may know what was
            known by then), `settled_at` (when the label can be known), and the spine's columns as they
            were known at the moment.
        tables: every version known at the end of the build.
        label: column group of the label, which no request may read of its own row.
        settles: True in `baselines`, which may read closing values of the request's own row.
    """

    requests: pl.DataFrame
    tables: Tables
    label: Group
    settles: bool = False
    _timelines: dict[str, pl.DataFrame] = field(default_factory=dict, compare=False, repr=False)

    def events(self, source: str, *groups: str) -> pl.DataFrame:
        """Return the rows of a source whose named groups are all known; see `Known.events`.

        The rows reach up to the newest moment of the requests: whatever is made of them has to go through
        `asof` or `join`.
        """
        return self.known.events(source, *groups)

    @property
    def known(self) -> Known:
        """What is known at the newest moment of the requests."""
        last = self.requests["moment"].max()
        return Known(self.tables, last if isinstance(last, datetime) else None)

    def join(
        self,
        entity: str | pl.Expr,
        declared: FeatureView,
        *values: str,
        within: timedelta | None = None,
    ) -> pl.DataFrame:
        """Join to each request the values of a declared view as known at its moment.

        Args:
            entity: request column, or an expression over the requests, that names the view's entity.
            declared: a function of `features.py` under `feature_view`.
            values: columns to give; default all of the view's values.
            within: what became known longer than that before the moment counts as not known.

        Returns:
            The values in the order of the requests; null where nothing was known.
        """
        if declared.name not in self._timelines:
            self._timelines[declared.name] = declared.timeline(self.known)
        timeline = self._timelines[declared.name]
        return self.asof(entity, timeline, *(values or declared.values(timeline)), within=within)

    def own(self, source: str, group: str, *columns: str) -> pl.DataFrame:
        """Return values of the requests' own rows as known at their moments, else null; in request order."""
        return self._lookup(source, group, columns, "moment")

    def settled(self, source: str, group: str, *columns: str) -> pl.DataFrame:
        """Return values of the requests' own rows as known when they settle, else null; in request order.

        For baselines only: the closing line, which nobody has when the prediction is made.

        Raises:
            ClockViolation: in features(), or for the group that holds the label.
        """
        if not self.settles:
            reason = "features() may not read what becomes known after the moment; only baselines() may"
            raise ClockViolation(source, group, reason)
        if (source, group) == self.label:
            reason = "this group holds the label; a baseline that reads its own outcome is no forecast"
            raise ClockViolation(source, group, reason)
        return self._lookup(source, group, columns, "settled_at")

    def asof(
        self,
        entity: str | pl.Expr,
        timeline: pl.DataFrame,
        *values: str,
        within: timedelta | None = None,
    ) -> pl.DataFrame:
        """Join to each request the last row of its entity's timeline known at its moment.

        Args:
            entity: request column, or an expression over the requests, that names the entity.
            timeline: columns `entity`, `known_at` and the values; at equal `known_at` the last row wins.
            values: columns to give; default `value`.
            within: what became known longer than that before the moment counts as not known.

        Returns:
            The values in the order of the requests; null where nothing was known.
        """
        wanted = list(values) or ["value"]
        who = pl.col(entity) if isinstance(entity, str) else entity
        kind = timeline.schema["entity"]
        asked = self.requests.select(who.cast(kind).alias("entity"), "moment").with_row_index(_ROW)
        # Only row numbers go through the join: a view may have a hundred columns.
        places = timeline.select("entity", "known_at", pl.int_range(pl.len(), dtype=pl.UInt32).alias(_AT))
        known = places.sort("known_at", maintain_order=True)
        at = _backward(asked, known, "moment", ["entity"], [_AT], within)[_AT]
        return timeline.select(pl.col(wanted).gather(at))

    def _lookup(self, source: str, group: str, columns: tuple[str, ...], moment: str) -> pl.DataFrame:
        key = self.tables.keys[source]
        versions = self.tables.versions(source, group)
        missing = [each for each in (*key, *columns) if each not in versions.columns]
        absent = [each for each in key if each not in self.requests.columns]
        if missing or absent:
            allowed = [each for each in versions.columns if each in self.requests.columns or not absent]
            raise UnknownColumns(f"columns of {source}.{group} for the requests", missing + absent, allowed)
        asked = self.requests.select(*key, moment).with_row_index(_ROW)
        return _backward(asked, versions.select(*key, "known_at", *columns), moment, key, list(columns))


def epochs(requests: pl.DataFrame, corrections: list[datetime]) -> list[pl.DataFrame]:
    """Split requests so that within each part no correction falls between two moments."""
    if requests.is_empty() or not corrections:
        return [requests]
    cuts = pl.Series("cut", corrections, dtype=requests.schema["moment"])
    epoch = cuts.search_sorted(requests["moment"], side="right").alias("_epoch")
    parts = requests.with_columns(epoch).partition_by("_epoch", maintain_order=True, include_key=False)
    return list(parts)


def _backward(
    asked: pl.DataFrame,
    known: pl.DataFrame,
    moment: str,
    by: list[str],
    values: list[str],
    within: timedelta | None = None,
) -> pl.DataFrame:
    joined = asked.sort(moment, maintain_order=True).join_asof(
        known,
        left_on=moment,
        right_on="known_at",
        by=by,
        strategy="backward",
        tolerance=within,
        check_sortedness=False,  # sorted just above; polars cannot check it by group
    )
    return joined.sort(_ROW).select(values)
