"""What prices and goals say of clubs: there and back, and ratings whose answers are known."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from math import exp, log

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennant.features.goals import LEAGUE, implied_goals, outcome_probabilities
from pennant.features.strengths import StrengthRules, TraitRules, expected_rates, strengths
from pennant.features.tables import Tables
from pennant.features.view import View
from pennant.features.views import FeatureView

LEAD = TraitRules(
    other=-1.0,
    drift_per_day=0.0,
    newcomer=-0.2,
    newcomer_variance=0.04,
    start=0.15,
    league_variance=0.01,
    league_drift_per_day=0.0,
    price_variance=0.03,
    goal_variance=0.7,
)
LEVEL = replace(LEAD, other=1.0, start=0.25, newcomer=0.0, newcomer_variance=0.01)
RULES = StrengthRules(LEAD, LEVEL, shot_variance=0.6)
BLUNT = replace(RULES, lead=replace(LEAD, goal_variance=1e12), level=replace(LEVEL, goal_variance=1e12))
"""Rules to which goals say nothing."""
DAY = datetime(2024, 8, 1, tzinfo=UTC)
KINDS = {
    "home_team": pl.String,
    "away_team": pl.String,
    "season": pl.Int64,
    "lead": pl.Float64,
    "level": pl.Float64,
    "home_goals": pl.Int64,
    "away_goals": pl.Int64,
    "shots": pl.Float64,
    "stakes": pl.Float64,
}
Row = tuple[str, str, int, float | None, float | None, int | None, int | None, float | None, float]


def told(*rows: Row) -> pl.DataFrame:
    """Each known a day after the one before."""
    days = [DAY + timedelta(days=number) for number in range(len(rows))]
    made = pl.DataFrame(list(rows), KINDS, orient="row")
    known = pl.Series("known_at", days, pl.Datetime("us", "UTC"))
    return made.with_columns(known, known.alias("event_time"))


def priced(home: str, away: str, lead: float, season: int = 2024, stakes: float = 0.0) -> Row:
    return (home, away, season, lead, 0.25, 1, 1, None, stakes)


def last(timeline: pl.DataFrame, entity: str) -> dict[str, float]:
    return timeline.filter(pl.col("entity") == entity).tail(1).to_dicts()[0]


def asked(
    timeline: pl.DataFrame, home: str, away: str, season: int = 2024, rules: StrengthRules = RULES
) -> tuple[float, float]:
    """Lead and level of a match that is to come."""
    moment = pl.Series("moment", [DAY + timedelta(days=900)], pl.Datetime("us", "UTC"))
    requests = pl.DataFrame({"home": [home], "away": [away], "season": [season], "moment": moment})
    declared = FeatureView("strength", "club", (), 1.0, lambda _: timeline)
    view = View(requests, Tables({}, {}), ("matches", "result"))
    rates = expected_rates(view, declared, rules, "home", "away", pl.Series([0.0])).row(0)
    return log(rates[0] / rates[1]) / 2, log(rates[0] * rates[1]) / 2


@given(lead=st.floats(-1.2, 1.2), level=st.floats(-0.6, 1.0), low=st.floats(-0.15, 0.05))
def test_chances_tell_the_goals_that_they_were_made_of(lead: float, level: float, low: float) -> None:
    expected = pl.DataFrame({"home": [exp(level + lead)], "away": [exp(level - lead)]})
    again = implied_goals(outcome_probabilities(expected, low), low)
    assert again.row(0) == pytest.approx((lead, level), abs=1e-6)


def test_what_a_match_implies_depends_on_no_other_match_and_on_no_missing_price() -> None:
    chances = pl.DataFrame({"home": [0.5, None, 0.93], "draw": [0.3, 0.3, 0.05], "away": [0.2, 0.3, 0.02]})
    whole = implied_goals(chances)
    assert whole.row(1) == (None, None)
    assert [implied_goals(chances[at : at + 1]).row(0) for at in range(3)] == whole.rows()


def test_a_first_price_moves_the_clubs_and_the_league_by_their_parts_of_the_doubt() -> None:
    made = strengths(told(priced("A", "B", 0.45)), BLUNT)
    doubt = 0.04 + 0.04 + 0.01 + 0.03
    assert last(made, "A")["lead"] == pytest.approx(-0.2 + 0.3 * 0.04 / doubt)
    assert last(made, "B")["lead"] == pytest.approx(-0.2 - 0.3 * 0.04 / doubt)
    assert last(made, LEAGUE)["lead"] == pytest.approx(0.15 + 0.3 * 0.01 / doubt)


def test_goals_beyond_those_that_the_price_foresaw_move_the_clubs_and_foreseen_ones_do_not() -> None:
    even = replace(RULES, lead=replace(LEAD, start=0.0))
    drawn, won = (
        strengths(told(("A", "B", 2024, 0.0, 0.25, *score, None, 0.0)), even) for score in ((2, 2), (3, 0))
    )
    # Both sides were to score exp(0.25) each: a draw says nothing of who is better.
    assert last(drawn, "A")["lead"] == pytest.approx(-0.2)
    assert last(won, "A")["lead"] > -0.2 > last(won, "B")["lead"]
    # The goals were more than 2.57 together, and all was scored by the one.
    assert last(won, "A")["level"] > 0.0


def test_without_a_price_goals_are_held_against_what_the_ratings_expected() -> None:
    row = told(("A", "B", 2024, None, None, 4, 0, None, 0.0))
    scored = 2 * exp(0.25)
    foreseen = exp(0.25 + 0.15), exp(0.25 - 0.15)
    missed = ((4 - foreseen[0]) - (0 - foreseen[1])) / sum(foreseen)
    doubt = 0.04 + 0.04 + 0.01 + 0.7 / sum(foreseen)
    assert sum(foreseen) > scored
    assert last(strengths(row, RULES), "A")["lead"] == pytest.approx(-0.2 + missed * 0.04 / doubt)


def test_what_was_at_stake_in_a_match_is_not_held_to_be_the_clubs_strength() -> None:
    plain = strengths(told(priced("A", "B", 0.15)), BLUNT)
    dear = strengths(told(priced("A", "B", 0.45, stakes=0.3)), BLUNT)
    assert last(plain, "A")["lead"] == pytest.approx(-0.2)
    assert last(dear, "A")["lead"] == pytest.approx(-0.2)


def test_prices_of_a_whole_season_are_met_by_the_ratings() -> None:
    truth = {"A": 0.3, "B": 0.1, "C": -0.1, "D": -0.3}
    pairs = list(permutations(truth, 2)) * 12
    rows = told(*(priced(one, two, 0.2 + truth[one] - truth[two]) for one, two in pairs))
    made = strengths(rows, BLUNT)
    assert asked(made, "A", "D") == pytest.approx((0.8, 0.25), abs=0.02)
    assert asked(made, "D", "A") == pytest.approx((-0.4, 0.25), abs=0.02)


def test_a_club_that_was_not_there_last_season_starts_below_the_mean_of_those_who_were() -> None:
    made = strengths(told(priced("A", "B", 0.45), priced("C", "A", 0.5)), BLUNT)
    clubs = {name: last(made, name)["lead"] for name in "ABC"}
    edge, mean = last(made, LEAGUE)["lead"], sum(clubs.values()) / 3
    assert asked(made, "A", "new", 2025)[0] == pytest.approx(edge + clubs["A"] - mean + 0.2)
    # A season without it, and it is new again.
    assert asked(made, "A", "C", 2025)[0] == pytest.approx(edge + clubs["A"] - clubs["C"])
    later = strengths(told(priced("A", "B", 0.45), priced("C", "A", 0.5), priced("A", "B", 0.3, 2025)), BLUNT)
    left = asked(later, "B", "C", 2026)
    assert left == asked(later, "B", "new", 2026)
    assert asked(later, "B", "C", 2025) != asked(later, "B", "new", 2025)


def test_a_match_is_asked_for_as_the_ratings_themselves_expect_it() -> None:
    rows = [priced("A", "B", 0.45), priced("C", "A", 0.5), priced("A", "D", 0.6, 2025)]
    made = strengths(told(*rows), BLUNT)
    for home, away, season in (("B", "A", 2025), ("D", "C", 2025), ("A", "E", 2025), ("A", "B", 2026)):
        lead, _ = asked(made, home, away, season)
        # A price that says just that moves nobody.
        after = strengths(told(*rows, priced(home, away, lead, season)), BLUNT)
        assert last(after, LEAGUE)["lead"] == pytest.approx(last(made, LEAGUE)["lead"], abs=1e-12)


def test_playing_at_home_helps_a_strong_club_less() -> None:
    damped = replace(BLUNT, lead=replace(BLUNT.lead, strong_at_home=0.1))
    rows = [priced("A", "B", 0.5), priced("B", "A", -0.3)]
    made = strengths(told(*rows), damped)
    clubs, edge = {name: last(made, name)["lead"] for name in "AB"}, last(made, LEAGUE)["lead"]
    # The zero of the first season is zero.
    assert asked(made, "A", "B", rules=damped)[0] == pytest.approx(edge + 0.9 * clubs["A"] - 1.1 * clubs["B"])
    lead, _ = asked(made, "A", "B", rules=damped)
    after = strengths(told(*rows, priced("A", "B", lead)), damped)
    assert last(after, "A")["lead"] == pytest.approx(clubs["A"])


def test_shots_speak_of_the_clubs_less_what_was_at_stake() -> None:
    shot, dear = (
        last(strengths(told(("A", "B", 2024, None, None, None, None, 0.5 + stakes, stakes)), RULES), "A")
        for stakes in (0.0, 0.2)
    )
    doubt = 0.04 + 0.04 + 0.01 + 0.6
    assert shot["lead"] == pytest.approx(-0.2 + 0.35 * 0.04 / doubt)
    assert dear["lead"] == pytest.approx(shot["lead"])
    assert shot["level"] == 0.0


@given(
    st.lists(
        st.tuples(
            st.permutations("ABCDE"),
            st.integers(0, 3),
            st.floats(-0.8, 0.8),
            st.booleans(),
            st.integers(0, 6),
        ),
        min_size=2,
        max_size=25,
    )
)
def test_what_comes_later_changes_no_rating_before(
    drawn: list[tuple[list[str], int, float, bool, int]],
) -> None:
    seasons = sorted(season for _, season, *_ in drawn)
    rows: list[Row] = [
        (clubs[0], clubs[1], season, lead if known else None, 0.2 if known else None, goals, 1, lead, 0.0)
        for (clubs, _, lead, known, goals), season in zip(drawn, seasons, strict=True)
    ]
    whole, part = strengths(told(*rows), RULES), strengths(told(*rows[:-1]), RULES)
    assert whole.head(part.height).equals(part)
    assert whole.null_count().sum_horizontal().item() == 0


def test_nothing_known_gives_the_league_as_it_starts() -> None:
    assert asked(strengths(told(), RULES), "A", "B") == pytest.approx((0.15, 0.25))
