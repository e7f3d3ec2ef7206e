"""What a bet is worth by a forecast, per unit staked.

A bet may come back undecided, wholly or by half (a push on a whole line, half of a stake on a quarter line).
Two numbers hold all that matters of it: `decided`, the share of the stake that is expected to be won or lost,
and `probability`, the share of *that* which is expected to be won. For a bet that can only be won or lost
they are 1 and the plain chance. A market's prices without their margin speak of the same probability.
"""

import numpy as np
from numpy.typing import ArrayLike

from pennant.decisions.prices import Floats, checked


def expected_value(probability: ArrayLike, price: ArrayLike, decided: ArrayLike = 1.0) -> Floats:
    """Expected profit per unit staked: `decided * (probability * price - 1)`.

    Args:
        probability: any shape, from 0 to 1; of what is decided.
        price: decimal prices that broadcast with it.
        decided: share of the stake that is won or lost.

    Raises:
        PriceError: a price of 1 or less, or infinite.
    """
    gain = np.asarray(probability, dtype=np.float64) * checked(price) - 1.0
    return np.asarray(np.asarray(decided, dtype=np.float64) * gain, dtype=np.float64)


def variance(probability: ArrayLike, price: ArrayLike, decided: ArrayLike = 1.0) -> Floats:
    """Variance of the profit per unit staked, of a bet that is won, lost or given back as a whole.

    Stakes that are settled by halves vary less than this.

    Raises:
        PriceError: a price of 1 or less, or infinite.
    """
    won, chance = checked(price) - 1.0, np.asarray(probability, dtype=np.float64)
    square = np.asarray(decided, dtype=np.float64) * (chance * won**2 + 1.0 - chance)
    return np.asarray(square - expected_value(chance, price, decided) ** 2, dtype=np.float64)


def break_even(price: ArrayLike) -> Floats:
    """The probability at which a price is worth nothing, `1 / price`.

    Raises:
        PriceError: a price of 1 or less, or infinite.
    """
    return np.asarray(1.0 / checked(price), dtype=np.float64)
