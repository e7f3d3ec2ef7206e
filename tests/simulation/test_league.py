"""The simulated league keeps what it promises: whoever checks Pennant against it may rely on that."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.simulation import league
from pennant.simulation.teams import TEAMS

SEEDS = (1, 2, league.SEED)
BEFORE = pl.col("kickoff") < league.RULE_CHANGE


def played(seed: int) -> pl.DataFrame:
    told = league.simulate(seed)
    return told.games.join(told.truth(), on="game_id", maintain_order="left").with_columns(
        won=pl.col("home_goals") > pl.col("away_goals"),
        gap=pl.col("home_absences") - pl.col("away_absences"),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_planted_chance_comes_true_as_often_as_it_says(seed):
    tenth = pl.col("p_home_win").rank("ordinal") * 10 // (pl.len() + 1)
    games = played(seed).with_columns(bin=tenth)
    p = pl.col("p_home_win")
    for part in (games.filter(BEFORE), games.filter(~BEFORE)):
        off = part.group_by("bin").agg(((pl.col("won") - p).sum() / (p * (1 - p)).sum().sqrt()).alias("z"))[
            "z"
        ]
        assert off.abs().max() < 4.0
        assert (off**2).sum() < 35.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), days=st.integers(1, 40), more=st.integers(0, 30))
def test_a_longer_league_begins_like_a_shorter_one(seed, days, more):
    first = date(2025, 1, 15)
    short = league.simulate(seed, first, first + timedelta(days=days - 1))
    long = league.simulate(seed, first, first + timedelta(days=days + more - 1))
    assert long.games.head(short.games.height).equals(short.games)
    assert np.array_equal(long.p_home_win[: short.games.height], short.p_home_win)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_day_has_22_to_24_games_in_the_evening_and_no_team_plays_twice(seed):
    games = played(seed)
    day = games.group_by(pl.col("kickoff").dt.date()).agg(
        pl.len(), pl.concat_list("home_team", "away_team").explode().n_unique().alias("teams")
    )
    assert day.height == (league.LAST_DAY - league.FIRST_DAY).days + 1
    assert day["len"].is_between(22, 24).all()
    assert (day["teams"] == 2 * day["len"]).all()
    assert games["kickoff"].dt.hour().is_between(17, 21).all()
    assert games["game_id"].is_unique().all()
    assert games.select("kickoff", "game_id").equals(games.select("kickoff", "game_id").sort(pl.all()))
    assert set(games["home_team"]) == set(TEAMS)
    assert len(TEAMS) == 48


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_drawn_and_no_count_is_impossible(seed):
    games = played(seed)
    assert (games["home_goals"] != games["away_goals"]).all()
    assert games.select("home_goals", "away_goals", "home_shots", "away_shots").min_horizontal().min() >= 0
    assert games.select("home_goals", "away_goals").max_horizontal().max() <= 30
    assert games.select("home_absences", "away_absences").max_horizontal().max() <= league.MAX_ABSENCES


@pytest.mark.parametrize("seed", SEEDS)
def test_shots_are_noisy_evidence_of_who_wins(seed):
    games = played(seed)
    told = games.select(pl.corr(pl.col("home_shots") - pl.col("away_shots"), pl.col("p_home_win"))).item()
    assert 0.2 < told < 0.6


@pytest.mark.parametrize("seed", SEEDS)
def test_from_the_rule_change_on_absences_are_wider_and_the_game_is_another(seed):
    before, after = played(seed).filter(BEFORE), played(seed).filter(~BEFORE)
    assert after["gap"].std() > 2 * before["gap"].std()
    assert after["home_absences"].mean() > 2 * before["home_absences"].mean()
    assert before["won"].mean() > 0.53
    assert after["won"].mean() < 0.47
    slope = {
        name: part.select(pl.cov("gap", pl.col("won").cast(pl.Float64)) / pl.var("gap")).item()
        for name, part in (("before", before), ("after", after))
    }
    assert slope["before"] < 2.5 * slope["after"] < 0  # the chance falls with every absence, later far less


@pytest.mark.parametrize("seed", SEEDS)
def test_january_2025_is_like_december(seed):
    month = played(seed).filter(
        pl.col("kickoff").is_between(datetime(2024, 12, 1, tzinfo=UTC), league.RULE_CHANGE)
    )
    december, january = (month.filter(pl.col("kickoff").dt.month() == number) for number in (12, 1))
    for column in ("home_absences", "home_goals", "home_shots", "p_home_win"):
        apart = abs(december[column].mean() - january[column].mean())
        error = np.sqrt(december[column].var() / december.height + january[column].var() / january.height)
        assert apart < 4 * error, column


def test_a_league_that_ends_before_it_begins_is_refused():
    with pytest.raises(ValueError, match="before first_day"):
        league.simulate(1, date(2025, 2, 1), date(2025, 1, 1))
