"""Do forecasts mean what they say: probabilities as often as they claim, intervals as wide as they promise.

The calibration error of probabilities is that of Naeini, Cooper and Hauskrecht 2015, in bins of equal mass.
For counts, numbers and paths it is how far the share of labels inside the intervals lies from the share that
was promised: too wide is wrong, too.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pennant.gate.tables import Floats, ScoreTable

MAX_BINS = 10
MIN_BIN_ROWS = 30
"""With fewer rows in a bin the error shown is mostly chance."""


@dataclass(frozen=True)
class CalibrationBin:
    """Rows with neighbouring predictions: their mean prediction and the share that came true."""

    rows: int
    low: float
    high: float
    predicted: float
    observed: float


@dataclass(frozen=True)
class Calibration:
    """Calibration error of n rows.

    Attributes:
        error: of probabilities the mean over rows of |observed share - mean prediction| of the row's bin,
            for several classes its mean over them; of intervals |share inside - share promised|, for paths
            its mean over the steps.
        chance: the error a perfectly calibrated forecaster with these predictions would show on
            average, from the finite number of rows alone (normal approximation).
        bins: the bins, in order of prediction, class after class; empty for intervals.
        kind: what was measured.
        promised: the share of labels that intervals are meant to hold.
        inside: the share that they hold.
    """

    error: float
    chance: float
    bins: tuple[CalibrationBin, ...]
    kind: Literal["probabilities", "intervals"] = "probabilities"
    promised: float | None = None
    inside: float | None = None


def calibration_of(table: ScoreTable) -> Calibration | None:
    """How well a table's forecasts are calibrated; None where its task needs intervals and it has none."""
    task = table.problem.task
    if task == "binary":
        return calibration(table.label, table.prediction)
    if task == "multiclass":
        columns = enumerate(table.prediction.T)
        each = [calibration((table.label == at).astype(np.float64), column) for at, column in columns]
        return Calibration(
            float(np.mean([one.error for one in each])),
            float(np.mean([one.chance for one in each])),
            tuple(found for one in each for found in one.bins),
        )
    if table.coverage is None or not table.intervals:
        return None
    return coverage_error(inside(table), table.coverage)


def inside(table: ScoreTable) -> Floats:
    """1.0 where the label lies in its interval: (n,), for paths (n, steps).

    Raises:
        ValueError: the table has no intervals.
    """
    if table.low is None or table.high is None:
        raise ValueError(f"score table {table.name!r} has no intervals")
    if table.problem.task == "trajectory":
        apart = (table.label - table.prediction).reshape(len(table), -1, 2)
        return (np.hypot(apart[..., 0], apart[..., 1]) <= table.high).astype(np.float64)
    return ((table.label >= table.low) & (table.label <= table.high)).astype(np.float64)


def coverage_error(held: Floats, promised: float) -> Calibration:
    """How far shares lie from the promised one; `held` is what `inside` gives."""
    if not len(held):
        return Calibration(0.0, 0.0, (), "intervals", promised, None)
    shares = np.atleast_1d(held.mean(axis=0))
    chance = float(np.sqrt(2 / np.pi * promised * (1 - promised) / len(held)))
    error = float(np.mean(np.abs(shares - promised)))
    return Calibration(error, chance, (), "intervals", promised, float(shares.mean()))


def calibration(label: Floats, prediction: Floats) -> Calibration:
    """Expected calibration error of the probability of one outcome; both of shape (n,).

    At most 10 bins, and fewer where a bin would hold under 30 rows. Rows that share a prediction
    are averaged first, so that the order of rows cannot matter.
    """
    if not len(label):
        return Calibration(0.0, 0.0, ())
    order = np.argsort(prediction, kind="stable")
    p, y = prediction[order], _mean_within_ties(prediction[order], label[order])
    bins, error, chance = [], 0.0, 0.0
    for rows in np.array_split(np.arange(len(p)), max(1, min(MAX_BINS, len(p) // MIN_BIN_ROWS))):
        predicted, observed = float(np.mean(p[rows])), float(np.mean(y[rows]))
        bins.append(CalibrationBin(len(rows), float(p[rows[0]]), float(p[rows[-1]]), predicted, observed))
        error += len(rows) / len(p) * abs(observed - predicted)
        chance += float(np.sqrt(2 / np.pi * np.sum(p[rows] * (1 - p[rows])))) / len(p)
    return Calibration(error, chance, tuple(bins))


def _mean_within_ties(p: Floats, y: Floats) -> Floats:
    """Each label replaced by the mean label of the rows with exactly this prediction."""
    _, codes = np.unique(p, return_inverse=True)
    counts = np.bincount(codes)
    return np.asarray((np.bincount(codes, weights=y) / counts)[codes], dtype=np.float64)
