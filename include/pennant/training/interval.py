"""Which interval a use case's predictions get, and how far a label out of fold was from each.

Binary and multiclass predictions are probabilities: their interval is about the probability
(`pennant.training.spread`), and no label says whether it lies inside. The others' holds the label
(`pennant.training.conformal`).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pennant.declaration.model import TrainedUseCase
from pennant.declaration.parameters import INTERVALS
from pennant.training import conformal
from pennant.training.crossfit import OutOfFold, member_seed, recency
from pennant.training.losses import Floats, Indices
from pennant.training.rows import TrainingRows


class Interval(Protocol):
    """A fitted interval."""

    @property
    def coverage(self) -> float:
        """The share of rows that it is to hold."""

    def to_json(self) -> dict[str, object]:
        """The `intervals` of bundle.json."""

    def files(self) -> dict[str, bytes]:
        """Files of the bundle that it needs, by their path."""

    def described(self) -> dict[str, float]:
        """Numbers for the metrics of bundle.json."""


@dataclass(frozen=True)
class Scored:
    """Rows out of fold, and how far an interval would have to reach to hold the label of each.

    Attributes:
        scores: shape (n, 1), or (n, steps) of paths; see `conformal`.
        index: the rows, in the training rows, shape (n,).
        part: the fold of each, 0 for the first, shape (n,).
    """

    scores: Floats
    index: Indices
    part: Indices


def method_of(use_case: TrainedUseCase) -> str:
    """The declared interval, or the first of the task."""
    return use_case.training.interval or INTERVALS[use_case.task][0]


def score(use_case: TrainedUseCase, rows: TrainingRows, oof: OutOfFold, prediction: Floats) -> Scored:
    """Scores of the rows out of fold, by models that had not seen them.

    Args:
        use_case: declares the interval; one that holds labels.
        rows: the training rows.
        oof: which rows were predicted.
        prediction: of these rows, by the whole ensemble.
    """
    training, method = use_case.training, method_of(use_case)
    part = np.concatenate([np.full(len(fold.validate), at) for at, fold in enumerate(rows.folds)])
    if method == "split_conformal":
        scores = conformal.distances(rows.problem, oof.label, prediction)
    elif rows.problem.task == "count":
        ends = conformal.count_quantiles(prediction, training.interval_coverage)
        scores = conformal.outside(oof.label, *ends)
    else:
        found = []
        for fold in rows.folds:
            weight = rows.fold_weight(fold, training.recency_half_life_days)
            booster = _quantile_trees(use_case, rows.x[fold.train], rows.y[fold.train], weight)
            ends = conformal.quantiles(booster, rows.x[fold.validate])
            found.append(conformal.outside(rows.y[fold.validate], *ends))
        scores = np.concatenate(found)
    return Scored(scores, oof.index, part.astype(np.int64))


def fit_conformal(use_case: TrainedUseCase, rows: TrainingRows, oof: OutOfFold, scored: Scored) -> Interval:
    """The interval that reaches as far as these scores ask.

    Raises:
        TooFewRows: fewer rows out of fold than the declared coverage needs.
    """
    coverage, weight = use_case.training.interval_coverage, recency(use_case, rows, oof)
    far = tuple(conformal.reach(each, weight, coverage) for each in scored.scores.T)
    if method_of(use_case) == "split_conformal":
        return conformal.SplitConformal(coverage, far)
    if rows.problem.task == "count":
        return conformal.ConformalisedQuantiles(coverage, far[0])
    booster = _quantile_trees(use_case, rows.x, rows.y, rows.weight)
    return conformal.ConformalisedQuantiles(coverage, far[0], booster)


def _quantile_trees(use_case: TrainedUseCase, x: Floats, y: Floats, weight: Floats) -> object:
    coverage, seed = use_case.training.interval_coverage, member_seed(use_case, "interval")
    return conformal.fit_quantiles(x, y, weight, coverage, seed)
