"""What a market's prices say: chances, the bookmaker's margin, and how they have moved."""

from collections.abc import Sequence

import polars as pl

MARGIN_DEVIATION_POINTS = 13.86
"""Standard deviation of an NFL game's margin around its spread, in points; the error is near normal (Stern
1991, "On the Probability of Winning a Football Game", The American Statistician 45, 179-183)."""


def american_probability(odds: pl.Expr) -> pl.Expr:
    """Probability at which American odds break even, the bookmaker's margin still in it.

    Null for odds between -100 and 100, which do not exist.
    """
    favourite = -odds / (100.0 - odds)
    return pl.when(odds <= -100).then(favourite).when(odds >= 100).then(100.0 / (100.0 + odds))


def decimal_probability(price: pl.Expr) -> pl.Expr:
    """Probability at which a decimal price breaks even, the margin still in it; null for one of 1 or less."""
    return pl.when(price > 1.0).then(1.0 / price)


def overround(probabilities: Sequence[pl.Expr]) -> pl.Expr:
    """The bookmaker's margin: what the break-even probabilities of all outcomes are together above 1.

    Null if one of them is.
    """
    total: pl.Expr = sum(probabilities[1:], probabilities[0])
    return total - 1.0


def movement(quotes: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    """Timeline of how far a line has moved since an entity's first quote.

    Args:
        quotes: `entity`, `known_at` (when the price was asked) and what `value` needs, in order of time.
        value: the line, or a probability; null is passed over.

    Returns:
        `entity`, `known_at`, `value`.
    """
    made = quotes.select("entity", "known_at", value.cast(pl.Float64).alias("value"))
    made = made.filter(pl.col("value").is_not_null())
    made = made.with_columns(pl.col("value") - pl.col("value").first().over("entity"))
    return made.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)


def moneyline_probability(home_odds: pl.Expr, away_odds: pl.Expr) -> pl.Expr:
    """Chance of the home side with the bookmaker's margin taken out in proportion; null if a price is."""
    home, away = american_probability(home_odds), american_probability(away_odds)
    return home / (home + away)


def spread_probability(spread: pl.Expr) -> pl.Expr:
    """Chance that a side favoured by `spread` points wins, `Phi(spread / 13.86)`; null if the spread is.

    Phi comes from `erf` by Abramowitz and Stegun 1964, formula 7.1.26: absolute error under 1e-7.
    """
    z = spread.abs() * (1.0 / (MARGIN_DEVIATION_POINTS * 2.0**0.5))
    t = 1.0 / (1.0 + 0.3275911 * z)
    terms = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    series: pl.Expr = pl.lit(0.0)
    for term in reversed(terms):
        series = (series + term) * t
    upper: pl.Expr = 1.0 - series * (-z * z).exp()
    chance: pl.Expr = 0.5 + 0.5 * spread.sign() * upper
    return chance
