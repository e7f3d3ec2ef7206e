"""Kelly stakes are nothing without an edge, grow with it, and stay under every cap."""

from datetime import timedelta
from math import inf, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from pennant.decisions import kelly
from pennant.decisions.errors import ProbabilityError, RuleError, ShapeError
from pennant.decisions.limits import Exposure, Limits, RiskClass, capped, risk_classes
from pennant.decisions.value import break_even, expected_value, variance

CHANCE, PRICE = st.floats(0.0, 1.0), st.floats(1.01, 100.0)


@given(CHANCE, PRICE)
def test_without_an_edge_nothing_is_staked_and_with_one_something_is(p: float, price: float) -> None:
    stake = float(kelly.single(p, price))
    assert (stake > 0.0) == (p * price - 1.0 > 0.0)
    assert 0.0 <= stake <= 1.0


@given(PRICE, CHANCE, CHANCE)
def test_a_greater_chance_is_never_staked_less(price: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert kelly.single(low, price) <= kelly.single(high, price)


@given(CHANCE, PRICE)
def test_one_outcome_offered_gets_the_stake_of_a_single_bet(p: float, price: float) -> None:
    both = kelly.exclusive([[p, 1.0 - p]], [[price, np.nan]])[0]
    assert both == pytest.approx([float(kelly.single(p, price)), 0.0], abs=1e-12)


MARKETS = st.integers(2, 5).flatmap(
    lambda k: st.tuples(
        st.lists(st.floats(0.01, 1.0), min_size=k, max_size=k),
        st.lists(st.floats(1.05, 30.0), min_size=k, max_size=k),
    )
)


def growth(stakes: np.ndarray, p: np.ndarray, price: np.ndarray) -> float:
    wealth = 1.0 - stakes.sum() + stakes * price
    return float(np.sum(p * np.log(np.maximum(wealth, 1e-300))))


@given(MARKETS, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_no_other_stakes_on_the_outcomes_of_a_market_grow_faster(
    market: tuple[list[float], list[float]], seed: int
) -> None:
    p, price = np.array(market[0]) / sum(market[0]), np.array(market[1])
    stakes = kelly.exclusive(p[None, :], price[None, :])[0]
    assert (stakes >= 0).all()
    assert stakes.sum() <= 1.0 + 1e-9
    best = growth(stakes, p, price)
    assert best >= -1e-12
    others = np.random.default_rng(seed).dirichlet(np.ones(len(p) + 1), 200)[:, :-1]
    assert max(growth(each, p, price) for each in others) <= best + 1e-9


def test_an_optimiser_finds_the_same_stakes_on_three_outcomes() -> None:
    p, price = np.array([0.45, 0.30, 0.25]), np.array([2.3, 3.4, 3.6])
    sum_under_one = {"type": "ineq", "fun": lambda s: 0.999 - s.sum()}
    found = minimize(
        lambda s: -growth(s, p, price), [0.1] * 3, bounds=[(0, 1)] * 3, constraints=sum_under_one, tol=1e-14
    )
    assert kelly.exclusive(p[None, :], price[None, :])[0] == pytest.approx(found.x, abs=1e-4)


def test_chances_that_cannot_be_are_refused() -> None:
    with pytest.raises(ProbabilityError) as caught:
        kelly.exclusive([[0.5, 0.5], [0.8, 0.8]], [[2.0, 2.0], [2.0, 2.0]])
    assert (caught.value.place, caught.value.found) == (1, pytest.approx(1.6))
    with pytest.raises(ProbabilityError):
        kelly.exclusive([[-0.1, 0.5]], [[2.0, 2.0]])
    with pytest.raises(ShapeError):
        kelly.exclusive([[0.5, 0.5]], [[2.0, 2.0, 2.0]])


@given(CHANCE, PRICE, CHANCE)
def test_value_and_variance_are_those_of_the_three_results(p: float, price: float, decided: float) -> None:
    results = np.array([price - 1.0, -1.0, 0.0])
    chances = np.array([decided * p, decided * (1.0 - p), 1.0 - decided])
    mean = float(chances @ results)
    assert float(expected_value(p, price, decided)) == pytest.approx(mean, abs=1e-9)
    assert float(variance(p, price, decided)) == pytest.approx(
        float(chances @ (results - mean) ** 2), rel=1e-9, abs=1e-9
    )
    assert float(expected_value(break_even(price), price)) == pytest.approx(0.0, abs=1e-12)


BETS = st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=12)
CAPS = st.builds(
    Limits, per_bet=st.floats(0.001, 1.0), per_group=st.floats(0.001, 1.0), per_day=st.floats(0.001, 1.0)
)


def given_to(
    bets: list[tuple[float, int, int]], limits: Limits, already: Exposure | None = None
) -> np.ndarray:
    # Games 0 and 1 are on day 0, the others on day 1.
    wishes, games, _ = (list(each) for each in zip(*bets, strict=True))
    return capped(np.array(wishes), games, [game // 2 for game in games], limits, already)


@given(BETS, CAPS)
def test_no_cap_is_ever_passed_and_no_stake_is_above_its_wish(
    bets: list[tuple[float, int, int]], limits: Limits
) -> None:
    given_ = given_to(bets, limits)
    games = np.array([game for _, game, _ in bets])
    assert (given_ <= np.array([wish for wish, _, _ in bets]) + 1e-12).all()
    assert (given_ >= 0.0).all()
    assert (given_ <= limits.per_bet + 1e-12).all()
    assert all(given_[games == game].sum() <= limits.per_group + 1e-9 for game in games)
    assert all(given_[games // 2 == day].sum() <= limits.per_day + 1e-9 for day in (0, 1))


@given(BETS, CAPS, st.floats(0.0, 1.0))
def test_wishing_more_for_a_bet_never_gives_it_less(
    bets: list[tuple[float, int, int]], limits: Limits, more: float
) -> None:
    wish, game, other = bets[0]
    raised = [(wish + more, game, other), *bets[1:]]
    assert given_to(raised, limits)[0] >= given_to(bets, limits)[0] - 1e-12


def test_a_cap_that_binds_scales_all_bets_of_its_game_alike() -> None:
    limits = Limits(per_bet=0.02, per_group=0.03, per_day=1.0)
    given_ = capped(np.array([0.02, 0.02, 0.01]), ["a", "a", "b"], ["d"] * 3, limits)
    assert given_ == pytest.approx([0.015, 0.015, 0.01])


def test_what_stands_already_takes_from_the_room() -> None:
    limits = Limits(per_bet=0.02, per_group=0.03, per_day=0.05)
    stood = Exposure()
    stood.add(0.025, "a", "d")
    assert capped(np.array([0.02, 0.02]), ["a", "b"], ["d", "d"], limits, stood) == pytest.approx(
        [0.005, 0.02]
    )
    stood.add(0.025, "b", "d")
    assert capped(np.array([0.02, 0.02]), ["a", "c"], ["d", "d"], limits, stood) == pytest.approx([0.0, 0.0])
    assert capped(np.array([0.02]), ["a"], ["another day"], limits, stood) == pytest.approx([0.005])


def test_a_quarter_of_kelly_loses_less_under_a_forecast_that_is_too_sure() -> None:
    truth, said, price = 0.50, 0.60, 2.0
    full = float(kelly.single(said, price))
    grows = [truth * log(1 + f * full) + (1 - truth) * log(1 - f * full) for f in (0.25, 1.0)]
    assert grows[1] < grows[0] < 0.0


def test_the_risk_class_is_the_mildest_that_takes_stake_and_variance() -> None:
    found = risk_classes(np.array([0.001, 0.01, 0.001, 0.02]), np.array([1.0, 1.0, 9.0, 1.0]))
    assert found == ["low", "medium", "high", "high"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kelly_fraction", 0.0),
        ("per_bet", 1.5),
        ("per_day", float("nan")),
        ("min_edge", -0.01),
        ("max_price_age", timedelta(0)),
        ("devig", "additive"),
        ("stake_on", "high"),
        ("risk", (RiskClass("low", 0.01, 1.0),)),
        ("risk", (RiskClass("low", 0.01, 1.0), RiskClass("medium", 0.005, 2.0), RiskClass("high", inf, inf))),
    ],
)
def test_a_limit_that_means_nothing_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(RuleError) as caught:
        Limits(**{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field
