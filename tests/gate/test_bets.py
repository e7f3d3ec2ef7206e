"""Bets of a walk forward: an edge is claimed where one was planted, and not where the prices are fair."""

import numpy as np
import polars as pl
import pytest

from pennant.declaration.loader import load
from pennant.declaration.model_data import Market
from pennant.gate.bets import bets_on
from pennant.gate.forecasts import Forecast
from pennant.gate.walk import Period
from pennant.settings import REPOSITORY
from pennant.training.problem import Problem

ROWS = 3_000
PRICES, CLOSING = ["price_1", "price_0"], ["closing_1", "closing_0"]


@pytest.fixture(scope="module")
def use_case():
    declared = load(REPOSITORY / "include" / "use_cases" / "nfl_games")
    market = Market(probability_column="market_probability", price_columns=PRICES, closing_columns=CLOSING)
    return declared.model_copy(update={"market": market})


def period(model_knows: bool, margin: float = 0.02, seed: int = 4) -> Period:
    """Games in which opening prices miss what closing ones know; the model knows it too, or guesses."""
    stream = np.random.default_rng(seed)
    opening = stream.uniform(0.3, 0.7, ROWS)
    truth = np.clip(opening + stream.normal(0.0, 0.06, ROWS), 0.05, 0.95)
    guess = np.clip(opening + stream.normal(0.0, 0.06, ROWS), 0.05, 0.95)
    hour = np.datetime64("2020-01-01T00", "us")
    event = hour + np.arange(ROWS) * np.timedelta64(6, "h")

    def price(p):
        return 1.0 / (np.column_stack([p, 1.0 - p]) * (1.0 + margin))

    return Period(
        "all",
        [f"g{row}" for row in range(ROWS)],
        event,
        event - np.timedelta64(1, "h"),
        (stream.random(ROWS) < truth).astype(float),
        Problem("binary", ()),
        {"model": Forecast(np.ones(ROWS, dtype=bool), truth if model_knows else guess)},
        None,
        None,
        {},
        0,
        price(opening),
        price(truth),
        {},
    )


def test_an_edge_that_was_planted_is_found(use_case) -> None:
    record = bets_on(use_case, [period(model_knows=True)])
    assert record.numbers["code"] == "edge"
    assert record.numbers["clv_percent"]["low"] > 0.0
    assert record.curve["bankroll"][-1] > 1.0


def test_guesses_at_fair_prices_are_no_edge_and_the_words_say_so(use_case) -> None:
    record = bets_on(use_case, [period(model_knows=False)])
    assert record.numbers["code"] == "no_edge"
    assert record.text.startswith("No edge")


def test_stakes_keep_to_the_declared_limits(use_case) -> None:
    staking = use_case.market.staking.model_copy(update={"per_bet": 0.004, "per_day": 0.01})
    tight = use_case.model_copy(update={"market": use_case.market.model_copy(update={"staking": staking})})
    bets = bets_on(tight, [period(model_knows=True)]).settled
    assert bets["stake_share"].max() <= 0.004 + 1e-12
    by_day = bets.group_by(pl.col("event_time").dt.date()).agg(pl.col("stake_share").sum())
    assert by_day["stake_share"].max() <= 0.01 + 1e-12


def test_a_game_without_a_price_is_no_bet(use_case) -> None:
    given = period(model_knows=True)
    given.prices[::2] = np.nan
    bets = bets_on(use_case, [given]).settled
    assert set(bets["entity"]) <= {f"g{row}" for row in range(1, ROWS, 2)}
    assert bets.height > 100


def test_without_declared_prices_there_are_no_bets(use_case) -> None:
    bare = use_case.model_copy(update={"market": Market(probability_column="market_probability")})
    assert bets_on(bare, [period(model_knows=True)]) is None
