"""Least squares with an L2 penalty, on standardised features with median imputation."""

import json
from dataclasses import dataclass

import numpy as np

from pennant.training.losses import Floats
from pennant.training.members.base import Parameters
from pennant.training.members.prepared import Prepared
from pennant.training.problem import Problem


@dataclass(frozen=True)
class Line:
    """`intercept + prepared(x) @ coef`."""

    prepared: Prepared
    coef: Floats
    intercept: float

    def predict(self, x: Floats) -> Floats:
        """Numbers, shape (n,)."""
        return np.asarray(self.intercept + self.prepared.apply(x) @ self.coef, dtype=np.float64)

    def content(self) -> bytes:
        """The numbers as JSON, exact to the last bit."""
        body = {**self.prepared.to_json(), "coef": self.coef.tolist(), "intercept": self.intercept}
        return json.dumps(body, indent=1).encode()


class Ridge:
    """Kind `ridge`: `alpha` is the penalty on squared coefficients."""

    suffix = "json"

    def fit(
        self,
        x: Floats,
        y: Floats,
        weight: Floats,
        parameters: Parameters,
        seed: int,  # noqa: ARG002  # nothing is random
        problem: Problem,  # noqa: ARG002
    ) -> Line:
        """Fit; a feature that is constant or all missing gets the coefficient 0."""
        prepared = Prepared.of(x, 0)
        z = prepared.apply(x)
        share = weight / weight.sum()
        middle, level = share @ z, float(share @ y)
        centred = (z - middle) * np.sqrt(weight)[:, None]
        gram = centred.T @ centred + float(parameters["alpha"]) * np.eye(z.shape[1])
        coef = np.linalg.lstsq(gram, centred.T @ ((y - level) * np.sqrt(weight)), rcond=None)[0]
        return Line(prepared, coef, level - float(middle @ coef))
