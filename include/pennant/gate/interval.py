"""What a verdict compares a loss with: the best constant's loss, and the area under the ROC curve."""

from typing import Literal

import numpy as np

from pennant.gate.tables import Floats, ScoreTable
from pennant.training.losses import auc
from pennant.training.metrics import by_row

Metric = Literal["log_loss", "brier", "rps", "crps", "squared_error", "absolute_error", "ade", "fde"]


def base_rate_loss(metric: Metric, table: ScoreTable) -> float | None:
    """Loss of the best constant forecast on these very rows, or nearly so: nobody had it before.

    Probabilities: the shares of the outcomes; a number: the mean, or for its absolute error the median.
    None for paths: no constant says where somebody walks; what they are held against are the baselines.
    """
    problem, y = table.problem, table.label
    if problem.task == "trajectory" or not len(y):
        return None
    if problem.task == "binary":
        constant = np.full(len(y), y.mean())
    elif problem.task == "regression":
        constant = np.full(len(y), np.median(y) if metric == "absolute_error" else y.mean())
    else:
        counts = np.bincount(np.minimum(y, problem.outcomes - 1).astype(np.int64), minlength=problem.outcomes)
        constant = np.repeat((counts / len(y))[None], len(y), axis=0)
    return float(by_row(metric, problem, y, constant).mean())


def area_under_curve(label: Floats, prediction: Floats) -> float | None:
    """Area under the ROC curve, ties counted half; None when only one label occurs."""
    found = auc(label, prediction)
    return None if np.isnan(found) else found
