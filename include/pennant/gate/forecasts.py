"""What the declared baselines forecast for some rows, in the shape of the task's predictions."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from pennant.declaration.model import Baseline, TrainedUseCase
from pennant.features.build import BASELINE
from pennant.training.losses import Floats
from pennant.training.members.distributions import poisson
from pennant.training.problem import Problem


class Past(Protocol):
    """What was known: the problem, and the labels of the rows trained on."""

    @property
    def problem(self) -> Problem: ...
    @property
    def y(self) -> Floats: ...


@dataclass(frozen=True)
class Forecast:
    """Predictions of some rows.

    Attributes:
        given: which rows have one, shape (n,).
        p: predictions of these rows.
    """

    given: npt.NDArray[np.bool_]
    p: Floats


def baselines_of(use_case: TrainedUseCase, data: Past, test: pl.DataFrame) -> dict[str, Forecast]:
    """Every declared baseline's forecast of the rows `test`; one without any is left out."""
    found = {name: _forecast(each, data, test) for name, each in use_case.baselines.items()}
    return {name: each for name, each in found.items() if each.given.any()}


def _forecast(declared: Baseline, data: Past, test: pl.DataFrame) -> Forecast:
    if declared.kind == "base_rate":
        everyone = np.ones(test.height, dtype=bool)
        return Forecast(everyone, np.repeat(_rate(data)[None], test.height, axis=0))
    names = [declared.column] if declared.column else declared.columns
    values = test.select(pl.col(f"{BASELINE}{name}").cast(pl.Float64) for name in names)
    table = values.fill_null(float("nan")).to_numpy()
    given = ~np.isnan(table).any(axis=1)
    return Forecast(given, _shaped(data.problem, table[given]))


def _rate(data: Past) -> Floats:
    """The training rows' frequencies, or their mean."""
    problem, y = data.problem, data.y
    if problem.task in {"binary", "regression", "trajectory"}:
        return np.asarray(y.mean(axis=0), dtype=np.float64)
    counts = np.bincount(y.astype(np.int64), minlength=problem.outcomes)
    # Half a row for each outcome: what was never seen is not impossible.
    return np.asarray((counts + 0.5) / (counts + 0.5).sum(), dtype=np.float64)


def _shaped(problem: Problem, table: Floats) -> Floats:
    if problem.task == "count":
        return poisson(table[:, 0], problem.most)
    if problem.task == "multiclass":
        return np.asarray(table / table.sum(axis=1, keepdims=True), dtype=np.float64)
    return table if problem.task == "trajectory" else np.ascontiguousarray(table[:, 0])
