"""Plain functions on arrays that the members, the combination and the intervals share.

No function here lets one row touch another: a row alone gives the bits that it gives inside a batch.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1 before a logit is taken."""


def sigmoid(z: Floats) -> Floats:
    """Logistic function without overflow."""
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0 / (1.0 + small), small / (1.0 + small)), dtype=np.float64)


def logit(p: Floats) -> Floats:
    """Log-odds of `p` clipped to [1e-6, 1 - 1e-6]."""
    inside = np.clip(p, CLIP, 1.0 - CLIP)
    return np.asarray(np.log(inside) - np.log1p(-inside), dtype=np.float64)


def softmax(z: Floats) -> Floats:
    """Shares that sum to 1 over the last axis, proportional to exp(z), without overflow."""
    raised = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), dtype=np.float64)


def mean_count(distribution: Floats) -> Floats:
    """Expected counts, shape (n,), of distributions (n, most + 1); `most and more` counts as `most`."""
    counts = np.arange(distribution.shape[1], dtype=np.float64)
    return np.asarray((distribution * counts).sum(axis=1), dtype=np.float64)


def count_variance(distribution: Floats) -> Floats:
    """Variances of the counts, shape (n,), of distributions (n, most + 1)."""
    counts = np.arange(distribution.shape[1], dtype=np.float64)
    apart = counts - mean_count(distribution)[:, None]
    return np.asarray((distribution * apart**2).sum(axis=1), dtype=np.float64)


def step_lengths(apart: Floats) -> Floats:
    """Lengths in metres, shape (n, steps), of differences of paths (n, 2 steps)."""
    return np.asarray(np.hypot(apart[:, 0::2], apart[:, 1::2]), dtype=np.float64)
