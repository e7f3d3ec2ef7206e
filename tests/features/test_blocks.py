"""The building blocks against hand calculations, and the property that all of them share."""

import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.features.blocks import decayed_mean, expanding_mean, last_played, rolling_mean, sides, win_rate
from pennant.features.elo import EloRules, elo, elo_probability
from pennant.features.market import moneyline_probability, spread_probability

START = datetime(2024, 9, 1, 18, tzinfo=UTC)
TEAMS = ["a", "b", "c"]
FIVE_THIRTY_EIGHT = EloRules(k=20, home_advantage=65, newcomer=1300, season_reversion=1 / 3, margin=True)


def games(*played: tuple[str, str, int, int], season: int = 2024) -> pl.DataFrame:
    """One game a day: home, away, home goals, away goals."""
    return pl.DataFrame(
        [
            {
                "home_team": home,
                "away_team": away,
                "home_goals": mine,
                "away_goals": theirs,
                "margin": mine - theirs,
                "spread_line": 3.0,
                "neutral": False,
                "season": season,
                "event_time": START + timedelta(days=day),
                "known_at": START + timedelta(days=day, hours=3),
            }
            for day, (home, away, mine, theirs) in enumerate(played)
        ],
        schema_overrides={"event_time": pl.Datetime("us", "UTC"), "known_at": pl.Datetime("us", "UTC")},
    )


def of(timeline: pl.DataFrame, entity: str) -> list[float]:
    return timeline.filter(pl.col("entity") == entity)["value"].to_list()


def rows_of(played: pl.DataFrame) -> pl.DataFrame:
    return sides(played, {"goals": ("home_goals", "away_goals")})


def elo_of(played: pl.DataFrame) -> pl.DataFrame:
    return elo(played, FIVE_THIRTY_EIGHT, "home_goals", "away_goals")


BLOCKS = {
    "rolling": lambda played: rolling_mean(rows_of(played), pl.col("goals"), 3),
    "expanding": lambda played: expanding_mean(rows_of(played), pl.col("goals")),
    "decayed": lambda played: decayed_mean(rows_of(played), pl.col("goals"), 2.0),
    "wins": lambda played: win_rate(rows_of(played), "goals", 4),
    "last played": lambda played: last_played(rows_of(played)),
    "elo": elo_of,
}
pair = st.sampled_from([(home, away) for home in TEAMS for away in TEAMS if home != away])
results = st.lists(st.tuples(pair, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=25)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@settings(max_examples=30, deadline=None)
@given(results=results, length=st.integers(0, 25))
def test_the_timeline_of_a_prefix_is_a_prefix_of_the_timeline(block, results, length):
    played = games(*((*teams, mine, theirs) for teams, mine, theirs in results))
    whole = BLOCKS[block](played)
    early = BLOCKS[block](played.head(length))
    assert early.equals(whole.head(early.height))


@settings(max_examples=40, deadline=None)
@given(results=results)
def test_elo_gives_to_one_side_what_it_takes_from_the_other(results):
    played = games(*((*teams, mine, theirs) for teams, mine, theirs in results))
    rules = EloRules(k=20, home_advantage=65, margin=True)
    final = elo(played, rules, "home_goals", "away_goals").unique("entity", keep="last")
    assert final["value"].sum() == pytest.approx(1500.0 * final.height, abs=1e-6)


def test_elo_is_five_thirty_eights():
    win = elo_of(games(("a", "b", 30, 10)))
    expected = 1 / (1 + 10 ** (-65 / 400))
    change = 20 * math.log(21) * 2.2 / (65 * 0.001 + 2.2) * (1 - expected)
    assert of(win, "a") == pytest.approx([1500 + change])
    assert of(win, "b") == pytest.approx([1500 - change])
    upset = 20 * math.log(21) * 2.2 / (-65 * 0.001 + 2.2) * (0 - expected)
    assert of(elo_of(games(("a", "b", 10, 30))), "a") == pytest.approx([1500 + upset])
    tie = 20 * math.log(2) * 2.2 * (0.5 - expected)
    assert of(elo_of(games(("a", "b", 7, 7))), "a") == pytest.approx([1500 + tie])


def test_a_rating_goes_a_third_of_the_way_back_between_seasons():
    first, second = games(("a", "b", 30, 10)), games(("a", "b", 7, 7), season=2025)
    second = second.with_columns(pl.col("known_at") + timedelta(days=300))
    ratings = of(elo_of(pl.concat([first, second])), "a")
    start = 1500 + (ratings[0] - 1500) * 2 / 3
    lead = 2 * (start - 1500) + 65
    change = 20 * math.log(2) * 2.2 * (0.5 - 1 / (1 + 10 ** (-lead / 400)))
    assert ratings[1] == pytest.approx(start + change)


def test_a_game_without_a_score_moves_no_rating():
    played = games(("a", "b", 3, 1), ("a", "b", 3, 1))
    unplayed = played.with_columns(home_goals=pl.when(pl.int_range(2) == 0).then("home_goals"))
    assert of(elo_of(unplayed), "a") == of(elo_of(played.head(1)), "a")


def test_elo_points_become_chances():
    assert elo_probability(pl.Series([0.0, 400.0, -400.0])).to_list() == pytest.approx([0.5, 10 / 11, 1 / 11])


def test_means_by_hand():
    played = games(("a", "b", 4, 0), ("c", "a", 1, 2), ("a", "c", 6, 6), ("b", "a", 0, 8))
    assert of(BLOCKS["rolling"](played), "a") == pytest.approx([4, 3, 4, 16 / 3])
    assert of(BLOCKS["expanding"](played), "a") == pytest.approx([4, 3, 4, 5])
    half = 0.5**0.5
    assert of(BLOCKS["decayed"](played), "a")[1] == pytest.approx((2 + 4 * half) / (1 + half))
    assert of(BLOCKS["wins"](played), "a") == pytest.approx([1, 1, 2.5 / 3, 3.5 / 4])


def test_a_missing_value_is_passed_over():
    played = games(("a", "b", 4, 0), ("a", "b", 9, 0), ("a", "b", 6, 0))
    holed = played.with_columns(home_goals=pl.when(pl.int_range(3) != 1).then("home_goals"))
    assert of(BLOCKS["expanding"](holed), "a") == pytest.approx([4, 4, 5])
    assert of(BLOCKS["decayed"](holed), "a")[1] == pytest.approx(4)


def test_two_results_of_one_moment_leave_the_later_word():
    played = games(("a", "b", 4, 0), ("a", "c", 2, 0)).with_columns(pl.col("known_at").max())
    timeline = BLOCKS["expanding"](played)
    assert timeline.select("entity", "known_at").is_unique().all()
    assert of(timeline, "a") == pytest.approx([3])


def test_american_prices_lose_their_margin_in_proportion():
    prices = pl.DataFrame(
        {"home": [-110.0, -200.0, 150.0, None, 50.0], "away": [-110.0, 170.0, -180.0, 100.0, -110.0]}
    )
    chance = prices.select(moneyline_probability(pl.col("home"), pl.col("away"))).to_series().to_list()
    favourite, outsider = 200 / 300, 100 / 270
    assert chance[0] == pytest.approx(0.5)
    assert chance[1] == pytest.approx(favourite / (favourite + outsider))
    assert chance[2] == pytest.approx(0.4 / (0.4 + 180 / 280))
    assert chance[3:] == [None, None]


@given(spread=st.floats(-60, 60))
def test_a_spread_becomes_the_normal_chance(spread):
    chance = pl.DataFrame({"spread": [spread]}).select(spread_probability(pl.col("spread"))).item()
    exact = 0.5 * (1 + math.erf(spread / 13.86 / math.sqrt(2)))
    assert chance == pytest.approx(exact, abs=2e-7)
