"""Forecasts that need no model: what a first champion has to beat."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from pennant.declaration.model import Baseline, UseCase
from pennant.errors import PennantError
from pennant.features.build import BASELINE
from pennant.gate.forecasts import Forecast, baselines_of
from pennant.gate.tables import Floats, ScoreTable, cluster_of, identity, predicted_columns
from pennant.training.fresh import trainable
from pennant.training.problem import Problem, problem_of
from pennant.training.rows import labels_of


class BaselineUnavailable(PennantError):
    """A declared baseline cannot be computed from this snapshot."""

    def __init__(self, baseline: str, found: str, allowed: str) -> None:
        self.baseline = baseline
        self.found = found
        self.allowed = allowed
        super().__init__(
            f"baseline {baseline}: found {found}; allowed is {allowed}. "
            "Correct `baselines` in use_case.yaml, or the function `baselines` in features.py."
        )


@dataclass(frozen=True)
class _Past:
    """The labels that the challenger was trained on."""

    problem: Problem
    y: Floats


def baseline_tables(
    use_case: UseCase, frame: pl.DataFrame, fresh: pl.DataFrame, as_of: datetime
) -> dict[str, ScoreTable]:
    """Every declared baseline on the fresh rows, as the backtest forecasts it.

    `base_rate` comes from the rows that the challenger was trained on, so it knows nothing of the
    fresh ones. `column` reads `baseline__<column>`; rows where it is null are left out of that
    baseline's table, and thereby of its comparison.

    Args:
        use_case: the declaration.
        frame: the whole snapshot.
        fresh: its fresh rows.
        as_of: the snapshot's moment.

    Raises:
        BaselineUnavailable: no such column, or no training row to take a rate of.
    """
    for name, declared in use_case.baselines.items():
        _check(name, declared, frame)
    if not use_case.baselines:
        return {}
    past = _past(use_case, frame, as_of)
    forecasts = baselines_of(use_case, past, fresh)
    return {name: _table(name, forecasts.get(name), past.problem, fresh) for name in use_case.baselines}


def _check(name: str, declared: Baseline, frame: pl.DataFrame) -> None:
    for column in [declared.column] if declared.column else declared.columns:
        if BASELINE + column not in frame.columns:
            allowed = [each for each in frame.columns if each.startswith(BASELINE)]
            raise BaselineUnavailable(name, f"no column {BASELINE}{column}", f"one of {allowed}")


def _past(use_case: UseCase, frame: pl.DataFrame, as_of: datetime) -> _Past:
    known = trainable(frame, use_case.split, as_of)["label"]
    if known.is_empty():
        name = next(iter(use_case.baselines))
        raise BaselineUnavailable(name, f"no training row as of {as_of.isoformat()}", "at least one")
    y = labels_of(known)
    return _Past(problem_of(use_case, y), y)


def _table(name: str, found: Forecast | None, problem: Problem, fresh: pl.DataFrame) -> ScoreTable:
    """The forecast's rows; none where it forecasts nothing."""
    if found is None:
        width = predicted_columns(problem)
        nothing = np.empty(0 if width is None else (0, width))
        found = Forecast(np.zeros(fresh.height, dtype=bool), nothing)
    entity, event_time, label = identity(fresh, problem)
    rows = found.given
    cluster = cluster_of(fresh)
    mine = None if cluster is None else cluster[rows]
    return ScoreTable(
        name, entity[rows], event_time[rows], label[rows], found.p, problem=problem, cluster=mine
    )


def required_baselines(use_case: UseCase) -> list[str]:
    """Names of the baselines that count."""
    return [name for name, declared in use_case.baselines.items() if declared.required]
