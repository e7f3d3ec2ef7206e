"""Elo ratings in the order results became known.

The update and the margin-of-victory multiplier are FiveThirtyEight's for American football
(https://github.com/fivethirtyeight/nfl-elo-game, forecast.py):

    p        = 1 / (1 + 10 ** (-(rating_home + home_advantage - rating_away) / 400))
    change   = k * multiplier * (result - p)
    multiplier = ln(|margin| + 1) * 2.2 / (0.001 * winner_lead + 2.2)

where winner_lead is the winner's rating less the loser's, home advantage included. A tie counts 0.5 for both
sides, with the multiplier ln(2) * 2.2. Without `margin` the multiplier is one.
"""

import math
from dataclasses import dataclass

import polars as pl

from pennant.features.view import View


@dataclass(frozen=True)
class EloRules:
    """Constants of one league's ratings, in Elo points."""

    k: float
    home_advantage: float
    mean: float = 1500.0
    newcomer: float = 1500.0
    """First rating of a team that appears after the first season."""
    season_reversion: float = 0.0
    """Share of the way back to the mean between two seasons."""
    margin: bool = False
    """Whether a higher win moves the ratings more."""


def elo(games: pl.DataFrame, rules: EloRules, home_score: str, away_score: str) -> pl.DataFrame:
    """Timeline of the ratings after each game: entity, known_at, value, season.

    Args:
        games: rows of `View.events` with home_team, away_team, season, the scores, and optionally `neutral`
            (bool: no home advantage). Rows with a null score or team are passed over.
        rules: the constants.
        home_score: column of the home side's score.
        away_score: column of the away side's score.
    """
    played = games.drop_nulls([home_score, away_score, "home_team", "away_team", "season"])
    neutral = played["neutral"].to_list() if "neutral" in played.columns else [False] * played.height
    ratings: dict[str, tuple[float, int]] = {}
    first_season = played["season"].min()
    entity: list[str] = []
    value: list[float] = []
    margins = (played[home_score] - played[away_score]).to_list()
    seasons = played["season"].to_list()
    pairs = zip(played["home_team"].to_list(), played["away_team"].to_list(), strict=True)
    for (home, away), margin, season, nowhere in zip(pairs, margins, seasons, neutral, strict=True):
        start = rules.mean if season == first_season else rules.newcomer
        mine = _carried(ratings.get(home), season, start, rules)
        theirs = _carried(ratings.get(away), season, start, rules)
        change = _change(mine + (0.0 if nowhere else rules.home_advantage) - theirs, margin, rules)
        ratings[home], ratings[away] = (mine + change, season), (theirs - change, season)
        entity += (home, away)
        value += (mine + change, theirs - change)
    twice = pl.int_range(played.height, eager=True).repeat_by(2).explode()
    timeline = played.select("known_at", "season")[twice].with_columns(
        pl.Series("entity", entity, pl.String), pl.Series("value", value, pl.Float64)
    )
    return timeline.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)


def elo_difference(
    view: View,
    timeline: pl.DataFrame,
    rules: EloRules,
    home: str | pl.Expr = "home_team",
    away: str | pl.Expr = "away_team",
    neutral: pl.Expr | None = None,
) -> pl.Series:
    """Rating of the home side less that of the away side at each moment, home advantage included.

    The requests need a `season`: a rating of an earlier season is moved towards the mean first. A team
    never seen has the newcomer's rating, or the mean when nothing at all is known.
    """
    start = rules.mean if timeline.is_empty() else rules.newcomer
    mine, theirs = (
        rating_at(view, timeline, side, rules.mean, start, rules.season_reversion) for side in (home, away)
    )
    return mine - theirs + advantage_at_home(view, pl.lit(rules.home_advantage), neutral)


def rating_at(
    view: View,
    timeline: pl.DataFrame,
    entity: str | pl.Expr,
    mean: float,
    start: float,
    season_reversion: float,
) -> pl.Series:
    """Rating of each request's entity at its moment, carried over into the request's season.

    Args:
        view: its requests need a `season`.
        timeline: entity, known_at, value, season.
        entity: request column or expression that names the entity.
        mean: where ratings go back to between seasons.
        start: rating of an entity without a game.
        season_reversion: share of the way back to the mean.
    """
    found = view.asof(entity, timeline, "value", "season").with_columns(view.requests["season"].alias("now"))
    back = mean + (pl.col("value") - mean) * (1.0 - season_reversion)
    carried = pl.when(pl.col("season") < pl.col("now")).then(back).otherwise("value")
    return found.select(carried.fill_null(start).alias("rating"))["rating"]


def advantage_at_home(view: View, advantage: pl.Expr, neutral: pl.Expr | None) -> pl.Series:
    """The home side's advantage for each request: nothing on a neutral field."""
    given = advantage if neutral is None else pl.when(neutral).then(0.0).otherwise(advantage)
    return view.requests.select(given.alias("advantage"))["advantage"]


def elo_probability(difference: pl.Series) -> pl.Series:
    """Chance of the side that leads by `difference` Elo points."""
    return 1.0 / (1.0 + (difference * (-math.log(10.0) / 400.0)).exp())


def _carried(rating: tuple[float, int] | None, season: int, start: float, rules: EloRules) -> float:
    if rating is None:
        return start
    value, last_season = rating
    if season > last_season:
        return rules.mean + (value - rules.mean) * (1.0 - rules.season_reversion)
    return value


def _change(lead: float, margin: float, rules: EloRules) -> float:
    expected = 1.0 / (1.0 + math.exp(-lead * math.log(10.0) / 400.0))
    result = 1.0 if margin > 0 else 0.0 if margin < 0 else 0.5
    if not rules.margin:
        return rules.k * (result - expected)
    damping = 1.0 if margin == 0 else 0.001 * math.copysign(lead, lead * margin) + 2.2
    multiplier = math.log(max(abs(margin), 1.0) + 1.0) * 2.2 / damping
    return rules.k * multiplier * (result - expected)
