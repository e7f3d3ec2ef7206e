"""Logistic regression, of two classes or of more, exported as plain numbers."""

import json
from dataclasses import dataclass

import numpy as np

from pennant.training.losses import Floats, expit
from pennant.training.members.base import Parameters
from pennant.training.members.prepared import Prepared
from pennant.training.problem import Problem


@dataclass(frozen=True)
class Linear:
    """`expit` (binary) or `softmax` (multiclass) of `intercept + prepared(x) @ coef`.

    Attributes:
        prepared: how the features are made ready.
        coef: shape (columns,), or (columns, classes).
        intercept: shape (), or (classes,).
    """

    prepared: Prepared
    coef: Floats
    intercept: Floats

    def predict(self, x: Floats) -> Floats:
        """Probabilities, shape (n,) or (n, classes)."""
        z = self.intercept + self.prepared.apply(x) @ self.coef
        if self.coef.ndim == 1:
            return expit(z)
        raised = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)

    def content(self) -> bytes:
        """The numbers as JSON, exact to the last bit."""
        body = {**self.prepared.to_json(), "coef": self.coef.tolist(), "intercept": self.intercept.tolist()}
        return json.dumps(body, indent=1).encode()


class Logistic:
    """Kind `logistic`: L2-penalised, `c` as in scikit-learn, `knots` bend the features."""

    suffix = "json"

    def fit(
        self, x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int, problem: Problem
    ) -> Linear:
        """Fit; a feature that is constant or all missing gets the coefficient 0. `seed` has no effect."""
        from sklearn.linear_model import LogisticRegression  # seconds of import
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        prepared = Prepared.of(x, int(parameters["knots"]))
        model = LogisticRegression(C=float(parameters["c"]), tol=1e-8, max_iter=1000, random_state=seed)
        # One BLAS thread: the same sums on every number of cores, and none of them spinning for 8 columns.
        with threadpool_limits(limits=1):
            model.fit(prepared.apply(x), y, sample_weight=weight)
        coef, intercept = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
        if problem.task == "binary":
            return Linear(prepared, coef[0], intercept[0])
        return Linear(prepared, np.ascontiguousarray(coef.T), intercept)
