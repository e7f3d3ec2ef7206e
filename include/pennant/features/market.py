"""What a market's closing prices say about the home side."""

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


def moneyline_probability(home_odds: pl.Expr, away_odds: pl.Expr) -> pl.Expr:
    """Chance of the home side with the bookmaker's margin taken out in proportion; null if a price is."""
    home, away = american_probability(home_odds), american_probability(away_odds)
    return home / (home + away)


def spread_probability(spread: pl.Expr) -> pl.Expr:
    """Chance that a side favoured by `spread` points wins, `Phi(spread / 13.86)`; null if the spread is.

    Phi comes from `erf` by Abramowitz and Stegun 1964, formula 7.1.26: absolute error under 1e-7.
    """
    z = spread.abs() / (MARGIN_DEVIATION_POINTS * 2.0**0.5)
    t = 1.0 / (1.0 + 0.3275911 * z)
    terms = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    series: pl.Expr = pl.lit(0.0)
    for term in reversed(terms):
        series = (series + term) * t
    upper: pl.Expr = 1.0 - series * (-z * z).exp()
    chance: pl.Expr = 0.5 + 0.5 * spread.sign() * upper
    return chance
