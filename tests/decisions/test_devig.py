"""Taking the margin out gives probabilities, keeps the order, and undoes what put the margin in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.decisions.devig import METHODS, Method, fair, insiders
from pennant.decisions.errors import PriceError, RuleError, ShapeError
from pennant.decisions.prices import american, decimal, overround

WEIGHTS = st.lists(st.floats(0.02, 1.0), min_size=2, max_size=5)
EVERY = pytest.mark.parametrize("method", METHODS)


def chances(weights: list[float]) -> np.ndarray:
    return np.array(weights) / sum(weights)


@EVERY
@given(prices=st.lists(st.floats(1.01, 500.0), min_size=2, max_size=5))
@settings(deadline=None)
def test_probabilities_sum_to_one_and_keep_the_order_of_the_prices(
    method: Method, prices: list[float]
) -> None:
    found = fair([prices], method)[0]
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    assert (found > 0).all()
    ordered = found[np.argsort(-np.array(prices), kind="stable")]
    assert (np.diff(ordered) >= -1e-12).all()


@EVERY
@given(weights=WEIGHTS)
@settings(deadline=None)
def test_fair_prices_give_their_own_probabilities(method: Method, weights: list[float]) -> None:
    p = chances(weights)
    assert fair(1.0 / p[None, :], method)[0] == pytest.approx(p, abs=1e-7)


@given(WEIGHTS, st.floats(0.001, 0.4))
@settings(deadline=None)
def test_shin_undoes_prices_set_against_insiders(weights: list[float], z: float) -> None:
    p = chances(weights)
    root = np.sqrt(z * p + (1.0 - z) * p**2)  # Shin 1993, equation of the prices
    prices = 1.0 / (root * root.sum())
    if (prices <= 1.0).any():
        return
    assert insiders(prices[None, :])[0] == pytest.approx(z, abs=1e-6)
    assert fair(prices[None, :], "shin")[0] == pytest.approx(p, abs=1e-6)


@given(WEIGHTS, st.floats(0.75, 0.999))
@settings(deadline=None)
def test_power_undoes_a_power(weights: list[float], exponent: float) -> None:
    p = chances(weights)
    assert fair(p[None, :] ** -exponent, "power")[0] == pytest.approx(p, abs=1e-6)


@given(st.floats(0.05, 0.95), st.floats(0.0, 0.1))
def test_of_two_outcomes_shin_takes_the_same_from_both(chance: float, margin: float) -> None:
    implied = np.array([chance, 1.0 - chance]) + margin / 2.0
    if implied.max() >= 1.0:
        return
    assert fair(1.0 / implied[None, :], "shin")[0] == pytest.approx([chance, 1.0 - chance], abs=1e-9)


def test_power_and_shin_take_more_from_long_shots_than_proportion_does() -> None:
    price = [[1.25, 6.0, 13.0]]
    proportional, power, shin = (fair(price, method)[0] for method in METHODS)
    assert power[2] < shin[2] < proportional[2]
    assert power[0] > shin[0] > proportional[0]


@EVERY
def test_without_a_margin_to_explain_backing_all_outcomes_still_gives_probabilities(method: Method) -> None:
    prices = np.array([[2.2, 2.1]])
    assert overround(prices)[0] < 0
    assert fair(prices, method).sum() == pytest.approx(1.0)
    assert insiders(prices)[0] == 0.0


@EVERY
def test_a_missing_price_empties_its_market_and_no_other(method: Method) -> None:
    found = fair([[2.0, np.nan], [1.9, 1.9]], method)
    assert np.isnan(found[0]).all()
    assert found[1] == pytest.approx([0.5, 0.5])


@EVERY
def test_no_markets_give_no_probabilities(method: Method) -> None:
    assert fair(np.zeros((0, 3)) + 2.0, method).shape == (0, 3)


@given(st.one_of(st.integers(101, 100_000), st.integers(-100_000, -101)))
def test_american_odds_and_decimal_prices_are_two_notations_of_one_price(odds: int) -> None:
    assert decimal(odds) > 1.0
    assert american(decimal(odds)) == pytest.approx(odds)


def test_even_money_is_one_price_in_both_signs() -> None:
    assert decimal([-100.0, 100.0]).tolist() == [2.0, 2.0]


def test_the_american_notation_is_that_of_the_data_readme() -> None:
    assert 1.0 / decimal([-150.0, 130.0]) == pytest.approx([150 / 250, 100 / 230])


def test_what_is_no_price_is_refused_with_its_place() -> None:
    with pytest.raises(PriceError) as caught:
        fair([[2.0, 2.0], [1.0, 5.0]], "shin")
    assert (caught.value.kind, caught.value.place, caught.value.found) == ("decimal", (1, 0), 1.0)
    with pytest.raises(PriceError) as caught:
        decimal([-110.0, 50.0])
    assert (caught.value.kind, caught.value.place) == ("american", (1,))


def test_one_outcome_is_no_market_and_an_unknown_method_is_named() -> None:
    with pytest.raises(ShapeError):
        fair([[2.0]], "power")
    with pytest.raises(RuleError) as caught:
        fair([[2.0, 2.0]], "additive")  # type: ignore[arg-type]
    assert caught.value.found == "additive"
