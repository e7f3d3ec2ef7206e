"""Which rows represent the training set: the reference that drift is measured against, and golden rows."""

import numpy as np

from pennant.declaration.model import TrainedUseCase
from pennant.training.losses import Floats, Indices
from pennant.training.problem import Problem
from pennant.training.rows import TrainingRows

REFERENCE_ROWS = 2000
GOLDEN_ROWS = 20


def reference_index(rows: TrainingRows, seed: int) -> Indices:
    """Up to 2000 training rows, drawn without replacement by recency weight, in order of time.

    The model saw recent rows more, and so does the reference; it never holds more rows than the weights
    are worth (Kish's effective size). Sampling by exponential keys: Efraimidis and Spirakis 2006.
    """
    worth = rows.weight.sum() ** 2 / np.square(rows.weight).sum()
    size = min(REFERENCE_ROWS, max(GOLDEN_ROWS, int(worth)), len(rows.y))
    keys = np.random.default_rng(seed).exponential(size=len(rows.y)) / np.maximum(rows.weight, 1e-300)
    return np.sort(np.argsort(keys, kind="stable")[:size]).astype(np.int64)


def ordering(problem: Problem, prediction: Floats) -> Floats:
    """One number per prediction, shape (n,), to line rows up by.

    A probability or number itself; of classes the first one's, of a count the mean, of a path its length.
    """
    if problem.task == "multiclass":
        return prediction[:, 0]
    if problem.task == "count":
        return np.asarray(prediction @ np.arange(prediction.shape[1]), dtype=np.float64)
    if problem.task == "trajectory":
        steps = np.diff(prediction.reshape(len(prediction), -1, 2), axis=1)
        return np.asarray(np.hypot(steps[..., 0], steps[..., 1]).sum(axis=1), dtype=np.float64)
    return prediction


def golden_rows(use_case: TrainedUseCase, x: Floats, order: Floats) -> Floats:
    """20 rows of features, from the least to the greatest prediction; one lacks all that may be missing.

    Only rows that serving would accept are taken, as long as there are enough of them.

    Args:
        use_case: declares what serving accepts.
        x: shape (n, features), n at least 20.
        order: what predictions are lined up by, shape (n,).
    """
    inputs = list(use_case.features.values())
    low = np.array([each.low for each in inputs])
    high = np.array([each.high for each in inputs])
    may_miss = np.array([each.missing == "allow" for each in inputs])
    fine = np.where(np.isnan(x), may_miss, (x >= low) & (x <= high)).all(axis=1)
    index = np.flatnonzero(fine) if fine.sum() >= GOLDEN_ROWS else np.arange(len(x))
    ranked = index[np.argsort(order[index], kind="stable")]
    chosen = x[ranked[np.linspace(0, len(ranked) - 1, GOLDEN_ROWS).astype(np.int64)]].copy()
    chosen[GOLDEN_ROWS // 2, may_miss] = np.nan
    return np.asarray(chosen, dtype=np.float64)
