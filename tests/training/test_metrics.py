"""Metrics against hand calculations, scikit-learn, and what makes them proper."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from pennant.declaration.parameters import METRICS
from pennant.training.members.distributions import poisson
from pennant.training.metrics import (
    MAIN,
    average_precision,
    brier_parts,
    by_row,
    metrics,
    of_samples,
)
from pennant.training.problem import Problem

THREE = Problem("multiclass", (), classes=3)


def test_rps_by_hand() -> None:
    p = np.array([[0.5, 0.3, 0.2]])
    # Home: (0.5 - 1)^2 + (0.8 - 1)^2; draw: 0.5^2 + (0.8 - 1)^2; away: 0.5^2 + 0.8^2; each halved.
    for outcome, wanted in ((0.0, 0.145), (1.0, 0.145), (2.0, 0.445)):
        assert by_row("rps", THREE, np.array([outcome]), p) == pytest.approx([wanted])


def test_crps_of_a_count_by_its_other_definition() -> None:
    # Gneiting and Raftery 2007, formula 21: E|X - y| - E|X - X'| / 2.
    most, mean, y = 60, 4.2, 7.0
    p = poisson(np.array([mean]), most)
    counts = np.arange(most + 1)
    apart = np.abs(counts[:, None] - counts)
    wanted = p[0] @ np.abs(counts - y) - p[0] @ apart @ p[0] / 2
    assert by_row("crps", Problem("count", (), most=most), np.array([y]), p) == pytest.approx([wanted])


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=2, max_size=60))
def test_average_precision_is_that_of_the_field(rows: list[tuple[float, bool]]) -> None:
    p = np.array([each for each, _ in rows])
    y = np.array([float(each) for _, each in rows])
    if y.any():
        assert average_precision(y, p) == pytest.approx(average_precision_score(y, p))


def test_the_parts_of_the_brier_score_add_up_where_forecasts_are_few() -> None:
    stream = np.random.default_rng(3)
    p = np.repeat(np.arange(0.05, 1.0, 0.1), 500)
    y = (stream.random(5_000) < p).astype(float)
    parts = brier_parts(y, p)
    score = float(np.square(y - p).mean())
    assert parts["reliability"] - parts["resolution"] + parts["uncertainty"] == pytest.approx(score, abs=1e-9)
    assert parts["reliability"] < 0.002


@pytest.mark.parametrize("task", sorted(METRICS))
def test_the_truth_beats_every_other_forecast_by_every_paired_metric(task: str) -> None:
    stream = np.random.default_rng(5)
    rows = 20_000
    if task == "binary":
        problem, truth = Problem("binary", ()), stream.uniform(0.1, 0.9, rows)
        y, other = (stream.random(rows) < truth).astype(float), np.clip(truth * 1.3, 0.0, 0.99)
    elif task == "multiclass":
        problem, truth = THREE, stream.dirichlet((3, 2, 2), rows)
        y = (stream.random(rows)[:, None] > np.cumsum(truth, axis=1)).sum(axis=1).astype(float)
        other = 0.7 * truth + 0.3 / 3
    elif task == "count":
        problem = Problem("count", (), most=40)
        truth, other = poisson(np.full(rows, 5.0), 40), poisson(np.full(rows, 6.0), 40)
        y = stream.poisson(5.0, rows).astype(float)
    elif task == "regression":
        problem, truth = Problem("regression", ()), stream.normal(size=rows)
        y, other = truth + stream.normal(size=rows), truth * 0.5
    else:
        problem, truth = Problem("trajectory", (), steps=3), stream.normal(size=(rows, 6))
        y, other = truth + stream.normal(size=(rows, 6)), truth + 0.5
    for metric in METRICS[task]:
        assert by_row(metric, problem, y, truth).mean() < by_row(metric, problem, y, other).mean(), metric
    found = metrics(problem, y, truth)
    assert MAIN[task] in found
    assert all(np.isfinite(value) for value in found.values())


def test_a_single_path_has_its_own_error_as_energy_score_and_breadth_alone_costs() -> None:
    stream = np.random.default_rng(6)
    y = stream.normal(size=(4_000, 6))
    sure = of_samples(y, np.zeros((4_000, 1, 6)))
    ade = by_row("ade", Problem("trajectory", (), steps=3), y, np.zeros((4_000, 6)))
    assert sure["energy_score"] == pytest.approx(ade)
    assert sure["best_ade"] == pytest.approx(ade)
    right, wide = (of_samples(y, width * stream.normal(size=(4_000, 20, 6))) for width in (1.0, 6.0))
    assert right["energy_score"].mean() < sure["energy_score"].mean()
    assert right["energy_score"].mean() < wide["energy_score"].mean()
