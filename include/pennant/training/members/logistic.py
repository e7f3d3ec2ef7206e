"""Logistic regression with median imputation and standardised features, exported as plain numbers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pennant.training.losses import Floats, expit
from pennant.training.members.base import Allowed, Parameters


@dataclass(frozen=True)
class Linear:
    """`expit(intercept + sum(coef * ((x or impute) - mean) / scale))`; arrays of shape (features,)."""

    impute: Floats
    mean: Floats
    scale: Floats
    coef: Floats
    intercept: float

    def predict(self, x: Floats) -> Floats:
        """Probabilities, shape (n,)."""
        return expit(self.intercept + _standardised(x, self.impute, self.mean, self.scale) @ self.coef)

    def content(self) -> bytes:
        """The numbers as JSON, exact to the last bit."""
        columns = {name: getattr(self, name).tolist() for name in ("impute", "mean", "scale", "coef")}
        return json.dumps({**columns, "intercept": self.intercept}, indent=1).encode()


class Logistic:
    """Kind `logistic`: L2-penalised, `c` is the inverse strength as in scikit-learn."""

    suffix = "json"
    allowed: Mapping[str, Allowed] = {"c": Allowed(1.0, 1e-6, 1e6)}

    def fit(self, x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int) -> Linear:
        """Fit; a feature that is constant or all missing gets the coefficient 0. `seed` has no effect."""
        from sklearn.linear_model import LogisticRegression  # seconds of import
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        missing = np.isnan(x)
        impute = np.array(
            [np.median(c[~m]) if not m.all() else 0.0 for c, m in zip(x.T, missing.T, strict=True)]
        )
        filled = np.where(missing, impute, x)
        mean, spread = filled.mean(axis=0), filled.std(axis=0)
        scale = np.where(spread > 1e-12 * np.maximum(1.0, np.abs(mean)), spread, 1.0)
        model = LogisticRegression(C=float(parameters["c"]), tol=1e-8, max_iter=1000, random_state=seed)
        # One BLAS thread: the same sums on every number of cores, and none of them spinning for 8 columns.
        with threadpool_limits(limits=1):
            model.fit((filled - mean) / scale, y, sample_weight=weight)
        return Linear(impute, mean, scale, model.coef_[0].astype(np.float64), float(model.intercept_[0]))


def _standardised(x: Floats, impute: Floats, mean: Floats, scale: Floats) -> Floats:
    return np.asarray((np.where(np.isnan(x), impute, x) - mean) / scale, dtype=np.float64)
