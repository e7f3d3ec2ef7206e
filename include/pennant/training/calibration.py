"""Calibration of the ensemble's probabilities, fitted on out-of-fold predictions.

Platt scaling: Platt 1999, "Probabilistic outputs for support vector machines"; isotonic: Zadrozny and Elkan
2002, "Transforming classifier scores into accurate multiclass probability estimates"; beta: Kull, Silva Filho
and Flach 2017, "Beta calibration", AISTATS, formula 6; temperature: Guo et al. 2017, "On calibration of
modern neural networks", section 4.2. Serving holds the other half: it applies what is
fitted here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from pennant.declaration.parameters import CALIBRATIONS
from pennant.training.losses import CLIP, Floats, expit, log_loss, logit
from pennant.training.problem import Problem, row_losses

Method = Literal["platt", "isotonic", "beta", "temperature", "best", "none"]


class Calibration(Protocol):
    """A fitted map from predictions to predictions of the same shape."""

    def apply(self, p: Floats) -> Floats:
        """Calibrated predictions."""

    def to_json(self) -> dict[str, object]:
        """The `calibration` of bundle.json."""


@dataclass(frozen=True)
class Identity:
    """No calibration."""

    clip: bool = True

    def apply(self, p: Floats) -> Floats:
        """`p`; a probability of a binary task clipped."""
        return np.asarray(np.clip(p, CLIP, 1.0 - CLIP), dtype=np.float64) if self.clip else p

    def to_json(self) -> dict[str, object]:
        """See `Calibration`."""
        return {"method": "none"}


@dataclass(frozen=True)
class Platt:
    """`expit(slope * logit(p) + intercept)`."""

    slope: float
    intercept: float

    def apply(self, p: Floats) -> Floats:
        """Calibrated probabilities, shape (n,)."""
        return expit(self.slope * logit(p) + self.intercept)

    def to_json(self) -> dict[str, object]:
        """See `Calibration`."""
        return {"method": "platt", "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True)
class Isotonic:
    """Straight lines through the points (x, y), flat beyond the ends."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    def apply(self, p: Floats) -> Floats:
        """Calibrated probabilities, shape (n,)."""
        return np.asarray(np.interp(np.clip(p, CLIP, 1.0 - CLIP), self.x, self.y), dtype=np.float64)

    def to_json(self) -> dict[str, object]:
        """See `Calibration`."""
        return {"method": "isotonic", "x": list(self.x), "y": list(self.y)}


@dataclass(frozen=True)
class Beta:
    """`expit(a ln p - b ln(1 - p) + c)`; `a` and `b` are not negative, so that no ranking turns round."""

    a: float
    b: float
    c: float

    def apply(self, p: Floats) -> Floats:
        """Calibrated probabilities, shape (n,)."""
        inside = np.clip(p, CLIP, 1.0 - CLIP)
        return expit(self.a * np.log(inside) - self.b * np.log1p(-inside) + self.c)

    def to_json(self) -> dict[str, object]:
        """See `Calibration`."""
        return {"method": "beta", "a": self.a, "b": self.b, "c": self.c}


@dataclass(frozen=True)
class Temperature:
    """Probabilities to the power of `1 / temperature`, summing to 1 again; below 1 they get surer."""

    temperature: float

    def apply(self, p: Floats) -> Floats:
        """Calibrated distributions, shape (n, outcomes)."""
        raised = np.power(np.clip(p, 1e-12, None), 1.0 / self.temperature)
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)

    def to_json(self) -> dict[str, object]:
        """See `Calibration`."""
        return {"method": "temperature", "temperature": self.temperature}


def fit_calibration(problem: Problem, method: Method, p: Floats, label: Floats) -> Calibration:
    """Fit on out-of-fold predictions `p` in order of time; the loss on them never rises.

    Args:
        problem: what is predicted.
        method: `best` fits each method on the older half and takes the one with the least loss on the newer,
            none at all if no method is better there; then it is fitted on all.
        p: predictions.
        label: their labels.
    """
    if method == "best":
        method = _best(problem, p, label)
    nothing = Identity(clip=problem.task == "binary")
    if method == "none" or method not in CALIBRATIONS[problem.task]:
        return nothing
    fitted = _FITS[method](p, label)
    better = row_losses(problem, label, fitted.apply(p)).mean() <= row_losses(problem, label, p).mean()
    return fitted if better else nothing


def _best(problem: Problem, p: Floats, label: Floats) -> Method:
    half = len(p) // 2

    def later(method: Method) -> float:
        fitted = fit_calibration(problem, method, p[:half], label[:half])
        return float(row_losses(problem, label[half:], fitted.apply(p[half:])).mean())

    both_sides = problem.task != "binary" or len(set(label[:half])) > 1
    known = [each for each in _FITS if each in CALIBRATIONS[problem.task]] if half and both_sides else []
    return min(("none", *known), key=later)


def _fit_temperature(p: Floats, label: Floats) -> Temperature:
    """By the golden section over temperatures from 0.2 to 5; the log loss is convex in their inverse."""
    problem = Problem("multiclass", (), classes=p.shape[1])
    at = np.minimum(label, p.shape[1] - 1)

    def loss(log_temperature: float) -> float:
        made = Temperature(float(np.exp(log_temperature))).apply(p)
        return float(row_losses(problem, at, made).mean())

    found = minimize_scalar(
        loss, bounds=(np.log(0.2), np.log(5.0)), method="bounded", options={"xatol": 1e-6}
    )
    return Temperature(float(np.exp(found.x)))


def _fit_beta(p: Floats, label: Floats) -> Beta:
    """Least log loss, half the squared distance from the identity (1, 1, 0) added, as one row would weigh."""
    inside = np.clip(p, CLIP, 1.0 - CLIP)
    design = np.column_stack([np.log(inside), -np.log1p(-inside), np.ones_like(inside)])
    pull = np.array([1.0, 1.0, 0.0])

    def objective(at: Floats) -> tuple[float, Floats]:
        z = design @ at
        value = float((np.logaddexp(0.0, z) - label * z).sum() + np.square(at - pull).sum() / 2.0)
        return value, np.asarray(design.T @ (expit(z) - label) + (at - pull), dtype=np.float64)

    bounds = [(0.0, None), (0.0, None), (None, None)]
    found = minimize(objective, pull, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-14})
    return Beta(*(float(each) for each in found.x))


def _fit_platt(p: Floats, label: Floats) -> Platt:
    """Newton's method on the log loss plus half the squared distance from the identity (1, 0).

    That pull weighs as much as one row. It keeps the slope finite on separable rows, and
    the identity stays in reach, so that calibrating never costs log loss. A slope below 0 would turn the
    ranking round: then the best slope allowed is 0, the base rate for all.
    """
    z = logit(p)
    design = np.column_stack([z, np.ones_like(z)])
    at = np.array([1.0, 0.0])
    pull = np.array([1.0, 0.0])
    for _ in range(100):
        fitted = expit(design @ at)
        gradient = design.T @ (fitted - label) + (at - pull)
        hessian = (design * (fitted * (1.0 - fitted))[:, None]).T @ design + np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        before, at = at, _damped(design, label, pull, at, step)
        if float(np.abs(at - before).max()) < 1e-10:
            break
    if at[0] >= 0.0:
        return Platt(float(at[0]), float(at[1]))
    rate = np.clip(np.array([label.mean()]), CLIP, 1.0 - CLIP)
    return Platt(0.0, float(logit(rate)[0]))


def _damped(design: Floats, label: Floats, pull: Floats, at: Floats, step: Floats) -> Floats:
    """Halve the Newton step until the objective does not rise."""
    before = _objective(design, label, pull, at)
    for halving in range(40):
        candidate = at - step * 0.5**halving
        if _objective(design, label, pull, candidate) <= before:
            return np.asarray(candidate, dtype=np.float64)
    return at


def _objective(design: Floats, label: Floats, pull: Floats, at: Floats) -> float:
    z = design @ at
    return float((np.logaddexp(0.0, z) - label * z).sum() + np.square(at - pull).sum() / 2.0)


def _fit_isotonic(p: Floats, label: Floats) -> Calibration:
    """Pool adjacent violators, kept half a row away from certainty; the identity if that is no better."""
    from sklearn.isotonic import IsotonicRegression  # seconds of import

    inside = np.clip(p, CLIP, 1.0 - CLIP)
    # A pool of only zeros says "rare", not "never": one more row of the other kind is always possible.
    least = 0.5 / (len(p) + 1.0)
    model = IsotonicRegression(y_min=least, y_max=1.0 - least, out_of_bounds="clip")
    model.fit(inside, label)
    fitted = Isotonic(tuple(map(float, model.X_thresholds_)), tuple(map(float, model.y_thresholds_)))
    better = log_loss(label, fitted.apply(p)) <= log_loss(label, p)
    return fitted if better else Identity()


_FITS: dict[Method, Callable[[Floats, Floats], Calibration]] = {
    "platt": _fit_platt,
    "isotonic": _fit_isotonic,
    "beta": _fit_beta,
    "temperature": _fit_temperature,
}
