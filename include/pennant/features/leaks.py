"""Finding features that read the future, by changing it.

Whatever becomes known after a moment is changed at random, and so are the requests that come later; then all
features are built again. A feature of an earlier request that moves has read a value before it was known.
Baselines are held to the same law for outcomes; closing values they may know up to when the game settles.
What this does *not* find: a leak through a value that happens to make no difference to the feature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Leak:
    """A feature that changed when only the future of its request did.

    Attributes:
        feature: the column; baselines carry the prefix `baseline__`.
        entity: the request.
        moment: when the request was made.
        before: the value with the true future.
        after: the value with another future.
    """

    feature: str
    entity: str
    moment: datetime
    before: float | None
    after: float | None


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
    features, baselines = list(use_case.features), [BASELINE + name for name in baseline_columns(use_case)]
    settling = timedelta(hours=use_case.spine.lead_hours + use_case.label.delay_hours)
    label = (use_case.label.source, use_case.label.group)
    # Who asks and when stays; the other columns of later requests are as unknown as the tables are.
    kept = ["entity", "event_time", "moment", "settled_at", *tables.keys[use_case.spine.source]]
    found: dict[str, list[Leak]] = {name: [] for name in (*features, *baselines)}
    for number, moment in enumerate(chosen):
        for columns, closing in ((features, timedelta(0)), (baselines, settling)):
            stream = np.random.default_rng([seed, number])
            # A baseline may know closing values of its game, but of outcomes only what a feature may.
            since = {group: moment if group == label else moment + closing for group in tables.frames}
            changed = feature_rows(
                use_case,
                module,
                with_other_future(tables, since, stream),
                _changed(requests, pl.col("moment") > moment, kept, stream),
            )
            both = truth.filter(pl.col("moment") <= moment).join(changed, on="entity", suffix="_after")
            for name in columns:
                found[name] += _moved(both, name)
    return [leak for name in found for leak in _first(found[name])]


def with_other_future(tables: Tables, since: Mapping[Group, datetime], stream: np.random.Generator) -> Tables:
    """Return the tables with every value changed that became known after its group's moment in `since`.

    Clocks and keys stay.
    """
    frames = {}
    for (source, group), frame in tables.frames.items():
        kept = [*tables.keys[source], *CLOCKS]
        frames[source, group] = _changed(frame, pl.col("known_at") > since[source, group], kept, stream)
    return Tables(frames, tables.keys)


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
