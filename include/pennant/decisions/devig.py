"""What a market thinks, once the bookmaker's margin is taken out of its prices.

Three ways, from pi_i = 1 / price_i and their sum B:

- proportional: p_i = pi_i / B. The margin is the same share of every probability.
- power: p_i = pi_i ^ c, with c so that they sum to 1 (Clarke, Kovalchik and Ingram 2017, "Adjusting
  bookmaker's odds to allow for overround", American Journal of Sports Science 5, 45-49).
- Shin: a share z of the stakes comes from people who know the result, and the bookmaker sets prices against
  them (Shin 1993, "Measuring the incidence of insider trading in a market for state-contingent claims", The
  Economic Journal 103, 1141-1153), inverted by Jullien and Salanie 1994, "Measuring the incidence of insider
  trading: a comment on Shin", The Economic Journal 104, 1418-1419:

      p_i = (sqrt(z^2 + 4 (1 - z) pi_i^2 / B) - z) / (2 (1 - z)), with z so that they sum to 1.

Power and Shin take more from long shots, which bettors overpay. Of a market with two outcomes Shin takes the
same from both.

What this does *not* do: know the truth. The three differ by what they assume of the margin.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from pennant.decisions.errors import RuleError, ShapeError
from pennant.decisions.prices import Floats, checked

Method = Literal["proportional", "power", "shin"]
METHODS: tuple[Method, ...] = ("proportional", "power", "shin")

_HALVINGS = 60
"""Of an interval of length one: what is left is under the spacing of floats."""


def fair(price: ArrayLike, method: Method) -> Floats:
    """Probabilities that a market's prices stand for, without the margin.

    Args:
        price: (n, k) decimal prices, k >= 2, of all outcomes that can happen (`prices.decimal` makes them of
            American odds).
        method: how the margin is taken out.

    Returns:
        (n, k); every row sums to 1 and has the order of 1/price. A row with a missing price is all NaN.

    Raises:
        PriceError: a price of 1 or less, or infinite.
        ShapeError: not (n, k) with k >= 2.
        RuleError: another method.
    """
    prices = checked(price)
    if prices.ndim != 2 or prices.shape[1] < 2:
        raise ShapeError("the prices of markets", prices.shape, "(markets, outcomes) with 2 outcomes or more")
    if method not in METHODS:
        raise RuleError("method", method, f"one of {', '.join(METHODS)}")
    found = np.full(prices.shape, np.nan)
    whole = ~np.isnan(prices).any(axis=1)
    implied = 1.0 / prices[whole]
    ways = {"proportional": _proportional, "power": _power, "shin": _shin}
    found[whole] = _proportional(ways[method](implied))
    return found


def insiders(price: ArrayLike) -> Floats:
    """Shin's z: the share of the stakes that comes from those who know the result.

    Args:
        price: (n, k) decimal prices of whole markets.

    Returns:
        (n,) from 0 to 1; NaN where a price is missing, 0 where there is no margin to explain.

    Raises:
        PriceError: a price of 1 or less, or infinite.
    """
    prices = checked(price)
    found = np.full(len(prices), np.nan)
    whole = ~np.isnan(prices).any(axis=1)
    found[whole] = _share(1.0 / prices[whole])
    return found


def _proportional(implied: Floats) -> Floats:
    return np.asarray(implied / implied.sum(axis=1, keepdims=True), dtype=np.float64)


def _power(implied: Floats) -> Floats:
    logs = np.log(implied)
    # The sum falls with the exponent from k at 0; at `high` no outcome has more than 1/k.
    low, high = np.zeros(len(implied)), np.log(implied.shape[1]) / -logs.max(axis=1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        above = np.exp(logs * middle[:, None]).sum(axis=1) > 1.0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray(np.exp(logs * ((low + high) / 2.0)[:, None]), dtype=np.float64)


def _shin(implied: Floats) -> Floats:
    # A sum of 1 or less has no margin that insiders could explain: z is 0, and the rest is proportion.
    return _of_share(implied, _share(implied))


def _share(implied: Floats) -> Floats:
    low, high = np.zeros(len(implied)), np.ones(len(implied))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        above = _of_share(implied, middle).sum(axis=1) > 1.0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray(np.where(implied.sum(axis=1) > 1.0, (low + high) / 2.0, 0.0), dtype=np.float64)


def _of_share(implied: Floats, share: Floats) -> Floats:
    # The formula above, times its conjugate: no cancellation as z nears 1.
    z = share[:, None]
    weight = implied**2 / implied.sum(axis=1, keepdims=True)
    return np.asarray(2.0 * weight / (np.sqrt(z**2 + 4.0 * (1.0 - z) * weight) + z), dtype=np.float64)
