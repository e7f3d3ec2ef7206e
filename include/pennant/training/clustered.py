"""Intervals for means that stay honest when rows of one cluster, as a day, are correlated.

The interval is the cluster-robust t interval of a mean. Its variance is the
delete-one-day jackknife (CR3), the choice that errs on the safe side with few and unequal days
(MacKinnon, Nielsen and Webb 2023, "Cluster-robust inference: a guide to empirical practice", Journal
of Econometrics 232); its degrees of freedom are those of Bell and McCaffrey (2002, Survey
Methodology 28), which fall when a few days hold most rows (Imbens and Kolesar 2016, Review of
Economics and Statistics 98). For a mean both have the closed forms below. Dependence between days is
not modelled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from pennant.training.losses import Floats

Clusters = NDArray[np.datetime64] | NDArray[np.str_]


@dataclass(frozen=True)
class MeanInterval:
    """A mean with its interval; `low` and `high` are None when there are fewer than two days."""

    mean: float
    low: float | None
    high: float | None
    rows: int
    days: int
    degrees_of_freedom: float


def clustered_mean(values: Floats, days: Clusters, alpha: float) -> MeanInterval:
    """Mean of `values` with bounds that are each one-sided at level 1 - alpha.

    Together they are a two-sided interval at level 1 - 2 alpha.

    With f_g the share of rows on day g and R_g the sum of that day's deviations from the mean, leaving
    the day out moves the mean by R_g / (n (1 - f_g)); the variance is the sum of these squares.

    Args:
        values: (n,) floats, n >= 1.
        days: (n,) day of each value, or whatever else it counts together with.
        alpha: error of each bound, 0 < alpha < 0.5.
    """
    mean = float(np.mean(values))
    _, codes = np.unique(days, return_inverse=True)
    sizes = np.bincount(codes).astype(np.float64)
    count = len(sizes)
    if count < 2:
        return MeanInterval(mean, None, None, len(values), count, 0.0)
    share = sizes / len(values)
    deviation = np.bincount(codes, weights=values - mean)
    error = float(np.sqrt(np.sum((deviation / (1 - share)) ** 2))) / len(values)
    freedom = _freedom(share)
    reach = float(stdtrit(freedom, 1 - alpha)) * error
    return MeanInterval(mean, mean - reach, mean + reach, len(values), count, freedom)


def _freedom(share: Floats) -> float:
    """Bell-McCaffrey degrees of freedom of a mean; days - 1 when all days have as many rows.

    The smaller of two: for rows of one day independent, and for rows of one day perfectly correlated,
    since which of them is nearer the truth is not known.
    """
    a = share**2 / (1 - share)
    independent = 1 / (np.sum(share**2) + np.sum(a) ** 2 - np.sum(a**2))
    # Of M_ij = (d_ij s_i^2 - s_i^2 s_j - s_i s_j^2 + s_i s_j S) / sqrt((1 - s_i)(1 - s_j)), S = sum s^2: the
    # trace, and the sum of squares, from sums alone. Days are many, their squares would be too many.
    total = float(np.sum(share**2))
    none, one, two = (float(np.sum(a * share**power)) for power in (0, 1, 2))
    everywhere = total**2 * none**2 + 2 * two * none - 4 * total * one * none + 2 * one**2
    diagonal = a * (1 - 2 * share + total)
    squares = everywhere - float(np.sum((a * (total - 2 * share)) ** 2)) + float(np.sum(diagonal**2))
    # Neither can be under 1; where one day has nearly all of very many rows, rounding would make them so.
    correlated = float(np.sum(diagonal)) ** 2 / squares if squares > 0 else 1.0
    return max(1.0, float(min(independent, correlated)))
