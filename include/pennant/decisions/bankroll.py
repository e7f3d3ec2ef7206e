"""What became of the bankroll: its curve, its worst fall, and the profit per unit staked."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pennant.decisions.errors import RuleError
from pennant.decisions.prices import Floats
from pennant.decisions.resampling import by_day, day_counts

MIN_DAYS = 5
"""With fewer days of bets there is no interval."""
NOT_DECIDED = ("void", "postponed")


@dataclass(frozen=True)
class Estimate:
    """A ratio with its two-sided interval at level 1 - alpha.

    No interval under `MIN_DAYS` days, where all days gave the same, or where one or two days hold so much
    that the draws find no bound.
    """

    mean: float
    low: float | None
    high: float | None
    bets: int
    days: int


@dataclass(frozen=True)
class Drawdown:
    """The worst fall of a bankroll from its highest until then.

    Attributes:
        share: of the peak that was lost, from 0 to 1.
        peak: day of the peak; None for the start.
        trough: day on which it was lowest; None when it never fell.
        recovered: first day at the peak again; None if not yet.
    """

    share: float
    peak: date | None
    trough: date | None
    recovered: date | None


def equity(settled: pl.DataFrame) -> pl.DataFrame:
    """The bankroll day by day, from 1: each day's profits are shares of the bankroll the day before left.

    Args:
        settled: `settled_at`, `stake_share`, `profit_share`, from `settle.settled`.

    Returns:
        One row per UTC day of settlement, in order: `day`, `bets`, `stake_share`, `profit_share` (sums),
        `bankroll` and `drawdown` (the share of the highest bankroll so far that is lost). A bankroll that is
        gone stays 0.
    """
    daily = (
        settled.group_by(pl.col("settled_at").dt.date().alias("day"))
        .agg(pl.len().alias("bets"), pl.col("stake_share").sum(), pl.col("profit_share").sum())
        .sort("day")
    )
    bankroll = (1.0 + pl.col("profit_share")).clip(lower_bound=0.0).cum_prod()
    peak = pl.max_horizontal(pl.col("bankroll").cum_max(), 1.0)
    return daily.with_columns(bankroll.alias("bankroll")).with_columns(
        (1.0 - pl.col("bankroll") / peak).alias("drawdown")
    )


def drawdown(curve: pl.DataFrame) -> Drawdown:
    """The worst fall of a curve from `equity`."""
    if curve.is_empty() or curve["drawdown"].max() == 0.0:
        return Drawdown(0.0, None, None, None)
    fall, bankroll, days = curve["drawdown"].to_numpy(), curve["bankroll"].to_numpy(), curve["day"].to_list()
    trough = int(np.argmax(fall))
    peak = max(1.0, float(bankroll[: trough + 1].max()))
    at_peak = np.flatnonzero(bankroll[:trough] >= peak)
    back = np.flatnonzero(bankroll[trough:] >= peak)
    return Drawdown(
        share=float(fall[trough]),
        peak=days[int(at_peak[-1])] if len(at_peak) else None,
        trough=days[trough],
        recovered=days[trough + int(back[0])] if len(back) else None,
    )


def roi(settled: pl.DataFrame, alpha: float = 0.05, draws: int = 2000, seed: int = 0) -> Estimate:
    """Profit per unit staked, over bets that were decided or pushed; void and postponed ones are left out.

    Args:
        settled: `settled_at`, `stake_share`, `profit_share`, `result`.
        alpha: the interval's error.
        draws: of days, with replacement.
        seed: of the draws.
    """
    played = settled.filter(~pl.col("result").is_in(list(NOT_DECIDED)))
    days = played["settled_at"].dt.replace_time_zone(None).to_numpy()
    profit, stake = (played[name].to_numpy() for name in ("profit_share", "stake_share"))
    return ratio(profit, stake, days, alpha, draws, seed)


def ratio(
    top: Floats,
    bottom: Floats,
    days: NDArray[np.datetime64],
    alpha: float = 0.05,
    draws: int = 2000,
    seed: int = 0,
    block_days: float = 1.0,
) -> Estimate:
    """Sum of `top` over sum of `bottom`, with a bootstrap interval that draws whole days.

    Percentiles of the studentised ratio (bootstrap-t: Efron and Tibshirani 1993, "An Introduction to the
    Bootstrap", chapter 12), which keep their level better than plain percentiles where profits are skewed.

    Args:
        top: (n,) what is summed, as profits.
        bottom: (n,) what it is divided by, 0 or more, as stakes; ones for a mean.
        days: (n,) moment of each.
        alpha: the interval's error, between 0 and 1.
        draws: of days.
        seed: of the draws.
        block_days: see `resampling.day_counts`.

    Raises:
        RuleError: nothing to divide by, or an alpha outside 0 to 1.
    """
    if not 0.0 < alpha < 1.0:
        raise RuleError("alpha", alpha, "between 0 and 1")
    if not bottom.sum() > 0.0:
        raise RuleError("the sum of the stakes", float(bottom.sum()), "above 0: there is no bet to judge")
    codes, count = by_day(days)
    tops, bottoms = np.bincount(codes, weights=top), np.bincount(codes, weights=bottom)
    mean = float(tops.sum() / bottoms.sum())
    error = float(_error(np.ones((1, count)), tops, bottoms)[0]) if count >= MIN_DAYS else 0.0
    if error == 0.0:
        return Estimate(mean, None, None, len(top), count)
    drawn = [_studentised(each, tops, bottoms, mean) for each in day_counts(count, draws, seed, block_days)]
    low, high = _percentiles(drawn, alpha)
    if not np.isfinite([low, high]).all():
        return Estimate(mean, None, None, len(top), count)
    return Estimate(mean, mean - high * error, mean - low * error, len(top), count)


def _studentised(counts: Floats, tops: Floats, bottoms: Floats, mean: float) -> Floats:
    sums = counts @ bottoms
    with np.errstate(divide="ignore", invalid="ignore"):
        t = ((counts @ tops) / sums - mean) / _error(counts, tops, bottoms)
    return np.asarray(t, dtype=np.float64)


def _error(counts: Floats, tops: Floats, bottoms: Floats) -> Floats:
    """Standard error of the ratio in each draw, by its linearisation over days."""
    with np.errstate(divide="ignore", invalid="ignore"):
        top, bottom = counts @ tops, counts @ bottoms
        r = top / bottom
        square = counts @ tops**2 - 2.0 * r * (counts @ (tops * bottoms)) + r**2 * (counts @ bottoms**2)
        days = counts.shape[1]
        return np.asarray(np.sqrt(np.maximum(square, 0.0) * days / (days - 1.0)) / bottom, dtype=np.float64)


def _percentiles(drawn: Iterable[Floats], alpha: float) -> tuple[float, float]:
    t = np.concatenate(list(drawn))
    # A draw of one day again and again has no spread: its ratio is as far off as can be, or exactly right.
    t = np.where(np.isnan(t), 0.0, t)
    low, high = np.quantile(t, [alpha / 2.0, 1.0 - alpha / 2.0], method="inverted_cdf")
    return float(low), float(high)
