"""Features of Premier League matches, taken one hour before kick-off: nothing of the match's closing prices.

The constants below were chosen on the seasons 2000/01 to 2014/15; 2015/16 to 2022/23 were only measured, and
2023/24 and 2024/25 were not looked at. A plain multinomial logistic regression on 2002/03 to 2018/19 gives a
log loss of 0.973 on the 1,520 matches of 2019/20 to 2022/23 (0.982 without the opening prices); the opening
prices alone give 0.970, the closing ones 0.967, goals 0.986, Elo 0.995, the base rate 1.072.
"""

import polars as pl

from pennant.features.blocks import decayed_mean, expanding_mean, last_played, rolling_mean, sides
from pennant.features.elo import EloRules, elo, elo_difference
from pennant.features.goals import (
    GoalRules,
    draw_probabilities,
    expected_goals,
    goal_ratings,
    outcome_probabilities,
)
from pennant.features.view import View
from pennant.features.views import Known, feature_view, timeline

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


SUMMER_HOURS = 24.0 * 100
"""How old a club's form may be: the longest break between two seasons."""
RESULTS, STATISTICS = ["matches.fixture", "matches.result"], ["matches.fixture", "matches.statistics"]


@feature_view(entity="club", reads=RESULTS, fresh_hours=SUMMER_HOURS)
def club_form(known: Known) -> pl.DataFrame:
    """Goals and points per match of late, and the day of the last match since 1970."""
    rows = _goals(_matches(known, "result"))
    return timeline(
        rows,
        goals=decayed_mean(rows, _margin("goals"), FORM_HALF_LIFE_MATCHES),
        points=rolling_mean(rows, _points(), 6),
        last_day=last_played(rows),
    )


@feature_view(entity="club", reads=STATISTICS, fresh_hours=SUMMER_HOURS)
def club_shots(known: Known) -> pl.DataFrame:
    """Shots on target per match of late, less those of the other sides."""
    rows = sides(_matches(known, "statistics"), {"shots": ("HST", "AST")})
    return timeline(rows, shots=decayed_mean(rows, _margin("shots"), FORM_HALF_LIFE_MATCHES))


@feature_view(entity="league", reads=RESULTS, fresh_hours=SUMMER_HOURS)
def league(known: Known) -> pl.DataFrame:
    """What playing at home is worth lately, and how many matches are drawn, whatever the reason."""
    rows = _matches(known, "result").with_columns(entity=pl.lit("league"))
    margin = pl.col("FTHG") - pl.col("FTAG")
    return timeline(
        rows,
        home_edge=decayed_mean(rows, margin, LEAGUE_HALF_LIFE_MATCHES),
        draw_rate=decayed_mean(rows, margin == 0, LEAGUE_HALF_LIFE_MATCHES),
    )


def features(view: View) -> pl.DataFrame:
    """One row per request; see use_case.yaml for the units."""
    results, statistics = _matches(view, "result"), _matches(view, "statistics")
    in_goals = expected_goals(view, goal_ratings(results, GOALS, "FTHG", "FTAG"), GOALS, *SIDES)
    in_shots = expected_goals(view, goal_ratings(statistics, SHOTS, "HST", "AST"), SHOTS, *SIDES)
    goals = _goals(results)
    form = [view.join(side, club_form) for side in SIDES]
    aim = [view.join(side, club_shots)["shots"] for side in SIDES]
    of_league = view.join(pl.lit("league"), league)
    columns = {
        "elo_difference": _elo_difference(view, results),
        "expected_goals_home": in_goals["home"],
        "expected_goals_away": in_goals["away"],
        "expected_shots_home": in_shots["home"],
        "expected_shots_away": in_shots["away"],
        "goal_form_difference": form[0]["goals"] - form[1]["goals"],
        "shot_form_difference": aim[0] - aim[1],
        "points_form_difference": form[0]["points"] - form[1]["points"],
        "home_venue_form": _at_venue(view, goals, "HomeTeam", at_home=True),
        "away_venue_form": _at_venue(view, goals, "AwayTeam", at_home=False),
        "league_home_edge": of_league["home_edge"],
        "league_draw_rate": of_league["draw_rate"],
        **_season(view, goals),
        **_calendar(view, goals, [each["last_day"] for each in form]),
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


def _matches(known: View | Known, group: str) -> pl.DataFrame:
    return known.events("matches", "fixture", group).with_columns(
        home_team=pl.col("HomeTeam"), away_team=pl.col("AwayTeam")
    )


def _goals(results: pl.DataFrame) -> pl.DataFrame:
    return sides(results, {"goals": ("FTHG", "FTAG"), "season": ("season", "season")})


def _margin(what: str) -> pl.Expr:
    return pl.col(what) - pl.col(f"{what}_against")


def _elo_difference(view: View, results: pl.DataFrame) -> pl.Series:
    return elo_difference(view, elo(results, ELO, "FTHG", "FTAG"), ELO, *SIDES)


def _points() -> pl.Expr:
    """Three for a win, one for a draw."""
    lead = (pl.col("goals") - pl.col("goals_against")).sign()
    return pl.when(lead > 0).then(3.0).when(lead == 0).then(1.0).when(lead < 0).then(0.0)


def _at_venue(view: View, rows: pl.DataFrame, club: str, at_home: bool) -> pl.Series:
    """Form of a club at home, or away."""
    there = rows.filter(pl.col("at_home") == at_home)
    return view.asof(club, decayed_mean(there, _margin("goals"), FORM_HALF_LIFE_MATCHES / 2.0))["value"]


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


def _calendar(view: View, rows: pl.DataFrame, last_days: list[pl.Series]) -> dict[str, pl.Series]:
    """Rest and the number of league matches of late; cups and Europe are not in this table."""
    start = view.requests["event_time"].dt.epoch("s") / 86_400.0
    count = _counted(rows)
    left = count.with_columns(pl.col("known_at") + pl.duration(days=DENSITY_DAYS))
    made = {}
    for name, side, last in zip(("home", "away"), SIDES, last_days, strict=True):
        before = view.asof(side, left)["value"].fill_null(0.0)
        made[f"{name}_rest"] = (start - last).clip(upper_bound=LONGEST_REST_DAYS)
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
