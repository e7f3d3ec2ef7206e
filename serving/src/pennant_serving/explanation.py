"""What each feature adds to a prediction: exact terms of the members, carried through their combination.

Each member is additive in its own link (see `members.base`). The combination is not, so each member's terms
are scaled by the Aumann-Shapley share: the slope of the combined link in the member's link, averaged on the
straight line from the biases to the row (Sun and Sundararajan 2011, "Axiomatic attribution for multilinear
functions"). Calibration and clipping act on the combined link and scale all its terms alike. What rounding
leaves is spread over the terms by their size, so that they add up. Which slice a row lies in is no term.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pennant_serving.arrays import Floats, logit, mean_count
from pennant_serving.combine import Combination
from pennant_serving.manifest import Task
from pennant_serving.members.base import MemberModel

_NODES, _SHARES = np.polynomial.legendre.leggauss(24)
_STILL = 1e-9


@dataclass(frozen=True)
class Terms:
    """`baseline`, (n, outputs), plus `terms`, (n, outputs, features), is the link of the prediction."""

    baseline: Floats
    terms: Floats


def link_of(task: Task, prediction: Floats) -> Floats:
    """A prediction on the scale that terms add up on, shape (n, outputs).

    Binary, multiclass: logits of the probabilities; count: log of the mean; regression: the number;
    trajectory: x and y of the last step.
    """
    if task == "binary":
        return logit(prediction)[:, None]
    if task == "multiclass":
        return logit(prediction)
    if task == "count":
        return np.log(np.maximum(mean_count(prediction), 1e-12))[:, None]
    return prediction[:, -2:] if task == "trajectory" else prediction[:, None]


class Explaining:
    """Explains what `members`, combined and then finished by `finish`, foretell."""

    def __init__(
        self,
        task: Task,
        combination: Combination,
        members: list[MemberModel],
        finish: Callable[[Floats], Floats],
    ) -> None:
        self._task, self._combination, self._members, self._finish = task, combination, members, finish

    def terms(self, rows: Floats, prediction: Floats) -> Terms:
        """The terms of `rows`, whose predictions these are.

        Raises:
            ExplanationUnavailable: a member has no exact terms.
        """
        parts = np.stack([member.contributions(rows) for member in self._members], axis=1)
        bias, own = parts[..., -1], parts[..., :-1]
        weights = self._combination.weights(rows)
        slopes = self._slopes(bias, bias + own.sum(axis=-1), weights)
        terms = np.einsum("nmop,nmpf->nof", slopes, own)
        if self._task == "trajectory":
            baseline = np.einsum("nmop,nmp->no", slopes, bias)
            return Terms(baseline, _closed(terms, link_of(self._task, prediction) - baseline))
        responded = [member.respond(bias[:, at]) for at, member in enumerate(self._members)]
        start = self._combination.combine(responded, weights)
        end = self._combination.combine([member.predict(rows) for member in self._members], weights)
        risen = link_of(self._task, end) - link_of(self._task, start)
        terms = _closed(terms, risen)
        baseline, total = (link_of(self._task, each) for each in (self._finish(start), prediction))
        moved = np.abs(risen) > _STILL
        steep = (total - baseline) / np.where(moved, risen, 1.0)
        terms = terms * np.where(moved, steep, 1.0)[..., None]
        return Terms(np.where(moved, baseline, total - terms.sum(axis=2)), terms)

    def _slopes(self, bias: Floats, reached: Floats, weights: Floats) -> Floats:
        """Mean slopes on the line, shape (n, members, outputs, outputs of the member)."""
        same = self._combination.linear_slopes(weights)
        if same is not None:
            return same
        total = np.zeros((*bias.shape, bias.shape[2]))
        for node, share in zip(_NODES, _SHARES, strict=True):
            at = bias + (node + 1.0) / 2.0 * (reached - bias)
            responded = [member.respond(at[:, index]) for index, member in enumerate(self._members)]
            total += share / 2.0 * self._combination.slopes(responded, weights)
        return total


def _closed(terms: Floats, wanted: Floats) -> Floats:
    """Terms that sum to `wanted`, (n, outputs): what is left goes to each by its size."""
    left = wanted - terms.sum(axis=2)
    size = np.abs(terms)
    whole = size.sum(axis=2)
    share = size / np.where(whole > 0.0, whole, 1.0)[..., None]
    return np.asarray(terms + share * left[..., None], dtype=np.float64)
