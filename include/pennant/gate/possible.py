"""What labels, predictions and intervals of each task can be; anything else judges nothing."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pennant.gate.tables import Floats, ScoreTable
from pennant.training.problem import Problem

SUM_TOLERANCE = 1e-5
"""How far the probabilities of a row may miss 1: the rounding of hundreds of 32-bit numbers, and no gain."""
LARGEST = 1e50
"""Of a number or a coordinate: beyond this its square could not be averaged."""

Mask = NDArray[np.bool_]


class Possible(NamedTuple):
    """In words, what a task allows."""

    labels: str
    predictions: str
    intervals: str


_ENDS = "finite, the lower end not above the upper"
_SHARES = "probabilities of the outcomes, each from 0 to 1, that sum to 1"


def possible(problem: Problem) -> Possible:
    """What labels, predictions and intervals of a problem can be, in words."""
    return {
        "binary": Possible("0 and 1", "numbers from 0 to 1", f"from 0 to 1, {_ENDS}"),
        "multiclass": Possible(f"0 to {problem.classes - 1}", _SHARES, f"from 0 to 1, {_ENDS}"),
        "count": Possible("whole numbers from 0", _SHARES, f"from 0, {_ENDS}"),
        "regression": Possible("finite numbers", "finite numbers", _ENDS),
        "trajectory": Possible("finite metres", "finite metres", "finite radii from 0"),
    }[problem.task]


def impossible_labels(table: ScoreTable) -> Mask:
    """(n,) rows whose label the task does not know."""
    y, task = table.label, table.problem.task
    if task == "binary":
        return ~np.isin(y, (0.0, 1.0))
    if task == "multiclass":
        return ~np.isin(y, np.arange(table.problem.classes))
    if task == "count":
        with np.errstate(invalid="ignore"):
            whole = np.asarray(y == np.floor(y))
        return ~(_within(y, 0.0, LARGEST) & whole)
    return _any(~_within(y, -LARGEST, LARGEST))


def impossible_predictions(table: ScoreTable) -> int:
    """Number of rows whose prediction the task does not know."""
    p = table.prediction
    if table.problem.task in {"regression", "trajectory"}:
        return int(np.count_nonzero(_any(~_within(p, -LARGEST, LARGEST))))
    bad = _any(~_within(p, 0.0, 1.0))
    if p.ndim == 2:
        with np.errstate(invalid="ignore"):
            bad |= ~(np.abs(p.sum(axis=1) - 1.0) <= SUM_TOLERANCE)
    return int(np.count_nonzero(bad))


def impossible_intervals(table: ScoreTable) -> int:
    """Number of rows whose interval no label could lie in; 0 without intervals."""
    if table.low is None or table.high is None:
        return 0
    lowest = -LARGEST if table.problem.task == "regression" else 0.0
    highest = 1.0 if table.problem.task in {"binary", "multiclass"} else LARGEST
    good = _within(table.low, lowest, highest) & _within(table.high, lowest, highest)
    return int(np.count_nonzero(_any(~(good & (table.low <= table.high)))))


def _within(values: Floats, low: float, high: float) -> Mask:
    """NaN is within nothing."""
    with np.errstate(invalid="ignore"):
        return np.asarray((values >= low) & (values <= high))


def _any(bad: Mask) -> Mask:
    return np.asarray(bad if bad.ndim == 1 else bad.any(axis=1))
