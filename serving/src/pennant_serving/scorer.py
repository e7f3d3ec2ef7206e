"""From a feature matrix to calibrated probabilities with intervals: the one implementation.

Training, the gate, MLflow and serving all score through `Scorer`, so they cannot disagree.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pennant_serving.errors import BundleRejected
from pennant_serving.manifest import (
    Beta,
    Calibration,
    ColumnFile,
    Input,
    Isotonic,
    LogisticFile,
    Manifest,
    Platt,
)
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
    """A logistic regression on imputed inputs, perhaps bent by natural cubic splines, standardised."""

    def __init__(self, file: LogisticFile) -> None:
        self._impute = np.array(file.impute)
        self._mean = np.array(file.mean)
        self._scale = np.array(file.scale)
        self._coef = np.array(file.coef)
        self._intercept = file.intercept
        self._curved = [(at, np.array(knots)) for at, knots in enumerate(file.knots) if knots]

    def predict(self, rows: Floats) -> Floats:
        return sigmoid(self._intercept + self._terms(rows).sum(axis=1))

    def contributions(self, rows: Floats) -> Floats:
        terms = self._terms(rows)
        own, start = terms[:, : len(self._impute)].copy(), len(self._impute)
        for at, knots in self._curved:
            end = start + len(knots) - 2
            own[:, at] += terms[:, start:end].sum(axis=1)
            start = end
        return np.column_stack([own, np.full(len(rows), self._intercept)])

    def _terms(self, rows: Floats) -> Floats:
        filled = np.where(np.isnan(rows), self._impute, rows)
        columns = [filled, *(_curve(filled[:, at], knots) for at, knots in self._curved)]
        made = np.hstack(columns) if self._curved else filled
        return np.asarray(self._coef * (made - self._mean) / self._scale, dtype=np.float64)


def _curve(column: Floats, knots: Floats) -> Floats:
    """The curved part of a natural cubic spline; see `LogisticFile`."""
    width = knots[-1] - knots[0]
    z, at = (column - knots[0]) / width, (knots - knots[0]) / width
    cubes = np.clip(z[:, None] - at, 0.0, None) ** 3
    rise = (cubes - cubes[:, -1:]) / np.where(at[-1] > at, at[-1] - at, 1.0)
    return np.asarray(rise[:, :-2] - rise[:, -2:-1], dtype=np.float64)


class Column:
    """A feature that is a probability already."""

    def __init__(self, file: ColumnFile, inputs: int) -> None:
        self._at, self._instead = file.columns[0], file.instead[0]
        self._sharpness, self._inputs = file.sharpness, inputs

    def predict(self, rows: Floats) -> Floats:
        return sigmoid(self._logit(rows))

    def contributions(self, rows: Floats) -> Floats:
        bias = float(self._sharpness * logit(np.array([self._instead]))[0])
        parts = np.zeros((len(rows), self._inputs + 1))
        parts[:, self._at], parts[:, -1] = self._logit(rows) - bias, bias
        return parts

    def _logit(self, rows: Floats) -> Floats:
        values = rows[:, self._at]
        return np.asarray(self._sharpness * logit(np.where(np.isnan(values), self._instead, values)))


def load_member(kind: str, name: str, content: bytes, inputs: list[Input]) -> MemberModel:
    """Load one member file and check that it takes exactly these inputs.

    Raises:
        BundleRejected: reason `member`, with the file's problem.
    """
    if kind == "logistic":
        return _load_logistic(name, content, inputs)
    if kind == "column":
        return _load_column(name, content, inputs)
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
    if len(file.impute) != len(inputs):
        raise BundleRejected("member", name, f"{len(file.impute)} features", f"{len(inputs)} features")
    return Logistic(file)


def _load_column(name: str, content: bytes, inputs: list[Input]) -> Column:
    try:
        file = ColumnFile.model_validate_json(content, strict=True)
    except ValueError as error:
        raise BundleRejected("member", name, str(error), "the JSON of a column member") from error
    if file.columns[0] >= len(inputs):
        raise BundleRejected("member", name, f"column {file.columns[0]}", f"0 to {len(inputs) - 1}")
    return Column(file, len(inputs))


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
    if isinstance(calibration, Beta):
        inside = np.clip(mixed, CLIP, 1.0 - CLIP)
        return sigmoid(calibration.a * np.log(inside) - calibration.b * np.log1p(-inside) + calibration.c)
    if isinstance(calibration, Isotonic):
        inside = np.clip(mixed, CLIP, 1.0 - CLIP)
        return np.asarray(np.interp(inside, calibration.x, calibration.y), dtype=np.float64)
    return np.asarray(np.clip(mixed, CLIP, 1.0 - CLIP), dtype=np.float64)
