"""Distributions of a count, one for each mean; `pennant.training.members.counts` fits them.

Poisson; negative binomial with the variance `mean + spread * mean ** 2`; Conway-Maxwell-Poisson with the
chances `rate ** k / k! ** spread` and the rate that gives the mean (Huang 2017, "Mean-parametrized
Conway-Maxwell-Poisson regression models for dispersed counts", Statistical Modelling 17, 359-380).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pennant_serving.arrays import Floats

LawName = Literal["poisson", "negative_binomial", "conway_maxwell"]
SMALLEST_MEAN = 1e-6
_ROWS_AT_ONCE = 50_000
_NEWTON_STEPS = 100


@dataclass(frozen=True)
class Law:
    """A family of distributions of counts; `spread` is above 0, or at least 1 (Conway-Maxwell)."""

    name: LawName = "poisson"
    spread: float = 0.0

    def chances(self, mean: Floats, most: int) -> Floats:
        """Chances of 0 to most - 1, and of most and more, (n, most + 1); the means (n,) are cut at `most`."""
        mean = np.clip(mean, SMALLEST_MEAN, max(float(most), SMALLEST_MEAN))
        if self.name == "poisson":
            return poisson(mean, most)
        if self.name == "negative_binomial":
            below = np.exp(_negative_binomial_logs(mean, self.spread, most))
        else:
            parts = np.array_split(mean, 1 + len(mean) // _ROWS_AT_ONCE)
            below = np.vstack([_conway_maxwell(part, self.spread, most) for part in parts])
        return _with_rest(below)


def poisson(mean: Floats, most: int) -> Floats:
    """Poisson chances of 0 to most - 1, and of most and more: shape (n, most + 1)."""
    rate = np.maximum(mean, SMALLEST_MEAN)[:, None]
    k = np.arange(float(most))
    return _with_rest(np.exp(k * np.log(rate) - rate - _log_factorials(most)))


def _with_rest(below: Floats) -> Floats:
    rest = np.clip(1.0 - below.sum(axis=1, keepdims=True), 0.0, 1.0)
    return np.asarray(np.hstack([below, rest]), dtype=np.float64)


def _negative_binomial_logs(mean: Floats, spread: float, most: int) -> Floats:
    size, k = 1.0 / spread, np.arange(float(most))
    # Summed up term by term: a difference of two log-gammas of a large size would lose its digits.
    ways = np.concatenate([[0.0], np.cumsum(np.log((size + k[:-1]) / (k[:-1] + 1.0)))])
    none = -size * np.log1p(mean / size)
    each = np.log(mean) - np.log(size + mean)
    return np.asarray(ways + none[:, None] + k * each[:, None], dtype=np.float64)


def _conway_maxwell(mean: Floats, spread: float, most: int) -> Floats:
    """Chances of 0 to most - 1; the rate of each row is found by Newton steps of its own."""
    far = most + 20 + int(10.0 * np.sqrt(most))  # a Poisson law of mean `most` has nothing left beyond
    k = np.arange(far + 1.0)
    lowered = spread * _log_factorials(far + 1)
    log_rate = spread * np.log(mean + (spread - 1.0) / (2.0 * spread))
    wanted = np.log(mean)
    chances = np.empty((len(mean), far + 1))
    left = np.arange(len(mean))
    for _ in range(_NEWTON_STEPS):
        terms = log_rate[left, None] * k - lowered
        raised = np.exp(terms - terms.max(axis=1, keepdims=True))
        chances[left] = raised / raised.sum(axis=1, keepdims=True)
        middle = (chances[left] * k).sum(axis=1)
        off = np.log(middle) - wanted[left]
        open_ = np.abs(off) >= 1e-12
        if not open_.any():
            break
        variance = np.maximum((chances[left] * k**2).sum(axis=1) - middle**2, 1e-12)
        log_rate[left[open_]] -= np.clip(off * middle / variance, -2.0, 2.0)[open_]
        left = left[open_]  # who has arrived stays: the others of a batch must not move it
    return np.asarray(chances[:, :most], dtype=np.float64)


def _log_factorials(count: int) -> Floats:
    """Logarithms of 0!, 1!, ..., `count` of them."""
    return np.array([math.lgamma(k + 1.0) for k in range(count)])
