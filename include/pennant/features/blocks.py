"""Building blocks for feature functions: timelines of what was known about an entity.

A timeline has the columns `entity`, `known_at` and `value`, in the order of knowing. Every block works
through its rows in that order, so the timeline of a prefix of the rows is a prefix of the timeline: what
comes later changes nothing before it.
"""

from collections.abc import Callable, Mapping

import polars as pl

from pennant.features.view import View

SECONDS_PER_DAY = 86_400.0


def sides(
    games: pl.DataFrame,
    values: Mapping[str, tuple[str, str]],
    home: str = "home_team",
    away: str = "away_team",
) -> pl.DataFrame:
    """Turn games into two rows each, one per side, in the order of knowing.

    Args:
        games: rows of `View.events`.
        values: new column -> (column of the home side, column of the away side); the other side's value
            comes as `<column>_against`.
        home: column with the home side's name.
        away: column with the away side's name.

    Returns:
        `entity`, `opponent`, `at_home`, `known_at`, `event_time` and the values, both sides of a game
        next to each other.
    """
    numbered = games.with_row_index("_row")
    both = []
    for at_home, me, other in ((True, home, away), (False, away, home)):
        pairs = {name: pair if at_home else pair[::-1] for name, pair in values.items()}
        own = [pl.col(pair[0]).cast(pl.Float64).alias(name) for name, pair in pairs.items()]
        against = [pl.col(pair[1]).cast(pl.Float64).alias(f"{name}_against") for name, pair in pairs.items()]
        who = (pl.col(me).alias("entity"), pl.col(other).alias("opponent"), pl.lit(at_home).alias("at_home"))
        both.append(numbered.select("_row", *who, "known_at", "event_time", *own, *against))
    return pl.concat(both).sort("_row", maintain_order=True).drop("_row")


def rolling_mean(rows: pl.DataFrame, value: pl.Expr, games: int) -> pl.DataFrame:
    """Timeline of the mean of an entity's last `games` rows; null values are passed over."""
    return _timeline(rows, value, lambda each: each.rolling_mean(games, min_samples=1))


def expanding_mean(rows: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    """Timeline of the mean of all of an entity's rows so far; null values are passed over."""
    return _timeline(rows, value, lambda each: each.fill_null(0.0).cum_sum() / each.is_not_null().cum_sum())


def decayed_mean(rows: pl.DataFrame, value: pl.Expr, half_life_games: float) -> pl.DataFrame:
    """Timeline of an entity's mean in which a row `half_life_games` rows ago counts half as much."""
    return _timeline(rows, value, lambda each: each.ewm_mean(half_life=half_life_games, ignore_nulls=True))


def win_rate(rows: pl.DataFrame, score: str, games: int) -> pl.DataFrame:
    """Timeline of the share of an entity's last `games` games that it won; a tie counts half."""
    lead = (pl.col(score) - pl.col(f"{score}_against")).sign()
    return rolling_mean(rows, (lead + 1.0) / 2.0, games)


def day_of(column: str) -> pl.Expr:
    """A moment in days since 1970, parts of a day included."""
    return pl.col(column).dt.epoch("s") / SECONDS_PER_DAY


def last_played(rows: pl.DataFrame) -> pl.DataFrame:
    """Timeline of when an entity last played, in days since 1970."""
    return _timeline(rows, day_of("event_time"), lambda each: each.cum_max())


def rest_days(view: View, entity: str | pl.Expr, rows: pl.DataFrame) -> pl.Series:
    """Days from an entity's last game with a known result to the requested event; null if there is none."""
    start = view.requests["event_time"].dt.epoch("s") / SECONDS_PER_DAY
    return start - view.asof(entity, last_played(rows))["value"]


def difference(
    view: View, timeline: pl.DataFrame, home: str | pl.Expr = "home_team", away: str | pl.Expr = "away_team"
) -> pl.Series:
    """Value of the home side less that of the away side as known at each moment; null if either is."""
    return view.asof(home, timeline)["value"] - view.asof(away, timeline)["value"]


def _timeline(rows: pl.DataFrame, value: pl.Expr, over: Callable[[pl.Expr], pl.Expr]) -> pl.DataFrame:
    made = rows.select("entity", "known_at", value.cast(pl.Float64).alias("value"))
    made = made.with_columns(over(pl.col("value")).fill_nan(None).forward_fill().over("entity"))
    return made.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)
