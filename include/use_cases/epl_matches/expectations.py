"""Rules on matches that look at several columns.

What they have found in the files of 2000/01 to 2024/25: three matches with more shots on target than shots
(Coventry - Tottenham and Bradford - Charlton in 2000/01, Newcastle - West Ham in 2021/22).
"""

from typing import Any

import polars as pl

from pennant.data.quality.suites import OnFailure, Rule, rule

FAIR = {"min_value": 0.99, "max_value": 1.25}
"""Inverse prices of one bookmaker sum to a little over one: 1.0005 to 1.167 in 25 seasons."""


def _holds(group: str, words: str, that: pl.Expr, on_failure: OnFailure = "quarantine") -> Rule:
    """A rule that rows keep where `that` is true, or unknown."""
    wanted: dict[str, Any] = {"column": "holds", "value_set": [1]}
    derived = {"holds": that.cast(pl.Int64)}
    return rule(
        "matches",
        group,
        expect="ExpectColumnValuesToBeInSet",
        with_=wanted,
        on_failure=on_failure,
        words=words,
        derived=derived,
    )


def _fair(group: str, book: str) -> Rule:
    inverse = sum((1.0 / pl.col(f"{book}{outcome}") for outcome in "HDA"), pl.lit(0.0))
    return rule(
        "matches",
        group,
        expect="ExpectColumnValuesToBeBetween",
        with_={"column": "inverse_prices", **FAIR},
        on_failure="quarantine",
        words=f"three prices of {book} that no bookmaker asks together",
        derived={"inverse_prices": inverse},
    )


_LEAD = (pl.col("FTHG") - pl.col("FTAG")).sign()
_SAID = pl.col("FTR").replace_strict({"H": 1, "D": 0, "A": -1}, default=None, return_dtype=pl.Int64)

RULES = [
    _holds("fixture", "a club that plays against itself", pl.col("HomeTeam") != pl.col("AwayTeam")),
    _holds("result", "a result that the score does not bear out", _LEAD == _SAID),
    _holds(
        "result",
        "more goals at half time than at the end",
        (pl.col("HTHG") <= pl.col("FTHG")) & (pl.col("HTAG") <= pl.col("FTAG")),
    ),
    _holds(
        "statistics",
        "more shots on target than shots",
        (pl.col("HST") <= pl.col("HS")) & (pl.col("AST") <= pl.col("AS")),
    ),
    *(_fair("opening", book) for book in ("B365", "BbAv", "Avg", "PS")),
    *(_fair("closing", book) for book in ("PSC", "B365C", "AvgC")),
]
