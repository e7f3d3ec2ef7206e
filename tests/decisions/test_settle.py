"""Settlement conserves money, follows the newest news, and never knows more than it says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pennant.decisions.errors import GradeError, ProbabilityError, RuleError
from pennant.decisions.lines import over, share_won
from pennant.decisions.settle import Handicap, Total, Winner, results_of, settled

START = datetime(2031, 3, 1, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATE = START + 1000 * HOUR
RULES = {
    "h2h": Winner({"home": 1.0, "away": 0.0}, frozenset({0.5})),
    "goals": Total(),
    "spread": Handicap(),
}
LINES = st.integers(0, 40).map(lambda quarters: quarters / 4)


def bet(
    outcome: str, market: str = "h2h", price: float = 2.0, stake: float = 0.01, **changes: Any
) -> pl.DataFrame:
    about = {"entity": "g1", "event_time": START, "as_of": START - HOUR, "line": None}
    made = {**about, "market": market, "outcome": outcome, "price": price, "stake_share": stake, **changes}
    made["side"] = f"{market} {outcome} {made['line']}"
    return pl.DataFrame([made], schema_overrides={"line": pl.Float64})


def result(value: float | None, state: str = "final", hours: float = 3, **changes: Any) -> pl.DataFrame:
    row = {"entity": "g1", "known_at": START + hours * HOUR, "value": value, "state": state, **changes}
    row.setdefault("event_time", None)
    kinds = {"value": pl.Float64, "event_time": pl.Datetime("us", "UTC")}
    return pl.DataFrame([row], schema_overrides=kinds)


def told(
    bets: pl.DataFrame, *results: pl.DataFrame, as_of: datetime = LATE
) -> list[tuple[str, float, float]]:
    found = settled(bets, pl.concat(results), RULES, as_of)
    return list(found.select("result", "profit_share", "returned_share").iter_rows())


@pytest.mark.parametrize(
    ("line", "value", "expected"),
    [
        (2.5, 3, ("won", 0.01)),
        (2.5, 2, ("lost", -0.01)),
        (3.0, 3, ("push", 0.0)),
        (2.75, 3, ("half_won", 0.005)),
        (3.25, 3, ("half_lost", -0.005)),
        (2.25, 3, ("won", 0.01)),
        (2.25, 2, ("half_lost", -0.005)),
    ],
)
def test_lines_are_settled_as_bookmakers_do(line: float, value: float, expected: tuple[str, float]) -> None:
    [(name, profit, returned)] = told(bet("over", "goals", line=line), result(value))
    assert (name, profit) == (expected[0], pytest.approx(expected[1]))
    assert returned == pytest.approx(0.01 + profit)


@given(LINES, st.integers(0, 12), st.floats(1.01, 20.0), st.floats(0.001, 0.5))
@settings(deadline=None, max_examples=60)
def test_what_one_side_loses_the_other_wins_and_nothing_is_lost_between(
    line: float, value: int, price: float, stake: float
) -> None:
    both = pl.concat([bet(side, "goals", 2.0, stake, line=line) for side in ("over", "under")])
    assert sum(profit for _, profit, _ in told(both, result(value))) == pytest.approx(0.0, abs=1e-12)
    [(name, profit, returned)] = told(bet("over", "goals", price, stake, line=line), result(value))
    assert returned == pytest.approx(stake + profit)
    assert returned >= 0.0
    most = {"won": 1.0, "half_won": 0.5}.get(name, 0.0) * stake * (price - 1.0)
    assert profit == pytest.approx(
        max(most, 0.0) if profit >= 0 else -{"lost": 1.0, "half_lost": 0.5}[name] * stake
    )


@given(st.integers(-40, 40).map(lambda quarters: quarters / 4), st.integers(-10, 10))
@settings(deadline=None, max_examples=60)
def test_the_two_sides_of_a_handicap_mirror_each_other(line: float, margin: int) -> None:
    both = pl.concat([bet(side, "spread", line=line) for side in ("home", "away")])
    (_, away, _), (_, home, _) = told(both, result(margin))  # rows in order of the side
    assert home == pytest.approx(-away)
    assert home == pytest.approx(0.01 * float(share_won([margin + line], [line])[0]))


@given(st.lists(st.floats(1.5, 20.0), min_size=2, max_size=2), st.sampled_from([0.0, 1.0]))
@settings(deadline=None, max_examples=30)
def test_backing_all_outcomes_in_proportion_returns_the_same_whoever_wins(
    prices: list[float], label: float
) -> None:
    implied = [1.0 / each for each in prices]
    stakes = [0.5 * each / sum(implied) for each in implied]
    names = ("home", "away")
    bets = pl.concat([bet(n, price=p, stake=s) for n, p, s in zip(names, prices, stakes, strict=True)])
    assert sum(back for _, _, back in told(bets, result(label))) == pytest.approx(0.5 / sum(implied))


@given(LINES, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_a_line_priced_from_a_distribution_is_what_its_settlements_average(line: float, seed: int) -> None:
    chance = np.random.default_rng(seed).dirichlet(np.ones(13))
    probability, decided = over(chance[None, :], np.array([line]))
    counts = np.arange(13.0)
    share = share_won(counts - line, np.full(13, line))
    price = 1.8
    profit = float(chance @ np.where(share > 0, share * (price - 1), share))
    assert float(decided[0] * (probability[0] * price - 1)) == pytest.approx(profit, abs=1e-12)


def test_a_distribution_is_not_asked_about_lines_it_cannot_tell() -> None:
    flat = np.full((1, 6), 1 / 6)
    over(flat, np.array([4.5]))
    for line in (4.75, 5.0, 9.5, -0.5, 2.3, float("nan")):
        with pytest.raises(RuleError) as caught:
            over(flat, np.array([line]))
        assert caught.value.field == "line"
    for spoilt, found in ((flat * 0.9, 0.9), (flat + np.array([-0.5, 0.5, 0, 0, 0, 0]), 1 / 6 - 0.5)):
        with pytest.raises(ProbabilityError) as refused:
            over(spoilt, np.array([1.5]))
        assert refused.value.found == pytest.approx(found)
    assert over(np.array([[-1e-17, 0.1, 0.2, 0.3, 0.2, 0.2]]), np.array([1.5]))[1] == pytest.approx([1.0])


def test_a_winner_wins_a_tie_pushes_and_a_void_game_gives_the_stake_back() -> None:
    sides = pl.concat([bet("home", price=1.5), bet("away", price=3.0)])
    assert [name for name, _, _ in told(sides, result(1.0))] == ["lost", "won"]  # rows in order of the side
    assert [name for name, _, _ in told(sides, result(0.5))] == ["push", "push"]
    assert told(sides, result(None, "void")) == [("void", 0.0, 0.01)] * 2


def test_a_void_outcome_gives_the_stake_back_whatever_its_label() -> None:
    news = {"entity": "g1", "event_time": START, "known_at": START + 3 * HOUR, "label": 1.0}
    outcomes = pl.DataFrame([{**news, "void": False}, {**news, "void": True, "known_at": START + 4 * HOUR}])
    outcomes = outcomes.with_columns(pl.selectors.datetime().cast(pl.Datetime("us", "UTC")))
    assert told(bet("home"), results_of(outcomes[:1]))[0][0] == "won"
    assert told(bet("home"), results_of(outcomes))[0][0] == "void"


def test_a_bet_is_open_until_its_result_is_known() -> None:
    bets = bet("home")
    assert told(bets, result(1.0), as_of=START + 2.9 * HOUR) == []
    assert len(told(bets, result(1.0), as_of=START + 3 * HOUR)) == 1


def test_a_postponed_game_keeps_the_stake_until_it_is_played_or_too_late() -> None:
    off = result(None, "postponed", hours=-0.5)
    assert told(bet("home"), off, as_of=START) == [("postponed", 0.0, 0.0)]
    in_time = result(1.0, hours=30, event_time=START + 24 * HOUR)
    assert [name for name, _, _ in told(bet("home"), off, in_time)] == ["won"]
    too_late = result(1.0, hours=75, event_time=START + 72 * HOUR)
    assert told(bet("home"), off, too_late) == [("void", 0.0, 0.01)]
    assert told(bet("home"), off, as_of=START + 48 * HOUR) == [("void", 0.0, 0.01)]
    moved = result(None, "postponed", hours=-0.5, event_time=START + 47 * HOUR)
    assert told(bet("home"), moved, as_of=START + 49 * HOUR) == [("postponed", 0.0, 0.0)]


def test_a_game_void_for_being_late_is_settled_at_one_moment_however_often_it_is_asked() -> None:
    off = result(None, "postponed", hours=-0.5)
    too_late = result(1.0, hours=75, event_time=START + 72 * HOUR)
    first = settled(bet("home"), off, RULES, START + 50 * HOUR)
    second = settled(bet("home"), pl.concat([off, too_late]), RULES, LATE)
    assert first["settled_at"].to_list() == second["settled_at"].to_list() == [START + 48 * HOUR]


def test_a_corrected_score_settles_anew_and_a_later_one_does_not_change_the_past() -> None:
    wrong, right = result(0.0, hours=3), result(1.0, hours=20)
    assert told(bet("home"), wrong, right)[0][0] == "won"
    before = settled(bet("home"), pl.concat([wrong, right]), RULES, START + 10 * HOUR)
    assert_frame_equal(before, settled(bet("home"), wrong, RULES, START + 10 * HOUR))


def test_settling_what_is_settled_gives_the_same() -> None:
    once = settled(pl.concat([bet("home"), bet("away")]), result(1.0), RULES, LATE)
    assert_frame_equal(settled(once, result(1.0), RULES, LATE), once, check_column_order=False)


def test_of_bets_on_one_side_the_first_holds_and_those_without_a_stake_are_none() -> None:
    bets = [bet("home", as_of=START - hours * HOUR, price=1.0 + hours) for hours in (1, 3)]
    found = settled(pl.concat([*bets, bet("away", stake=0.0)]), result(1.0), RULES, LATE)
    assert found["price"].to_list() == [4.0]


@pytest.mark.parametrize(
    ("made", "news", "field"),
    [
        (bet("draw"), result(1.0), "outcome"),
        (bet("home"), result(3.0), "value"),
        (bet("over", "goals"), result(3.0), "line"),
        (bet("over", "goals", line=2.5), result(3.5), "value"),
        (bet("home", "corners"), result(1.0), "market"),
        (bet("home"), result(None), "value"),
        (bet("home"), result(1.0, "played"), "state"),
        (bet("home"), result(1.0, hours=-2), "as_of"),
    ],
)
def test_what_cannot_be_graded_is_refused(made: pl.DataFrame, news: pl.DataFrame, field: str) -> None:
    with pytest.raises(GradeError) as caught:
        settled(made, news, RULES, LATE)
    assert caught.value.field == field
