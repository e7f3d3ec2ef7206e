"""Convex weights of the members: the mixture of probabilities with the least out-of-fold log loss."""

from itertools import combinations

import numpy as np

from pennant.training.losses import CLIP, Floats, log_loss

_SWEEPS = 100
_HALVINGS = 50
SMALLEST_WEIGHT = 1e-3
"""A member with less is left out: it costs time at serving and changes nothing."""


def mixture_weights(members: Floats, label: Floats) -> Floats:
    """Weights of shape (m,), none negative, summing to 1, for probabilities `members` of shape (n, m).

    The log loss of a mixture is convex in its weights. Mass is moved between two members at a time, as far
    as it helps, until nothing moves. The single best member is kept if the mixture does not beat it, so the
    result is never worse than it.
    """
    p = np.clip(members, CLIP, 1.0 - CLIP)
    likelihood = np.where(label[:, None] == 1.0, p, 1.0 - p)
    count = members.shape[1]
    weights = np.full(count, 1.0 / count)
    for _ in range(_SWEEPS):
        before = weights.copy()
        for one, other in combinations(range(count), 2):
            _exchange(likelihood, weights, one, other)
        if float(np.abs(weights - before).max()) < 1e-9:
            break
    weights = np.where(weights < SMALLEST_WEIGHT, 0.0, weights)
    weights /= weights.sum()
    best = np.eye(count)[int(np.argmin([log_loss(label, column) for column in p.T]))]
    return np.asarray(min((weights, best), key=lambda each: log_loss(label, p @ each)), dtype=np.float64)


def _exchange(likelihood: Floats, weights: Floats, one: int, other: int) -> None:
    """Split the mass of two members anew, in place, by bisecting the slope of the log likelihood."""
    mass = float(weights[one] + weights[other])
    difference = likelihood[:, one] - likelihood[:, other]
    rest = likelihood @ weights - weights[one] * difference
    low, high = 0.0, mass
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        if float((difference / (rest + middle * difference)).sum()) > 0.0:
            low = middle
        else:
            high = middle
    weights[one] = (low + high) / 2.0
    weights[other] = mass - weights[one]
