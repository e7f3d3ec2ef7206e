"""Features of the simulated league, taken one hour before kick-off, when the team news are out."""

import polars as pl

from pennant.features.blocks import difference, rest_days, rolling_mean, sides, win_rate
from pennant.features.elo import EloRules, elo, elo_difference, elo_probability
from pennant.features.view import View

ELO = EloRules(k=12.0, home_advantage=60.0)
"""`home_advantage` is 0.35 log-odds in Elo points; `k` suits strengths that halve in four months."""
FORM_GAMES = 30


def features(view: View) -> pl.DataFrame:
    """One row per request; see use_case.yaml for the units."""
    games = view.events("games", "schedule", "result")
    rows = sides(games, {"goals": ("home_goals", "away_goals"), "shots": ("home_shots", "away_shots")})
    wins = win_rate(rows, "goals", FORM_GAMES)
    news = view.own("games", "team_news", "home_absences", "away_absences", "temperature_celsius")
    rest = rest_days(view, "home_team", rows) - rest_days(view, "away_team", rows)
    lead = pl.col("shots") - pl.col("shots_against")
    return pl.DataFrame(
        {
            "entity": view.requests["entity"],
            "elo_difference": _elo_difference(view, games),
            "shots_form_difference": difference(view, rolling_mean(rows, lead, FORM_GAMES)),
            "home_win_rate": view.asof("home_team", wins)["value"],
            "away_win_rate": view.asof("away_team", wins)["value"],
            "absence_difference": news["home_absences"] - news["away_absences"],
            "absences_total": news["home_absences"] + news["away_absences"],
            "rest_difference": rest,
            "temperature": news["temperature_celsius"],
        }
    )


def baselines(view: View) -> pl.DataFrame:
    """What Elo alone would say."""
    lead = _elo_difference(view, view.events("games", "schedule", "result"))
    return pl.DataFrame({"entity": view.requests["entity"], "elo_probability": elo_probability(lead)})


def _elo_difference(view: View, games: pl.DataFrame) -> pl.Series:
    return elo_difference(view, elo(games, ELO, "home_goals", "away_goals"), ELO)
