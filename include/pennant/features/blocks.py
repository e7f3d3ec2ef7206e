"""Building blocks for feature functions: timelines of what was known about an entity.

A timeline has the columns `entity`, `known_at` and `value`, in the order of knowing. Every block works
through its rows in that order, so the timeline of a prefix of the rows is a prefix of the timeline: what
comes later changes nothing before it.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta

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


def rolling_mean_days(rows: pl.DataFrame, value: pl.Expr, days: float) -> pl.DataFrame:
    """Timeline of the mean of what became known of an entity in the last `days`; null values are passed over.

    The days are counted back from the newest row, by when it became known: no later row has a say in it.
    """
    span = timedelta(days=days)
    return _timeline(rows, value, lambda each: each.rolling_mean_by("known_at", span, min_samples=1))


def decayed_mean_days(rows: pl.DataFrame, value: pl.Expr, half_life_days: float) -> pl.DataFrame:
    """Timeline of an entity's mean in which what became known `half_life_days` earlier counts half as much.

    sum(w x) / sum(w) with w = 2 ** (-days / half life); null values are passed over.
    """
    first = pl.col("known_at").min().over("entity")
    halves = (pl.col("known_at") - first).dt.total_seconds().cast(pl.Float64) * (
        1.0 / (SECONDS_PER_DAY * half_life_days)
    )
    made = rows.select(
        "entity", "known_at", value.cast(pl.Float64).fill_nan(None).alias("value"), halves=halves
    )
    means: dict[str, tuple[float, float, float]] = {}
    found: list[float | None] = []
    for entity, each, at in made.select("entity", "value", "halves").iter_rows():
        total, weight, last = means.get(entity, (0.0, 0.0, at))
        kept = 2.0 ** (last - at)
        total, weight = total * kept, weight * kept
        if each is not None:
            total, weight = total + each, weight + 1.0
        means[entity] = (total, weight, at)
        found.append(total / weight if weight else None)
    told = made.select("entity", "known_at").with_columns(value=pl.Series(found, dtype=pl.Float64))
    return told.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)


def win_rate(rows: pl.DataFrame, score: str, games: int) -> pl.DataFrame:
    """Timeline of the share of an entity's last `games` games that it won; a tie counts half."""
    lead = (pl.col(score) - pl.col(f"{score}_against")).sign()
    return rolling_mean(rows, (lead + 1.0) / 2.0, games)


def day_of(column: str) -> pl.Expr:
    """A moment in days since 1970, parts of a day included.

    A product, no quotient: Polars divides a column of one row by a number otherwise than a longer one, and a
    feature has to have the same bits in every table.
    """
    return pl.col(column).dt.epoch("s").cast(pl.Float64) * (1.0 / SECONDS_PER_DAY)


def last_played(rows: pl.DataFrame) -> pl.DataFrame:
    """Timeline of when an entity last played, in days since 1970."""
    return _timeline(rows, day_of("event_time"), lambda each: each.cum_max())


def rest_days(view: View, entity: str | pl.Expr, rows: pl.DataFrame) -> pl.Series:
    """Days from an entity's last game with a known result to the requested event; null if there is none."""
    start = view.requests.select(day_of("event_time")).to_series()
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
