"""Calibration of the ensemble's probability, fitted on out-of-fold predictions.

Platt scaling: Platt 1999, "Probabilistic outputs for support vector machines"; isotonic: Zadrozny and Elkan
2002, "Transforming classifier scores into accurate multiclass probability estimates". Serving
holds the other half: it applies what is fitted here.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from pennant.training.losses import CLIP, Floats, expit, log_loss, logit

Method = Literal["platt", "isotonic", "none"]


class Calibration(Protocol):
    """A fitted map from probability to probability."""

    def apply(self, p: Floats) -> Floats:
        """Calibrated probabilities, shape (n,)."""

    def to_json(self) -> dict[str, object]:
        """The `calibration` of bundle.json."""


@dataclass(frozen=True)
class Identity:
    """No calibration."""

    def apply(self, p: Floats) -> Floats:
        """`p`, clipped."""
        return np.asarray(np.clip(p, CLIP, 1.0 - CLIP), dtype=np.float64)

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


def fit_calibration(method: Method, p: Floats, label: Floats) -> Calibration:
    """Fit on predictions `p` and labels of shape (n,). The log loss on them never rises."""
    if method == "none":
        return Identity()
    fitted: Calibration = _fit_platt(p, label) if method == "platt" else _fit_isotonic(p, label)
    return fitted


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
