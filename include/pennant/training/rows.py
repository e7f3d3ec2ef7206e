"""The training rows of a snapshot as arrays, checked; the fresh rows are dropped before anything looks."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pennant.data.lake import Lake
from pennant.declaration.model import TrainedUseCase
from pennant.declaration.parameters import COLUMNS
from pennant.features.snapshot import load_snapshot, snapshot_manifest
from pennant.reference import Reference
from pennant.training import cluster as machines
from pennant.training import split
from pennant.training.clustered import Clusters
from pennant.training.errors import (
    ColumnsMissing,
    DuplicateRows,
    GroupUnknown,
    InfiniteValues,
    LabelBeforeEvent,
    PlaceUnknown,
    TooFewRows,
)
from pennant.training.fresh import trainable
from pennant.training.losses import Floats
from pennant.training.members.paths import HERE
from pennant.training.problem import Problem, problem_of, require_variety


@dataclass(frozen=True)
class TrainingRows:
    """Everything that training may see.

    Attributes:
        names: features, in the order of the declaration.
        x: shape (n, features), NaN where missing.
        y: labels; see `problem` for their shape.
        weight: recency weights, shape (n,), mean 1.
        folds: the walk forward.
        warnings: oddities of features that are allowed but worth knowing.
        cluster: which rows count together in intervals, shape (n,); None: those of one UTC day.
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
    problem: Problem
    cluster: NDArray[np.str_] | None = None

    @property
    def clusters(self) -> Clusters:
        """What each row counts together with, shape (n,)."""
        return self.event_time.astype("datetime64[D]") if self.cluster is None else self.cluster

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


def read(use_case: TrainedUseCase, snapshot: Reference, lake: Lake) -> TrainingRows:
    """Load the training rows of `snapshot`.

    Raises:
        ColumnsMissing: a declared feature is not in the snapshot.
        TooFewRows: fewer rows than `training.min_rows`, or a fold too small.
        OneClass: one label only, or a class without a row, in all rows or in a fold.
        LabelNotBinary, LabelNotAllowed: a label that the task does not know.
        InfiniteValues: an infinite feature.
        PlaceUnknown: of a path, a row without a walker's position.
        GroupUnknown: folds are groups, and a row is in none.
        DuplicateRows: an entity has two rows for one event.
        LabelBeforeEvent: a label is known before its event.
        TooLittleWeight: the recency weights leave too few rows.
    """
    as_of = snapshot_manifest(lake, snapshot).as_of.astimezone(UTC)
    return from_frame(use_case, load_snapshot(lake, snapshot), as_of)


def from_frame(use_case: TrainedUseCase, frame: pl.DataFrame, as_of: datetime) -> TrainingRows:
    """Build the training rows from a snapshot's frame; see `read`."""
    names = tuple(use_case.features)
    needed = ["event_time", "moment", "label_known_at", "label", *names]
    needed += ["group"] if use_case.split.groups else []
    present = set(frame.columns)
    missing = [each for each in needed if each not in present]
    if missing:
        raise ColumnsMissing(missing, frame.columns)
    _check_moments(frame)
    order = [each for each in ("event_time", "entity") if each in frame.columns]
    kept = trainable(frame, use_case.split, as_of).sort(order)
    if kept.height < use_case.training.min_rows:
        raise TooFewRows("training rows", kept.height, use_case.training.min_rows)
    x = kept.select(pl.col(names).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    y = labels_of(kept["label"])
    problem = problem_of(use_case, y)
    event_time, moment, known = (_moments(kept[each]) for each in ("event_time", "moment", "label_known_at"))
    if use_case.split.groups is None:
        folds = split.expanding_folds(event_time, moment, known, use_case.split)
    else:
        if unknown := kept["group"].null_count():
            raise GroupUnknown(use_case.split.groups, unknown)
        each = use_case.split.groups == "entity" and problem.task in {"binary", "multiclass"}
        folds = split.grouped_folds(kept["group"].to_numpy(), y if each else None, use_case.split)
    _check(names, x)
    if problem.task == "trajectory" and any(
        each.kind not in COLUMNS for each in use_case.training.members.values()
    ):
        _check_places(names, x)
    require_variety(problem, y, "training rows")
    for fold in folds:
        require_variety(problem, y[fold.train], f"fold {fold.number}, training")
    half_life = use_case.training.recency_half_life_days
    weight = split.recency_weights(known, half_life)
    split.require_weight(weight, half_life, "training rows")
    for fold in folds:
        recent = split.recency_weights(known[fold.train], half_life)
        split.require_weight(recent, half_life, f"fold {fold.number}, training")
    warnings = _warnings(use_case, names, x) + machines.warnings(use_case.training.cluster, len(y))
    x = np.ascontiguousarray(x)
    cluster = _clusters(use_case, kept)
    return TrainingRows(as_of, names, x, y, event_time, known, weight, folds, warnings, problem, cluster)


def labels_of(column: pl.Series) -> Floats:
    """Labels as numbers, shape (n,); of paths (n, 2 steps)."""
    if column.dtype == pl.List:
        return np.ascontiguousarray(
            np.vstack([np.asarray(each) for each in column.to_list()]), dtype=np.float64
        )
    return column.cast(pl.Float64).to_numpy()


def _clusters(use_case: TrainedUseCase, kept: pl.DataFrame) -> NDArray[np.str_] | None:
    """As declared; where folds are of entities time says nothing, and rows of one entity count together."""
    name = "group" if use_case.split.groups == "entity" else None
    name = "cluster" if "cluster" in kept.columns else name
    return None if name is None else np.array(kept[name].to_list(), dtype=np.str_)


def _check_moments(frame: pl.DataFrame) -> None:
    """Refuse what no snapshot can hold, by the clocks alone: fresh rows' values are not looked at."""
    entity = pl.col("entity").cast(pl.String) if "entity" in frame.columns else pl.lit("a row")
    told = frame.select(entity.alias("entity"), "event_time", "label_known_at")
    early = told.filter(pl.col("label_known_at") < pl.col("event_time")).sort("event_time", "entity")
    if early.height:
        first = early.row(0, named=True)
        moments = (str(first[each]) for each in ("event_time", "label_known_at"))
        raise LabelBeforeEvent(early.height, first["entity"], *moments)
    if "entity" in frame.columns:
        keys = told.select("entity", "event_time")
        twice = keys.filter(keys.is_duplicated()).unique().sort("event_time", "entity")
        if twice.height:
            examples = [(name, str(moment)) for name, moment in twice.head(3).iter_rows()]
            raise DuplicateRows(keys.height - keys.n_unique(), examples)


def _check(names: tuple[str, ...], x: Floats) -> None:
    for name, column in zip(names, x.T, strict=True):
        infinite = int(np.isinf(column).sum())
        if infinite:
            raise InfiniteValues(name, infinite)


def _check_places(names: tuple[str, ...], x: Floats) -> None:
    for name in HERE:
        unknown = int(np.isnan(x[:, names.index(name)]).sum()) if name in names else 0
        if unknown:
            raise PlaceUnknown(name, unknown)


def _warnings(use_case: TrainedUseCase, names: tuple[str, ...], x: Floats) -> list[dict[str, object]]:
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
