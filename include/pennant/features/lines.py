"""Team ratings in points, read from the closing lines of earlier games.

The spread of a game is taken as home rating - away rating + home field. After each game its line moves both
ratings (and, a little, the home field) towards itself, and the part of the margin that the line had not
foreseen, cut at `surprise_cap`, moves them on: the next line follows it. It is exponential weighting, team by
team; it does *not* know injuries, which is what the line of the game itself knows more.
"""

from dataclasses import dataclass

import polars as pl

from pennant.features.elo import advantage_at_home, rating_at
from pennant.features.view import View


@dataclass(frozen=True)
class LineRules:
    """Constants of one league; ratings and home field in points."""

    line_gain: float
    """Share of the line's error that is made good."""
    surprise_gain: float
    """Share of the unforeseen margin that moves the ratings."""
    surprise_cap: float
    season_reversion: float
    """Share of the way back to zero between two seasons."""
    home_field: float
    """Points at the start."""
    home_field_gain: float


@dataclass(frozen=True)
class LineRatings:
    """Timelines: of the teams (entity, known_at, value, season), and of the home field (same entity)."""

    teams: pl.DataFrame
    home_field: pl.DataFrame


def line_ratings(games: pl.DataFrame, rules: LineRules) -> LineRatings:
    """Follow the lines of games in the order they became known.

    Args:
        games: rows of `View.events` with home_team, away_team, season, neutral (bool), spread_line (points
            by which the home side is favoured) and margin (home less away). Rows with a null are passed over.
        rules: the constants.
    """
    used = games.drop_nulls(["home_team", "away_team", "season", "neutral", "spread_line", "margin"])
    columns = ("home_team", "away_team", "season", "neutral", "spread_line", "margin")
    ratings: dict[str, tuple[float, int]] = {}
    field = rules.home_field
    entity: list[str] = []
    value: list[float] = []
    fields: list[float] = []
    for home, away, season, neutral, line, margin in zip(
        *(used[each].to_list() for each in columns), strict=True
    ):
        mine, theirs = (_carried(ratings.get(team), season, rules) for team in (home, away))
        error = line - (mine - theirs + (0.0 if neutral else field))
        surprise = max(-rules.surprise_cap, min(rules.surprise_cap, margin - line))
        change = (rules.line_gain * error + rules.surprise_gain * surprise) / 2.0
        ratings[home], ratings[away] = (mine + change, season), (theirs - change, season)
        field += 0.0 if neutral else rules.home_field_gain * error
        entity += (home, away)
        value += (mine + change, theirs - change)
        fields.append(field)
    twice = pl.int_range(used.height, eager=True).repeat_by(2).explode()
    teams = used.select("known_at", "season")[twice].with_columns(
        pl.Series("entity", entity, pl.String), pl.Series("value", value, pl.Float64)
    )
    home_field = used.select(
        "known_at", pl.lit("home field").alias("entity"), pl.Series("value", fields, pl.Float64)
    )
    return LineRatings(*(_last_word(each) for each in (teams, home_field)))


def line_rating_difference(
    view: View,
    ratings: LineRatings,
    rules: LineRules,
    home: str | pl.Expr = "home_team",
    away: str | pl.Expr = "away_team",
    neutral: pl.Expr | None = None,
) -> pl.Series:
    """The line one would expect at each moment, in points for the home side; the requests need a `season`."""
    mine, theirs = (
        rating_at(view, ratings.teams, side, 0.0, 0.0, rules.season_reversion) for side in (home, away)
    )
    field = view.asof(pl.lit("home field"), ratings.home_field)["value"].fill_null(rules.home_field)
    return mine - theirs + advantage_at_home(view, pl.lit(field), neutral)


def _carried(rating: tuple[float, int] | None, season: int, rules: LineRules) -> float:
    if rating is None:
        return 0.0
    value, last_season = rating
    return value * (1.0 - rules.season_reversion) if season > last_season else value


def _last_word(timeline: pl.DataFrame) -> pl.DataFrame:
    return timeline.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)
