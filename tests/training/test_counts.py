"""Distributions of counts are whole, and have the spread of what they were fitted on."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pennant.training.losses import Floats
from pennant.training.members.counts import (
    CountTrees,
    Law,
    LawName,
    LogLinear,
    Poisson,
    TreesCount,
    fit_law,
)
from pennant.training.problem import Problem, row_losses

MOST = 25
TREES = {
    "max_depth": 3,
    "learning_rate": 0.1,
    "n_estimators": 60,
    "min_child_weight": 5.0,
    "subsample": 0.8,
    "colsample_bytree": 1.0,
    "gamma": 0.0,
    "reg_lambda": 1.0,
    "reg_alpha": 0.0,
    "max_delta_step": 0.0,
    "max_bin": 256,
}
KINDS = {"poisson": (Poisson(), {"alpha": 1.0, "knots": 0}), "trees_count": (TreesCount(), TREES)}
SPREADS: dict[LawName, st.SearchStrategy[float]] = {
    "poisson": st.just(0.0),
    "negative_binomial": st.floats(1e-4, 5.0),
    "conway_maxwell": st.floats(1.0, 30.0),
}
laws = st.sampled_from(sorted(SPREADS)).flatmap(lambda name: st.builds(Law, st.just(name), SPREADS[name]))
distributions = hnp.arrays(float, (7, 12), elements=st.floats(0.001, 1.0)).map(
    lambda raw: raw / raw.sum(axis=1, keepdims=True)
)


def planted(rows: int, batters: int | None = None, shape: float | None = None) -> tuple[Floats, Floats]:
    """Features and counts around a log-linear mean: Poisson, binomial (narrower) or gamma-mixed (wider)."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(rows, 4))
    mean = np.exp(1.4 + 0.25 * x[:, 0] - 0.15 * x[:, 1])
    if batters is not None:
        y = rng.binomial(batters, np.minimum(mean / batters, 0.9))
    else:
        y = rng.poisson(mean if shape is None else mean * rng.gamma(shape, 1.0 / shape, size=rows))
    x[rng.random(rows) < 0.05, 2] = np.nan
    return x, y.astype(float)


def fitted(kind: str, x: Floats, y: Floats, seed: int = 3) -> LogLinear | CountTrees:
    way, parameters = KINDS[kind]
    problem = Problem("count", ("a", "b", "c", "d"), most=MOST)
    return way.fit(x, y, np.ones(len(y)), parameters, seed, problem)


@given(laws, st.floats(0.01, 20.0))
@settings(deadline=None, max_examples=80)
def test_every_law_is_a_whole_distribution_around_its_mean(law: Law, mean: float) -> None:
    most = 400 if law.name == "negative_binomial" else 80
    p = law.chances(np.array([mean, mean / 2.0]), most)
    assert p.shape == (2, most + 1)
    assert (p >= 0.0).all()
    assert p.sum(axis=1) == pytest.approx(1.0, abs=1e-9)
    if p[0, -1] < 1e-9:
        assert p[0] @ np.arange(most + 1.0) == pytest.approx(mean, rel=1e-5)


@given(st.floats(0.1, 20.0))
@settings(deadline=None, max_examples=20)
def test_a_conway_maxwell_law_of_spread_one_is_the_poisson(mean: float) -> None:
    narrow = Law("conway_maxwell", 1.0).chances(np.array([mean]), MOST)
    assert narrow == pytest.approx(Law().chances(np.array([mean]), MOST), abs=1e-9)


def test_the_law_of_planted_counts_is_found() -> None:
    for made, name in (
        (planted(6000, batters=8), "conway_maxwell"),
        (planted(6000, shape=6.0), "negative_binomial"),
    ):
        x, y = made
        for kind in KINDS:
            member = fitted(kind, x, y)
            assert member.law.name == name, kind
            if name == "negative_binomial":
                assert member.law.spread == pytest.approx(1.0 / 6.0, abs=0.04), kind


def test_poisson_counts_get_at_most_a_spread_that_makes_no_difference() -> None:
    x, y = planted(6000)
    law = fitted("poisson", x, y).law
    mean = np.array([5.0])
    assert law.chances(mean, MOST) == pytest.approx(Law().chances(mean, MOST), abs=0.006)


def test_the_fitted_spread_is_better_than_a_poisson_on_new_rows() -> None:
    x, y = planted(9000, batters=9)
    problem = Problem("count", ("a", "b", "c", "d"), most=MOST)
    for kind in KINDS:
        member = fitted(kind, x[:6000], y[:6000])
        plain = Law().chances(member.mean(x[6000:]), MOST)
        losses = [row_losses(problem, y[6000:], p).mean() for p in (member.predict(x[6000:]), plain)]
        assert losses[0] < losses[1] - 0.02, kind


def test_the_planted_coefficients_are_found() -> None:
    x, y = planted(20_000)
    member = fitted("poisson", x, y)
    assert isinstance(member, LogLinear)
    slopes = member.coef / member.prepared.scale
    assert slopes == pytest.approx([0.25, -0.15, 0.0, 0.0], abs=0.02)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_equal_inputs_give_equal_bytes_and_missing_values_are_predicted(kind: str) -> None:
    x, y = planted(400)
    first, again = (fitted(kind, x, y) for _ in range(2))
    assert first.content() == again.content()
    p = first.predict(np.full((2, 4), np.nan))
    assert p.sum(axis=1) == pytest.approx(1.0)
    assert p.shape == (2, MOST + 1)


def test_the_files_hold_the_law() -> None:
    import xgboost

    x, y = planted(3000, batters=8)
    linear = fitted("poisson", x, y)
    body = json.loads(linear.content())
    assert (body["law"], body["spread"], body["most"]) == (linear.law.name, linear.law.spread, MOST)
    trees = fitted("trees_count", x, y)
    booster = xgboost.Booster(model_file=bytearray(trees.content()))
    assert Law(booster.attr("law"), float(booster.attr("spread"))) == trees.law
    assert booster.attr("most") == str(MOST)
    assert booster.inplace_predict(x) == pytest.approx(trees.mean(x))


def test_a_row_far_from_all_that_was_seen_has_a_finite_distribution() -> None:
    x, y = planted(500)
    p = fitted("poisson", x, y).predict(np.full((1, 4), 1e4))
    assert np.isfinite(p).all()
    assert p.sum() == pytest.approx(1.0)


def test_few_rows_and_weights_of_zero_are_fitted() -> None:
    x, y = planted(30)
    for kind, (way, parameters) in KINDS.items():
        weight = np.where(np.arange(30) < 10, 0.0, 1.5)
        member = way.fit(x, y, weight, parameters, 1, Problem("count", ("a", "b", "c", "d"), most=MOST))
        assert member.law == Law(), kind
        assert np.isfinite(member.predict(x)).all(), kind


def test_wide_counts_are_recognised_whatever_the_weights_scale() -> None:
    _, y = planted(3000, shape=3.0)
    mean = np.full(len(y), y.mean())
    one, half = (fit_law(mean, y, np.full(len(y), each)) for each in (1.0, 0.5))
    assert one.name == half.name == "negative_binomial"
    assert one.spread == pytest.approx(half.spread, rel=0.01)
