"""Features of the simulated league, taken one hour before kick-off, when the team news are out."""

import polars as pl

from pennant.features.blocks import last_played, rolling_mean, sides, win_rate
from pennant.features.elo import EloRules, elo, elo_probability
from pennant.features.view import View
from pennant.features.views import Known, feature_view, timeline

ELO = EloRules(k=12.0, home_advantage=60.0)
"""`home_advantage` is 0.35 log-odds in Elo points; `k` suits strengths that halve in four months."""
FORM_GAMES = 30


@feature_view(entity="team", reads=["games.schedule", "games.result"], fresh_hours=24 * 14)
def form(known: Known) -> pl.DataFrame:
    """A team's last games: its lead in shots, the share it won, when it played last."""
    rows = _sides(known)
    lead = pl.col("shots") - pl.col("shots_against")
    return timeline(
        rows,
        shots_lead=rolling_mean(rows, lead, FORM_GAMES),
        win_rate=win_rate(rows, "goals", FORM_GAMES),
        last_day=last_played(rows),
    )


@feature_view(entity="team", reads=["games.schedule", "games.result"], fresh_hours=24 * 14)
def rating(known: Known) -> pl.DataFrame:
    """A team's Elo rating after each of its games."""
    games = known.events("games", "schedule", "result")
    return timeline(_sides(known), elo=elo(games, ELO, "home_goals", "away_goals"))


def features(view: View) -> pl.DataFrame:
    """One row per request; see use_case.yaml for the units."""
    home, away = view.join("home_team", form), view.join("away_team", form)
    news = view.own("games", "team_news", "home_absences", "away_absences", "temperature_celsius")
    return pl.DataFrame(
        {
            "entity": view.requests["entity"],
            "elo_difference": _elo_difference(view),
            "shots_form_difference": home["shots_lead"] - away["shots_lead"],
            "home_win_rate": home["win_rate"],
            "away_win_rate": away["win_rate"],
            "absence_difference": news["home_absences"] - news["away_absences"],
            "absences_total": news["home_absences"] + news["away_absences"],
            "rest_difference": away["last_day"] - home["last_day"],
            "temperature": news["temperature_celsius"],
        }
    )


def baselines(view: View) -> pl.DataFrame:
    """What Elo alone would say."""
    lead = _elo_difference(view)
    return pl.DataFrame({"entity": view.requests["entity"], "elo_probability": elo_probability(lead)})


def _sides(known: Known) -> pl.DataFrame:
    games = known.events("games", "schedule", "result")
    return sides(games, {"goals": ("home_goals", "away_goals"), "shots": ("home_shots", "away_shots")})


def _elo_difference(view: View) -> pl.Series:
    home, away = (
        view.join(side, rating)["elo"].fill_null(ELO.newcomer) for side in ("home_team", "away_team")
    )
    return home - away + ELO.home_advantage
