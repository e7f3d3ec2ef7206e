"""Each kind of member learns what was planted, for every task it knows; equal inputs give equal bytes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import poisson as reference

from pennant.declaration.parameters import PARAMETERS, TASKS
from pennant.training.errors import ColumnsMissing, LabelNotAllowed, LabelNotBinary, OneClass
from pennant.training.losses import Floats, expit
from pennant.training.members.distributions import poisson
from pennant.training.members.kinds import KINDS
from pennant.training.problem import Problem, check_labels, require_variety, row_losses

ROWS = 6_000
NAMES = ("a", "b", "noise")


def planted(task: str, seed: int = 1, rows: int = ROWS) -> tuple[Problem, Floats, Floats, Floats]:
    """Problem, features, labels, and the true prediction."""
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(rows, 3))
    score = 0.8 * x[:, 0] - 0.5 * x[:, 1]
    if task == "binary":
        truth = expit(score)
        return Problem("binary", NAMES), x, (stream.random(rows) < truth).astype(float), truth
    if task == "multiclass":
        raised = np.exp(np.column_stack([score, np.zeros(rows), -score]))
        truth = raised / raised.sum(axis=1, keepdims=True)
        y = (stream.random(rows)[:, None] > np.cumsum(truth, axis=1)).sum(axis=1).astype(float)
        return Problem("multiclass", NAMES, classes=3), x, y, truth
    if task == "count":
        y = stream.poisson(np.exp(1.0 + 0.5 * score)).astype(float)
        problem = Problem("count", NAMES, most=int(y.max()) + 10)
        return problem, x, y, poisson(np.exp(1.0 + 0.5 * score), problem.most)
    return Problem("regression", NAMES), x, score + stream.normal(size=rows), score


def fitted(kind: str, problem: Problem, x: Floats, y: Floats):
    chosen = {name: each.default for name, each in PARAMETERS[kind].items()}
    return KINDS[kind].fit(x, y, np.ones(len(y)), chosen, 7, problem)


LEARNING = [
    (kind, task)
    for kind, tasks in TASKS.items()
    for task in tasks
    if kind not in {"column", "constant_velocity", "path_residual", "transformer"}
]


@pytest.mark.parametrize(("kind", "task"), LEARNING)
def test_most_of_what_can_be_known_is_learned(kind: str, task: str) -> None:
    problem, x, y, _ = planted(task)
    _, later, unseen, truth = planted(task, seed=2)
    model = fitted(kind, problem, x, y)
    if task == "count":
        truth = np.pad(truth, ((0, 0), (0, max(problem.most + 1 - truth.shape[1], 0))))[:, : problem.most + 1]
    found = model.predict(later)
    assert found.shape == truth.shape
    if problem.outcomes and task != "binary":
        assert found.sum(axis=1) == pytest.approx(1.0)
    ignorant = np.repeat(truth.mean(axis=0)[None], len(unseen), axis=0)
    worst, best, mine = (row_losses(problem, unseen, p).mean() for p in (ignorant, truth, found))
    assert (worst - mine) / (worst - best) > 0.85


@pytest.mark.parametrize(("kind", "task"), LEARNING)
def test_equal_inputs_give_equal_bytes_and_gaps_are_taken(kind: str, task: str) -> None:
    problem, x, y, _ = planted(task, rows=400)
    x[::5, 1] = np.nan
    one, other = (fitted(kind, problem, x, y) for _ in range(2))
    assert one.content() == other.content()
    assert np.isfinite(one.predict(np.full((3, 3), np.nan))).all()


def test_constant_and_missing_columns_and_two_rows_alike_break_no_linear_member() -> None:
    problem, x, y, _ = planted("binary", rows=200)
    x[:, 1], x[:, 2] = 3.0, np.nan
    x[100:], y[100:] = x[:100], y[:100]
    assert np.isfinite(fitted("logistic", problem, x, y).predict(x)).all()


def test_splines_follow_a_bend_that_no_line_follows() -> None:
    stream = np.random.default_rng(4)
    x = stream.uniform(-3, 3, size=(8_000, 1))
    truth = expit(2.0 - np.square(x[:, 0]))
    y = (stream.random(8_000) < truth).astype(float)
    problem = Problem("binary", ("x",))
    straight, bent = (
        KINDS["logistic"].fit(x, y, np.ones(8_000), {"c": 1.0, "knots": knots}, 0, problem).predict(x)
        for knots in (0, 6)
    )
    assert np.abs(bent - truth).mean() < 0.03
    assert np.abs(straight - truth).mean() > 0.2


def test_a_forecast_in_a_column_is_taken_as_it_is() -> None:
    problem, x, y, truth = planted("multiclass")
    x = np.hstack([x, truth])
    problem = replace(problem, names=(*NAMES, "p0", "p1", "p2"), columns=("p0", "p1", "p2"))
    model = fitted("column", problem, x, y)
    assert model.predict(x) == pytest.approx(truth)
    x[0, 3] = np.nan
    assert model.predict(x)[0] == pytest.approx([(y == each).mean() for each in range(3)])


def test_a_forecast_in_a_column_that_does_not_exist_is_refused() -> None:
    problem, x, y, _ = planted("binary", rows=100)
    with pytest.raises(ColumnsMissing):
        fitted("column", replace(problem, columns=("market",)), x, y)


def test_the_last_column_of_a_count_holds_all_that_is_more() -> None:
    made = poisson(np.array([0.0, 2.5, 40.0]), 10)
    assert made.sum(axis=1) == pytest.approx(1.0)
    assert made[1, :10] == pytest.approx(reference.pmf(np.arange(10), 2.5))
    assert made[2, 10] == pytest.approx(reference.sf(9, 40.0))


@pytest.mark.parametrize(
    ("task", "label", "error"),
    [
        ("binary", 2.0, LabelNotBinary),
        ("multiclass", 3.0, LabelNotAllowed),
        ("count", -1.0, LabelNotAllowed),
        ("count", 1.5, LabelNotAllowed),
        ("regression", float("inf"), LabelNotAllowed),
    ],
)
def test_a_label_that_the_task_does_not_know_is_refused(task: str, label: float, error: type) -> None:
    problem, _, y, _ = planted(task, rows=50)
    y[3] = label
    with pytest.raises(error):
        check_labels(problem, y)


def test_a_class_without_a_row_is_refused_by_its_number() -> None:
    with pytest.raises(OneClass) as refused:
        require_variety(Problem("multiclass", (), classes=3), np.array([0.0, 2.0, 0.0]), "here")
    assert refused.value.absent == [1]
