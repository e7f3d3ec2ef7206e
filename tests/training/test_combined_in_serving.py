"""What training makes of its members' predictions, serving makes of them, too."""

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from pydantic import TypeAdapter

from pennant.training.losses import Floats
from pennant.training.problem import Problem
from pennant.training.selection import Cut, Selected
from pennant.training.stacking import Stacked
from pennant_serving import combine as serving
from pennant_serving.manifest import Ensemble, Outcome

if TYPE_CHECKING:
    from pennant_serving.manifest import Manifest

BINARY = Problem("binary", ())


def drawn(problem: Problem, rows: int, rng: np.random.Generator) -> Floats:
    """A prediction of the problem's shape."""
    if problem.outcomes > 2 or problem.task == "multiclass":
        made = rng.dirichlet(np.full(problem.outcomes, 0.3), rows)
        return np.asarray(np.where(made < 1e-6, 0.0, made))
    if problem.task == "binary":
        return rng.random(rows)
    return rng.normal(size=rows if problem.task == "regression" else (rows, 2 * problem.steps))


@pytest.mark.parametrize(
    "problem",
    [
        BINARY,
        Problem("multiclass", (), classes=3),
        Problem("count", (), most=12),
        Problem("regression", ()),
        Problem("trajectory", (), steps=2),
    ],
    ids=lambda each: each.task,
)
def test_serving_makes_the_same_prediction_of_the_members(problem: Problem) -> None:
    rng = np.random.default_rng(11)
    x, made = rng.normal(size=(50, 2)), [drawn(problem, 50, rng) for _ in range(3)]
    x[::5, 0] = np.nan
    intercepts = {"binary": 1, "multiclass": 3, "regression": 1}.get(problem.task, 0)
    stacked = Stacked(problem, np.array([0.7, 0.0, 1.6]), rng.normal(size=intercepts))
    cuts = [Cut("zero", 1, float(x[3, 1]), None, None), Cut("low", 0, None, None, 0.4)]
    selected = Selected(cuts, rng.dirichlet(np.ones(3), 2), rng.dirichlet(np.ones(3)))
    outcome = {
        "classes": [str(each) for each in range(3)] if problem.task == "multiclass" else [],
        "most": problem.most,
        "steps": problem.steps,
    }
    for rule in (stacked, selected):
        manifest = SimpleNamespace(
            task=problem.task,
            outcome=Outcome.model_validate(outcome),
            ensemble=TypeAdapter(Ensemble).validate_json(json.dumps(rule.to_json())),
            members=[SimpleNamespace(weight=each) for each in rule.weights()],
        )
        served = serving.Combination(cast("Manifest", manifest))
        assert served.combine(made, served.weights(x)) == pytest.approx(rule.apply(made, x), abs=1e-9)
