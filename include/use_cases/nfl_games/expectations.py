"""Rules of the NFL tables that look at several columns."""

import polars as pl

from pennant.data.quality.suites import rule

# American odds: a favourite is negative. Both sides positive, or both far below, is no book anybody offers.
home, away = (
    pl.when(pl.col(name) < 0).then(-pl.col(name) / (100 - pl.col(name))).otherwise(100 / (100 + pl.col(name)))
    for name in ("home_moneyline", "away_moneyline")
)

RULES = [
    rule(
        "games",
        "lines",
        expect="ExpectColumnValuesToBeBetween",
        with_={"column": "book", "min_value": 0.97, "max_value": 1.15},
        on_failure="quarantine",
        words="two moneylines that no bookmaker asks together",
        derived={"book": home + away},
    ),
    rule(
        "games",
        "lines",
        expect="ExpectColumnValuesToBeInSet",
        with_={"column": "sides_disagree", "value_set": [False]},
        on_failure="warn",
        words="a spread and a moneyline with different favourites",
        derived={
            "sides_disagree": (
                pl.col("spread_line") * (pl.col("away_moneyline") - pl.col("home_moneyline")) < 0
            )
            & (pl.col("spread_line").abs() > 3)
        },
    ),
    rule(
        "games",
        "result",
        expect="ExpectColumnValuesToBeInSet",
        with_={"column": "tied", "value_set": [False]},
        on_failure="warn",
        words="a tie: it counts for ratings and is void as a label",
        derived={"tied": pl.col("home_score") == pl.col("away_score")},
    ),
    rule(
        "games",
        "schedule",
        expect="ExpectColumnPairValuesToBeEqual",
        with_={"column_A": "against_itself", "column_B": "never"},
        on_failure="quarantine",
        words="a team that plays against itself",
        derived={"against_itself": pl.col("home_team") == pl.col("away_team"), "never": pl.lit(value=False)},
    ),
]
