"""Searching many markets finds nothing where nothing is, and finds what is planted."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pennant.decisions.errors import RuleError, ShapeError
from pennant.decisions.searching import Method, Search, candidates, holm, searched, searched_record
from pennant.decisions.value import variance

ALPHA = 0.05
THRESHOLDS = {"edge": [0.0, 0.02, 0.05]}


def market(
    seed: int, chances: tuple[float, float], gain: float = 0.0, days: int = 60
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Bets at fair prices, but for those of market `b`, which gain; their days; their profit per unit."""
    stream = np.random.default_rng(seed)
    count = days * 4
    p = stream.uniform(*chances, count)
    bets = pl.DataFrame(
        {
            "market": stream.choice(["a", "b", "c"], count),
            "bookmaker": stream.choice(["north", "south"], count),
            "edge": stream.normal(0.0, 0.04, count),
            "price": 1.0 / p,
        }
    )
    better = p * np.where(bets["market"] == "b", 1.0 + gain, 1.0)
    profit = np.where(stream.random(count) < better, 1.0 / p - 1.0, -1.0)
    return bets, np.repeat(np.arange(days).astype("datetime64[D]"), 4), profit


def judged(seed: int, chances: tuple[float, float], gain: float = 0.0, method: Method = "max") -> Search:
    bets, days, profit = market(seed, chances, gain)
    price = bets["price"].to_numpy()
    masks = candidates(bets, ["market", "bookmaker"], THRESHOLDS)
    draws = 300 if method == "max" else 1000
    return searched(profit, days, masks, method, variance(1.0 / price, price), draws=draws, seed=seed)


@pytest.mark.parametrize("chances", [(0.4, 0.6), (0.7, 0.95), (0.1, 0.4)])
def test_the_best_of_many_without_an_edge_is_called_one_no_oftener_than_alpha(
    chances: tuple[float, float],
) -> None:
    found = [judged(seed, chances) for seed in range(200)]
    called = np.mean([bool(each.found(ALPHA)) for each in found])
    luck = np.mean([min(c.p_alone for c in each.candidates) <= ALPHA for each in found])
    assert called <= ALPHA
    assert luck > 2 * ALPHA  # what the correction is for


def test_a_planted_edge_is_found_where_it_was_planted() -> None:
    found = [judged(seed, (0.4, 0.6), gain=0.45) for seed in range(20)]
    assert sum(bool(each.found(ALPHA)) for each in found) >= 17
    assert sum(each.best.name.startswith("market b") for each in found) >= 17


def test_holm_finds_it_too() -> None:
    assert "market b" in {each.name for each in judged(3, (0.4, 0.6), 0.45, "holm").found(ALPHA)}


def test_three_favourites_that_all_won_are_not_sure_of_anything() -> None:
    profit, price = np.full(6, 0.1), np.full(6, 1.1)
    days = np.arange(6).astype("datetime64[D]")
    found = searched(profit, days, {"all": np.ones(6, dtype=bool)}, least_variance=variance(1 / price, price))
    assert found.best.p_corrected > 0.2


def test_copies_of_one_candidate_cost_nothing_and_new_ones_do() -> None:
    bets, days, profit = market(3, (0.4, 0.6), gain=0.3)
    mask = (bets["market"] == "b").to_numpy()
    one = searched(profit, days, {"b": mask})
    copies = searched(profit, days, {f"b{number}": mask for number in range(20)})
    others = {f"other {n}": np.random.default_rng(n).random(len(mask)) < 0.3 for n in range(40)}
    more = searched(profit, days, {"b": mask, **others})
    assert copies.best.p_corrected == pytest.approx(one.best.p_corrected, abs=0.01)
    assert next(each for each in more.candidates if each.name == "b").p_corrected > one.best.p_corrected


def test_a_correction_never_makes_a_candidate_surer() -> None:
    for method in ("max", "holm"):
        for each in judged(5, (0.4, 0.6), 0.3, method).candidates:
            assert each.p_corrected >= each.p_alone - 1e-12


@given(arrays(np.float64, st.integers(1, 8), elements=st.floats(0.0001, 1.0)))
def test_holm_is_the_textbook_rule(p: np.ndarray) -> None:
    order = sorted(range(len(p)), key=lambda at: p[at])
    largest, expected = 0.0, np.zeros(len(p))
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[at]))
        expected[at] = largest
    assert holm(p) == pytest.approx(expected)


def test_a_set_of_bets_on_too_few_days_is_shown_and_never_found() -> None:
    values, days = np.ones(8) + np.arange(8) / 100, np.repeat(np.arange(4), 2).astype("datetime64[D]")
    found = searched(values, days, {"all": np.ones(8, dtype=bool)})
    assert (found.best.bets, found.best.days, found.best.p_corrected) == (8, 4, 1.0)


def test_what_was_tried_is_every_value_and_threshold() -> None:
    bets = pl.DataFrame({"market": ["a", "b", "b"], "edge": [0.01, 0.03, 0.06]})
    made = candidates(bets, ["market"], {"edge": [0.02, 0.05]})
    assert set(made) == {
        "all bets", "market a", "market b", "edge from 0.02", "edge from 0.05",
        "market b, edge from 0.02", "market b, edge from 0.05",
    }  # fmt: skip
    assert made["market b, edge from 0.05"].tolist() == [False, False, True]


def test_a_record_is_judged_by_its_closing_values(played: Callable[..., pl.DataFrame]) -> None:
    known, guessed = played(11, 0.8), played(12, 0.0)
    for record, p in ((known, True), (guessed, False)):
        search = searched_record(record, candidates(record, [], {"edge": [0.0, 0.05]}))
        assert bool(search.found(ALPHA)) is p


def test_nothing_tried_and_masks_that_do_not_fit_are_refused() -> None:
    days = np.arange(9).astype("datetime64[D]")
    with pytest.raises(RuleError):
        searched(np.ones(9), days, {})
    with pytest.raises(ShapeError):
        searched(np.ones(9), days, {"all": np.ones(8, dtype=bool)})
    with pytest.raises(RuleError):
        searched(np.ones(9), days, {"all": np.ones(9, dtype=bool)}, "bonferroni")  # type: ignore[arg-type]
