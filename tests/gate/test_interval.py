"""Losses, clustered intervals and calibration, against brute force and hand-made numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from pennant.gate.calibration import calibration
from pennant.gate.interval import area_under_curve
from pennant.gate.tables import BINARY
from pennant.training.clustered import _freedom, clustered_mean
from pennant.training.metrics import by_row

VALUES = arrays(np.float64, 60, elements=st.floats(-10, 10))


def days_of(sizes: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)).astype("datetime64[D]"), sizes)


def test_losses_and_auc_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    label = (rng.random(300) < 0.4).astype(float)
    p = np.round(rng.random(300), 2).clip(0.01, 0.99)
    assert by_row("log_loss", BINARY, label, p).mean() == pytest.approx(log_loss(label, p))
    assert by_row("brier", BINARY, label, p).mean() == pytest.approx(brier_score_loss(label, p))
    assert area_under_curve(label, p) == pytest.approx(roc_auc_score(label, p))


@given(VALUES)
@settings(max_examples=40, deadline=None)
def test_the_variance_is_that_of_leaving_one_day_out(values: np.ndarray) -> None:
    days = days_of([30, 15, 8, 5, 2])
    found = clustered_mean(values, days, 0.05)
    left_out = np.array([values[days != day].mean() for day in np.unique(days)])
    error = np.sqrt(np.sum((left_out - values.mean()) ** 2))
    assert found.low is not None
    reach = stats.t.ppf(0.95, found.degrees_of_freedom) * error
    assert found.mean - found.low == pytest.approx(reach, abs=1e-9)


def test_with_one_row_a_day_it_is_nearly_the_plain_t_interval() -> None:
    values = np.random.default_rng(2).normal(size=200)
    found = clustered_mean(values, days_of([1] * 200), 0.05)
    plain = stats.t.interval(0.9, 199, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(plain, rel=0.01)
    assert found.degrees_of_freedom == pytest.approx(199)


def test_equal_days_have_as_many_degrees_of_freedom_as_days_less_one_and_unequal_ones_fewer() -> None:
    values = np.random.default_rng(2).normal(size=60)
    assert clustered_mean(values, days_of([10] * 6), 0.05).degrees_of_freedom == pytest.approx(5)
    assert clustered_mean(values, days_of([50, 2, 2, 2, 2, 2]), 0.05).degrees_of_freedom < 2


def test_rows_that_repeat_within_days_do_not_count_as_news() -> None:
    values = np.random.default_rng(4).normal(size=30)
    single = clustered_mean(values, days_of([1] * 30), 0.05)
    copied = clustered_mean(np.repeat(values, 8), days_of([8] * 30), 0.05)
    assert (copied.low, copied.high) == pytest.approx((single.low, single.high))


def test_one_day_gives_a_mean_and_no_interval() -> None:
    found = clustered_mean(np.array([1.0, 2.0]), days_of([2]), 0.05)
    assert (found.mean, found.low, found.high) == (1.5, None, None)


@given(VALUES, VALUES, st.floats(-5, 5))
@settings(max_examples=40, deadline=None)
def test_a_constant_added_to_both_losses_changes_nothing(
    ours: np.ndarray, theirs: np.ndarray, constant: float
) -> None:
    days = days_of([12] * 5)
    plain = clustered_mean(theirs - ours, days, 0.05)
    moved = clustered_mean((theirs + constant) - (ours + constant), days, 0.05)
    assert (moved.mean, moved.low, moved.high) == pytest.approx((plain.mean, plain.low, plain.high), abs=1e-9)


def test_calibration_error_of_a_hand_made_case() -> None:
    prediction = np.repeat([0.2, 0.8], 30)
    label = np.concatenate([np.ones(9), np.zeros(21), np.ones(21), np.zeros(9)])
    found = calibration(label, prediction)
    assert [each.rows for each in found.bins] == [30, 30]
    assert found.error == pytest.approx(0.1)


def test_a_calibrated_forecaster_shows_the_error_that_chance_predicts() -> None:
    rng = np.random.default_rng(5)
    found = []
    for _ in range(150):
        p = rng.random(300)
        found.append(calibration((rng.random(300) < p).astype(float), p))
    mean = np.mean([each.error for each in found])
    assert mean == pytest.approx(np.mean([each.chance for each in found]), rel=0.1)


def test_calibration_does_not_depend_on_the_order_of_rows_with_equal_predictions() -> None:
    rng = np.random.default_rng(6)
    p, y = np.round(rng.random(100), 1), (rng.random(100) < 0.5).astype(float)
    turn = rng.permutation(100)
    assert calibration(y, p).error == pytest.approx(calibration(y[turn], p[turn]).error, abs=1e-12)


@given(st.lists(st.integers(1, 10), min_size=1, max_size=8), st.sampled_from([10**2, 10**4, 10**6, 10**8]))
@settings(max_examples=60, deadline=None)
def test_one_day_with_all_but_a_few_rows_has_an_interval_as_wide_as_one_day_allows(
    few: list[int], most: int
) -> None:
    share = np.array([most, *few]) / (most + sum(few))
    assert 1.0 <= _freedom(share) <= len(few) + 1e-3
