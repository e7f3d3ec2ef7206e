"""The closing-line value of a bet at the close is nothing, and only prices from before the event close it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.decisions.closing import closing, with_closing_value
from pennant.decisions.devig import METHODS, Method, fair

START = datetime(2031, 3, 1, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVENTS = pl.DataFrame({"entity": ["g1"], "event_time": [START]})
NAMES = ("home", "draw", "away")


def quotes(prices: list[float], before: timedelta = MINUTE, line: float | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "entity": "g1",
            "market": "result",
            "line": pl.Series([line] * len(prices), dtype=pl.Float64),
            "bookmaker": "north",
            "outcome": NAMES[: len(prices)],
            "price": prices,
            "quoted_at": START - before,
        }
    )


def bets(prices: list[float], thought: np.ndarray, line: float | None = None) -> pl.DataFrame:
    made = quotes(prices, line=line).select("entity", "market", "line", "outcome", "price")
    return made.with_columns(event_time=pl.lit(START), market_probability=pl.Series(thought))


@given(st.lists(st.floats(1.5, 20.0), min_size=3, max_size=3), st.sampled_from(METHODS))
@settings(deadline=None, max_examples=40)
def test_a_bet_at_the_close_has_no_value_and_its_margin_is_lost(prices: list[float], method: Method) -> None:
    close = closing(quotes(prices), EVENTS, method)
    p = fair([prices], method)[0]
    free = with_closing_value(bets(list(1.0 / p), p), close)
    assert free["clv_log"].to_numpy() == pytest.approx(np.zeros(3), abs=1e-9)
    assert free["clv_percent"].to_numpy() == pytest.approx(np.zeros(3), abs=1e-7)
    paid = with_closing_value(bets(prices, p), close)
    assert paid["move_log"].to_numpy() == pytest.approx(np.zeros(3), abs=1e-9)
    if method == "proportional":
        lost = -np.log(np.sum(1.0 / np.array(prices)))
        assert paid["clv_log"].to_numpy() == pytest.approx(np.full(3, lost))


def test_a_better_price_than_the_close_has_value_in_log_and_percent() -> None:
    close = closing(quotes([1.9, 1.9]), EVENTS, "shin")
    found = with_closing_value(bets([2.2, 2.0], np.array([0.5, 0.5])), close)
    assert found["clv_percent"].to_list() == pytest.approx([10.0, 0.0])
    assert found["clv_log"].to_list() == pytest.approx([np.log(1.1), 0.0])


def test_the_last_prices_before_the_event_close_it_and_none_after() -> None:
    prices = pl.concat([quotes([2.0, 2.0], 60 * MINUTE), quotes([1.5, 3.0]), quotes([9.0, 1.1], -5 * MINUTE)])
    close = closing(prices, EVENTS, "proportional")
    told = dict(close.select("outcome", "close_probability").iter_rows())
    assert told == pytest.approx({"home": 2 / 3, "draw": 1 / 3})


def test_a_closing_price_that_reached_us_later_still_judges() -> None:
    late = quotes([1.5, 3.0]).with_columns(known_at=pl.lit(START + timedelta(days=1)))
    assert closing(late, EVENTS, "proportional").height == 2


def test_a_bet_whose_line_is_gone_at_the_close_has_no_closing_value() -> None:
    prices = pl.concat([quotes([2.0, 2.0], 60 * MINUTE, line=2.5), quotes([2.0, 2.0], line=3.5)])
    close = closing(prices, EVENTS, "power")
    found = with_closing_value(bets([2.0, 2.0], np.array([0.5, 0.5]), line=2.5), close)
    assert found["clv_percent"].to_list() == [None, None]
