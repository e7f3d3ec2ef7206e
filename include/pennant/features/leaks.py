"""Finding features that read the future, by changing it.

Whatever becomes known after a moment is changed at random, and so are the requests that come later; then all
features are built again. A feature of an earlier request that moves has read a value before it was known.
Baselines are held to the same law for outcomes; closing values they may know up to when the game settles.
What this does *not* find: a leak through a value that happens to make no difference to the feature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import ModuleType

import numpy as np
import polars as pl

from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase
from pennant.features.build import BASELINE, baseline_columns, feature_rows, requests_of
from pennant.features.module import features_module
from pennant.features.tables import Group, Tables, load_tables
from pennant.settings import Settings

EXAMPLES = 5
"""Leaks reported per feature; one is enough to go and look."""
CLOCKS = ["event_time", "known_at", "batch_as_of"]
TOLERANCE = 1e-9
TRIES = 3
TOGETHER = "several together"


@dataclass(frozen=True)
class Leak:
    """A feature that changed when only the future of its request did.

    Attributes:
        feature: the column; baselines carry the prefix `baseline__`.
        entity: the request.
        moment: when the request was made.
        before: the value with the true future.
        after: the value with another future.
        origin: the column whose future it read, `source.group.column`, as far as one alone moves it; else
            `source.group`, or `several together`.
    """

    feature: str
    entity: str
    moment: datetime
    before: float | None
    after: float | None
    origin: str = TOGETHER


def leaks(
    use_case: DataUseCase, lake: Lake, settings: Settings, as_of: datetime, moments: int = 20
) -> list[Leak]:
    """Look for leaks in a use case's features over everything known at `as_of`.

    Args:
        use_case: its `features.py` is what is examined.
        lake: the validated batches.
        settings: where the use cases lie.
        as_of: the end of knowledge.
        moments: after how many moments, spread evenly over the requests, the future is changed.

    Returns:
        What was found, at most `EXAMPLES` per feature, earliest first; empty if nothing was.
    """
    tables = load_tables(use_case, lake, as_of)
    first = tables.versions(use_case.spine.source, use_case.spine.group)["event_time"].min()
    if not isinstance(first, datetime):
        return []
    requests = requests_of(use_case, tables, first - timedelta(days=1), as_of, as_of)
    module = features_module(settings.use_cases / use_case.name)
    return leaks_of(use_case, module, tables, requests, moments)


def leaks_of(
    use_case: DataUseCase,
    module: ModuleType,
    tables: Tables,
    requests: pl.DataFrame,
    moments: int,
    seed: int = 0,
) -> list[Leak]:
    """Look for leaks with given tables and requests; see `leaks`."""
    if requests.is_empty():
        return []
    truth = feature_rows(use_case, module, tables, requests)
    asked = requests["moment"].unique().sort()
    chosen = asked.gather(np.unique(np.linspace(0, len(asked) - 1, moments + 2).astype(np.int64)[1:-1]))
    trial = _Trial(use_case, module, tables, requests, truth)
    found: dict[str, list[Leak]] = {name: [] for name in (*trial.features, *trial.baselines)}
    for number, moment in enumerate(chosen):
        for columns, closing in ((trial.features, timedelta(0)), (trial.baselines, trial.settling)):
            for leak in trial.moved(columns, moment, closing, [seed, number]):
                found[leak.feature].append(leak)
    first = [leak for name in found for leak in _first(found[name])]
    earliest = {leak.feature: leak for leak in reversed(first)}
    origins = trial.origins(list(earliest.values()), [seed, len(chosen)])
    return [replace(leak, origin=origins.get(leak.feature, TOGETHER)) for leak in first]


@dataclass(frozen=True)
class _Trial:
    """One use case whose future is changed again and again."""

    use_case: DataUseCase
    module: ModuleType
    tables: Tables
    requests: pl.DataFrame
    truth: pl.DataFrame

    @property
    def features(self) -> list[str]:
        return list(self.use_case.features)

    @property
    def baselines(self) -> list[str]:
        return [BASELINE + name for name in baseline_columns(self.use_case)]

    @property
    def settling(self) -> timedelta:
        return timedelta(hours=self.use_case.spine.lead_hours + self.use_case.label.delay_hours)

    @property
    def label(self) -> Group:
        return (self.use_case.label.source, self.use_case.label.group)

    def moved(
        self,
        columns: list[str],
        moment: datetime,
        closing: timedelta,
        seed: list[int],
        only: tuple[Group, str | None] | None = None,
    ) -> list[Leak]:
        """Columns of requests up to `moment` that move when what is known later is another.

        A baseline may know closing values of its game (until `moment` + `closing`), but of outcomes only what
        a feature may. With `only`, just this group, or this column of it, is changed.
        """
        stream = np.random.default_rng(seed)
        since = {group: moment if group == self.label else moment + closing for group in self.tables.frames}
        requests = self.requests
        if only is None:
            # Who asks and when stays; the other columns of later requests are as unknown as the tables are.
            kept = ["entity", "event_time", "moment", "settled_at"]
            kept += self.tables.keys[self.use_case.spine.source]
            requests = _changed(requests, pl.col("moment") > moment, kept, stream)
        else:
            since = {only[0]: since[only[0]]}
        other = with_other_future(self.tables, since, stream, only[1] if only else None)
        changed = feature_rows(self.use_case, self.module, other, requests)
        both = self.truth.filter(pl.col("moment") <= moment).join(changed, on="entity", suffix="_after")
        return [leak for name in columns for leak in _moved(both, name)]

    def origins(self, found: list[Leak], seed: list[int]) -> dict[str, str]:
        """By leaking feature, the column whose future alone moves it, or else the group."""
        origins: dict[str, str] = {}
        for moment in sorted({leak.moment for leak in found}):
            names = [leak.feature for leak in found if leak.moment == moment]
            for group in self.tables.frames:
                by_group = self._moving(names, moment, (group, None), seed)
                for name in by_group:
                    origins.setdefault(name, ".".join(group))
                waiting = [name for name in by_group if origins[name] == ".".join(group)]
                for column in self.tables.frames[group].columns if waiting else []:
                    if column not in self.kept(group):
                        for name in self._moving(waiting, moment, (group, column), seed):
                            origins[name] = ".".join([*group, column])
                            waiting.remove(name)
        return origins

    def _moving(
        self, names: list[str], moment: datetime, only: tuple[Group, str | None], seed: list[int]
    ) -> list[str]:
        """Which features move when one group, or one column of it, is another after the moment."""
        if not names:
            return []
        moving: set[str] = set()
        # A change at random may leave a flag or a text as it was: some tries tell.
        for tries in range(TRIES):
            for baseline, closing in ((False, timedelta(0)), (True, self.settling)):
                asked = [name for name in names if name.startswith(BASELINE) == baseline]
                asked = [name for name in asked if name not in moving]
                if asked:
                    moved = self.moved(asked, moment, closing, [*seed, tries], only)
                    moving |= {leak.feature for leak in moved}
        return [name for name in names if name in moving]

    def kept(self, group: Group) -> list[str]:
        return [*self.tables.keys[group[0]], *CLOCKS]


def with_other_future(
    tables: Tables,
    since: Mapping[Group, datetime],
    stream: np.random.Generator,
    column: str | None = None,
) -> Tables:
    """Return the tables with every value changed that became known after its group's moment in `since`.

    Clocks, keys and groups that `since` does not name stay. With `column`, only that one is changed.
    """
    frames = dict(tables.frames)
    for group, moment in since.items():
        frame = tables.frames[group]
        kept = [*tables.keys[group[0]], *CLOCKS]
        if column is not None:
            kept = [name for name in frame.columns if name != column]
        frames[group] = _changed(frame, pl.col("known_at") > moment, kept, stream)
    return Tables(frames, tables.keys, tables.cluster_from_rows)


def _changed(
    frame: pl.DataFrame, later: pl.Expr, kept: list[str], stream: np.random.Generator
) -> pl.DataFrame:
    names = [name for name in frame.columns if name not in kept]
    return frame.with_columns(
        pl.when(later).then(_other(frame[name], stream)).otherwise(pl.col(name)).alias(name) for name in names
    )


def _other(column: pl.Series, stream: np.random.Generator) -> pl.Series:
    """Other values of the same type: numbers moved, flags turned, texts and moments dealt anew."""
    if column.dtype.is_numeric():
        moved = pl.Series(stream.integers(1, 9, len(column)))
        return (column.fill_null(0) + moved).cast(column.dtype)
    if column.dtype == pl.Boolean:
        return ~column.fill_null(value=False)
    return column.gather(stream.permutation(len(column)))


def _moved(rows: pl.DataFrame, name: str) -> list[Leak]:
    before, after = pl.col(name), pl.col(f"{name}_after")
    apart = (before - after).abs() > TOLERANCE * (1.0 + before.abs())
    differs = before.is_null() != after.is_null()
    moved = rows.filter(differs | apart.fill_null(value=False)).head(EXAMPLES)
    return [Leak(name, *row) for row in moved.select("entity", "moment", name, after).iter_rows()]


def _first(found: list[Leak]) -> list[Leak]:
    by_entity = {leak.entity: leak for leak in reversed(found)}
    return sorted(by_entity.values(), key=lambda leak: (leak.moment, leak.entity))[:EXAMPLES]
