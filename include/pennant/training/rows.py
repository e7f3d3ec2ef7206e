"""The training rows of a snapshot as arrays, checked; the fresh rows are dropped before anything looks."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.features.snapshot import load_snapshot, snapshot_manifest
from pennant.reference import Reference
from pennant.training import split
from pennant.training.errors import ColumnsMissing, InfiniteValues, LabelNotBinary, TooFewRows
from pennant.training.losses import Floats


@dataclass(frozen=True)
class TrainingRows:
    """Everything that training may see.

    Attributes:
        names: features, in the order of the declaration.
        x: shape (n, features), NaN where missing.
        y: labels 0.0 or 1.0, shape (n,).
        weight: recency weights, shape (n,), mean 1.
        folds: the walk forward.
        warnings: oddities of features that are allowed but worth knowing.
    """

    as_of: datetime
    names: tuple[str, ...]
    x: Floats
    y: Floats
    event_time: split.Moments
    label_known_at: split.Moments
    weight: Floats
    folds: list[split.Fold]
    warnings: list[dict[str, object]]

    @property
    def trained_from(self) -> datetime:
        """Oldest event trained on."""
        return _moment(self.event_time.min())

    @property
    def trained_until(self) -> datetime:
        """Newest `label_known_at` trained on."""
        return _moment(self.label_known_at.max())

    def fold_weight(self, fold: split.Fold, half_life_days: float) -> Floats:
        """Recency weights of a fold's training side, as of that fold."""
        return split.recency_weights(self.label_known_at[fold.train], half_life_days)


def read(use_case: UseCase, snapshot: Reference, lake: Lake) -> TrainingRows:
    """Load the training rows of `snapshot`.

    Raises:
        ColumnsMissing: a declared feature is not in the snapshot.
        TooFewRows: fewer rows than `training.min_rows`, or a fold too small.
        OneClass: one label only, in all rows or in a fold.
        LabelNotBinary: a label other than 0 and 1.
        InfiniteValues: an infinite feature.
    """
    as_of = snapshot_manifest(lake, snapshot).as_of.astimezone(UTC)
    return from_frame(use_case, load_snapshot(lake, snapshot), as_of)


def from_frame(use_case: UseCase, frame: pl.DataFrame, as_of: datetime) -> TrainingRows:
    """Build the training rows from a snapshot's frame; see `read`."""
    names = tuple(use_case.features)
    needed = ["event_time", "moment", "label_known_at", "label", *names]
    missing = [each for each in needed if each not in frame.columns]
    if missing:
        raise ColumnsMissing(missing, frame.columns)
    cutoff = split.training_cutoff(as_of, use_case.split)
    order = [each for each in ("event_time", "entity") if each in frame.columns]
    kept = frame.filter(pl.col("label_known_at") <= cutoff).sort(order)
    if kept.height < use_case.training.min_rows:
        raise TooFewRows("training rows", kept.height, use_case.training.min_rows)
    x = kept.select(pl.col(names).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    y = kept["label"].cast(pl.Float64).to_numpy()
    event_time, moment, known = (_moments(kept[each]) for each in ("event_time", "moment", "label_known_at"))
    folds = split.expanding_folds(event_time, moment, known, use_case.split)
    _check(names, x, y)
    split.require_both_classes(y, folds)
    weight = split.recency_weights(known, use_case.training.recency_half_life_days)
    warnings = _warnings(use_case, names, x)
    return TrainingRows(as_of, names, np.ascontiguousarray(x), y, event_time, known, weight, folds, warnings)


def _check(names: tuple[str, ...], x: Floats, y: Floats) -> None:
    odd = np.unique(y[~np.isin(y, (0.0, 1.0))])
    if len(odd):
        raise LabelNotBinary([float(each) for each in odd[:5]])
    for name, column in zip(names, x.T, strict=True):
        infinite = int(np.isinf(column).sum())
        if infinite:
            raise InfiniteValues(name, infinite)


def _warnings(use_case: UseCase, names: tuple[str, ...], x: Floats) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for name, column in zip(names, x.T, strict=True):
        declared = use_case.features[name]
        present = column[~np.isnan(column)]
        outside = int(((present < declared.low) | (present > declared.high)).sum())
        if not len(present):
            found.append({"feature": name, "what": "all_missing", "rows": len(column)})
        elif present.min() == present.max():
            found.append(
                {"feature": name, "what": "constant", "rows": len(present), "value": float(present[0])}
            )
        if outside:
            found.append({"feature": name, "what": "outside_declared_range", "rows": outside})
        if declared.missing == "refuse" and len(present) < len(column):
            found.append(
                {"feature": name, "what": "missing_though_refused", "rows": len(column) - len(present)}
            )
    return found


def _moments(column: pl.Series) -> split.Moments:
    return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("us")).to_numpy()


def _moment(value: np.datetime64) -> datetime:
    found: datetime = value.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)
