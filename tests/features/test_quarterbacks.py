"""The expected line: what earlier lines, margins and starters give the next game."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.features.quarterbacks import (
    Effect,
    StarterRules,
    expected_line,
    starter_ratings,
    starter_value,
    usual_starters,
)
from pennant.features.tables import Tables
from pennant.features.view import View

START = datetime(2024, 9, 1, 18, tzinfo=UTC)
TEAMS = ["a", "b", "c"]
CLOCK = pl.Datetime("us", "UTC")
RULES = StarterRules(
    line_deviation=2.0,
    margin_deviation=4.0,
    margin_cap=20.0,
    performance_deviation=6.0,
    performance_cap=30.0,
    team_start=5.0,
    team_week=0.5,
    team_summer=1.0,
    team_reversion=0.4,
    starter_first_week=-2.0,
    starter_later=-3.0,
    starter_start=2.0,
    starter_week=0.3,
    starter_summer=0.8,
    starter_reversion=0.2,
    seasons_remembered=1,
    effects={"home_field": Effect(2.5, 0.5, week=0.01)},
)
SURE = replace(RULES, team_week=0.0, starter_week=0.0, margin_deviation=1e6, line_deviation=0.5)
"""Only lines tell, and nothing wanders."""

Played = tuple[str, str, float, float]


def games(*played: Played, start: int = 0, season: int = 2024, **starters: str) -> pl.DataFrame:
    """One game a day and a week: home, away, line, margin; team x is led by `<x>1` unless said otherwise."""
    rows = [
        {
            "game_id": f"{season}-{start + day}",
            "season": season,
            "week": start + day + 1,
            "home_team": home,
            "away_team": away,
            "home_starter": starters.get(home, f"{home}1"),
            "away_starter": starters.get(away, f"{away}1"),
            "spread_line": float(line),
            "margin": float(margin),
            "home_field": 1.0,
            "event_time": START + timedelta(days=365 * (season - 2024) + start + day),
            "known_at": START + timedelta(days=365 * (season - 2024) + start + day, hours=4),
        }
        for day, (home, away, line, margin) in enumerate(played)
    ]
    return pl.DataFrame(rows, schema_overrides={"event_time": CLOCK, "known_at": CLOCK})


def played_well(played: pl.DataFrame, worth: Sequence[float | None], days: float = 3.0) -> pl.DataFrame:
    """Performances that became known some days after their games."""
    told = pl.Series(list(worth), dtype=pl.Float64)
    known = pl.col("known_at") + timedelta(days=days)
    return played.select("game_id", known.alias("known_at"), performance=told)


NOTHING = played_well(games(("a", "b", 0, 0)), [None])


def asking(home: str, away: str, at: datetime, season: int = 2024, week: int = 10) -> View:
    row = {"entity": "x", "event_time": at, "moment": at, "settled_at": at, "season": season, "week": week}
    asked = pl.DataFrame([row | {"home_team": home, "away_team": away}]).cast(
        dict.fromkeys(("event_time", "moment", "settled_at"), CLOCK)
    )
    return View(asked, Tables({}, {}), ("games", "result"))


def line_of(
    played: pl.DataFrame,
    home: str,
    away: str,
    starters: tuple[str | None, str | None] | None = None,
    rules: StarterRules = SURE,
    season: int = 2024,
    week: int = 10,
    at_home: float | None = 1.0,
) -> float:
    end = played["known_at"].max()
    assert isinstance(end, datetime)
    view = asking(home, away, end + timedelta(days=1), season, week)
    names = [pl.Series([each], dtype=pl.String) for each in starters or (f"{home}1", f"{away}1")]
    factors = pl.DataFrame({"home_field": [at_home]}, schema={"home_field": pl.Float64})
    ratings = starter_ratings(played, NOTHING, rules)
    return float(expected_line(view, ratings, rules, (names[0], names[1]), factors)[0])


def league(rounds: int, strength: dict[str, float]) -> pl.DataFrame:
    pairs = [(home, away) for home in TEAMS for away in TEAMS if home != away] * rounds
    told = [(home, away, strength[home] - strength[away] + 2.5) for home, away in pairs]
    return games(*((home, away, line, line) for home, away, line in told))


def test_the_expected_line_comes_to_what_the_lines_say() -> None:
    played = league(12, {"a": 6.0, "b": 0.0, "c": -6.0})
    assert line_of(played, "a", "c") == pytest.approx(14.5, abs=0.3)
    assert line_of(played, "c", "b") == pytest.approx(-3.5, abs=0.3)
    assert line_of(played, "b", "a", at_home=0.0) == pytest.approx(-6.0, abs=0.3)


def test_before_any_game_only_the_home_field_and_the_quarterbacks_are_known() -> None:
    played = games(("c", "d", 0, 0)).head(0).with_columns(pl.col("known_at"))
    ratings = starter_ratings(played, NOTHING, RULES)
    factors = pl.DataFrame({"home_field": [1.0]})
    nobody = (pl.Series([None], dtype=pl.String), pl.Series(["z"]))
    made = [
        expected_line(asking("a", "b", START, week=week), ratings, RULES, nobody, factors)[0]
        for week in (1, 2)
    ]
    assert made == [2.5 + 2.0, 2.5 + 3.0]


def test_the_line_falls_with_the_quarterback_and_the_team_keeps_its_own_part() -> None:
    """With a substitute the lines fall by six points: his, not the team's."""
    usual = league(6, {"a": 6.0, "b": 0.0, "c": -6.0})
    lost = games(("a", "b", 2.5, 2), ("c", "a", -3.5, -3), start=40, a="a2")
    played = pl.concat([usual, lost])
    with_first, with_second = (line_of(played, "a", "b", (each, "b1")) for each in ("a1", "a2"))
    assert line_of(usual, "a", "b") - with_first < 2.0
    assert with_first - with_second > 3.5
    assert with_second == pytest.approx(2.5, abs=1.0)


def test_a_rating_goes_with_the_quarterback_to_his_next_team() -> None:
    played = pl.concat(
        [
            league(6, {"a": 6.0, "b": 0.0, "c": -6.0}),
            games(("a", "b", 0.0, 0), ("a", "b", 0.0, 0), start=40, a="a2"),
        ]
    )
    helped = line_of(played, "c", "b", ("a1", "b1")) - line_of(played, "c", "b", ("a2", "b1"))
    assert helped > 3.0


def test_a_margin_beyond_the_line_moves_the_next_line_and_no_further_than_its_cap() -> None:
    rules = replace(SURE, margin_deviation=4.0)
    even, won, crushed, beyond = (
        line_of(games(("a", "b", 2.5, margin)), "a", "b", rules=rules) for margin in (2.5, 9.5, 22.5, 60)
    )
    assert even < won < crushed == beyond


def test_how_a_game_was_played_is_told_later_and_only_then_counts() -> None:
    played = games(("a", "b", 2.5, 2.5))
    well = starter_ratings(played, played_well(played, [20.0]), RULES)
    blind = starter_ratings(played, played_well(played, [None]), RULES)
    before, after = well.teams.filter(pl.col("entity") == "a")["value"].to_list()
    assert [before] == blind.teams.filter(pl.col("entity") == "a")["value"].to_list()
    assert after > before
    assert well.teams["known_at"].unique().sort().to_list() == [
        played["known_at"][0],
        played["known_at"][0] + timedelta(days=3),
    ]


def test_between_seasons_ratings_go_back_towards_zero() -> None:
    played = league(6, {"a": 6.0, "b": 0.0, "c": -6.0})
    now, next_year = (line_of(played, "a", "c", at_home=0.0, season=each) for each in (2024, 2025))
    ratings = starter_ratings(played, NOTHING, SURE)
    last = {name: each.unique("entity", keep="last") for name, each in vars(ratings).items()}
    value = {
        row[0]: row[1]
        for name in ("teams", "starters")
        for row in last[name].select("entity", "value").rows()
    }
    teams, starters = value["a"] - value["c"], value["a1"] - value["c1"]
    assert now == pytest.approx(teams + starters)
    assert next_year == pytest.approx(0.6 * teams + 0.8 * starters)


def test_a_quarterback_who_has_not_started_for_long_is_a_beginner_again() -> None:
    played = pl.concat(
        [
            games(("a", "b", 9.0, 9), a="old"),
            games(("a", "b", 2.5, 2), season=2025),
            games(("a", "b", 2.5, 2), season=2026),
        ]
    )
    ratings = starter_ratings(played, NOTHING, RULES)
    values = [
        starter_value(
            asking("a", "b", START + timedelta(days=day), 2024 + year), ratings, RULES, pl.Series(["old"])
        )[0]
        for year, day in ((0, 2), (1, 367), (2, 732))
    ]
    assert values[1] == pytest.approx(0.8 * values[0], abs=0.5)  # not forgotten, and the summer's way back
    assert values[2] == -3.0
    assert -3.0 not in values[:2]


def test_an_unknown_starter_tells_nothing_of_any_quarterback() -> None:
    played = games(("a", "b", 7.0, 7)).with_columns(home_starter=pl.lit(None, pl.String))
    ratings = starter_ratings(played, NOTHING, RULES)
    assert ratings.starters["entity"].unique().to_list() == ["b1"]
    assert ratings.teams.filter(pl.col("entity") == "a")["value"][0] > 0


@pytest.mark.parametrize("missing", ["spread_line", "margin", "home_team", "season", "week"])
def test_a_game_without_a_line_or_a_result_moves_nothing(missing: str) -> None:
    played = games(("a", "b", 7.0, 7), ("b", "a", 3.0, 3))
    holed = played.with_columns(pl.when(pl.int_range(2) == 0).then(missing).alias(missing))
    one, other = (starter_ratings(each, NOTHING, RULES) for each in (holed, played.head(1)))
    assert one.teams.equals(other.teams)
    assert one.starters.equals(other.starters)


def test_the_usual_starter_is_who_started_most_and_of_equals_who_started_last() -> None:
    first = games(("a", "b", 0, 0), ("a", "b", 0, 0), ("a", "b", 0, 0))
    later = games(("b", "a", 0, 0), ("b", "a", 0, 0), start=3, a="a2")
    usual = usual_starters(pl.concat([first, later]), 3)
    assert usual.filter(pl.col("entity") == "a")["value"].to_list() == ["a1", "a1", "a1", "a1", "a2"]
    even = usual_starters(pl.concat([first.head(2), later]), 4)
    assert even.filter(pl.col("entity") == "a")["value"].to_list() == ["a1", "a1", "a1", "a2"]


pair = st.sampled_from([(home, away) for home in TEAMS for away in TEAMS if home != away])
season_of = st.lists(
    st.tuples(
        pair, st.integers(-14, 14), st.integers(-40, 40), st.none() | st.integers(-30, 30), st.integers(1, 3)
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=40, deadline=None)
@given(told=season_of, length=st.integers(0, 20), delay=st.sampled_from([0.0, 0.5, 3.0]))
def test_the_timelines_of_a_prefix_are_prefixes_of_the_timelines(told, length, delay) -> None:
    played = games(*((home, away, line, margin) for (home, away), line, margin, _, _ in told))
    number = pl.Series([str(each[4]) for each in told])
    played = played.with_columns(
        home_starter=pl.col("home_starter") + number, season=2020 + pl.int_range(pl.len()) // 5
    )
    well = played_well(played, [each[3] for each in told], delay)
    whole = starter_ratings(played, well, RULES)
    end = played["known_at"][min(length, played.height - 1)]
    early = starter_ratings(
        played.filter(pl.col("known_at") <= end), well.filter(pl.col("known_at") <= end), RULES
    )
    for name, timeline in vars(whole).items():
        assert vars(early)[name].equals(timeline.filter(pl.col("known_at") <= end))


@settings(max_examples=30, deadline=None)
@given(told=season_of)
def test_ratings_stay_finite_and_uncertainty_does_not_turn_negative(told) -> None:
    played = games(*((home, away, line, margin) for (home, away), line, margin, _, _ in told))
    ratings = starter_ratings(played, played_well(played, [each[3] for each in told]), RULES)
    for name in ("teams", "starters"):
        values = vars(ratings)[name]["value"].to_numpy()
        assert np.isfinite(values).all()
        assert np.abs(values).max() < 60.0
