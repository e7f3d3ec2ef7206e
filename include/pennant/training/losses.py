"""Losses and the logit, on plain arrays."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1; the scorer in serving does the same."""


def log_losses(label: Floats, prediction: Floats) -> Floats:
    """Log loss of each row in nats, shape (n,), of predictions clipped to [1e-6, 1 - 1e-6]."""
    p = np.clip(prediction, CLIP, 1.0 - CLIP)
    return np.asarray(-(label * np.log(p) + (1.0 - label) * np.log1p(-p)), dtype=np.float64)


def log_loss(label: Floats, prediction: Floats) -> float:
    """Mean log loss in nats."""
    return float(log_losses(label, prediction).mean())


def brier(label: Floats, prediction: Floats) -> float:
    """Mean squared distance between label and probability."""
    return float(np.square(label - prediction).mean())


def auc(label: Floats, prediction: Floats) -> float:
    """Chance that a random 1 is ranked above a random 0, ties counted half (Mann-Whitney).

    NaN where only one class is present.
    """
    _, inverse, counts = np.unique(prediction, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2.0)[inverse]
    ones = float(label.sum())
    zeros = len(label) - ones
    if ones == 0 or zeros == 0:
        return float("nan")
    return float((ranks[label == 1].sum() - ones * (ones + 1) / 2.0) / (ones * zeros))


def expit(z: Floats) -> Floats:
    """1 / (1 + exp(-z)), without overflow."""
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, small) / (1.0 + small), dtype=np.float64)


def logit(p: Floats) -> Floats:
    """Log-odds of `p` clipped to [1e-6, 1 - 1e-6]."""
    inside = np.clip(p, CLIP, 1.0 - CLIP)
    return np.asarray(np.log(inside) - np.log1p(-inside), dtype=np.float64)
