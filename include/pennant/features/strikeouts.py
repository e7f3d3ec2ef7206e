"""Rates per batter faced, shrunk to the league's, and the mean that an over/under price implies."""

import numpy as np
import polars as pl
from scipy.special import gammaincinv


def poisson_mean(line: pl.Series, over: pl.Series) -> pl.Series:
    """The mean of the Poisson law that is over `line` with chance `over`; null where either is.

    By the identity `P(X >= k) = P(Gamma(k) <= mean)` it is a quantile of the Gamma law with
    `k = floor(line) + 1`.
    """
    least = np.floor(line.to_numpy().astype(float)) + 1.0
    chance = over.to_numpy().astype(float)
    asked = np.isfinite(least) & (chance > 0.0) & (chance < 1.0)
    mean = np.full(len(line), np.nan)
    mean[asked] = gammaincinv(least[asked], chance[asked])
    return pl.Series("mean", mean).fill_nan(None)


def shrunk_rate(
    rows: pl.DataFrame,
    events: str,
    trials: str,
    prior: float,
    league_half_life: float,
    half_life: float | None = None,
) -> pl.DataFrame:
    """Timeline of an entity's events per trial, drawn towards what was the league's rate at the time.

    The estimate is the mean of the Beta law whose prior has the league's rate and the weight of `prior`
    trials (empirical Bayes: Efron and Morris 1977, "Stein's paradox in statistics", Scientific American
    236, 119-127).

    Args:
        rows: entity, known_at and the two counts, in the order of knowing; null counts are passed over.
        events: column of what is counted.
        trials: column of how often it could have happened.
        prior: weight of the league, in trials.
        league_half_life: rows of the league after which a row counts half in the league's rate.
        half_life: rows of the entity after which a row counts half; None counts all alike.
    """
    used = rows.drop_nulls(["entity", events, trials])
    league = _weighted(events, league_half_life) / _weighted(trials, league_half_life)
    hits, tries = (_weighted(name, half_life).over("entity") for name in (events, trials))
    value = (hits + prior * league) / (tries + prior)
    return _timeline(used.select("entity", "known_at", value.fill_nan(None).alias("value")))


def decayed_rate(rows: pl.DataFrame, events: str, trials: str, half_life: float) -> pl.DataFrame:
    """Timeline of an entity's events per trial in which a row `half_life` rows ago counts half as much."""
    used = rows.drop_nulls(["entity", events, trials])
    value = (_weighted(events, half_life) / _weighted(trials, half_life)).over("entity")
    return _timeline(used.select("entity", "known_at", value.fill_nan(None).alias("value")))


def _weighted(name: str, half_life: float | None) -> pl.Expr:
    """Sum of a column in which a row `half_life` rows ago counts half as much; None counts all alike.

    Polars gives the mean; times the sum of its weights, a geometric series, it is the sum.
    """
    if half_life is None:
        return pl.col(name).cast(pl.Float64).cum_sum()
    fade = 0.5 ** (1.0 / half_life)
    weights: pl.Expr = (1.0 - pl.lit(fade).pow(pl.int_range(1, pl.len() + 1))) / (1.0 - fade)
    return pl.col(name).cast(pl.Float64).ewm_mean(half_life=half_life) * weights


def _timeline(made: pl.DataFrame) -> pl.DataFrame:
    return made.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)
