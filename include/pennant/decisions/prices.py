"""Prices in their two notations, and what they imply before the bookmaker's margin is taken out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pennant.decisions.errors import PriceError

Floats = NDArray[np.float64]


def decimal(american: ArrayLike) -> Floats:
    """Decimal prices (what comes back for 1 staked, the stake included) of American odds.

    Args:
        american: any shape; what 100 win, or less what has to be staked to win 100. NaN stays NaN.

    Raises:
        PriceError: odds between -100 and 100, or infinite.
    """
    odds = np.asarray(american, dtype=np.float64)
    _refuse("american", odds, (np.abs(odds) < 100.0) | np.isinf(odds))
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 + np.where(odds > 0, odds / 100.0, -100.0 / odds), dtype=np.float64)


def american(price: ArrayLike) -> Floats:
    """American odds of decimal prices, not rounded; a price of 2 is +100.

    Raises:
        PriceError: a price of 1 or less, or infinite.
    """
    won = checked(price) - 1.0
    return np.asarray(np.where(won >= 1.0, 100.0 * won, -100.0 / won), dtype=np.float64)


def checked(price: ArrayLike) -> Floats:
    """Decimal prices as floats; NaN where there is none.

    Raises:
        PriceError: a price of 1 or less, or infinite.
    """
    prices = np.asarray(price, dtype=np.float64)
    _refuse("decimal", prices, (prices <= 1.0) | np.isinf(prices))
    return prices


def overround(price: ArrayLike) -> Floats:
    """The bookmaker's margin: the sum of 1/price over a market's outcomes, less 1.

    Args:
        price: (n, k) decimal prices of whole markets.

    Returns:
        (n,), NaN where a price is missing; below 0 where backing every outcome wins for sure.

    Raises:
        PriceError: a price of 1 or less, or infinite.
    """
    return np.asarray(np.sum(1.0 / checked(price), axis=-1) - 1.0, dtype=np.float64)


def _refuse(kind: str, prices: Floats, wrong: NDArray[np.bool_]) -> None:
    if not wrong.any():
        return
    place = tuple(int(each) for each in np.argwhere(wrong)[0])
    raise PriceError(kind, place, float(prices[place]), int(wrong.sum()))
