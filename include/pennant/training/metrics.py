"""How good forecasts were, by the kind of task.

Sources: Brier 1950, "Verification of forecasts expressed in terms of probability"; its decomposition: Murphy
1973, "A new vector partition of the probability score"; RPS: Epstein 1969, "A scoring system for probability
forecasts of ranked categories" (divided by classes - 1); CRPS of a count, the same sum without that division:
Gneiting and Raftery 2007, "Strictly proper scoring rules, prediction, and estimation", formula 20.
"""

import numpy as np
import numpy.typing as npt

from pennant.declaration.parameters import METRICS
from pennant.training.losses import Floats, auc
from pennant.training.problem import Problem, row_losses

BINS = 10
COVERAGE = 0.9
MAIN = {
    "binary": "log_loss",
    "multiclass": "rps",
    "count": "log_loss",
    "regression": "squared_error",
    "trajectory": "ade",
}
"""By task, what models are compared by unless the declaration says otherwise."""


def by_row(metric: str, problem: Problem, y: Floats, p: Floats) -> Floats:
    """A metric of `METRICS` for each row, shape (n,); less is better."""
    if metric in {"log_loss", "ade", "squared_error"}:
        return row_losses(problem, y, p)
    if metric == "brier":
        wanted = y if problem.task == "binary" else np.eye(problem.classes)[y.astype(np.int64)]
        apart = np.square(wanted - p)
        return np.asarray(apart if problem.task == "binary" else apart.sum(axis=1), dtype=np.float64)
    if metric in {"rps", "crps"}:
        below = y[:, None] <= np.arange(p.shape[1])
        steps = np.square(np.cumsum(p, axis=1) - below)[:, :-1].sum(axis=1)
        return np.asarray(steps / (p.shape[1] - 1 if metric == "rps" else 1.0), dtype=np.float64)
    if metric == "absolute_error":
        return np.asarray(np.abs(y - p), dtype=np.float64)
    if metric == "fde":
        return np.asarray(np.hypot(*(y - p)[:, -2:].T), dtype=np.float64)
    raise ValueError(f"metric {metric!r}; allowed: {', '.join(METRICS[problem.task])}")


def metrics(problem: Problem, y: Floats, p: Floats) -> dict[str, float]:
    """All metrics of a task over rows; see the functions below for what each is."""
    found = {name: float(by_row(name, problem, y, p).mean()) for name in METRICS[problem.task]}
    if problem.task == "binary":
        found |= brier_parts(y, p) | {"ece": calibration_error(y, p), "auc": auc(y, p)}
        found |= {"average_precision": average_precision(y, p)}
        found |= {"accuracy": float(((p >= 0.5) == (y == 1.0)).mean())}
    elif problem.task == "multiclass":
        hits = [
            calibration_error((y == each).astype(np.float64), p[:, each]) for each in range(problem.classes)
        ]
        found |= {"accuracy": float((p.argmax(axis=1) == y).mean()), "ece": float(np.mean(hits))}
    elif problem.task == "count":
        found |= _of_counts(y, p)
    elif problem.task == "regression":
        found |= {"rmse": float(np.sqrt(found["squared_error"])), "bias": float((p - y).mean())}
    return found


def of_samples(y: Floats, samples: Floats) -> dict[str, Floats]:
    """How samples of paths cover what came: the best of them, which rewards breadth, and a proper score.

    The energy score is Gneiting and Raftery 2007, formula 22, with the mean distance over the steps in place
    of the Euclidean norm: E d(S, y) - E d(S, S') / 2, each in metres; a single path has its ADE.

    Args:
        y: shape (n, 2 steps).
        samples: shape (n, count, 2 steps).
    """

    def apart(one: Floats, other: Floats) -> Floats:
        off = (one - other).reshape(*np.broadcast_shapes(one.shape, other.shape)[:-1], -1, 2)
        return np.asarray(np.hypot(off[..., 0], off[..., 1]), dtype=np.float64)

    steps = apart(samples, y[:, None, :])
    each = steps.mean(axis=2)
    between = apart(samples[:, :, None, :], samples[:, None, :, :]).mean(axis=(1, 2, 3))
    return {
        "best_ade": each.min(axis=1),
        "best_fde": steps[:, :, -1].min(axis=1),
        "energy_score": each.mean(axis=1) - between / 2.0,
    }


def brier_parts(y: Floats, p: Floats) -> dict[str, float]:
    """Murphy's parts over ten bins: the score is about the first less the second plus the third."""
    rate = y.mean()
    weight, said, seen = _bins(y, p)
    return {
        "reliability": float(weight @ np.square(said - seen)),
        "resolution": float(weight @ np.square(seen - rate)),
        "uncertainty": float(rate * (1.0 - rate)),
    }


def calibration_error(y: Floats, p: Floats) -> float:
    """Mean distance of what was said and what was seen, over ten bins of equal size (ECE)."""
    weight, said, seen = _bins(y, p)
    return float(weight @ np.abs(said - seen))


def average_precision(y: Floats, p: Floats) -> float:
    """Area under precision over recall, in steps; NaN without a 1."""
    if not y.sum():
        return float("nan")
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum(y[order])
    last = np.append(np.diff(p[order]) != 0, True)  # rows of one score count together
    precision, recall = (hits / np.arange(1, len(y) + 1))[last], (hits / hits[-1])[last]
    return float(np.diff(recall, prepend=0.0) @ precision)


def _of_counts(y: Floats, p: Floats) -> dict[str, float]:
    counts = np.arange(p.shape[1])
    mean, rises = p @ counts, np.cumsum(p, axis=1)
    low, high = ((rises < edge).sum(axis=1) for edge in ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2))
    median = (rises < 0.5).sum(axis=1)
    return {
        "mae": float(np.abs(y - median).mean()),
        "bias": float((mean - y).mean()),
        "coverage_90": float(((y >= low) & (y <= high)).mean()),
    }


def _bins(y: Floats, p: Floats) -> tuple[Floats, Floats, Floats]:
    """Share of rows, mean forecast and rate of each bin; rows of one forecast stay in one bin."""
    order = np.argsort(p, kind="stable")
    parts: list[npt.NDArray[np.int64]] = [each for each in np.array_split(order, BINS) if len(each)]
    weight = np.array([len(each) / len(y) for each in parts])
    return weight, np.array([p[each].mean() for each in parts]), np.array([y[each].mean() for each in parts])
