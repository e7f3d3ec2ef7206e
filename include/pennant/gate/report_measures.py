"""Every metric of a task for every forecaster of a judgement, with intervals where one means something.

Means over rows have the gate's own interval (`pennant.training.clustered`). Areas under curves are
resampled by whole clusters. A calibration error has none: resampling adds to it what it is meant to measure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pennant.declaration.parameters import METRICS
from pennant.gate.calibration import inside
from pennant.gate.tables import Floats, ScoreTable
from pennant.training.clustered import clustered_mean
from pennant.training.losses import auc
from pennant.training.metrics import average_precision, metrics

RESAMPLES, SEED = 200, 20
WORDS = {
    "log_loss": ("Log loss", "nats", "less is better"),
    "brier": ("Brier score", "squared error", "less is better"),
    "rps": ("Ranked probability score", "squared error per rank", "less is better"),
    "crps": ("CRPS", "counts", "less is better"),
    "squared_error": ("Squared error", "unit squared", "less is better"),
    "absolute_error": ("Absolute error", "unit", "less is better"),
    "rmse": ("Root mean squared error", "unit", "less is better"),
    "ade": ("ADE, mean distance over the steps", "metres", "less is better"),
    "fde": ("FDE, distance at the last step", "metres", "less is better"),
    "mae": ("Absolute error of the median", "counts", "less is better"),
    "bias": ("Bias, forecast less outcome", "unit", "0 is best"),
    "accuracy": ("Accuracy of the likeliest", "share", "more is better"),
    "auc": ("Area under the ROC curve", "share", "more is better"),
    "average_precision": ("Average precision", "share", "more is better"),
    "ece": ("Calibration error, ten bins", "share", "less is better"),
    "reliability": ("Brier: miscalibration", "squared error", "less is better"),
    "resolution": ("Brier: resolution", "squared error", "more is better"),
    "coverage": ("Labels inside the intervals", "share", "as promised is best"),
}
"""Of each metric its name, its unit, and which way is better."""


@dataclass(frozen=True)
class Figure:
    """A metric's value, with bounds where there are any."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Measures:
    """What was measured.

    Attributes:
        of: forecaster -> metric -> its figure; metrics in the order of `WORDS`.
        rows: forecaster -> rows that it forecast.
        level: of the intervals.
        clusters: what counts together in them.
    """

    of: Mapping[str, Mapping[str, Figure]]
    rows: Mapping[str, int]
    level: float
    clusters: str

    @property
    def metrics(self) -> list[str]:
        """Those that any forecaster has, in order."""
        return [each for each in WORDS if any(each in found for found in self.of.values())]


def measure(tables: Mapping[str, ScoreTable], alpha: float) -> Measures:
    """Measure every table; those without rows are left out.

    Args:
        tables: by the name to show.
        alpha: error of each bound, as the gate's.
    """
    used = {name: table for name, table in tables.items() if len(table)}
    declared = any(table.cluster is not None for table in used.values())
    return Measures(
        of={name: _figures(table, alpha) for name, table in used.items()},
        rows={name: len(table) for name, table in used.items()},
        level=1.0 - 2.0 * alpha,
        clusters="the declared clusters" if declared else "UTC days",
    )


def _figures(table: ScoreTable, alpha: float) -> dict[str, Figure]:
    by_row, clusters = _by_row(table), table.clusters()
    found: dict[str, Figure] = {}
    for name, values in by_row.items():
        mean = clustered_mean(values, clusters, alpha)
        found[name] = Figure(mean.mean, mean.low, mean.high)
    if "squared_error" in found:
        squared = found["squared_error"]
        ends = (None if end is None else float(np.sqrt(max(end, 0.0))) for end in (squared.low, squared.high))
        found["rmse"] = Figure(float(np.sqrt(squared.value)), *ends)
    pooled = metrics(table.problem, table.label, table.prediction)
    found |= {name: Figure(pooled[name]) for name in ("ece", "reliability", "resolution") if name in pooled}
    if table.problem.task == "binary":
        found |= _areas(table, alpha)
    return {name: found[name] for name in WORDS if name in found and np.isfinite(found[name].value)}


def _by_row(table: ScoreTable) -> dict[str, Floats]:
    """Values whose mean is the metric, each (n,)."""
    y, p, task = table.label, table.prediction, table.problem.task
    found = {name: table.losses(name) for name in METRICS[task]}
    if task == "binary":
        found["accuracy"] = ((p >= 0.5) == (y == 1.0)).astype(np.float64)
    elif task == "multiclass":
        found["accuracy"] = (p.argmax(axis=1) == y).astype(np.float64)
    elif task == "regression":
        found["bias"] = p - y
    elif task == "count":
        found["mae"] = np.abs(y - (np.cumsum(p, axis=1) < 0.5).sum(axis=1))
        found["bias"] = p @ np.arange(p.shape[1], dtype=np.float64) - y
    if task not in {"binary", "multiclass"} and table.intervals:
        held = inside(table)
        found["coverage"] = held if held.ndim == 1 else held.mean(axis=1)
    return found


def _areas(table: ScoreTable, alpha: float) -> dict[str, Figure]:
    """AUC and average precision, resampled by whole clusters with a fixed seed."""
    measured = {"auc": auc, "average_precision": average_precision}
    _, codes = np.unique(table.clusters(), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    rng = np.random.default_rng(SEED)
    drawn: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(RESAMPLES if len(parts) > 1 else 0):
        rows = np.concatenate([parts[at] for at in rng.integers(0, len(parts), len(parts))])
        for name, of in measured.items():
            drawn[name].append(of(table.label[rows], table.prediction[rows]))
    found = {}
    for name, of in measured.items():
        finite = [each for each in drawn[name] if np.isfinite(each)]
        ends = np.quantile(finite, [alpha, 1 - alpha]) if len(finite) > RESAMPLES // 2 else (None, None)
        low, high = (None if end is None else float(end) for end in ends)
        found[name] = Figure(float(of(table.label, table.prediction)), low, high)
    return found
