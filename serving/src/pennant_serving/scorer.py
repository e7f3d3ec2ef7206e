"""From a feature matrix to calibrated probabilities with intervals: the one implementation.

Training, the gate, MLflow and serving all score through `Scorer`, so they cannot disagree.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pennant_serving.errors import BundleRejected
from pennant_serving.manifest import Calibration, Input, Isotonic, LogisticFile, Manifest, Platt
from pennant_serving.trees import Trees, TreesError

Floats = NDArray[np.float64]

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1 before a logit is taken."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclass(frozen=True)
class Scores:
    """Probabilities and interval ends, each of shape (n,)."""

    prediction: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Explanation:
    """`baseline + contributions.sum(axis=1)` is the logit of the prediction, row by row.

    Attributes:
        baseline: shape (n,), logit units.
        contributions: shape (n, features), logit units.
        scores: the predictions explained.
    """

    baseline: Floats
    contributions: Floats
    scores: Scores


class MemberModel(Protocol):
    """One fitted member: probabilities, and its additive terms in its own logit space."""

    def predict(self, rows: Floats) -> Floats:
        """Probabilities, shape (n,)."""

    def contributions(self, rows: Floats) -> Floats:
        """Shape (n, features + 1), logit units, the last column is the bias."""


def sigmoid(z: Floats) -> Floats:
    """Logistic function without overflow."""
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0 / (1.0 + small), small / (1.0 + small)), dtype=np.float64)


def logit(p: Floats) -> Floats:
    """Log-odds of `p` clipped to [1e-6, 1 - 1e-6]."""
    inside = np.clip(p, CLIP, 1.0 - CLIP)
    return np.asarray(np.log(inside) - np.log1p(-inside), dtype=np.float64)


class Logistic:
    """A logistic regression on imputed, standardised inputs."""

    def __init__(self, file: LogisticFile) -> None:
        self._impute = np.array(file.impute)
        self._mean = np.array(file.mean)
        self._scale = np.array(file.scale)
        self._coef = np.array(file.coef)
        self._intercept = file.intercept

    def predict(self, rows: Floats) -> Floats:
        return sigmoid(self._intercept + self._terms(rows).sum(axis=1))

    def contributions(self, rows: Floats) -> Floats:
        return np.column_stack([self._terms(rows), np.full(len(rows), self._intercept)])

    def _terms(self, rows: Floats) -> Floats:
        filled = np.where(np.isnan(rows), self._impute, rows)
        return np.asarray(self._coef * (filled - self._mean) / self._scale, dtype=np.float64)


def load_member(kind: str, name: str, content: bytes, inputs: list[Input]) -> MemberModel:
    """Load one member file and check that it takes exactly these inputs.

    Raises:
        BundleRejected: reason `member`, with the file's problem.
    """
    if kind == "logistic":
        return _load_logistic(name, content, inputs)
    try:
        trees = Trees(content)
        names, objective = trees.feature_names(), trees.objective()
    except TreesError as error:
        raise BundleRejected("member", name, str(error), "an XGBoost model in UBJSON or JSON") from error
    if objective != "binary:logistic":
        raise BundleRejected("member", name, f"objective {objective}", "objective binary:logistic")
    if trees.feature_count != len(inputs):
        raise BundleRejected("member", name, f"{trees.feature_count} features", f"{len(inputs)} features")
    wanted = [each.name for each in inputs]
    if names and names != wanted:
        raise BundleRejected("member", name, f"feature names {names}", f"{wanted}, in this order")
    return trees


def _load_logistic(name: str, content: bytes, inputs: list[Input]) -> Logistic:
    try:
        file = LogisticFile.model_validate_json(content, strict=True)
    except ValueError as error:
        raise BundleRejected("member", name, str(error), "the JSON of a logistic member") from error
    sizes = {len(each) for each in (file.impute, file.mean, file.scale, file.coef)}
    if sizes != {len(inputs)}:
        raise BundleRejected("member", name, f"lists of length {sorted(sizes)}", f"length {len(inputs)}")
    return Logistic(file)


class Scorer:
    """Weighted mean of member probabilities, then calibration, then an interval in logit space."""

    def __init__(self, manifest: Manifest, members: list[MemberModel]) -> None:
        self._calibration = manifest.calibration
        self._half_width = manifest.intervals.half_width_logit
        self._weights = np.array([each.weight for each in manifest.members])
        self._members = members

    def predict(self, rows: Floats) -> Scores:
        """Score `rows`, shape (n, features), NaN where a value is missing."""
        if len(rows) == 0:
            return Scores(np.empty(0), np.empty(0), np.empty(0))
        # One column after the other, so that a row alone gives the bits it gives inside a batch.
        mixed = np.zeros(len(rows))
        for weight, member in zip(self._weights, self._members, strict=True):
            mixed += weight * member.predict(rows)
        return self._finish(mixed)

    def explain(self, rows: Floats) -> Explanation:
        """Additive terms per feature in logit units.

        Each member is exactly additive in its own logit space (TreeSHAP, or linear terms). The mean of
        probabilities is not, so each member's terms are scaled by the Aumann-Shapley share: the slope of
        the mixed logit in that member's logit, averaged on the straight line from the biases to the row
        (Sun and Sundararajan 2011, "Axiomatic attribution for multilinear functions"). Calibration
        and clipping act on one number and scale all terms alike.
        """
        parts = np.stack([member.contributions(rows) for member in self._members])
        bias, own = parts[:, :, -1], parts[:, :, :-1]
        reached = bias + own.sum(axis=2)
        shares = self._shares(bias, reached)
        terms = np.einsum("mn,mnf->nf", shares, own)
        scores = self.predict(rows)
        start = np.asarray(self._weights @ sigmoid(bias), dtype=np.float64)
        baseline, total = logit(self._finish(start).prediction), logit(scores.prediction)
        sums = terms.sum(axis=1)
        moved = np.abs(sums) > 1e-12
        scale = np.where(moved, (total - baseline) / np.where(moved, sums, 1.0), 0.0)
        baseline = np.where(moved, baseline, total)
        return Explanation(baseline, terms * scale[:, None], scores)

    def _shares(self, bias: Floats, reached: Floats) -> Floats:
        """Mean slope of logit(sum w sigmoid(z)) in each z on the line; shape (members, n)."""
        shares = np.zeros_like(bias)
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            p = sigmoid(bias + (node + 1.0) / 2.0 * (reached - bias))
            mixed = np.clip(self._weights @ p, CLIP, 1.0 - CLIP)
            shares += weight / 2.0 * self._weights[:, None] * p * (1.0 - p) / (mixed * (1.0 - mixed))
        return shares

    def _finish(self, mixed: Floats) -> Scores:
        prediction = _calibrate(self._calibration, mixed)
        z = logit(prediction)
        return Scores(prediction, sigmoid(z - self._half_width), sigmoid(z + self._half_width))


def _calibrate(calibration: Calibration, mixed: Floats) -> Floats:
    if isinstance(calibration, Platt):
        return sigmoid(calibration.slope * logit(mixed) + calibration.intercept)
    if isinstance(calibration, Isotonic):
        inside = np.clip(mixed, CLIP, 1.0 - CLIP)
        return np.asarray(np.interp(inside, calibration.x, calibration.y), dtype=np.float64)
    return np.asarray(np.clip(mixed, CLIP, 1.0 - CLIP), dtype=np.float64)
