"""Gradient-boosted trees, through XGBoost's native Booster.

The native API skips the scikit-learn wrapper, which costs more than the prediction itself. One thread:
mapped tasks share the cores, and one thread gives the same bytes on every machine of one kind.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pennant.training.losses import Floats
from pennant.training.members.base import Allowed, Parameters

_ROUNDS = "n_estimators"


class Trees:
    """A fitted booster."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster

    def predict(self, x: Floats) -> Floats:
        """Probabilities, shape (n,)."""
        return np.asarray(self._booster.inplace_predict(x), dtype=np.float64)

    def content(self) -> bytes:
        """The model in XGBoost's UBJSON."""
        return bytes(self._booster.save_raw(raw_format="ubj"))


class XGBoost:
    """Kind `xgboost`: objective `binary:logistic`, histogram trees, missing values learned."""

    suffix = "ubj"
    allowed: Mapping[str, Allowed] = {
        "max_depth": Allowed(3, 1, 16, whole=True),
        "learning_rate": Allowed(0.05, 1e-4, 1.0),
        _ROUNDS: Allowed(100, 1, 5000, whole=True),
        "min_child_weight": Allowed(5.0, 0.0, 1e5),
        "subsample": Allowed(0.8, 0.05, 1.0),
        "colsample_bytree": Allowed(1.0, 0.05, 1.0),
        "gamma": Allowed(0.0, 0.0, 1e5),
        "reg_lambda": Allowed(1.0, 0.0, 1e5),
        "reg_alpha": Allowed(0.0, 0.0, 1e5),
        "max_delta_step": Allowed(0.0, 0.0, 100.0),
        "max_bin": Allowed(256, 2, 4096, whole=True),
    }

    def fit(self, x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int) -> Trees:
        """Boost `n_estimators` trees; `parameters` must hold every name of `allowed`."""
        import xgboost  # seconds that an ensemble without trees need not pay

        fixed = {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "nthread": 1,
            "seed": seed,
            "verbosity": 0,
        }
        chosen = {name: value for name, value in parameters.items() if name != _ROUNDS}
        data = xgboost.DMatrix(x, label=y, weight=weight, nthread=1)
        return Trees(xgboost.train({**fixed, **chosen}, data, num_boost_round=int(parameters[_ROUNDS])))
