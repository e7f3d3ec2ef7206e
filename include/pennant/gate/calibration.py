"""Does a probability of 0.7 come true seven times in ten: the expected calibration error."""

from dataclasses import dataclass

import numpy as np

from pennant.gate.tables import Floats

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
    """Expected calibration error of n rows.

    Attributes:
        error: mean over rows of |observed share - mean prediction| of the row's bin.
        chance: the error a perfectly calibrated forecaster with these predictions would show on
            average, from the finite number of rows alone (normal approximation).
        bins: the bins, in order of prediction.
    """

    error: float
    chance: float
    bins: tuple[CalibrationBin, ...]


def calibration(label: Floats, prediction: Floats) -> Calibration:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015) in bins of equal mass.

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
