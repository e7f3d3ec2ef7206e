"""Whole distributions of a count from what a model says of it; the last column holds the rest."""

import numpy as np
from scipy.stats import poisson as _poisson

from pennant.training.losses import Floats

SMALLEST_MEAN = 1e-6


def poisson(mean: Floats, most: int) -> Floats:
    """Poisson probabilities of 0 to most - 1, and of most and more: shape (n, most + 1)."""
    rate = np.maximum(mean, SMALLEST_MEAN)[:, None]
    below = _poisson.pmf(np.arange(most), rate)
    rest = np.clip(1.0 - below.sum(axis=1, keepdims=True), 0.0, 1.0)
    return np.asarray(np.hstack([below, rest]), dtype=np.float64)
