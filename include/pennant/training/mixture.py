"""Convex weights of the members: the blend of predictions with the least out-of-fold loss."""

from collections.abc import Callable
from itertools import combinations

import numpy as np

from pennant.training.losses import Floats
from pennant.training.problem import Problem, blend, likelihood, row_losses

_SWEEPS = 100
_HALVINGS = 50
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
SMALLEST_WEIGHT = 1e-3
"""A member with less is left out: it costs time at serving and changes nothing."""


def mixture_weights(
    problem: Problem, predictions: list[Floats], y: Floats, row_weight: Floats | None = None
) -> Floats:
    """Weights of shape (m,), none negative, summing to 1, for the predictions of m members.

    Rows count by `row_weight`, shape (n,), or all alike. Every loss here is convex in the weights: weight is
    moved between two members at a time, as far as it helps, until nothing moves. The single best member is
    kept if the blend does not beat it, so the result is never worse than it.
    """
    count = len(predictions)
    if count == 1:
        return np.ones(1)
    weights = np.full(count, 1.0 / count)
    share = np.full(len(y), 1.0 / len(y)) if row_weight is None else row_weight / row_weight.sum()
    exchange = (_by_likelihood if problem.outcomes else _by_loss)(problem, predictions, y, share)
    for _ in range(_SWEEPS):
        before = weights.copy()
        for one, other in combinations(range(count), 2):
            exchange(weights, one, other)
        if float(np.abs(weights - before).max()) < 1e-9:
            break
    weights = np.where(weights < SMALLEST_WEIGHT, 0.0, weights)
    weights /= weights.sum()
    single = np.eye(count)[int(np.argmin([share @ row_losses(problem, y, p) for p in predictions]))]

    def loss(each: Floats) -> float:
        return float(share @ row_losses(problem, y, blend(predictions, each)))

    return np.asarray(min((weights, single), key=loss), dtype=np.float64)


Exchange = Callable[[Floats, int, int], None]
"""Splits the weight of two members anew, in place."""


def _by_likelihood(problem: Problem, predictions: list[Floats], y: Floats, share: Floats) -> Exchange:
    """By bisecting the slope of the log likelihood."""
    given = np.column_stack([likelihood(problem, y, p) for p in predictions])

    def exchange(weights: Floats, one: int, other: int) -> None:
        mass = float(weights[one] + weights[other])
        difference = given[:, one] - given[:, other]
        rest = given @ weights - weights[one] * difference
        low, high = 0.0, mass
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            if float(share @ (difference / (rest + middle * difference))) > 0.0:
                low = middle
            else:
                high = middle
        weights[one] = (low + high) / 2.0
        weights[other] = mass - weights[one]

    return exchange


def _by_loss(problem: Problem, predictions: list[Floats], y: Floats, share: Floats) -> Exchange:
    """By the golden section of the mean loss."""

    def exchange(weights: Floats, one: int, other: int) -> None:
        mass = float(weights[one] + weights[other])
        difference = predictions[one] - predictions[other]
        rest = blend(predictions, weights) - weights[one] * difference

        def loss(part: float) -> float:
            return float(share @ row_losses(problem, y, rest + part * difference))

        low, high = 0.0, mass
        for _ in range(_HALVINGS):
            if high - low < 1e-7:
                break
            left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
            if loss(left) <= loss(right):
                high = right
            else:
                low = left
        best = min((0.0, (low + high) / 2.0, mass), key=loss)
        weights[one], weights[other] = best, mass - best

    return exchange
