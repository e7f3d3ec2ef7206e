"""Rules on pitchers' games and prices that look at several columns.

What they find in the files: 6,564 prices quoted after the announced start; 35 prices of one bookmaker on
26 June 2025 that ask 98 chances in 100 for either side; the closing moneylines of 18 September 2020, shuffled
between games, and that day's opening ones; 20 baseball games that end in a tie.
"""

from typing import Any

import polars as pl

from pennant.data.quality.suites import OnFailure, Rule, rule
from pennant.features.market import american_probability


def _between(
    source: str,
    group: str,
    words: str,
    value: pl.Expr,
    limits: dict[str, Any],
    on_failure: OnFailure = "quarantine",
) -> Rule:
    return rule(
        source,
        group,
        expect="ExpectColumnValuesToBeBetween",
        with_={"column": "value", **limits},
        on_failure=on_failure,
        words=words,
        derived={"value": value},
    )


def _moneylines(group: str, when: str, words: str) -> Rule:
    """Both sides' implied probabilities sum to 1.01 to 1.05; 1.12 leaves room for a dear bookmaker."""
    sides = [american_probability(pl.col(f"{side}_{when}_ml")) for side in ("away", "home")]
    return _between("games", group, words, sides[0] + sides[1], {"min_value": 0.99, "max_value": 1.12})


_OVERROUND = american_probability(pl.col("over_odds")) + american_probability(pl.col("under_odds"))
_WAIT = (pl.col("event_time") - pl.col("snapshot_at")).dt.total_seconds()
_LEAD = (pl.col("home_score") - pl.col("away_score")).abs()

RULES = [
    _between("lines", "prices", "a price quoted after the announced start", _WAIT, {"min_value": 0}),
    _between(
        "lines",
        "prices",
        "an over and an under that no bookmaker asks together",
        _OVERROUND,
        {"min_value": 0.99, "max_value": 1.2},
    ),
    _moneylines("opening", "open", "opening moneylines that do not belong to one game"),
    _moneylines("closing", "close", "closing moneylines that do not belong to one game"),
    _between("games", "result", "a baseball game that ends in a tie", _LEAD, {"min_value": 1}),
    _between(
        "pitcher_games",
        "result",
        "more strikeouts than batters faced",
        pl.col("batters_faced") - pl.col("strikeouts"),
        {"min_value": 0},
    ),
    _between(
        "pitcher_games",
        "result",
        "more home runs than hits",
        pl.col("h_allowed") - pl.col("hr_allowed"),
        {"min_value": 0},
    ),
    _between(
        "earlier",
        "result",
        "more strikeouts than batters faced",
        pl.col("batters_faced") - pl.col("so"),
        {"min_value": 0},
    ),
]
