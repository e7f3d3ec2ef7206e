"""Features of NFL games, taken one hour before kick-off: nothing of the game's own closing line.

The constants below were chosen on the seasons 2004 to 2017; later seasons were only measured.
"""

import polars as pl

from pennant.features.blocks import decayed_mean, difference, sides
from pennant.features.elo import EloRules, elo, elo_difference, elo_probability
from pennant.features.lines import LineRules, line_rating_difference, line_ratings
from pennant.features.market import moneyline_probability, spread_probability
from pennant.features.view import View

# FiveThirtyEight's constants (github.com/fivethirtyeight/nfl-elo-game); it started new clubs at 1300.
ELO = EloRules(k=20.0, home_advantage=65.0, newcomer=1300.0, season_reversion=1.0 / 3.0, margin=True)
LINES = LineRules(
    line_gain=0.475,
    surprise_gain=0.14,
    surprise_cap=19.0,
    season_reversion=0.4,
    home_field=2.5,
    home_field_gain=0.002,
)
FORM_HALF_LIFE_GAMES = 5.0
TABLES_ZONE = "America/New_York"
"""Both tables date a game by the day in the east of the United States, wherever it is played."""

HOME, AWAY = pl.col("home_team"), pl.col("away_team")
NEUTRAL = pl.col("location") == "Neutral"


def features(view: View) -> pl.DataFrame:
    """One row per request; see use_case.yaml for the units."""
    games = _games(view, "schedule", "result")
    rows = sides(games, {"points": ("home_score", "away_score")})
    form = decayed_mean(rows, pl.col("points") - pl.col("points_against"), FORM_HALF_LIFE_GAMES)
    lines = line_ratings(_games(view, "schedule", "lines", "result"), LINES)
    flags = view.requests.select(
        NEUTRAL.cast(pl.Float64).alias("neutral_field"),
        pl.col("div_game").cast(pl.Float64).alias("division_game"),
        pl.col("week").cast(pl.Float64),
        (pl.col("home_rest") - pl.col("away_rest")).cast(pl.Float64).alias("rest_difference"),
    )
    return flags.with_columns(
        view.requests["entity"],
        _elo_difference(view, games).alias("elo_difference"),
        line_rating_difference(view, lines, LINES, HOME, AWAY, NEUTRAL).alias("line_rating_difference"),
        difference(view, form, HOME, AWAY).alias("margin_form_difference"),
    )


def baselines(view: View) -> pl.DataFrame:
    """What Elo alone would say, ours and FiveThirtyEight's, and what the market said at kick-off.

    The market's chance is the closing moneylines with the bookmaker's margin taken out in proportion; where
    a moneyline is missing, the closing spread's; where both are, null.
    """
    lead = _elo_difference(view, _games(view, "schedule", "result"))
    lines = view.settled("games", "lines", "spread_line", "home_moneyline", "away_moneyline")
    market = lines.select(
        pl.coalesce(
            moneyline_probability(pl.col("home_moneyline"), pl.col("away_moneyline")),
            spread_probability(pl.col("spread_line")),
        ).alias("market_probability")
    )
    return market.with_columns(
        view.requests["entity"],
        elo_probability(lead).alias("elo_probability"),
        _elo_538(view).alias("elo_538"),
    )


def _elo_difference(view: View, games: pl.DataFrame) -> pl.Series:
    return elo_difference(view, elo(games, ELO, "home_score", "away_score"), ELO, HOME, AWAY, NEUTRAL)


def _games(view: View, *groups: str) -> pl.DataFrame:
    return view.events("games", *groups).with_columns(
        NEUTRAL.alias("neutral"),
        (pl.col("home_score") - pl.col("away_score")).alias("margin"),
    )


def _elo_538(view: View) -> pl.Series:
    """FiveThirtyEight's chance of the home team; null for a game that its table does not have.

    Found by day and teams: on neutral fields the two tables do not always name the same home team.
    """
    forecasts = view.events("elo538", "forecast")
    home = _meeting(pl.col("date"), pl.col("team1"), pl.col("team2"))
    away = _meeting(pl.col("date"), pl.col("team2"), pl.col("team1"))
    both = pl.concat(
        [
            forecasts.select(home.alias("entity"), "known_at", pl.col("elo_prob1").alias("value")),
            forecasts.select(away.alias("entity"), "known_at", (1.0 - pl.col("elo_prob1")).alias("value")),
        ]
    )
    day = pl.col("event_time").dt.convert_time_zone(TABLES_ZONE).dt.strftime("%Y-%m-%d")
    return view.asof(_meeting(day, HOME, AWAY), both)["value"]


def _meeting(day: pl.Expr, home: pl.Expr, away: pl.Expr) -> pl.Expr:
    return pl.concat_str([day, home, away], separator=" ")
