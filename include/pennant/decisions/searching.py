"""What is left of the best of many: p-values that count how many markets and thresholds were tried.

Every candidate (a market, a threshold, both) is a set of bets. The null of each is that its bets gain nothing
on average. The best of many candidates looks good by luck; `searched` asks how good the best would look if
none were.

- `max`: the greatest t statistic over days under resampling (the reality check of White 2000, Econometrica
  68, 1097-1126, studentised as in Hansen 2005, Journal of Business & Economic Statistics 23, 365-380),
  stepped down (Romano and Wolf 2005, Econometrica 73, 1237-1282). It knows how much the candidates overlap.
- `holm`: each candidate's own bootstrap p-value, corrected by Holm 1979, Scandinavian Journal of Statistics
  6, 65-70, which holds however they overlap.

What it does *not* know: candidates that were tried and not told of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pennant.decisions.bankroll import MIN_DAYS, NOT_DECIDED
from pennant.decisions.errors import RuleError, ShapeError
from pennant.decisions.prices import Floats
from pennant.decisions.resampling import by_day, day_counts
from pennant.decisions.value import break_even, variance

Method = Literal["max", "holm"]
Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Candidate:
    """One set of bets that was tried.

    Attributes:
        name: what it is called.
        bets: how many.
        days: on how many days.
        mean: of the values of its bets.
        p_alone: as if it had been the only one.
        p_corrected: with all that was tried counted; 1 for one on fewer than `MIN_DAYS` days.
    """

    name: str
    bets: int
    days: int
    mean: float
    p_alone: float
    p_corrected: float


@dataclass(frozen=True)
class Search:
    """All candidates, the best one first."""

    method: str
    draws: int
    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        """The one least likely to be luck."""
        return self.candidates[0]

    def found(self, alpha: float) -> tuple[Candidate, ...]:
        """Candidates that gain, with an error of `alpha` over all of them together."""
        return tuple(each for each in self.candidates if each.p_corrected <= alpha)


def candidates(bets: pl.DataFrame, by: Sequence[str], thresholds: Mapping[str, Sequence[float]]) -> Masks:
    """Sets of bets that a search tries: every value of `by` and all together, at every threshold.

    Args:
        bets: n rows.
        by: columns whose values are tried one by one, as `market` or `bookmaker`.
        thresholds: column to the least values of it that are tried, as `{"edge": [0.0, 0.02, 0.05]}`.

    Returns:
        Name to (n,) mask; sets without a bet are not there.
    """
    everything = {"all bets": np.ones(bets.height, dtype=bool)}
    parts = everything | {
        f"{column} {value}": (bets[column] == value).fill_null(value=False).to_numpy()
        for column in by
        for value in bets[column].drop_nulls().unique().sort()
    }
    cuts = {
        f"{column} from {least:g}": (bets[column] >= least).fill_null(value=False).to_numpy()
        for column, least_values in thresholds.items()
        for least in least_values
    }
    made = dict(parts)
    for part, mask in parts.items():
        for cut, above in cuts.items():
            made[cut if part == "all bets" else f"{part}, {cut}"] = mask & above
    return {name: mask for name, mask in made.items() if mask.any()}


def searched_record(
    settled: pl.DataFrame, masks: Masks, method: Method = "max", draws: int = 2000, seed: int = 0
) -> Search:
    """Ask it of a betting record: by closing-line values where every decided bet has one, else by profits.

    Args:
        settled: from `settle.settled`, perhaps with `clv_percent` from `closing.with_closing_value`.
        masks: from `candidates` on the same rows. Bets that were not decided count for none of them.
        method: `max` or `holm`.
        draws: of days.
        seed: of the draws.

    Raises:
        RuleError: no candidate has a decided bet.
    """
    decided = ~settled["result"].is_in(list(NOT_DECIDED)).to_numpy()
    kept = {name: mask[decided] for name, mask in masks.items() if mask[decided].any()}
    bets = settled.filter(decided)
    days = bets["event_time"].dt.replace_time_zone(None).to_numpy()
    if "clv_percent" in bets.columns and not bets["clv_percent"].null_count():
        return searched(bets["clv_percent"].to_numpy(), days, kept, method, None, draws, seed)
    price, stake = bets["price"].to_numpy(), bets["stake_share"].to_numpy()
    unit = bets["profit_share"].to_numpy() / stake
    return searched(unit, days, kept, method, variance(break_even(price), price), draws, seed)


def searched(
    values: Floats,
    days: NDArray[np.datetime64],
    masks: Masks,
    method: Method = "max",
    least_variance: Floats | None = None,
    draws: int = 2000,
    seed: int = 0,
    block_days: float = 1.0,
) -> Search:
    """Ask of each candidate whether its bets gain on average, with all candidates counted.

    Args:
        values: (n,) what each bet gained: profit per unit staked, or closing-line value.
        days: (n,) moment of each.
        masks: name to (n,) mask, from `candidates`.
        method: `max` or `holm`.
        least_variance: (n,) variance of each value if the prices are right (`value.variance` at
            `break_even`), so that three favourites that all won do not look sure. None where values have
            none, as closing-line values.
        draws: of days.
        seed: of the draws.
        block_days: see `resampling.day_counts`.

    Raises:
        RuleError: nothing was tried, or a method that is not one.
        ShapeError: lengths that differ.
    """
    if not masks:
        raise RuleError("masks", 0, "one candidate or more")
    if method not in ("max", "holm"):
        raise RuleError("method", method, "max or holm")
    for name, mask in masks.items():
        if mask.shape != values.shape:
            raise ShapeError(f"the mask {name!r}", mask.shape, f"as the values: {values.shape}")
    found = _daily(values, days, masks, least_variance)
    t, judged = found.statistics()
    drawn = _drawn(found, draws, seed, block_days)
    # A lucky sample is skewed against its luck, so that its draws reach too low: the longer tail counts.
    tails = [np.where(judged, each, -np.inf) for each in (drawn, -drawn)]
    alone = np.maximum(*((1.0 + (each >= t).sum(axis=0)) / (draws + 1.0) for each in tails))
    corrected = np.maximum(*(_stepped_down(t, each) for each in tails)) if method == "max" else holm(alone)
    order = np.lexsort((-t, alone, corrected))
    names = list(masks)
    told = [
        Candidate(names[at], int(bets), int(active), float(mean), float(alone[at]), float(corrected[at]))
        for at in order
        for bets, active, mean in [(found.total[at], found.active[at], found.mean[at])]
    ]
    return Search(method, draws, tuple(told))


def holm(p_values: Floats) -> Floats:
    """Holm's corrected p-values, (m,) for (m,): valid whatever the tests have in common."""
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * (count - np.arange(count)))
    corrected = np.empty(count)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


@dataclass(frozen=True, eq=False)
class _Daily:
    """Sums per day (days, m): what candidates gained off their mean, and how much prices say that varies."""

    off: Floats
    least: Floats
    mean: Floats
    total: Floats
    active: NDArray[np.intp]

    def statistics(self) -> tuple[Floats, NDArray[np.bool_]]:
        """(m,) t statistics, -inf for candidates that cannot be judged, and which can."""
        error = _error(np.ones((1, len(self.off))), self.off, self.least)[0]
        judged = (self.active >= MIN_DAYS) & (error > 0.0)
        t = np.divide(self.mean * self.total, error, where=judged, out=np.full(len(error), -np.inf))
        return t, judged


def _daily(
    values: Floats, days: NDArray[np.datetime64], masks: Masks, least_variance: Floats | None
) -> _Daily:
    codes, count = by_day(days)
    chosen = np.array(list(masks.values()), dtype=np.float64)
    least = np.zeros(len(values)) if least_variance is None else least_variance
    gained, bets, varies = (
        np.array([np.bincount(codes, weights=each * mask, minlength=count) for mask in chosen]).T
        for each in (values, np.ones(len(values)), least)
    )
    total = bets.sum(axis=0)
    mean = gained.sum(axis=0) / total
    return _Daily(gained - mean * bets, varies, mean, total, (bets > 0).sum(axis=0))


def _drawn(found: _Daily, draws: int, seed: int, block_days: float) -> Floats:
    """(draws, m) t statistics of days drawn anew from a world in which no candidate gains."""
    stream = np.random.default_rng([seed, 1])
    off, least = found.off, found.least
    made = []
    for counts in day_counts(len(off), draws, seed, block_days):
        # What the prices say a result varies, and those that happened did not.
        unseen = np.sqrt(np.maximum(counts @ least - counts @ off**2, 0.0))
        sums = counts @ off + unseen * stream.standard_normal(unseen.shape)
        error = _error(counts, off, least)
        made.append(np.divide(sums, error, where=error > 0.0, out=np.zeros_like(sums)))
    return np.concatenate(made)


def _error(counts: Floats, off: Floats, least: Floats) -> Floats:
    """(draws, m) standard error of each candidate's sum: from its days, and at least what prices say."""
    days = counts.shape[1]
    square = counts @ off**2 * (days / max(days - 1.0, 1.0))
    return np.asarray(np.sqrt(np.maximum(square, counts @ least)), dtype=np.float64)


def _stepped_down(t: Floats, drawn: Floats) -> Floats:
    order = np.argsort(-t, kind="stable")
    # The greatest of those that are no better than each: once the best is judged, it is not counted again.
    rest = np.maximum.accumulate(drawn[:, order][:, ::-1], axis=1)[:, ::-1]
    p = (1.0 + (rest >= t[order]).sum(axis=0)) / (len(drawn) + 1.0)
    corrected = np.empty(len(t))
    corrected[order] = np.maximum.accumulate(p)
    return corrected
