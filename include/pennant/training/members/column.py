"""A forecast that stands in features already: the market, a rating, constant velocity."""

import json
from dataclasses import dataclass

import numpy as np

from pennant.training.errors import ColumnsMissing
from pennant.training.losses import Floats, expit, logit
from pennant.training.members.base import Parameters
from pennant.training.members.distributions import poisson
from pennant.training.problem import Problem


@dataclass(frozen=True)
class Taken:
    """Values of some columns as a forecast; where one is missing, the training rows' mean.

    Attributes:
        at: columns of x.
        instead: of the columns, shape (k,), where a row misses one of them.
        sharpness: probabilities are raised to this power, and sum to 1 again.
    """

    at: tuple[int, ...]
    instead: Floats
    sharpness: float
    problem: Problem

    def predict(self, x: Floats) -> Floats:
        """See `pennant.training.problem` for the shapes."""
        values = x[:, self.at]
        gap = np.isnan(values).any(axis=1)
        values = np.where(gap[:, None], self.instead, values)
        if self.problem.task == "binary":
            return expit(self.sharpness * logit(values[:, 0]))
        if self.problem.task == "multiclass":
            raised = np.power(np.clip(values, 1e-9, None), self.sharpness)
            return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)
        if self.problem.task == "count":
            return poisson(values[:, 0], self.problem.most)
        return np.asarray(values if self.problem.task == "trajectory" else values[:, 0], dtype=np.float64)

    def content(self) -> bytes:
        """The numbers as JSON, exact to the last bit."""
        body = {"columns": list(self.at), "instead": self.instead.tolist(), "sharpness": self.sharpness}
        return json.dumps({**body, "most": self.problem.most}, indent=1).encode()


class Column:
    """Kind `column`: nothing is fitted but what stands in for a missing value."""

    suffix = "json"

    def fit(
        self,
        x: Floats,  # noqa: ARG002  # nothing is fitted to the features
        y: Floats,
        weight: Floats,
        parameters: Parameters,
        seed: int,  # noqa: ARG002
        problem: Problem,
    ) -> Taken:
        """Find the columns that the declaration names.

        Raises:
            ColumnsMissing: one is no feature.
        """
        missing = [each for each in problem.columns if each not in problem.names]
        if missing or not problem.columns:
            raise ColumnsMissing(missing or ["columns of a member of kind column"], list(problem.names))
        at = tuple(problem.names.index(each) for each in problem.columns)
        return Taken(at, _instead(problem, y, weight), float(parameters["sharpness"]), problem)


def _instead(problem: Problem, y: Floats, weight: Floats) -> Floats:
    share = weight / weight.sum()
    if problem.task == "multiclass":
        return np.array([share[y == each].sum() for each in range(problem.classes)])
    return np.atleast_1d(share @ y)
