"""The bankroll's curve, its worst fall, and an interval that knows that bets of one day go together."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.decisions.bankroll import drawdown, equity, ratio, roi
from pennant.decisions.errors import RuleError
from pennant.decisions.resampling import day_counts

FIRST = datetime(2031, 1, 1, 22, tzinfo=UTC)
PROFITS = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=30)


def record(profits: list[float], per_day: int = 1, result: str = "won") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "settled_at": [FIRST + timedelta(days=at // per_day) for at in range(len(profits))],
            "stake_share": [0.5] * len(profits),
            "profit_share": profits,
            "result": [result] * len(profits),
        }
    )


def days_of(count: int, per_day: int) -> np.ndarray:
    return np.repeat(np.arange(count).astype("datetime64[D]"), per_day)


@given(PROFITS)
@settings(deadline=None)
def test_the_worst_fall_is_the_worst_over_all_pairs_of_days(profits: list[float]) -> None:
    curve = equity(record(profits))
    level = np.concatenate([[1.0], np.cumprod(1.0 + np.array(profits))])
    assert curve["bankroll"].to_numpy() == pytest.approx(level[1:])
    worst = max(1.0 - level[j] / level[i] for i in range(len(level)) for j in range(i, len(level)))
    assert drawdown(curve).share == pytest.approx(worst, abs=1e-12)


def test_a_fall_has_a_peak_a_trough_and_a_recovery() -> None:
    found = drawdown(equity(record([0.1, -0.2, -0.1, 0.3, 0.2])))
    assert (found.peak, found.trough, found.recovered) == (
        date(2031, 1, 1),
        date(2031, 1, 3),
        date(2031, 1, 5),
    )
    assert found.share == pytest.approx(1 - 0.8 * 0.9)
    assert drawdown(equity(record([-0.2]))).peak is None
    assert drawdown(equity(record([0.2, 0.1]))).trough is None
    assert drawdown(equity(record([0.1])[:0])).share == 0.0


def test_profits_of_one_day_are_shares_of_one_bankroll_and_ruin_is_final() -> None:
    assert equity(record([0.1, 0.1], per_day=2))["bankroll"].to_list() == pytest.approx([1.2])
    assert equity(record([-0.7, -0.7, 0.5], per_day=2))["bankroll"].to_list() == [0.0, 0.0]


def test_profit_per_unit_leaves_out_what_was_void() -> None:
    both = pl.concat([record([0.1, -0.2, 0.3]), record([0.0], result="void")])
    assert roi(both).mean == pytest.approx(0.2 / 1.5)
    assert roi(both).bets == 3


def test_bets_copied_within_their_day_are_no_news() -> None:
    values = np.random.default_rng(1).normal(size=40)
    once = ratio(values, np.ones(40), days_of(40, 1))
    copied = ratio(np.repeat(values, 5), np.ones(200), days_of(40, 5))
    assert (copied.low, copied.high) == (pytest.approx(once.low), pytest.approx(once.high))
    assert (once.bets, copied.bets, copied.days) == (40, 200, 40)


@pytest.mark.parametrize(("price", "days", "per_day"), [(1.95, 60, 3), (1.3, 40, 3), (6.0, 60, 3)])
def test_the_interval_covers_a_fair_bet_as_often_as_it_says(price: float, days: int, per_day: int) -> None:
    stream = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        stake = stream.uniform(0.2, 1.0, days * per_day)
        profit = stake * np.where(stream.random(len(stake)) < 1 / price, price - 1, -1.0)
        found = ratio(profit, stake, days_of(days, per_day), draws=400)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.0 <= found.high
    assert covered / 200 >= 0.90  # 0.95 less three standard errors of 200 trials


def test_where_nothing_varies_or_days_are_few_there_is_no_interval() -> None:
    assert ratio(np.ones(4), np.ones(4), days_of(4, 1)).low is None
    assert ratio(np.ones(40), np.ones(40), days_of(40, 1)).low is None
    with pytest.raises(RuleError):
        ratio(np.zeros(0), np.zeros(0), days_of(0, 1))
    with pytest.raises(RuleError):
        ratio(np.ones(9), np.ones(9), days_of(9, 1), alpha=0.0)


@pytest.mark.parametrize("block", [1.0, 4.0])
def test_every_draw_has_as_many_days_as_there_are(block: float) -> None:
    drawn = np.concatenate(list(day_counts(50, 300, seed=2, block_days=block)))
    assert drawn.shape == (300, 50)
    assert (drawn.sum(axis=1) == 50).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(50), abs=0.4)


def test_blocks_keep_neighbours_together() -> None:
    days = days_of(200, 1)
    slow = np.repeat(np.random.default_rng(3).normal(size=20), 10)
    alone, blocks = (ratio(slow, np.ones(200), days, block_days=each) for each in (1.0, 10.0))
    assert alone.low is not None
    assert alone.high is not None
    assert blocks.low is not None
    assert blocks.high is not None
    assert blocks.high - blocks.low > 1.3 * (alone.high - alone.low)
