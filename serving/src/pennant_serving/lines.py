"""A count's distribution at a bookmaker's line: whole, half, or quarter (two halves of the stake)."""

from dataclasses import dataclass

import numpy as np

from pennant_serving.arrays import Floats

_QUARTERS = 4.0


class LineOutside(ValueError):
    """A line that cannot be priced.

    Attributes:
        found: the line.
        allowed: in words.
    """

    def __init__(self, found: float, allowed: str) -> None:
        self.found, self.allowed = found, allowed
        super().__init__(f"line {found!r}; allowed is {allowed}")


@dataclass(frozen=True)
class AtLine:
    """Shares of the stake, (n,), that sum to 1: won by an over, won by an under, and given back."""

    over: Floats
    under: Floats
    push: Floats


def check_line(line: float, most: int) -> None:
    """Refuse a line that a distribution of 0 to `most` and more cannot price.

    Raises:
        LineOutside: no multiple of a quarter, below 0, or so high that `most and more` is not over it.
    """
    if not np.isfinite(line) or abs(line * _QUARTERS - round(line * _QUARTERS)) > 1e-9:
        raise LineOutside(line, "a multiple of 0.25")
    if not (line >= 0.0 and np.floor(line + 0.25) < most):
        raise LineOutside(line, f"from 0 and under {most}, where the counts end")


def price_at(distribution: Floats, line: float) -> AtLine:
    """Prices distributions (n, most + 1) at one line; at a half line nothing is given back.

    Raises:
        LineOutside: see `check_line`.
    """
    most = distribution.shape[1] - 1
    check_line(line, most)
    ahead = np.arange(most + 1.0) - line
    apart = 0.25 if round(line * _QUARTERS) % 2 else 0.0
    share = (np.sign(np.round(ahead - apart, 9)) + np.sign(np.round(ahead + apart, 9))) / 2.0
    over = (distribution * np.maximum(share, 0.0)).sum(axis=1)
    under = (distribution * np.maximum(-share, 0.0)).sum(axis=1)
    return AtLine(over, under, np.maximum(1.0 - over - under, 0.0))
