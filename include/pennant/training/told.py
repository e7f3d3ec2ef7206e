"""What a bundle says of itself: how good it was on rows that no model had seen, and what it was made of."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from pennant.declaration.model import TrainedUseCase
from pennant.training.coverage import beside, by_slice
from pennant.training.crossfit import OutOfFold
from pennant.training.interval import Interval, Scored
from pennant.training.losses import Floats
from pennant.training.metrics import MAIN, by_row, metrics
from pennant.training.rows import TrainingRows


def outcome(use_case: TrainedUseCase, rows: TrainingRows) -> dict[str, Any]:
    """The `outcome` of bundle.json: what its predictions are of."""
    number = use_case.task in {"regression", "count"}
    return {
        "classes": list(use_case.label.classes) if use_case.task == "multiclass" else [],
        "most": rows.problem.most,
        "steps": rows.problem.steps,
        "unit": (use_case.label.expression or "") if number else "",
    }


def described(
    use_case: TrainedUseCase,
    rows: TrainingRows,
    oof: OutOfFold,
    prediction: Floats,
    interval: Interval,
    scored: Scored | None,
    combined: Mapping[str, Any],
) -> dict[str, Any]:
    """The `metrics` of bundle.json, all numbers finite.

    Args:
        use_case: the declaration.
        rows: the training rows.
        oof: predictions of the members out of fold.
        prediction: of the ensemble, calibrated.
        interval: the shipped one.
        scored: what its coverage is measured by; None if it holds no labels.
        combined: how the members were combined.
    """
    problem, label = rows.problem, oof.label
    main = MAIN[problem.task]
    return {
        "oof": {**_finite(metrics(problem, label, prediction)), "rows": len(label)},
        "members": {
            name: {main: float(by_row(main, problem, label, each).mean())}
            for name, each in oof.members.items()
        },
        "ensemble": dict(combined),
        "interval": interval.described(),
        "coverage": {} if scored is None else by_slice(use_case, rows, scored),
        "calibration": beside(use_case, rows, oof.index, prediction) if scored is None else {},
        "rows": len(rows.y),
        **_labels(use_case, rows),
        "trained_from": iso(rows.trained_from),
        "trained_until": iso(rows.trained_until),
    }


def flat(told: Mapping[str, Any]) -> dict[str, float]:
    """Of `described`, the numbers that a tracking server shows."""
    oof = {f"oof_{name}": float(value) for name, value in told["oof"].items()}
    members = {
        f"{name}_oof_{metric}": float(value)
        for name, each in told["members"].items()
        for metric, value in each.items()
    }
    covered = {f"coverage_{name}": float(each["share"]) for name, each in told["coverage"].items()}
    plain = {name: float(told[name]) for name in ("rows", "base_rate", "label_mean") if name in told}
    return {**oof, **members, **covered, **plain}


def iso(moment: datetime) -> str:
    """A UTC moment as bundle.json writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def _labels(use_case: TrainedUseCase, rows: TrainingRows) -> dict[str, Any]:
    """What a forecast that knows no feature would say."""
    if use_case.task == "binary":
        return {"base_rate": float(rows.y.mean())}
    if use_case.task == "multiclass":
        rates = [float((rows.y == each).mean()) for each in range(rows.problem.classes)]
        return {"base_rates": dict(zip(use_case.label.classes, rates, strict=True))}
    return {} if use_case.task == "trajectory" else {"label_mean": float(rows.y.mean())}


def _finite(found: Mapping[str, float]) -> dict[str, float]:
    """Without what rows of one class leave undefined."""
    return {name: value for name, value in found.items() if np.isfinite(value)}
