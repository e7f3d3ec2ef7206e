"""Members for counts whose spread is fitted too; `pennant.decisions.lines` prices lines of them.

A Poisson law ties the variance to the mean. Here the mean comes from a linear model or from trees, and the
training rows decide, by likelihood, which of three laws is around it: Poisson, negative binomial (wider) or
Conway-Maxwell-Poisson (narrower; Shmueli et al. 2005, "A useful distribution for fitting discrete data",
Journal of the Royal Statistical Society C 54, 127-142), named by its mean (Huang 2017, Statistical Modelling
17, 359-380).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import gammaln, logsumexp
from scipy.stats import nbinom

from pennant.training import cluster
from pennant.training.cluster_crew import Table
from pennant.training.losses import Floats
from pennant.training.members.base import Parameters
from pennant.training.members.distributions import SMALLEST_MEAN, poisson
from pennant.training.members.prepared import Prepared
from pennant.training.problem import Problem

LawName = Literal["poisson", "negative_binomial", "conway_maxwell"]
WORTH = 1.0
"""Nats of likelihood that a law with a parameter more has to gain over the Poisson (Akaike's criterion)."""
NARROWEST, WIDEST = 50.0, 10.0
BLOCKS = 3
"""Trees fit their own rows too well: the spread is fitted on blocks of rows that the trees had not seen."""
FEWEST_ROWS = 60
"""With fewer rows the law stays Poisson."""
GRID = 200
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Law:
    """A family of distributions of a count, one for each mean.

    Attributes:
        name: `negative_binomial` has the variance `mean + spread * mean ** 2`; `conway_maxwell` the chances
            `rate ** k / k! ** spread` with the rate that gives the mean; `poisson` has no use for a spread.
        spread: above 0 (negative binomial), above 1 (Conway-Maxwell).
    """

    name: LawName = "poisson"
    spread: float = 0.0

    def chances(self, mean: Floats, most: int) -> Floats:
        """Chances of 0 to most - 1, and of most and more: shape (n, most + 1); means are cut at `most`."""
        mean = np.clip(mean, SMALLEST_MEAN, max(float(most), SMALLEST_MEAN))
        if self.name == "poisson":
            return poisson(mean, most)
        if self.name == "negative_binomial":
            size = 1.0 / self.spread
            below = nbinom.pmf(np.arange(most), size, size / (size + mean[:, None]))
        else:
            parts = np.array_split(mean, 1 + len(mean) // ROWS_AT_ONCE)
            below = np.vstack([_narrow(part, self.spread, most)[0][:, :most] for part in parts])
        rest = np.clip(1.0 - below.sum(axis=1, keepdims=True), 0.0, 1.0)
        return np.asarray(np.hstack([below, rest]), dtype=np.float64)


def fit_law(mean: Floats, y: Floats, weight: Floats) -> Law:
    """The law that makes counts `y` around their means the likeliest; all of shape (n,)."""
    mean = np.maximum(mean, SMALLEST_MEAN)
    if len(y) < FEWEST_ROWS:
        return Law()
    plain = float(weight @ (y * np.log(mean) - mean - gammaln(y + 1.0)))

    def wide(spread: float) -> Floats:
        size = 1.0 / spread
        return np.asarray(nbinom.logpmf(y, size, size / (size + mean)), dtype=np.float64)

    def narrow(spread: float) -> Floats:
        # The rate is smooth in the mean: a grid of means is as good as each of them, and quicker.
        grid = np.geomspace(mean.min(), max(mean.max(), mean.min() * 1.001), GRID)
        _, log_rate, log_sum = _narrow(grid, spread, int(max(y.max(), mean.max())) + 1)
        rate, total = (np.interp(np.log(mean), np.log(grid), each) for each in (log_rate, log_sum))
        return np.asarray(y * rate - spread * gammaln(y + 1.0) - total, dtype=np.float64)

    tried: list[tuple[float, Law]] = []
    families: list[tuple[LawName, Callable[[float], Floats], float, float]] = [
        ("negative_binomial", wide, 1e-5, WIDEST),
        ("conway_maxwell", narrow, 1.0, NARROWEST),
    ]
    for name, of, low, high in families:
        found = minimize_scalar(
            lambda log, of=of: -float(weight @ of(float(np.exp(log)))),
            bounds=(np.log(low), np.log(high)),
            method="bounded",
            options={"xatol": 1e-4},
        )
        tried.append((-float(found.fun), Law(name, float(np.exp(found.x)))))
    best, law = max(tried, key=lambda each: each[0])
    return law if best > plain + WORTH else Law()


def _narrow(mean: Floats, spread: float, most: int) -> tuple[Floats, Floats, Floats]:
    """Conway-Maxwell laws by their means, with spread of 1 or more.

    Returns:
        Chances of 0, 1, ... (n, far), the log of the rates and of the sums of the terms, (n,). Beyond `far`
        a Poisson law of mean `most` would have nothing left, and these are narrower.
    """
    far = most + 20 + int(10.0 * np.sqrt(most))
    k = np.arange(far + 1.0)
    lowered = spread * gammaln(k + 1.0)
    log_rate = spread * np.log(mean + (spread - 1.0) / (2.0 * spread))
    wanted = np.log(mean)
    for _ in range(100):
        terms = log_rate[:, None] * k - lowered
        log_sum = logsumexp(terms, axis=1)
        chances = np.exp(terms - log_sum[:, None])
        middle = chances @ k
        off = np.log(middle) - wanted
        if np.abs(off).max(initial=0.0) < 1e-12:
            break
        variance = np.maximum(chances @ k**2 - middle**2, 1e-12)
        log_rate = log_rate - np.clip(off * middle / variance, -2.0, 2.0)
    return chances, np.asarray(log_rate, dtype=np.float64), np.asarray(log_sum, dtype=np.float64)


@dataclass(frozen=True)
class LogLinear:
    """`law` around the mean `exp(intercept + prepared(x) @ coef)`; `coef` has shape (columns,)."""

    prepared: Prepared
    coef: Floats
    intercept: float
    law: Law
    most: int

    def mean(self, x: Floats) -> Floats:
        """Means, shape (n,), cut at `most`."""
        log_mean = self.intercept + self.prepared.apply(x) @ self.coef
        return np.exp(np.minimum(log_mean, np.log(max(self.most, 1))))

    def predict(self, x: Floats) -> Floats:
        """Distributions, shape (n, most + 1)."""
        return self.law.chances(self.mean(x), self.most)

    def content(self) -> bytes:
        """The numbers as JSON, exact to the last bit."""
        body = {**self.prepared.to_json(), "coef": self.coef.tolist(), "intercept": self.intercept}
        law = {"law": self.law.name, "spread": self.law.spread, "most": self.most}
        return json.dumps({**body, **law}, indent=1).encode()


class Poisson:
    """Kind `poisson`: log-linear; `alpha` penalises squared coefficients, `knots` bend the features."""

    suffix = "json"

    def fit(
        self,
        x: Floats,
        y: Floats,
        weight: Floats,
        parameters: Parameters,
        seed: int,  # noqa: ARG002  # nothing is random
        problem: Problem,
    ) -> LogLinear:
        """Fit; a feature that is constant or all missing gets the coefficient 0."""
        from sklearn.linear_model import PoissonRegressor  # seconds of import
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        prepared = Prepared.of(x, int(parameters["knots"]))
        model = PoissonRegressor(
            alpha=float(parameters["alpha"]) / float(weight.sum()),
            solver="newton-cholesky",
            tol=1e-8,
            max_iter=300,
        )
        # One BLAS thread: the same sums on every number of cores.
        with threadpool_limits(limits=1):
            model.fit(prepared.apply(x), y, sample_weight=weight)
        coef = np.asarray(model.coef_, dtype=np.float64)
        fitted = LogLinear(prepared, coef, float(model.intercept_), Law(), problem.most)
        law = fit_law(fitted.mean(x), y, weight)
        return LogLinear(prepared, coef, fitted.intercept, law, problem.most)


class CountTrees:
    """A fitted booster for the mean, and the law around it, which its attributes hold."""

    def __init__(self, booster: Any, law: Law, most: int) -> None:
        self._booster, self.law, self._most = booster, law, most
        booster.set_attr(law=law.name, spread=repr(law.spread), most=str(most))

    def mean(self, x: Floats) -> Floats:
        """Means, shape (n,)."""
        return np.asarray(self._booster.inplace_predict(x), dtype=np.float64)

    def predict(self, x: Floats) -> Floats:
        """Distributions, shape (n, most + 1)."""
        return self.law.chances(self.mean(x), self._most)

    def content(self) -> bytes:
        """The model in XGBoost's UBJSON; attributes `law`, `spread` and `most` as in `Law`."""
        return bytes(self._booster.save_raw(raw_format="ubj"))


class TreesCount:
    """Kind `trees_count`: XGBoost's `count:poisson`, with the hyper-parameters of kind `xgboost`."""

    suffix = "ubj"

    def fit(
        self, x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int, problem: Problem
    ) -> CountTrees:
        """Boost for the mean, then fit the law on blocks of rows that trees of the other rows foretell.

        A `max_delta_step` of 0 leaves the step to XGBoost, which has 0.7 for counts.
        """
        settled = dict(parameters)
        if not float(settled["max_delta_step"]):
            del settled["max_delta_step"]
        law = Law()
        if len(y) >= FEWEST_ROWS:
            unseen = np.empty(len(y))
            for block in np.array_split(np.arange(len(y)), BLOCKS):
                others = np.ones(len(y), dtype=bool)
                others[block] = False
                booster = _boosted(x[others], y[others], weight[others], settled, seed, problem)
                unseen[block] = booster.inplace_predict(x[block])
            law = fit_law(unseen, y, weight)
        return CountTrees(_boosted(x, y, weight, settled, seed, problem), law, problem.most)


def _boosted(
    x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int, problem: Problem
) -> Any:
    import xgboost  # seconds that an ensemble without trees need not pay

    fixed = {"objective": "count:poisson", "tree_method": "hist", "seed": seed, "verbosity": 0}
    given = {**fixed, **{name: value for name, value in parameters.items() if name != "n_estimators"}}
    rounds = int(parameters["n_estimators"])
    if where := cluster.place(problem.cluster, len(y)):
        table = Table(x, y, weight)
        return cluster.boost(where, table, given, rounds, int(parameters["max_bin"]))
    data = xgboost.DMatrix(x, label=y, weight=weight, nthread=1)
    return xgboost.train({**given, "nthread": 1}, data, num_boost_round=rounds)
