"""Stakes that make the logarithm of the bankroll grow fastest, if the probabilities are right.

Kelly 1956, "A new interpretation of information rate", Bell System Technical Journal 35, 917-926, has both
rules; the one for several outcomes of which one happens is given as an algorithm by Smoczynski and Tomkins
2010, "An explicit solution to the problem of optimizing the allocations of a bettor's wealth when wagering on
horse races", The Mathematical Scientist 35, 10-17.

They hold for forecasts that are right. One that errs stakes most where it errs most, so a fraction is staked
(`limits`), and it is capped.
"""

import numpy as np
from numpy.typing import ArrayLike

from pennant.decisions.errors import ProbabilityError, ShapeError
from pennant.decisions.prices import Floats, checked

_ROUNDING = 1e-9


def single(probability: ArrayLike, price: ArrayLike) -> Floats:
    """Share of the bankroll on one bet: `(probability * price - 1) / (price - 1)`, never below 0.

    A stake that may come back does not change it (`probability` is of what is decided, see `value`); one that
    may be settled by halves could be a little higher.

    Args:
        probability: any shape, from 0 to 1.
        price: decimal prices that broadcast with it; NaN where nothing is offered gives 0.

    Raises:
        PriceError: a price of 1 or less, or infinite.
    """
    prices = checked(price)
    share = (np.asarray(probability, dtype=np.float64) * prices - 1.0) / (prices - 1.0)
    return np.asarray(np.nan_to_num(np.maximum(share, 0.0), nan=0.0), dtype=np.float64)


def exclusive(probability: ArrayLike, price: ArrayLike) -> Floats:
    """Shares of the bankroll on outcomes of which at most one happens.

    Outcomes are taken in the order of `probability * price`, as long as that is above the reserve
    `R = (1 - sum of probabilities) / (1 - sum of 1/prices)` of those taken before; each taken one gets
    `probability - R / price`. An outcome that would lose on its own can so be taken as a hedge.

    Args:
        probability: (n, k), rows summing to at most 1; NaN where there is no outcome.
        price: (n, k) decimal; NaN where nothing is offered.

    Returns:
        (n, k), 0 or more, rows summing to at most 1.

    Raises:
        PriceError: a price of 1 or less, or infinite.
        ProbabilityError: a probability outside 0 to 1, or a row that sums to more than 1.
        ShapeError: the two differ in shape, or are not (n, k).
    """
    prices = checked(price)
    chance = np.asarray(probability, dtype=np.float64)
    if chance.ndim != 2 or chance.shape != prices.shape:
        raise ShapeError("probability", chance.shape, f"(markets, outcomes), as the prices {prices.shape}")
    chance = _valid(chance)
    offered = ~np.isnan(prices)
    chance, implied = np.where(offered, chance, 0.0), np.where(offered, 1.0 / prices, 1.0)
    order = np.argsort(-chance / implied, axis=1, kind="stable")
    reserve = _reserve(np.take_along_axis(chance, order, 1), np.take_along_axis(implied, order, 1))
    return np.asarray(np.maximum(chance - reserve[:, None] * implied, 0.0), dtype=np.float64)


def _reserve(chance: Floats, implied: Floats) -> Floats:
    """What is kept per unit: best outcomes first, until one is not worth more than what is kept."""
    kept, room, reserve = np.ones(len(chance)), np.ones(len(chance)), np.ones(len(chance))
    open_ = np.ones(len(chance), dtype=bool)
    for p, pi in zip(chance.T, implied.T, strict=True):
        left = room - pi
        open_ &= (p > reserve * pi) & (left > 0.0)
        kept = np.where(open_, np.maximum(kept - p, 0.0), kept)
        room = np.where(open_, left, room)
        reserve = np.where(open_, np.divide(kept, room, where=room > 0.0, out=np.ones_like(room)), reserve)
    return reserve


def _valid(chance: Floats) -> Floats:
    filled = np.nan_to_num(chance, nan=0.0)
    outside = ((filled < 0.0) | (filled > 1.0)).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        found = filled[row][(filled[row] < 0.0) | (filled[row] > 1.0)][0]
        raise ProbabilityError("the probability of an outcome", row, float(found), "from 0 to 1")
    total = filled.sum(axis=1)
    if (total > 1.0 + _ROUNDING).any():
        row = int(np.argmax(total > 1.0 + _ROUNDING))
        raise ProbabilityError(
            "probabilities of outcomes of which one happens", row, float(total[row]), "a sum of at most 1"
        )
    return filled
