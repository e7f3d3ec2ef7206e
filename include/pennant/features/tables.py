"""All versions of all column groups that were known at a moment: what views are cut from."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from pennant.data import validated
from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase
from pennant.features.errors import UnknownColumns

Group = tuple[str, str]


@dataclass(frozen=True)
class Tables:
    """Versions by (source, group).

    Each frame has the key columns of its source, `event_time`, `known_at` (UTC, microseconds),
    `batch_as_of` and the group's columns; one row per version of a value. From `cluster_from_rows` rows on, a
    named cluster builds the views of windows.
    """

    frames: Mapping[Group, pl.DataFrame]
    keys: Mapping[str, list[str]]
    cluster_from_rows: int = 5_000_000
    _corrected: dict[Group, bool] = field(default_factory=dict, compare=False, repr=False)
    _marks: dict[Group, pl.Series] = field(default_factory=dict, compare=False, repr=False)
    _hashes: dict[tuple[Group, datetime], str] = field(default_factory=dict, compare=False, repr=False)

    def versions(self, source: str, group: str) -> pl.DataFrame:
        """Return the versions of one column group, in the order of `known_at`.

        Raises:
            UnknownColumns: the use case declares no such group.
        """
        if (source, group) not in self.frames:
            allowed = [f"{each}.{name}" for each, name in self.frames]
            raise UnknownColumns("column group", [f"{source}.{group}"], allowed)
        return self.frames[source, group]

    def corrected(self, source: str, group: str) -> bool:
        """Whether any row of a group has more than one version."""
        if (source, group) not in self._corrected:
            frame = self.versions(source, group)
            self._corrected[source, group] = frame.select(self.keys[source]).is_duplicated().any()
        return self._corrected[source, group]

    def hash_at(self, group: Group, until: datetime) -> str:
        """SHA-256 of what was known at `until` of a group, in its order; which batch told it does not count.

        It depends on the release of Polars, which makes one mark of each row.
        """
        if (group, until) not in self._hashes:
            frame = self.versions(*group)
            if group not in self._marks:
                self._marks[group] = frame.drop("batch_as_of").hash_rows(seed=1)
            marks = self._marks[group].filter(frame["known_at"] <= until).to_numpy()
            named = {name: str(kind) for name, kind in frame.schema.items()}
            content = json.dumps(named).encode() + marks.tobytes()
            self._hashes[group, until] = hashlib.sha256(content).hexdigest()
        return self._hashes[group, until]

    def correction_moments(self, groups: Collection[Group] | None = None) -> list[datetime]:
        """Return when a value (of some groups) was replaced: `known_at` of second and later versions."""
        moments: set[datetime] = set()
        for source, group in self.frames if groups is None else groups:
            frame = self.versions(source, group)
            if not self.corrected(source, group):
                continue
            later = frame.filter(pl.col("known_at") > pl.col("known_at").min().over(self.keys[source]))
            moments.update(later["known_at"].unique())
        return sorted(moments)


def load_tables(use_case: DataUseCase, lake: Lake, as_of: datetime) -> Tables:
    """Read every declared column group as it was known at `as_of`."""
    frames: dict[Group, pl.DataFrame] = {}
    for source, declared in use_case.sources.items():
        for group in declared.groups:
            known = validated.versions(use_case, source, group, lake, as_of)
            frames[source, group] = in_order(known.drop("provider"), declared.key)
    return Tables(
        frames,
        {source: declared.key for source, declared in use_case.sources.items()},
        use_case.cluster_from_rows,
    )


def in_order(versions: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Sort versions by known_at, then event_time, then key: the order that every feature works in."""
    return versions.sort("known_at", "event_time", *key, maintain_order=True)
