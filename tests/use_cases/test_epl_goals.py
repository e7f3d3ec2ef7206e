"""Ratings from goals and the three chances they give, on small leagues whose answers are known."""

import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennant.features.goals import (
    GoalRules,
    draw_probabilities,
    goal_ratings,
    outcome_probabilities,
)

RULES = GoalRules(
    gain=0.1, level_gain=0.01, home_level=0.4, away_level=0.1, season_reversion=0.25, newcomer=-0.2
)
DAY = datetime(2024, 8, 1, tzinfo=UTC)
goals = st.floats(0.05, 6.0)


def games(*rows: tuple[str, str, int, int, int]) -> pl.DataFrame:
    """Rows of home, away, season, goals of both; each known a day after the one before."""
    names = ("home_team", "away_team", "season", "h", "a")
    known = [DAY + timedelta(days=number) for number in range(len(rows))]
    kinds = {name: pl.String if "team" in name else pl.Int64 for name in names}
    return pl.DataFrame(rows, kinds, orient="row").with_columns(pl.Series("known_at", known))


def last(timeline: pl.DataFrame, entity: str) -> dict[str, float]:
    return timeline.filter(pl.col("entity") == entity).tail(1).to_dicts()[0]


def test_a_first_match_moves_both_clubs_by_what_was_not_foreseen() -> None:
    ratings = goal_ratings(games(("A", "B", 2024, 3, 1)), RULES, "h", "a")
    more, other = 3 - math.exp(0.4), 1 - math.exp(0.1)
    assert last(ratings.clubs, "A")["attack"] == pytest.approx(0.1 * more)
    assert last(ratings.clubs, "B")["defence"] == pytest.approx(-0.1 * more)
    assert last(ratings.clubs, "B")["attack"] == pytest.approx(0.1 * other)
    assert last(ratings.clubs, "A")["defence"] == pytest.approx(-0.1 * other)
    assert last(ratings.levels, "league")["home"] == pytest.approx(0.4 + 0.01 * more)


def test_a_club_that_was_away_for_a_season_comes_back_as_a_newcomer() -> None:
    first = [("A", "B", 2022, 9, 0), ("C", "D", 2023, 1, 1)]
    before = goal_ratings(games(*first), RULES, "h", "a")
    after = goal_ratings(games(*first, ("A", "C", 2024, 1, 1)), RULES, "h", "a")
    other, level = last(before.clubs, "C"), last(before.levels, "league")
    expected = math.exp(level["home"] + RULES.newcomer - 0.75 * other["defence"])
    assert last(after.clubs, "A")["attack"] == pytest.approx(RULES.newcomer + 0.1 * (1 - expected))


def test_a_club_that_stays_keeps_three_quarters_of_its_lead_over_the_summer() -> None:
    before = goal_ratings(games(("A", "B", 2022, 9, 0)), RULES, "h", "a")
    after = goal_ratings(games(("A", "B", 2022, 9, 0), ("A", "B", 2023, 1, 1)), RULES, "h", "a")
    mine, other, level = last(before.clubs, "A"), last(before.clubs, "B"), last(before.levels, "league")
    carried = 0.75 * mine["attack"]
    expected = math.exp(level["home"] + carried - 0.75 * other["defence"])
    assert last(after.clubs, "A")["attack"] == pytest.approx(carried + 0.1 * (1 - expected))


def test_levels_follow_a_league_in_which_the_home_side_stops_winning() -> None:
    clubs = "ABCDEF"
    pairs = [(home, away) for home in clubs for away in clubs if home != away] * 20
    empty = goal_ratings(games(*((home, away, 2020, 1, 1) for home, away in pairs)), RULES, "h", "a")
    levels = last(empty.levels, "league")
    assert abs(levels["home"] - levels["away"]) < 0.02


def test_what_comes_later_changes_nothing_before() -> None:
    rows = [("A", "B", 2024, 2, 1), ("B", "C", 2024, 0, 0), ("C", "A", 2025, 1, 4)]
    whole, part = (goal_ratings(games(*rows[:upto]), RULES, "h", "a").clubs for upto in (3, 2))
    assert whole.head(part.height).equals(part)


@given(home=goals, away=goals, low=st.floats(-0.1, 0.1))
def test_three_chances_sum_to_one_and_turn_around_with_the_sides(
    home: float, away: float, low: float
) -> None:
    here = outcome_probabilities(pl.DataFrame({"home": [home], "away": [away]}), low).row(0)
    there = outcome_probabilities(pl.DataFrame({"home": [away], "away": [home]}), low).row(0)
    assert sum(here) == pytest.approx(1.0)
    assert min(here) >= 0.0
    assert here == pytest.approx(there[::-1])


def test_a_goalless_draw_is_as_likely_as_two_poisson_laws_say() -> None:
    chances = outcome_probabilities(pl.DataFrame({"home": [1e-9, 1.5], "away": [1e-9, 1.5]}))
    assert chances["draw"][0] == pytest.approx(1.0)
    # Skellam: exp(-3) I0(3), by the table of Abramowitz and Stegun 9.8.
    assert chances["draw"][1] == pytest.approx(0.2430, abs=1e-4)


def test_the_correction_of_low_scores_moves_what_its_formula_says() -> None:
    even = pl.DataFrame({"home": [1.0], "away": [1.0]})
    plain, corrected = (outcome_probabilities(even, low)["draw"][0] for low in (0.0, -0.1))
    # 0:0 and 1:1 are each exp(-2) likely and gain a tenth of that; the whole stays one.
    assert corrected - plain == pytest.approx(0.2 * math.exp(-2.0), abs=1e-9)


@given(lead=st.floats(-600.0, 600.0), draw=st.floats(0.1, 2.0))
def test_ties_leave_the_odds_between_the_sides_as_elo_has_them(lead: float, draw: float) -> None:
    home, tie, away = draw_probabilities(pl.Series([lead]), draw).row(0)
    assert home + tie + away == pytest.approx(1.0)
    assert math.log10(home / away) * 400.0 == pytest.approx(lead, abs=1e-6)


def test_equal_sides_draw_as_often_as_the_law_says() -> None:
    assert draw_probabilities(pl.Series([0.0]), 0.76)["draw"][0] == pytest.approx(0.76 / 2.76)


def test_a_missing_expectation_gives_missing_chances() -> None:
    chances = outcome_probabilities(pl.DataFrame({"home": [None, 1.0], "away": [1.0, 1.0]}))
    assert chances["home"].is_null().to_list() == [True, False]
