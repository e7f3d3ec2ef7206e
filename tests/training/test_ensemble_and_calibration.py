"""Weights and calibration may only help on the rows they are fitted on, and know planted truth."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pennant.training.calibration import Isotonic, Method, Platt, fit_calibration
from pennant.training.ensemble import mixture_weights
from pennant.training.losses import auc, expit, log_loss, logit
from pennant.training.problem import Problem

BINARY = Problem("binary", ())

probabilities = st.floats(0.0, 1.0)
labels = st.sampled_from([0.0, 1.0])


@given(st.data(), st.integers(1, 4), st.integers(2, 60))
@settings(deadline=None, max_examples=80)
def test_weights_are_convex_and_never_worse_than_the_best_member(
    data: st.DataObject, members: int, rows: int
) -> None:
    p = data.draw(hnp.arrays(float, (rows, members), elements=probabilities))
    label = data.draw(hnp.arrays(float, rows, elements=labels))
    weights = mixture_weights(BINARY, list(p.T), label)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    best = min(log_loss(label, column) for column in p.T)
    assert log_loss(label, p @ weights) <= best + 1e-12


def test_two_members_that_know_different_halves_share_the_weight() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(20_000, 2))
    label = (rng.random(20_000) < expit(z.sum(axis=1))).astype(float)
    weights = mixture_weights(BINARY, list(expit(z).T), label)
    assert weights == pytest.approx([0.5, 0.5], abs=0.05)


def test_the_weights_of_a_planted_mixture_are_found() -> None:
    rng = np.random.default_rng(5)
    p = expit(2.0 * rng.normal(size=(50_000, 3)))
    planted = np.array([0.7, 0.2, 0.1])
    label = (rng.random(50_000) < p @ planted).astype(float)
    assert mixture_weights(BINARY, list(p.T), label) == pytest.approx(planted, abs=0.03)


def test_a_member_of_pure_noise_gets_nothing() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(size=20_000)
    label = (rng.random(20_000) < expit(z)).astype(float)
    weights = mixture_weights(BINARY, [expit(z), expit(3 * rng.normal(size=20_000))], label)
    assert weights[1] < 0.01


def test_a_member_that_adds_nothing_is_left_out() -> None:
    label = np.array([0.0, 1.0] * 50)
    knows, shrugs = 0.2 + 0.6 * label, np.full(100, 0.5)
    assert mixture_weights(BINARY, [shrugs, knows, shrugs], label).tolist() == [0.0, 1.0, 0.0]


@given(st.data(), st.sampled_from(["platt", "isotonic", "beta", "best", "none"]), st.integers(2, 80))
@settings(deadline=None, max_examples=120)
def test_calibration_never_raises_the_log_loss_it_is_fitted_on(
    data: st.DataObject, method: Method, rows: int
) -> None:
    p = data.draw(hnp.arrays(float, rows, elements=probabilities))
    label = data.draw(hnp.arrays(float, rows, elements=labels))
    calibrated = fit_calibration(BINARY, method, p, label).apply(p)
    assert np.isfinite(calibrated).all()
    assert log_loss(label, calibrated) <= log_loss(label, p) + 1e-9


@given(st.data(), st.sampled_from(["platt", "isotonic", "beta"]), st.integers(2, 80))
@settings(deadline=None, max_examples=60)
def test_calibration_never_turns_the_ranking_round(data: st.DataObject, method: Method, rows: int) -> None:
    p = data.draw(hnp.arrays(float, rows, elements=probabilities))
    label = data.draw(hnp.arrays(float, rows, elements=labels))
    ranked = fit_calibration(BINARY, method, p, label).apply(np.linspace(0, 1, 201))
    assert (np.diff(ranked) >= -1e-12).all()


def test_platt_finds_the_planted_slope_and_shift() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=50_000)
    label = (rng.random(50_000) < expit(z)).astype(float)
    overconfident = expit(2.0 * z + 0.6)
    fitted = fit_calibration(BINARY, "platt", overconfident, label)
    assert isinstance(fitted, Platt)
    assert (fitted.slope, fitted.intercept) == pytest.approx((0.5, -0.3), abs=0.03)
    assert log_loss(label, fitted.apply(overconfident)) < log_loss(label, overconfident) - 0.05


def test_isotonic_mends_a_bend_that_no_line_mends() -> None:
    rng = np.random.default_rng(4)
    z = rng.normal(size=50_000)
    label = (rng.random(50_000) < expit(z)).astype(float)
    bent = expit(np.where(z > 0, 3.0 * z, 0.3 * z))
    line, steps = (
        fit_calibration(BINARY, "platt", bent, label),
        fit_calibration(BINARY, "isotonic", bent, label),
    )
    assert isinstance(steps, Isotonic)
    assert log_loss(label, steps.apply(bent)) < log_loss(label, line.apply(bent)) - 0.002
    middle = (np.abs(z) > 0.1) & (np.abs(z) < 2)
    assert np.abs(logit(steps.apply(bent)) - z)[middle].mean() < 0.1


def test_rows_told_apart_perfectly_keep_the_slope_finite() -> None:
    p = np.array([0.4] * 50 + [0.6] * 50)
    fitted = fit_calibration(BINARY, "platt", p, (p > 0.5).astype(float))
    assert isinstance(fitted, Platt)
    assert 1.0 < fitted.slope < 100.0
    json.dumps(fitted.to_json(), allow_nan=False)


@given(st.data(), st.integers(2, 40))
@settings(deadline=None, max_examples=60)
def test_auc_is_the_share_of_pairs_in_the_right_order(data: st.DataObject, rows: int) -> None:
    p = data.draw(hnp.arrays(float, rows, elements=st.sampled_from([0.1, 0.3, 0.3, 0.5, 0.9])))
    label = data.draw(hnp.arrays(float, rows, elements=labels))
    ones, zeros = p[label == 1], p[label == 0]
    if len(ones) == 0 or len(zeros) == 0:
        assert np.isnan(auc(label, p))
        return
    ahead = (ones[:, None] > zeros).mean() + (ones[:, None] == zeros).mean() / 2
    assert auc(label, p) == pytest.approx(ahead)
