"""Who pitches for whom, rates and prices, on small tables whose answers are known."""

import math
from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from pennant.features.clubs import ClubKnowledge, club_knowledge
from pennant.features.strikeouts import decayed_rate, poisson_mean, shrunk_rate

NOON = datetime(2024, 4, 1, 16, tzinfo=UTC)
Game = dict[str, int]
"""Pitcher to the batters he faced; every third of them is struck out."""


def follow(days: list[list[Game]], told: dict[str, str], known_late: int = 0) -> ClubKnowledge:
    """Games of several days; the last `known_late` days are listed only."""
    numbers = count()
    rows = [
        {
            "event_time": NOON + timedelta(days=day),
            "game": str(number),
            "pitcher": pitcher,
            "batters": faced,
            "strikeouts": faced // 3,
            "day": day,
        }
        for day, games in enumerate(days)
        for game in games
        for number in [next(numbers)]
        for pitcher, faced in game.items()
    ]
    kinds = {"game": pl.String, "pitcher": pl.String, "batters": pl.Int64, "strikeouts": pl.Int64}
    table = pl.DataFrame(rows, schema_overrides=kinds)
    listed = table.with_columns(known_at=pl.col("event_time") - timedelta(hours=24))
    done = table.filter(pl.col("day") < len(days) - known_late)
    finished = done.with_columns(known_at=pl.col("event_time") + timedelta(hours=16))
    seeds = pl.DataFrame(
        {
            "known_at": [NOON - timedelta(days=1)] * len(told),
            "pitcher": list(told),
            "club": list(told.values()),
        },
        schema_overrides={"known_at": pl.Datetime("us", "UTC")},
    )
    moments = ("known_at", "event_time")
    listed, finished = (
        each.with_columns(pl.col(moments).dt.cast_time_unit("us")) for each in (listed, finished)
    )
    return club_knowledge(listed, finished, seeds, timedelta(hours=6), 9)


def club_of(found: ClubKnowledge, pitcher: str) -> str | None:
    rows = found.pitchers.filter(pl.col("entity") == pitcher)
    return rows["club"][-1] if rows.height else None


STARTERS = {f"{club}{number}": club for club in ("A", "B", "C") for number in (1, 2, 3)}


def test_two_games_against_different_clubs_settle_whom_a_pitcher_is_of() -> None:
    days = [[{"A1": 20, "B1": 20, "new": 3}], [{"A2": 20, "C1": 20, "new": 4}]]
    assert club_of(follow(days, STARTERS), "new") == "A"
    assert club_of(follow(days[:1], STARTERS), "new") is None


def test_a_pitcher_who_moves_is_of_his_new_club_after_two_of_its_games() -> None:
    first = [{"A1": 20, "A3": 5, "B1": 20, "B3": 4, "C3": 3}]
    again = [{"A2": 20, "A3": 5, "B2": 20, "B3": 4, "C3": 3}]
    assert club_of(follow([first, again], STARTERS), "C3") == "C"  # of the one or of the other?
    another = [{"A2": 20, "A3": 5, "D1": 20, "D2": 4, "C3": 3}]
    assert club_of(follow([first, another], {**STARTERS, "D1": "D", "D2": "D"}), "C3") == "A"


def test_batters_of_a_club_face_the_other_clubs_pitchers() -> None:
    found = follow([[{"A1": 21, "B1": 18, "A3": 6}]], STARTERS)
    faced = {row["entity"]: (row["strikeouts"], row["batters"]) for row in found.faced.to_dicts()}
    assert faced == {"B": (9.0, 27.0), "A": (6.0, 18.0)}


def test_where_nobody_is_known_nothing_is_said() -> None:
    found = follow([[{"P": 20, "Q": 20}], [{"P": 20, "Q": 20}]], {})
    assert (found.pitchers.height, found.opponents.height, found.faced.height) == (0, 0, 0)


def test_the_clubs_of_a_game_to_come_do_not_hang_on_who_comes_in_from_the_bullpen() -> None:
    played = [[{"A1": 20, "B1": 20}], [{"A2": 20, "B2": 20}], [{"B3": 4, "A3": 5, "C1": 20, "C2": 20}]]
    coming = {"A1": 0, "B1": 0}
    bullpens = ({}, {"A3": 0}, {"A3": 0, "B3": 0, "C3": 0, "nobody": 0})
    said = []
    for bullpen in bullpens:
        found = follow([*played, [{**coming, **bullpen}]], STARTERS, known_late=1).opponents
        said.append(
            dict(found.filter(pl.col("entity").is_in(["3-A1", "3-B1"])).select("entity", "club").rows())
        )
    assert said == [{"3-A1": "B", "3-B1": "A"}] * 3
    # Where the other starter is new, his side's relievers do not tell it either.
    unknown = follow([*played, [{"A1": 0, "new": 0, "B3": 0}]], STARTERS, known_late=1).opponents
    assert unknown.filter(pl.col("entity") == "3-A1").is_empty()


def test_what_comes_later_changes_nothing_before() -> None:
    days = [[{"A1": 20, "B1": 20, "n": 3}], [{"A2": 20, "C1": 20, "n": 4}], [{"B1": 20, "C1": 19, "n": 5}]]
    whole, part = follow(days, STARTERS), follow(days[:2], STARTERS)
    for name in ("pitchers", "opponents", "faced"):
        assert getattr(whole, name).head(getattr(part, name).height).equals(getattr(part, name))


def appearances(*rows: tuple[str, int, int]) -> pl.DataFrame:
    moments = [NOON + timedelta(days=number) for number in range(len(rows))]
    kinds = {"entity": pl.String, "k": pl.Int64, "bf": pl.Int64}
    return pl.DataFrame(rows, kinds, orient="row").with_columns(pl.Series("known_at", moments))


def test_a_shrunk_rate_is_the_mean_of_what_was_seen_and_of_the_league_at_the_time() -> None:
    rows = appearances(("a", 5, 20), ("b", 10, 20), ("a", 7, 25))
    values = shrunk_rate(rows, "k", "bf", prior=100.0, league_half_life=1e9)["value"]
    league = [5 / 20, 15 / 40, 22 / 65]
    by_hand = [(5 + 100 * league[0]) / 120, (10 + 100 * league[1]) / 120, (12 + 100 * league[2]) / 145]
    assert values.to_list() == pytest.approx(by_hand)


def test_a_rate_with_a_half_life_counts_the_last_but_one_game_half() -> None:
    rows = appearances(("a", 0, 20), ("a", 10, 20))
    value = decayed_rate(rows, "k", "bf", half_life=1.0)["value"][-1]
    assert value == pytest.approx((0.5 * 0 + 10) / (0.5 * 20 + 20))


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30)), min_size=1, max_size=12), st.floats(0.5, 30)
)
def test_a_decayed_rate_is_the_weighted_sum_by_hand(games: list[tuple[int, int]], half_life: float) -> None:
    rows = appearances(*(("a", out, faced) for out, faced in games))
    weights = [0.5 ** (age / half_life) for age in range(len(games))][::-1]
    by_hand = sum(w * out for w, (out, _) in zip(weights, games, strict=True))
    by_hand /= sum(w * faced for w, (_, faced) in zip(weights, games, strict=True))
    assert decayed_rate(rows, "k", "bf", half_life)["value"][-1] == pytest.approx(by_hand)


@given(line=st.integers(0, 12), chance=st.floats(0.02, 0.98))
def test_a_price_implies_the_mean_at_which_its_line_is_passed_that_often(line: int, chance: float) -> None:
    mean = poisson_mean(pl.Series([line + 0.5]), pl.Series([chance]))[0]
    assert poisson.sf(line, mean) == pytest.approx(chance, abs=1e-9)


def test_a_missing_price_implies_nothing() -> None:
    means = poisson_mean(pl.Series([5.5, None, 5.5]), pl.Series([None, 0.5, 0.5]))
    assert means.is_null().to_list() == [True, True, False]
    assert math.isfinite(means[2])
    assert np.isclose(means[2], 5.67, atol=0.01)  # a median of 5.5 lies a sixth below the mean
