"""Days drawn anew: bets of one day share what a model misreads, so days, not bets, are what is resampled.

Days can be drawn in blocks of random length around a mean (the stationary bootstrap: Politis and Romano 1994,
Journal of the American Statistical Association 89, 1303-1313), for results whose days depend on each other.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pennant.decisions.errors import RuleError
from pennant.decisions.prices import Floats

_CHUNK = 4_000_000
"""Numbers in memory at a time: 32 MB."""


def day_counts(days: int, draws: int, seed: int, block_days: float = 1.0) -> Iterator[Floats]:
    """How often each day is drawn, in chunks of draws.

    Args:
        days: how many there are, in order of time.
        draws: how many times as many days are drawn.
        seed: of the draws.
        block_days: mean length of a block; 1 draws days on their own.

    Yields:
        (chunk, days) counts; every row sums to `days`.

    Raises:
        RuleError: no draws, or blocks shorter than a day.
    """
    if draws < 1:
        raise RuleError("draws", draws, "1 or more")
    if not block_days >= 1.0:
        raise RuleError("block_days", block_days, "1 or more")
    stream = np.random.default_rng(seed)
    size = max(1, _CHUNK // max(days, 1))
    for first in range(0, draws, size):
        count = min(size, draws - first)
        chosen = _chosen(stream, count, days, block_days)
        flat = (chosen + np.arange(count)[:, None] * days).ravel()
        yield np.bincount(flat, minlength=count * days).reshape(count, days).astype(np.float64)


def by_day(days: NDArray[np.datetime64]) -> tuple[NDArray[np.intp], int]:
    """(n,) number of each value's day, in order of time, and how many days there are."""
    _, codes = np.unique(days.astype("datetime64[D]"), return_inverse=True)
    return codes, int(codes.max(initial=-1)) + 1


def _chosen(stream: np.random.Generator, count: int, days: int, block_days: float) -> NDArray[np.int64]:
    chosen = stream.integers(0, days, (count, days))
    if block_days == 1.0:
        return chosen
    goes_on = stream.random((count, days)) >= 1.0 / block_days
    for at in range(1, days):
        chosen[:, at] = np.where(goes_on[:, at], (chosen[:, at - 1] + 1) % days, chosen[:, at])
    return chosen
