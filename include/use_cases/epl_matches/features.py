"""Features of Premier League matches, taken one hour before kick-off: nothing of the match's closing prices.

The constants below were chosen on the seasons 2000/01 to 2014/15; 2015/16 to 2022/23 were only measured, and
2023/24 and 2024/25 were not looked at.
"""

import polars as pl

from pennant.features.blocks import decayed_mean, difference, expanding_mean, last_played, rolling_mean, sides
from pennant.features.elo import EloRules, elo, elo_difference
from pennant.features.goals import (
    GoalRules,
    draw_probabilities,
    expected_goals,
    goal_ratings,
    outcome_probabilities,
)
from pennant.features.view import View

ELO = EloRules(k=21.0, home_advantage=108.0, newcomer=1364.0, season_reversion=0.0, margin=True)
DRAW = 0.76
"""Davidson's nu: equal sides draw 11 matches in 40."""
GOALS = GoalRules(
    gain=0.013, level_gain=0.0005, home_level=0.40, away_level=0.08, season_reversion=0.0, newcomer=-0.3
)
LOW_SCORE = -0.065
SHOTS = GoalRules(
    gain=0.005, level_gain=0.0015, home_level=1.8, away_level=1.5, season_reversion=0.1, newcomer=-0.17
)
FORM_HALF_LIFE_MATCHES = 8.0
LEAGUE_HALF_LIFE_MATCHES = 190.0
DENSITY_DAYS = 30
LONGEST_REST_DAYS = 21.0
"""The summer and the winter breaks of a league: beyond three weeks rest is rest."""

OPENING = (("AvgH", "AvgD", "AvgA"), ("BbAvH", "BbAvD", "BbAvA"), ("B365H", "B365D", "B365A"))
"""The market's average says more than one bookmaker; it is there from 2005/06 on."""
CLOSING = (("PSCH", "PSCD", "PSCA"), ("AvgCH", "AvgCD", "AvgCA"), ("B365CH", "B365CD", "B365CA"))
"""Pinnacle takes the smallest margin. Before 2012/13 nobody kept closing prices: opening ones judge there."""
OUTCOMES = ("home", "draw", "away")
SIDES = ("HomeTeam", "AwayTeam")
Prices = tuple[tuple[str, str, str], ...]


def features(view: View) -> pl.DataFrame:
    """One row per request; see use_case.yaml for the units."""
    results, statistics = _matches(view, "result"), _matches(view, "statistics")
    goals = sides(results, {"goals": ("FTHG", "FTAG"), "season": ("season", "season")})
    shots = sides(statistics, {"shots": ("HST", "AST")})
    in_goals = expected_goals(
        view, goal_ratings(results, GOALS, "FTHG", "FTAG"), GOALS, "HomeTeam", "AwayTeam"
    )
    in_shots = expected_goals(
        view, goal_ratings(statistics, SHOTS, "HST", "AST"), SHOTS, "HomeTeam", "AwayTeam"
    )
    margin, aim = pl.col("goals") - pl.col("goals_against"), pl.col("shots") - pl.col("shots_against")
    columns = {
        "elo_difference": _elo_difference(view, results),
        "expected_goals_home": in_goals["home"],
        "expected_goals_away": in_goals["away"],
        "expected_shots_home": in_shots["home"],
        "expected_shots_away": in_shots["away"],
        "goal_form_difference": _difference(view, decayed_mean(goals, margin, FORM_HALF_LIFE_MATCHES)),
        "shot_form_difference": _difference(view, decayed_mean(shots, aim, FORM_HALF_LIFE_MATCHES)),
        "points_form_difference": _difference(view, rolling_mean(goals, _points(), 6)),
        "home_venue_form": _at_venue(view, goals, margin, "HomeTeam", at_home=True),
        "away_venue_form": _at_venue(view, goals, margin, "AwayTeam", at_home=False),
        **_season(view, goals),
        **_league(view, results),
        **_calendar(view, goals),
    }
    prices = view.own("matches", "opening", *(name for each in OPENING for name in each))
    return prices.select(
        view.requests["entity"],
        *(pl.lit(values).alias(name) for name, values in columns.items()),
        *_fair(OPENING, "opening"),
        (_whole(OPENING) - 1.0).alias("opening_overround"),
    )


def baselines(view: View) -> pl.DataFrame:
    """What Elo, expected goals and the bookmakers would say.

    The market's chances are the inverse closing prices made to sum to one, of Pinnacle where there are any;
    before 2012/13, when nobody kept closing prices, they are those of the opening prices.
    """
    results = _matches(view, "result")
    ratings = goal_ratings(results, GOALS, "FTHG", "FTAG")
    expected = expected_goals(view, ratings, GOALS, *SIDES)
    said = {
        "elo": draw_probabilities(_elo_difference(view, results), DRAW),
        "goals": outcome_probabilities(expected, LOW_SCORE),
    }
    columns = [
        chances[outcome].alias(f"{name}_{outcome}") for name, chances in said.items() for outcome in OUTCOMES
    ]
    closing = view.settled("matches", "closing", *(name for each in CLOSING for name in each))
    opening = view.settled("matches", "opening", *(name for each in OPENING for name in each))
    prices = pl.concat([closing, opening], how="horizontal")
    return prices.select(view.requests["entity"], *_fair((*CLOSING, *OPENING), "market"), *columns)


def _matches(view: View, group: str) -> pl.DataFrame:
    return view.events("matches", "fixture", group).with_columns(
        home_team=pl.col("HomeTeam"), away_team=pl.col("AwayTeam")
    )


def _elo_difference(view: View, results: pl.DataFrame) -> pl.Series:
    return elo_difference(view, elo(results, ELO, "FTHG", "FTAG"), ELO, *SIDES)


def _difference(view: View, timeline: pl.DataFrame) -> pl.Series:
    return difference(view, timeline, *SIDES)


def _points() -> pl.Expr:
    """Three for a win, one for a draw."""
    lead = (pl.col("goals") - pl.col("goals_against")).sign()
    return pl.when(lead > 0).then(3.0).when(lead == 0).then(1.0).when(lead < 0).then(0.0)


def _at_venue(view: View, rows: pl.DataFrame, margin: pl.Expr, club: str, at_home: bool) -> pl.Series:
    """Form of a club at home, or away."""
    there = rows.filter(pl.col("at_home") == at_home)
    return view.asof(club, decayed_mean(there, margin, FORM_HALF_LIFE_MATCHES / 2.0))["value"]


def _season(view: View, rows: pl.DataFrame) -> dict[str, pl.Series]:
    """What a club has done in this season, and whether it was in the league in the last one.

    A club of each season is an entity of its own, so nothing is carried over the summer.
    """
    clubs = rows.with_columns(entity=_of_season("entity", pl.col("season").cast(pl.Int64)))
    points, played = expanding_mean(clubs, _points()), _counted(clubs)
    home, away = (view.asof(_of_season(side, pl.col("season")), points)["value"] for side in SIDES)
    so_far = view.asof(_of_season("HomeTeam", pl.col("season")), played)["value"]
    league = _counted(rows.with_columns(entity=_of_season(pl.lit("league"), pl.col("season").cast(pl.Int64))))
    last = pl.col("season") - 1
    told = view.asof(_of_season(pl.lit("league"), last), league)["value"].is_not_null()
    new = [view.asof(_of_season(side, last), played)["value"].is_null() for side in SIDES]
    return {
        "season_points_difference": home - away,
        "season_progress": so_far.fill_null(0.0) / 38.0,
        # In the first season that is told every club would seem promoted: nothing is said there.
        "home_promoted": new[0].cast(pl.Float64).set(~told, None),
        "away_promoted": new[1].cast(pl.Float64).set(~told, None),
    }


def _league(view: View, results: pl.DataFrame) -> dict[str, pl.Series]:
    """What playing at home is worth lately, and how many matches are drawn, whatever the reason."""
    rows = results.with_columns(entity=pl.lit("league"))
    margin = pl.col("FTHG") - pl.col("FTAG")
    edge = decayed_mean(rows, margin, LEAGUE_HALF_LIFE_MATCHES)
    draws = decayed_mean(rows, margin == 0, LEAGUE_HALF_LIFE_MATCHES)
    return {
        "league_home_edge": view.asof(pl.lit("league"), edge)["value"],
        "league_draw_rate": view.asof(pl.lit("league"), draws)["value"],
    }


def _calendar(view: View, rows: pl.DataFrame) -> dict[str, pl.Series]:
    """Rest and the number of league matches of late; cups and Europe are not in this table."""
    start = view.requests["event_time"].dt.epoch("s") / 86_400.0
    last, count = last_played(rows), _counted(rows)
    left = count.with_columns(pl.col("known_at") + pl.duration(days=DENSITY_DAYS))
    made = {}
    for name, side in zip(("home", "away"), SIDES, strict=True):
        rest = start - view.asof(side, last)["value"]
        before = view.asof(side, left)["value"].fill_null(0.0)
        made[f"{name}_rest"] = rest.clip(upper_bound=LONGEST_REST_DAYS)
        made[f"{name}_density"] = view.asof(side, count)["value"] - before
    return made


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    """Timeline of how many matches of an entity are known."""
    count = pl.int_range(1, pl.len() + 1).over("entity").cast(pl.Float64).alias("value")
    made = rows.select("entity", "known_at", count)
    return made.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)


def _of_season(who: str | pl.Expr, season: pl.Expr) -> pl.Expr:
    return pl.concat_str(who, season.cast(pl.String), separator=" ")


def _fair(books: Prices, name: str) -> list[pl.Expr]:
    """Chances of the first bookmaker with all three prices, its margin taken out in proportion."""
    whole = _whole(books)
    return [
        (_first(books, number) / whole).alias(f"{name}_{outcome}") for number, outcome in enumerate(OUTCOMES)
    ]


def _whole(books: Prices) -> pl.Expr:
    return _first(books, 0) + _first(books, 1) + _first(books, 2)


def _first(books: Prices, outcome: int) -> pl.Expr:
    """Inverse price of an outcome at the first bookmaker who has all three; null if none has."""
    asked = [
        pl.when(pl.all_horizontal(pl.col(name) > 1.0 for name in book)).then(1.0 / pl.col(book[outcome]))
        for book in books
    ]
    return pl.coalesce(asked)
