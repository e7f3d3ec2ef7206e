"""Gradient-boosted trees, through XGBoost's native Booster.

The native API skips the scikit-learn wrapper, which costs more than the prediction itself. One thread for
tables of usual size: mapped tasks share the cores, and one thread gives the same bytes on every machine of
one kind. Large tables get all cores; still larger ones a cluster, see `pennant.training.cluster`.
"""

import os
from typing import Any

import numpy as np

from pennant.training import cluster
from pennant.training.cluster_crew import Table
from pennant.training.losses import Floats
from pennant.training.members.base import Parameters
from pennant.training.members.distributions import poisson
from pennant.training.problem import Problem

_ROUNDS = "n_estimators"
MANY_VALUES = 10_000_000
"""Tables with so many values are fitted by all cores."""
OBJECTIVES = {
    "binary": "binary:logistic",
    "multiclass": "multi:softprob",
    "count": "count:poisson",
    "regression": "reg:squarederror",
}


class Trees:
    """A fitted booster."""

    def __init__(self, booster: Any, problem: Problem) -> None:
        self._booster, self._problem = booster, problem

    def predict(self, x: Floats) -> Floats:
        """A probability, one per class, a Poisson distribution, or a number per row."""
        raw = np.asarray(self._booster.inplace_predict(x), dtype=np.float64)
        return poisson(raw, self._problem.most) if self._problem.task == "count" else raw

    def content(self) -> bytes:
        """The model in XGBoost's UBJSON."""
        return bytes(self._booster.save_raw(raw_format="ubj"))


class XGBoost:
    """Kind `xgboost`: histogram trees, missing values learned; of a count, the mean of a Poisson."""

    suffix = "ubj"

    def fit(
        self, x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int, problem: Problem
    ) -> Trees:
        """Boost `n_estimators` trees; `parameters` must hold every name of the kind.

        Raises:
            PennantError: the table is for a cluster, and the cluster cannot; see `pennant.training.cluster`.
        """
        import xgboost  # seconds that an ensemble without trees need not pay

        threads = 1 if x.size < MANY_VALUES else (os.cpu_count() or 1)
        fixed: dict[str, Any] = {
            "objective": OBJECTIVES[problem.task],
            "tree_method": "hist",
            "seed": seed,
            "verbosity": 0,
        }
        if problem.task == "multiclass":
            fixed["num_class"] = problem.classes
        given = {**fixed, **{name: value for name, value in parameters.items() if name != _ROUNDS}}
        rounds, max_bin = int(parameters[_ROUNDS]), int(parameters["max_bin"])
        if where := cluster.place(problem.cluster, len(y)):
            return Trees(cluster.boost(where, Table(x, y, weight), given, rounds, max_bin), problem)
        data = xgboost.QuantileDMatrix(x, label=y, weight=weight, nthread=threads, max_bin=max_bin)
        booster = xgboost.train({**given, "nthread": threads}, data, num_boost_round=rounds)
        return Trees(booster, problem)
