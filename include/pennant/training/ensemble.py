"""Convex weights of the members: the mixture of probabilities with the least out-of-fold log loss."""

import numpy as np

from pennant.training.losses import CLIP, Floats, log_loss

_ROUNDS = 2000
_STILL = 1e-9
SMALLEST_WEIGHT = 1e-3
"""A member with less is left out: it costs time at serving and changes nothing."""


def mixture_weights(members: Floats, label: Floats) -> Floats:
    """Weights of shape (m,), none negative, summing to 1, for probabilities `members` of shape (n, m).

    Expectation maximisation for mixture proportions (Dempster, Laird and Rubin 1977, section 4.3): the log
    loss of a mixture is convex in its weights and no step raises it. The single best
    member is kept if the mixture does not beat it, so the result is never worse than it.
    """
    p = np.clip(members, CLIP, 1.0 - CLIP)
    likelihood = np.where(label[:, None] == 1.0, p, 1.0 - p)
    weights = np.full(members.shape[1], 1.0 / members.shape[1])
    for _ in range(_ROUNDS):
        parts = likelihood * weights
        moved = (parts / parts.sum(axis=1, keepdims=True)).mean(axis=0)
        done = float(np.abs(moved - weights).max()) < _STILL
        weights = moved / moved.sum()
        if done:
            break
    best = np.eye(len(weights))[int(np.argmin([log_loss(label, column) for column in p.T]))]
    # Dropping a sliver may cost a hair; the untrimmed mixture and the best member are kept in the race.
    candidates = [_trimmed(weights), weights, best]
    return min(candidates, key=lambda each: log_loss(label, p @ each))


def _trimmed(weights: Floats) -> Floats:
    kept = np.where(weights < SMALLEST_WEIGHT, 0.0, weights)
    return np.asarray(kept / kept.sum(), dtype=np.float64)
