"""What is still at stake for a team before the last week, on planted standings."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.features.stakes import League, at_stake, stakes

START = datetime(2024, 9, 1, 18, tzinfo=UTC)
LEAGUE = League(
    divisions={("east", "a"): ("a1", "a2"), ("east", "b"): ("b1", "b2"), ("west", "c"): ("c1", "c2")},
    since=2024,
    places={2000: 2},
    games={2000: 3},
)
Result = tuple[int, str, str, int]


def games(*told: Result, season: int = 2024) -> pl.DataFrame:
    """One game a day: week, home, away, margin."""
    rows = [
        {
            "season": season,
            "week": week,
            "home_team": home,
            "away_team": away,
            "margin": margin,
            "known_at": START + timedelta(days=day),
        }
        for day, (week, home, away, margin) in enumerate(told)
    ]
    return pl.DataFrame(rows, schema_overrides={"known_at": pl.Datetime("us", "UTC")})


def last(told: pl.DataFrame) -> dict[str, tuple[float, float]]:
    final = told.unique("entity", keep="last", maintain_order=True)
    return {row[0]: row[1:] for row in final.select("entity", "open", "won").rows()}


def test_a_division_is_won_when_nobody_in_it_can_come_level() -> None:
    """Two of three games played; a1 leads by two wins, b1 by one, and the c's are level."""
    told = stakes(
        games(
            (1, "a1", "a2", 3), (2, "b1", "b2", 3), (2, "c1", "c2", 0), (3, "a1", "a2", 3), (3, "c2", "c1", 0)
        ),
        LEAGUE,
    )
    table = last(told)
    assert table["a1"] == (0.0, 1.0)
    assert table["b1"][1] == table["c1"][1] == 0.0


def test_who_can_neither_win_the_division_nor_come_level_with_a_place_is_out() -> None:
    told = stakes(
        games(
            (1, "a1", "b2", 3), (1, "b1", "a2", 3), (2, "a1", "a2", 3), (3, "b1", "b2", 3), (3, "c1", "c2", 3)
        ),
        LEAGUE,
    )
    table = last(told)
    assert table["a2"][0] == table["b2"][0] == 0.0
    assert table["a1"][1] == table["b1"][1] == 1.0


def test_a_tie_is_half_a_win() -> None:
    level = last(stakes(games((1, "a1", "a2", 0), (3, "a1", "a2", 3)), LEAGUE))
    ahead = last(stakes(games((1, "a1", "a2", 3), (3, "a1", "a2", 3)), LEAGUE))
    assert (level["a1"][1], ahead["a1"][1]) == (0.0, 1.0)  # one win ahead can be made good in one game


def test_nothing_is_said_before_the_last_week_but_one_nor_before_the_leagues_divisions() -> None:
    assert stakes(games((1, "a1", "a2", 3), (2, "a1", "a2", 3)), LEAGUE).is_empty()
    assert stakes(games((3, "a1", "a2", 3), season=2023), LEAGUE).is_empty()


def test_a_new_season_starts_from_nothing() -> None:
    first = games((1, "a1", "a2", 3), (3, "a1", "a2", 3))
    second = games((3, "a2", "a1", 3), season=2025).with_columns(pl.col("known_at") + timedelta(days=365))
    assert last(stakes(pl.concat([first, second]), LEAGUE))["a1"] == (1.0, 0.0)


def test_a_game_sees_what_was_known_before_it_and_only_of_its_season() -> None:
    told = stakes(games((1, "a1", "a2", 3), (3, "a1", "a2", 3)), LEAGUE)
    asked = pl.DataFrame(
        {
            "season": [2024, 2024, 2025],
            "home_team": ["a1"] * 3,
            "away_team": ["b1"] * 3,
            "at": [START, START + timedelta(days=2), START + timedelta(days=2)],
        },
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )
    assert at_stake(asked, told, pl.col("at"))["won"].to_list() == [None, 1.0, None]


pair = st.sampled_from([(a, b) for a in ("a1", "a2", "b1") for b in ("a1", "b2", "c1") if a != b])


@settings(max_examples=50, deadline=None)
@given(
    told=st.lists(st.tuples(st.integers(1, 4), pair, st.integers(-3, 3)), min_size=1, max_size=12),
    length=st.integers(1, 12),
)
def test_the_timeline_of_a_prefix_is_a_prefix_of_the_timeline(told, length) -> None:
    played = games(*((week, *pair, margin) for week, pair, margin in told))
    whole, early = stakes(played, LEAGUE), stakes(played.head(length), LEAGUE)
    assert early.equals(whole.head(early.height))
