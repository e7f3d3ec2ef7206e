"""Stacking: the members' predictions as the inputs of one more small model, fitted on held-out folds.

Wolpert 1992, "Stacked generalization"; coefficients that are not negative: Breiman 1996, "Stacked
regressions". For distributions it is the logarithmic opinion pool (Genest and Zidek 1986): unlike a mean of
probabilities it can be surer than each member, or less sure.

Coefficients are pulled toward the weights of the plain weighted mean, the level toward that mean's, as much
as `PULL_ROWS` rows of the training data would hold them there. So few rows change little.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pennant.training.losses import CLIP, Floats, expit, logit
from pennant.training.mixture import SMALLEST_WEIGHT, mixture_weights
from pennant.training.problem import Problem

Mask = NDArray[np.bool_]
PULL_ROWS = 50.0
LEAST = 1e-12
"""Probabilities of an outcome are kept above this before their logarithm is taken; serving does the same."""


@dataclass(frozen=True, eq=False)
class Stacked:
    """The fitted model.

    Attributes:
        problem: what is predicted.
        coefficients: one per member, shape (m,), none negative.
        intercept: binary, regression: one number; multiclass: one per class; else none.
    """

    problem: Problem
    coefficients: Floats
    intercept: Floats

    def apply(self, predictions: list[Floats], x: Floats) -> Floats:
        """One prediction of the members' predictions, of their shape; `x` plays no part."""
        del x
        parts = zip(self.coefficients, map(self._input, predictions), strict=True)
        total = np.asarray(sum(each * part for each, part in parts), dtype=np.float64)
        if self.problem.task == "binary":
            return np.asarray(np.clip(expit(total + self.intercept[0]), CLIP, 1.0 - CLIP), dtype=np.float64)
        if self.problem.task == "regression":
            return np.asarray(total + self.intercept[0], dtype=np.float64)
        if not self.problem.outcomes:
            return total
        return _softmax(total + self.intercept if len(self.intercept) else total)

    def to_json(self) -> dict[str, Any]:
        """The `ensemble` of bundle.json."""
        coefficients, intercept = self.coefficients.tolist(), self.intercept.tolist()
        return {"method": "stacking", "coefficients": coefficients, "intercept": intercept}

    def weights(self) -> Floats:
        """How much each member counts, shape (m,), summing to 1."""
        return np.asarray(self.coefficients / self.coefficients.sum(), dtype=np.float64)

    def only(self, kept: Mask) -> "Stacked":
        """The same model of the members that are `kept`, shape (m,); the others count nothing."""
        return Stacked(self.problem, self.coefficients[kept], self.intercept)

    def _input(self, prediction: Floats) -> Floats:
        return _inputs(self.problem, prediction)


def fit_stacking(
    problem: Problem, predictions: list[Floats], y: Floats, row_weight: Floats | None = None
) -> Stacked:
    """The coefficients and intercept with the least penalised loss; see the module.

    A member whose coefficient is below a thousandth of their sum is left out, and the rest fitted again.

    Args:
        problem: what is predicted.
        predictions: of the m members, out of fold.
        y: labels.
        row_weight: shape (n,); None counts rows alike.
    """
    weight = np.ones(len(y)) if row_weight is None else row_weight / row_weight.mean()
    start = mixture_weights(problem, predictions, y, weight)
    inputs = np.stack([_inputs(problem, each) for each in predictions])
    free = problem.task in {"binary", "multiclass", "regression"}
    # Counted from their means, coefficients do not stand for an intercept, nor that for them.
    centre = np.tensordot(inputs, weight / weight.sum(), axes=((1,), (0,))) if free else np.zeros(0)
    if free:
        inputs -= centre[:, None]
    at = np.concatenate([start, np.atleast_1d(start @ centre) if free else np.zeros(0)])
    objective, stiffness = _OBJECTIVES[problem.task](inputs, y, weight, at)
    theta = _minimised(objective, stiffness, at, np.ones(len(start), dtype=bool))
    total = theta[: len(start)].sum()
    counts = theta[: len(start)] >= SMALLEST_WEIGHT * total
    if total > 0.0 and not counts.all():
        theta = _minimised(objective, stiffness, at, counts)
    coefficients = np.where(counts, theta[: len(start)], 0.0)
    if coefficients.sum() <= 0.0:
        coefficients[int(np.argmax(start))] = SMALLEST_WEIGHT  # a bundle has a member, even if none knows
    intercept = theta[len(start) :] - np.atleast_1d(coefficients @ centre) if free else np.zeros(0)
    return Stacked(problem, coefficients, intercept)


Objective = Callable[[Floats], tuple[float, Floats]]
"""Sum of weighted losses, and its gradient, of (coefficients, intercept)."""


def _inputs(problem: Problem, prediction: Floats) -> Floats:
    if problem.task == "binary":
        return logit(prediction)
    if problem.outcomes:
        return np.asarray(np.log(np.clip(prediction, LEAST, None)), dtype=np.float64)
    return prediction


def _minimised(objective: Objective, stiffness: Floats, start: Floats, counts: Mask) -> Floats:
    """The least of the objective plus the pull toward `start`; members that do not count stay at zero."""
    scale = 1.0 / np.sqrt(stiffness)  # in these units all parameters bend the objective alike

    def penalised(scaled: Floats) -> tuple[float, Floats]:
        value, slope = objective(scaled * scale)
        away = scaled - start / scale
        return value + float(away @ away) / 2.0, np.asarray(slope * scale + away, dtype=np.float64)

    free: list[tuple[float | None, float | None]] = [(0.0, None) if each else (0.0, 0.0) for each in counts]
    free += [(None, None)] * (len(start) - len(counts))
    options = {"ftol": 1e-14, "gtol": 1e-8, "maxiter": 500}
    begin = np.where(np.append(counts, np.ones(len(start) - len(counts))), start / scale, 0.0)
    found = minimize(penalised, begin, jac=True, bounds=free, method="L-BFGS-B", options=options)
    return np.asarray(found.x * scale, dtype=np.float64)


def _stiffness(curvature: Floats, weight: Floats) -> Floats:
    """`PULL_ROWS` times the mean curvature of a row's loss in each parameter, never zero."""
    mean = curvature / weight.sum()
    return np.asarray(PULL_ROWS * np.maximum(mean, 1e-9 * max(float(mean.max()), 1e-12)), dtype=np.float64)


Prepared = tuple[Objective, Floats]
"""The objective, and the stiffness of each parameter."""


def _binary(inputs: Floats, y: Floats, weight: Floats, start: Floats) -> Prepared:
    design = np.vstack([inputs, np.ones((1, len(y)))])

    def objective(theta: Floats) -> tuple[float, Floats]:
        z = theta @ design
        value = float(weight @ (np.logaddexp(0.0, z) - y * z))
        return value, np.asarray(design @ (weight * (expit(z) - y)), dtype=np.float64)

    p = expit(start @ design)
    return objective, _stiffness(np.square(design) @ (weight * p * (1.0 - p)), weight)


def _distribution(inputs: Floats, y: Floats, weight: Floats, start: Floats) -> Prepared:
    members, rows, outcomes = inputs.shape
    intercepts = len(start) > members
    at = np.minimum(y, outcomes - 1).astype(np.int64)
    each = np.arange(rows)

    def predicted(theta: Floats) -> Floats:
        total = np.tensordot(theta[:members], inputs, axes=1)
        return np.asarray(_softmax(total + theta[members:] if intercepts else total), dtype=np.float64)

    def objective(theta: Floats) -> tuple[float, Floats]:
        p = predicted(theta)
        value = -float(weight @ np.log(np.clip(p[each, at], 1e-300, None)))
        p[each, at] -= 1.0
        p *= weight[:, None]
        slope = np.tensordot(inputs, p, axes=2)
        return value, np.concatenate([slope, p.sum(axis=0)]) if intercepts else slope

    p = predicted(start)
    spread = (np.square(inputs) * p).sum(axis=2) - np.square((inputs * p).sum(axis=2))
    curvature = spread @ weight
    if intercepts:
        curvature = np.concatenate([curvature, weight @ (p * (1.0 - p))])
    return objective, _stiffness(curvature, weight)


def _number(inputs: Floats, y: Floats, weight: Floats, start: Floats) -> Prepared:
    del start
    design = np.vstack([inputs, np.ones((1, len(y)))])

    def objective(theta: Floats) -> tuple[float, Floats]:
        error = theta @ design - y
        return float(weight @ np.square(error)), np.asarray(2.0 * design @ (weight * error))

    return objective, _stiffness(2.0 * np.square(design) @ weight, weight)


def _path(inputs: Floats, y: Floats, weight: Floats, start: Floats) -> Prepared:
    points = inputs.reshape(len(inputs), len(y), -1, 2)
    truth = y.reshape(len(y), -1, 2)
    share = weight / truth.shape[1]

    def apart(theta: Floats) -> tuple[Floats, Floats]:
        error = np.tensordot(theta, points, axes=1) - truth
        return error, np.sqrt(np.square(error).sum(axis=2) + 1e-12)

    def objective(theta: Floats) -> tuple[float, Floats]:
        error, distance = apart(theta)
        toward = error / distance[:, :, None] * share[:, None, None]
        return float(share @ distance.sum(axis=1)), np.tensordot(points, toward, axes=3)

    near = np.maximum(apart(start)[1], 1e-3)
    curvature = ((np.square(points).sum(axis=3) / near).sum(axis=2)) @ share
    return objective, _stiffness(curvature, weight)


_OBJECTIVES: dict[str, Callable[[Floats, Floats, Floats, Floats], Prepared]] = {
    "binary": _binary,
    "multiclass": _distribution,
    "count": _distribution,
    "regression": _number,
    "trajectory": _path,
}


def _softmax(z: Floats) -> Floats:
    raised = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)
