"""Blocks for contests against hand calculations, and the law that all blocks share."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennant.features.blocks import decayed_mean_days, expanding_mean, rolling_mean_days, sides
from pennant.features.contest import (
    adjusted_form,
    head_to_head,
    kilometres,
    lag,
    pair,
    played_within,
    streak,
)
from pennant.features.glicko import GlickoRules, glicko

START = datetime(2024, 9, 1, 18, tzinfo=UTC)
MOMENT = pl.Datetime("us", "UTC")


def games(*played: tuple[str, str, int | None, int | None, int], late: tuple[int, ...] = ()) -> pl.DataFrame:
    """Home, away, home goals, away goals, day; some share a day, some are entered days late."""
    schema = {"home_team": pl.String, "away_team": pl.String, "home_goals": pl.Int64, "away_goals": pl.Int64}
    table = pl.DataFrame([each[:4] for each in played], schema=schema, orient="row")
    days = [START + timedelta(days=each[4]) for each in played]
    waited = [*late, *[0] * (len(played) - len(late))]
    known = [each + timedelta(days=more, hours=3) for each, more in zip(days, waited, strict=True)]
    clocks = {"event_time": days, "known_at": known}
    return table.with_columns(pl.Series(name, each, MOMENT) for name, each in clocks.items()).sort(
        "known_at", maintain_order=True
    )


def rows_of(played: pl.DataFrame) -> pl.DataFrame:
    return sides(played, {"goals": ("home_goals", "away_goals")})


def of(timeline: pl.DataFrame, entity: str) -> list[float | None]:
    return timeline.filter(pl.col("entity") == entity)["value"].to_list()


SEASON = games(
    ("a", "b", 2, 1, 0),
    ("b", "a", 0, 0, 3),
    ("a", "c", 0, 1, 7),
    ("a", "b", 0, 3, 9),
    ("c", "a", 0, 4, 20),
)


def test_a_run_of_results_counts_up_and_breaks() -> None:
    assert of(streak(rows_of(SEASON), "goals"), "a") == [1.0, 0.0, -1.0, -2.0, 1.0]


def test_meetings_of_two_count_both_grounds_and_nobody_else() -> None:
    timeline = head_to_head(rows_of(SEASON), "goals")
    assert of(timeline, "a v b") == [1.0, 0.5, pytest.approx(-2 / 3)]
    asked = SEASON.select(pair("home_team", "away_team").alias("entity"))["entity"].to_list()
    assert asked[:2] == ["a v b", "b v a"]


def test_a_lag_of_one_is_the_row_before_the_newest() -> None:
    assert of(lag(rows_of(SEASON), pl.col("goals"), 1), "a") == [None, 2.0, 0.0, 0.0, 0.0]


def test_a_full_calendar_counts_the_days_up_to_the_newest_event() -> None:
    assert of(played_within(rows_of(SEASON), 7), "a") == [1.0, 2.0, 2.0, 3.0, 1.0]


def test_a_game_that_was_entered_late_counts_from_when_it_became_known() -> None:
    played = games(("a", "b", 1, 0, 5), ("a", "c", 1, 0, 4), ("a", "b", 1, 0, 8), late=(0, 2, 0))
    assert of(played_within(rows_of(played), 7), "a") == [1.0, 2.0, 3.0]


def test_the_mean_of_the_last_days_forgets_what_is_older() -> None:
    assert of(rolling_mean_days(rows_of(SEASON), pl.col("goals"), 5.0), "a") == [2.0, 1.0, 0.0, 0.0, 4.0]


def test_a_mean_that_decays_by_days_weighs_by_age_and_not_by_games() -> None:
    weights = [2.0 ** (-age / 7.0) for age in (20, 17, 13, 11, 0)]
    wanted = sum(w * goals for w, goals in zip(weights, (2, 0, 0, 0, 4), strict=True)) / sum(weights)
    assert of(decayed_mean_days(rows_of(SEASON), pl.col("goals"), 7.0), "a")[-1] == pytest.approx(wanted)


def test_form_against_the_strong_is_worth_more() -> None:
    rows = rows_of(SEASON)
    strength = expanding_mean(rows, pl.col("goals") - pl.col("goals_against"))
    plain = adjusted_form(rows, "goals", strength.clear(), 1e9)
    assert of(plain, "c")[-1] == pytest.approx((1 - 4) / 2)
    # On day 7 a had won by one and drawn: half a goal above c's own margin of one.
    assert of(adjusted_form(rows, "goals", strength, 1e9), "c")[0] == pytest.approx(1 + 0.5)


def test_new_york_to_los_angeles() -> None:
    places = {"NY": (40.6413, -73.7781), "LA": (33.9416, -118.4085)}
    trips = pl.DataFrame({"start": ["NY", "NY", "NY"], "end": ["LA", "NY", "Mars"]})
    away, none, unknown = trips.select(kilometres(places, "start", "end")).to_series().to_list()
    assert away == pytest.approx(3974, abs=3)
    assert none == pytest.approx(0.0, abs=1e-9)
    assert unknown is None


def test_one_game_of_glickmans_example() -> None:
    # "The Glicko system", p. 4: a player of 1500 and 200 beats one of 1400 and 30; g = .9955, E = .639.
    q = math.log(10) / 400
    information = q**2 * 0.9955**2 * 0.639 * 0.361
    wanted = 1500 + q / (1 / 200**2 + information) * 0.9955 * (1 - 0.639)
    from pennant.features.glicko import _after

    rating, deviation = _after((1500.0, 200.0), (1400.0, 30.0), 0.0, 1.0)
    assert rating == pytest.approx(wanted, abs=0.1)
    assert deviation == pytest.approx(1 / math.sqrt(1 / 200**2 + information), abs=0.1)


def test_a_rating_grows_unsure_without_games_and_never_beyond_a_newcomer() -> None:
    rules = GlickoRules(growth=20.0)
    far = games(*(("a", "b", 1, 0, day) for day in range(30)), ("a", "b", 1, 0, 5000))
    deviations = glicko(far, rules, "home_goals", "away_goals").filter(pl.col("entity") == "a")["deviation"]
    assert deviations[29] < deviations[0]
    assert deviations[30] > deviations[29]
    assert deviations.max() < rules.deviation


def test_a_high_win_moves_more_than_a_narrow_one_where_margins_count() -> None:
    rules = GlickoRules(margin_scale=2.0)
    narrow, high = (
        of(glicko(games(("a", "b", goals, 0, 0)), rules, "home_goals", "away_goals"), "a")[0]
        for goals in (1, 5)
    )
    assert high > narrow > rules.mean


BLOCKS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "lag": lambda played: lag(rows_of(played), pl.col("goals"), 2),
    "streak": lambda played: streak(rows_of(played), "goals"),
    "head to head": lambda played: head_to_head(rows_of(played), "goals"),
    "calendar": lambda played: played_within(rows_of(played), 5),
    "mean of days": lambda played: rolling_mean_days(rows_of(played), pl.col("goals"), 4.5),
    "decayed by days": lambda played: decayed_mean_days(rows_of(played), pl.col("goals"), 3.0),
    "glicko": lambda played: glicko(played, GlickoRules(margin_scale=2.0), "home_goals", "away_goals"),
    "adjusted": lambda played: adjusted_form(
        rows_of(played),
        "goals",
        expanding_mean(rows_of(played), pl.col("goals") - pl.col("goals_against")),
        3.0,
    ),
}
GOALS = st.one_of(st.none(), st.integers(0, 9))
LATE = st.sampled_from((0, 0, 0, 1, 9, 20))
PLAYED = st.lists(st.tuples(st.permutations("abc"), GOALS, GOALS, st.integers(0, 30), LATE), max_size=25)


@pytest.mark.parametrize("name", BLOCKS)
@given(played=PLAYED, day=st.integers(0, 50))
def test_the_timeline_of_a_prefix_is_a_prefix_of_the_timeline(name: str, played: list, day: int) -> None:
    rows = ((who[0], who[1], mine, theirs, at) for who, mine, theirs, at, _ in played)
    table = games(*rows, late=tuple(each[4] for each in played))
    until = START + timedelta(days=day)
    whole = BLOCKS[name](table).filter(pl.col("known_at") <= until)
    assert whole.equals(BLOCKS[name](table.filter(pl.col("known_at") <= until)))
