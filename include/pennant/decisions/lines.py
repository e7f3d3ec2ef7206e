"""Whole, half and quarter lines: how much of a stake is won or lost, and how likely that is.

A bet on a quarter line (Asian lines: 2.25, -0.75) is two bets of half the stake, on the lines a quarter below
and above. A bet on a whole line comes back when the line is hit.
"""

import numpy as np
from numpy.typing import ArrayLike

from pennant.decisions.errors import ProbabilityError, RuleError, ShapeError
from pennant.decisions.prices import Floats

_QUARTERS = 4.0


def share_won(lead: ArrayLike, line: ArrayLike) -> Floats:
    """By what share of the stake a bet is won (above 0) or lost (below 0).

    Args:
        lead: (n,) by how much the bet is ahead of its line: result less line for "over", the reverse for
            "under", margin plus handicap for a side.
        line: (n,) the line, a multiple of a quarter.

    Returns:
        (n,) of 1 (won), 0.5 (half won), 0 (given back), -0.5, -1.

    Raises:
        RuleError: a line that is no multiple of a quarter.
    """
    lines = np.asarray(line, dtype=np.float64)
    quarters = np.rint(lines * _QUARTERS)
    wrong = ~np.isclose(quarters, lines * _QUARTERS, atol=1e-9)
    if wrong.any():
        raise RuleError("line", float(np.atleast_1d(lines)[np.atleast_1d(wrong)][0]), "a multiple of 0.25")
    apart = np.where(quarters % 2 != 0, 0.25, 0.0)
    ahead = np.round(np.asarray(lead, dtype=np.float64), 9)
    return np.asarray((np.sign(ahead - apart) + np.sign(ahead + apart)) / 2.0, dtype=np.float64)


def over(distribution: ArrayLike, line: ArrayLike) -> tuple[Floats, Floats]:
    """Prices the "over" of a count at any line, from the count's whole distribution.

    Args:
        distribution: (n, K+1) chances of 0 to K; the last one is of K and more.
        line: (n,) multiples of a quarter, from 0 and under K, so that "K and more" is over every line.

    Returns:
        (n,) `probability` that the over is won, of what is decided, and (n,) `decided`, the expected share of
        the stake that is won or lost (see `value`). The under has one less the probability. Where nothing can
        be decided the probability is one half.

    Raises:
        ShapeError: not (n, K+1), or not one line for each row.
        ProbabilityError: a row that does not sum to 1.
        RuleError: a line that is no multiple of a quarter, below 0, or reaches K.
    """
    chance, lines = np.asarray(distribution, dtype=np.float64), np.asarray(line, dtype=np.float64)
    if chance.ndim != 2 or lines.shape != chance.shape[:1]:
        raise ShapeError("the distribution", chance.shape, f"(n, K+1), with one line of {lines.shape} a row")
    # A tail that is one less the rest may be a rounding below 0.
    for found, wrong, allowed in (
        (chance.min(axis=1), chance.min(axis=1) < -1e-9, "chances from 0 to 1"),
        (chance.sum(axis=1), ~np.isclose(chance.sum(axis=1), 1.0, atol=1e-6), "chances that sum to 1"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ProbabilityError("a distribution", row, float(found[row]), allowed)
    chance = np.maximum(chance, 0.0)
    most = chance.shape[1] - 1
    outside = ~((lines >= 0.0) & (np.floor(lines + 0.25) < most))
    if outside.any():
        raise RuleError("line", float(lines[outside][0]), f"from 0 and under {most}, where the counts end")
    counts = np.arange(most + 1.0)
    share = share_won(counts[None, :] - lines[:, None], np.broadcast_to(lines[:, None], chance.shape))
    won = np.sum(chance * np.maximum(share, 0.0), axis=1)
    decided = np.sum(chance * np.abs(share), axis=1)
    probability = np.divide(won, decided, where=decided > 0.0, out=np.full(len(won), 0.5))
    return np.minimum(probability, 1.0), np.minimum(decided, 1.0)
