"""No feature reads a value before it is known: the law that keeps a backtest honest."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pennant.features.build import feature_rows, requests_of
from pennant.features.errors import ClockViolation
from pennant.features.leaks import leaks_of, with_other_future
from pennant.features.module import features_module
from pennant.features.tables import Tables, in_order
from pennant.features.view import View
from pennant.settings import REPOSITORY

USE_CASES = REPOSITORY / "include" / "use_cases"
START, END = datetime(2024, 12, 1, tzinfo=UTC), datetime(2025, 1, 26, tzinfo=UTC)
MINUTES = int((END - datetime(2025, 1, 1, tzinfo=UTC)).total_seconds() // 60)
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.fixture(scope="module")
def world(league_demo, short_league, make_tables):
    tables = make_tables(league_demo, short_league)
    module = features_module(USE_CASES / "league_demo")
    return SimpleNamespace(
        use_case=league_demo,
        tables=tables,
        module=module,
        requests=requests_of(league_demo, tables, START, END, END),
    )


def rows_of(world, tables=None, requests=None, module=None) -> pl.DataFrame:
    return feature_rows(
        world.use_case,
        module or world.module,
        world.tables if tables is None else tables,
        world.requests if requests is None else requests,
    )


def until(tables: Tables, moment: datetime) -> Tables:
    kept = {name: frame.filter(pl.col("known_at") <= moment) for name, frame in tables.frames.items()}
    return Tables(kept, tables.keys)


def corrected(tables: Tables, entity: str, known_at: datetime, group: str = "result", **values) -> Tables:
    """The tables with one more version of one game's values."""
    frame = tables.versions("games", group)
    later = frame.filter(pl.col("game_id") == entity).tail(1)
    later = later.with_columns(
        pl.lit(value).cast(frame.schema[name]).alias(name) for name, value in values.items()
    )
    moment = pl.lit(known_at).dt.cast_time_unit("us")
    later = later.with_columns(moment.alias("known_at"), moment.alias("batch_as_of"))
    frames = {**tables.frames, ("games", group): in_order(pl.concat([frame, later]), ["game_id"])}
    return Tables(frames, tables.keys)


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(minutes=st.integers(0, MINUTES), seed=st.integers(0, 2**32 - 1))
def test_no_value_known_after_a_moment_changes_a_feature_of_that_moment(world, minutes, seed):
    moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    truth = rows_of(world).filter(pl.col("moment") <= moment)
    other = with_other_future(
        world.tables, dict.fromkeys(world.tables.frames, moment), np.random.default_rng(seed)
    )
    changed = rows_of(world, other).filter(pl.col("moment") <= moment)
    assert changed.equals(truth)


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(minutes=st.integers(0, MINUTES))
def test_features_of_a_prefix_of_knowledge_are_a_prefix_of_the_features(world, minutes):
    moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    asked = world.requests.filter(pl.col("moment") <= moment)
    early = rows_of(world, until(world.tables, moment), asked)
    assert early.equals(rows_of(world).filter(pl.col("moment") <= moment))


@settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
@given(
    corrections=st.lists(
        st.tuples(st.integers(0, 400), st.integers(1, 15 * 24), st.integers(0, 9)), min_size=1, max_size=4
    ),
    minutes=st.integers(0, MINUTES),
)
def test_corrections_change_no_feature_of_a_moment_before_them(world, corrections, minutes):
    tables, first = world.tables, END
    games = tables.versions("games", "result")
    for row, hours, goals in corrections:
        known_at = games["known_at"][row] + timedelta(hours=hours)
        tables = corrected(tables, games["game_id"][row], known_at, home_goals=goals)
        first = min(first, known_at)
    with_them = rows_of(world, tables)
    before = pl.col("moment") < first
    assert with_them.filter(before).equals(rows_of(world).filter(before))
    # And a request after one reads what a world without the older version would have told it.
    moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    asked = world.requests.filter(pl.col("moment") <= moment)
    assert rows_of(world, until(tables, moment), asked).equals(with_them.filter(pl.col("moment") <= moment))


def test_a_request_after_a_correction_reads_the_corrected_value(world):
    game = world.tables.versions("games", "result").row(10, named=True)
    known_at = game["known_at"] + timedelta(days=3)
    swapped = {"home_goals": game["away_goals"], "away_goals": game["home_goals"]}
    rows = rows_of(world, corrected(world.tables, game["game_id"], known_at, **swapped))
    from_the_start = world.tables.versions("games", "result").with_columns(
        pl.when(pl.col("game_id") == game["game_id"]).then(pl.lit(value)).otherwise(name).alias(name)
        for name, value in swapped.items()
    )
    always = Tables({**world.tables.frames, ("games", "result"): from_the_start}, world.tables.keys)
    after = pl.col("moment") >= known_at
    assert rows.filter(after).equals(rows_of(world, always).filter(after))
    assert not rows.filter(after).equals(rows_of(world).filter(after))


def test_absences_corrected_after_the_prediction_leave_it_as_it_was(world):
    asked = world.requests.row(100, named=True)
    later = corrected(
        world.tables, asked["entity"], asked["moment"] + timedelta(minutes=1), "team_news", home_absences=15
    )
    sooner = corrected(world.tables, asked["entity"], asked["moment"], "team_news", home_absences=15)
    this = pl.col("entity") == asked["entity"]
    truth = rows_of(world).filter(this)["absences_total"].item()
    assert rows_of(world, later).filter(this)["absences_total"].item() == truth
    away = (
        rows_of(world)
        .filter(this)
        .select((pl.col("absences_total") - pl.col("absence_difference")) / 2)
        .item()
    )
    assert rows_of(world, sooner).filter(this)["absences_total"].item() == 15 + away


def test_team_news_are_missing_when_the_prediction_is_made_before_them(world):
    as_of = datetime(2025, 1, 20, tzinfo=UTC)
    known = until(world.tables, as_of)
    coming = requests_of(world.use_case, known, as_of, as_of + timedelta(days=2), as_of)
    rows = rows_of(world, known, coming)
    assert coming["moment"].unique().to_list() == [as_of]
    assert rows["absence_difference"].null_count() == rows.height > 30
    assert rows["elo_difference"].null_count() == 0


def test_rows_in_another_order_give_the_same_features(world):
    shuffled = {
        name: in_order(frame.sample(fraction=1.0, shuffle=True, seed=3), ["game_id"])
        for name, frame in world.tables.frames.items()
    }
    assert rows_of(world, Tables(shuffled, world.tables.keys)).equals(rows_of(world))


def test_games_that_end_at_the_same_moment_are_all_known_to_the_next(world, league_demo, make_tables):
    kickoff = datetime(2025, 1, 1, 18, tzinfo=UTC)
    rows = pl.DataFrame(
        {
            "game_id": ["a", "b", "c"],
            "event_time": [kickoff, kickoff, kickoff + timedelta(days=1)],
            "season": [2025] * 3,
            "home_team": ["x", "y", "x"],
            "away_team": ["p", "q", "y"],
            "home_absences": [0] * 3,
            "away_absences": [0] * 3,
            "temperature_celsius": [1.0] * 3,
            "home_goals": [1, 0, 1],
            "away_goals": [0, 1, 0],
            "home_shots": [9, 4, 5],
            "away_shots": [5, 8, 5],
        },
        schema_overrides={"event_time": pl.Datetime("us", "UTC")},
    )
    tables = make_tables(league_demo, rows)
    asked = requests_of(league_demo, tables, START, END, END)
    last = feature_rows(league_demo, world.module, tables, asked).row(2, named=True)
    assert (last["home_win_rate"], last["away_win_rate"]) == (1.0, 0.0)
    assert last["shots_form_difference"] == 8.0
    assert last["rest_difference"] == 0.0


# Feature functions that cheat, each in another way; the search has to find every one of them.
def _own_result(view: View) -> pl.Series:
    known = view.events("games", "result").select("game_id", "home_goals")
    return view.requests.join(known, on="game_id", how="left", maintain_order="left")["home_goals"]


def _mean_of_all_results(view: View) -> pl.Series:
    return pl.repeat(view.events("games", "result")["home_goals"].mean(), view.requests.height, eager=True)


def _next_game_of_the_requests(view: View) -> pl.Series:
    return view.requests.select(pl.col("season").shift(-1)).to_series()


def _news_read_past_the_clock(view: View) -> pl.Series:
    news = (
        view.tables.versions("games", "result").unique("game_id", keep="last").select("game_id", "home_shots")
    )
    return view.requests.join(news, on="game_id", how="left", maintain_order="left")["home_shots"]


def _scaled_by_the_future(view: View) -> pl.Series:
    shots = view.events("games", "schedule", "result")["home_shots"]
    return view.own("games", "team_news", "home_absences")["home_absences"] / shots.std()


CHEATS = [
    _own_result,
    _mean_of_all_results,
    _next_game_of_the_requests,
    _news_read_past_the_clock,
    _scaled_by_the_future,
]


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_a_feature_that_reads_the_future_is_found(world, cheat):
    def features(view: View) -> pl.DataFrame:
        return world.module.features(view).with_columns(cheat(view).alias("temperature"))

    leaky = SimpleNamespace(features=features, baselines=world.module.baselines)
    found = leaks_of(world.use_case, leaky, world.tables, world.requests, moments=6)
    assert {leak.feature for leak in found} == {"temperature"}
    assert all(leak.before != leak.after for leak in found)


def test_a_baseline_that_reads_its_own_outcome_is_found(world):
    def baselines(view: View) -> pl.DataFrame:
        result = view.tables.versions("games", "result").select("game_id", "home_goals")
        known = view.requests.join(result, on="game_id", how="left", maintain_order="left")
        return known.select("entity", (pl.col("home_goals") / 100).alias("elo_probability"))

    leaky = SimpleNamespace(features=world.module.features, baselines=baselines)
    found = leaks_of(world.use_case, leaky, world.tables, world.requests, 6)
    assert {leak.feature for leak in found} == {"baseline__elo_probability"}


@pytest.mark.parametrize(
    ("settles", "group"), [(False, "team_news"), (True, "result")], ids=["in features", "the label's group"]
)
def test_closing_values_are_refused_with_the_reason_of_the_domain(world, settles, group):
    view = View(world.requests, world.tables, ("games", "result"), settles)
    with pytest.raises(ClockViolation) as refused:
        view.settled("games", group, "home_goals")
    assert (refused.value.source, refused.value.group) == ("games", group)
