"""Members of every kind and task, fitted by training on small planted data."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pennant.declaration.parameters import PARAMETERS
from pennant.training.members.base import FittedMember
from pennant.training.members.kinds import KINDS
from pennant.training.problem import Problem
from pennant_serving.arrays import Floats
from pennant_serving.manifest import Input, Outcome
from pennant_serving.members.base import MemberModel
from pennant_serving.scorer import load_member

STEPS = 7
CLASSES = ["home", "draw", "away"]
PLAIN = ("home", "draw", "away", "rest")
WALK = (
    "position_x", "position_y", "back_x_1", "back_y_1", "back_x_2", "back_y_2", "back_x_3", "back_y_3",
    "speed", "turn", "crowd_ahead", "crowd_left", "heading_cos", "heading_sin",
)  # fmt: skip
END = tuple(f"end_{axis}_{step}" for step in range(1, STEPS + 1) for axis in ("x", "y"))
ROUNDS = {"n_estimators": 12, "max_depth": 3}


@dataclass(frozen=True)
class Case:
    """A kind of member for a task, with hyper-parameters that differ from the defaults."""

    kind: str
    task: str
    parameters: tuple[tuple[str, float], ...] = ()
    shape: str = "narrow"

    def __str__(self) -> str:
        return f"{self.kind}-{self.task}-{self.shape}-{len(self.parameters)}"


CASES = [
    *(
        Case("xgboost", task, tuple(ROUNDS.items()))
        for task in ("binary", "multiclass", "count", "regression")
    ),
    *(Case("logistic", task, knots) for task in ("binary", "multiclass") for knots in ((), (("knots", 4),))),
    Case("ridge", "regression"),
    *(Case("column", task, (("sharpness", 1.3),)) for task in ("binary", "multiclass", "count")),
    *(Case("column", task) for task in ("regression", "trajectory")),
    *(Case("poisson", "count", (("knots", 3),), shape) for shape in ("narrow", "wide", "poisson")),
    *(Case("trees_count", "count", tuple(ROUNDS.items()), shape) for shape in ("narrow", "wide")),
    Case("constant_velocity", "trajectory"),
    Case("path_residual", "trajectory", (("n_estimators", 8), ("max_depth", 3))),
]


@dataclass(frozen=True)
class Fitted:
    """A member as training has it and as serving reads it, with rows that neither was fitted on."""

    case: Case
    problem: Problem
    trained: FittedMember
    served: MemberModel
    rows: Floats
    inputs: list[Input]
    outcome: Outcome
    content: bytes


def names_of(task: str) -> tuple[str, ...]:
    return (*WALK, *END) if task == "trajectory" else PLAIN


def inputs_of(task: str) -> list[Input]:
    wide = {"dtype": "float64", "unit": "x", "low": -1e6, "high": 1e6}
    needed = {"position_x", "position_y"}
    return [
        Input.model_validate({"name": name, **wide, "missing": "refuse" if name in needed else "allow"})
        for name in names_of(task)
    ]


def outcome_of(problem: Problem) -> Outcome:
    if problem.task == "multiclass":
        return Outcome(classes=CLASSES)
    return Outcome(most=problem.most, steps=problem.steps)


def rows_of(task: str, count: int, seed: int) -> Floats:
    """Features with gaps; `home`, `draw` and `away` are shares."""
    generator = np.random.default_rng(seed)
    if task == "trajectory":
        return _walks(generator, count)
    shares = generator.dirichlet([4, 3, 3], count)
    rows = np.column_stack([shares, generator.normal(size=count) * 3])
    rows[generator.random(rows.shape) < 0.06] = np.nan
    return rows


def _walks(generator: np.random.Generator, count: int) -> Floats:
    here, speed = generator.normal(size=(count, 2)) * 8, generator.normal(size=(count, 2)) * 0.6
    speed[::11] = 0.0
    backs = [-speed * k + generator.normal(size=(count, 2)) * 0.03 * k for k in (1, 2, 3)]
    backs[0][::11] = 0.0
    more = generator.normal(size=(count, 6))
    ends = [here + speed * k + generator.normal(size=(count, 2)) * 0.1 for k in range(1, STEPS + 1)]
    rows = np.column_stack([here, *backs, more, *ends])
    rows[5::13, 6:8] = np.nan
    rows[7::17, 2:8] = np.nan
    rows[3::19, 10] = np.nan
    return rows


def labels_of(task: str, rows: Floats, seed: int, shape: str = "narrow") -> Floats:
    generator, filled = np.random.default_rng(seed), np.nan_to_num(rows)
    lift = filled[:, 0] - filled[:, 2] + 0.1 * filled[:, -1]
    if task == "binary":
        return (generator.random(len(rows)) < 1 / (1 + np.exp(-3 * lift))).astype(np.float64)
    if task == "multiclass":
        return np.clip(np.round(1 - 2 * lift + generator.normal(size=len(rows)) * 0.5), 0, 2)
    if task == "count":
        mean = np.exp(1.4 + 0.5 * lift)
        drawn = {"wide": generator.negative_binomial(2, 2 / (2 + mean)), "poisson": generator.poisson(mean)}
        return drawn.get(shape, np.round(mean + generator.normal(size=len(rows)) * 0.6).clip(0)).astype(float)
    if task == "regression":
        return 5 + 40 * lift + generator.normal(size=len(rows))
    steps = np.arange(1, STEPS + 1)[None, :, None]
    paths = filled[:, None, 0:2] - filled[:, None, 2:4] * steps + 0.02 * steps**2 * filled[:, None, 10:12]
    return (paths + generator.normal(size=paths.shape) * 0.05).reshape(len(rows), -1)


def problem_of(task: str, y: Floats) -> Problem:
    columns = {"multiclass": ("home", "draw", "away"), "trajectory": END}.get(task, ("home",))
    made: dict[str, Any] = {"names": names_of(task), "columns": columns}
    if task == "count":
        made["most"] = int(y.max()) + 10
    if task == "multiclass":
        made["classes"] = 3
    if task == "trajectory":
        made["steps"] = STEPS
    return Problem(task, **made)  # type: ignore[arg-type]


@cache
def fitted(case: Case, seed: int = 1) -> Fitted:
    x = rows_of(case.task, 400, seed)
    y = labels_of(case.task, x, seed, case.shape)
    problem = problem_of(case.task, y)
    defaults = {name: each.default for name, each in PARAMETERS[case.kind].items()}
    chosen = {
        name: int(value) if PARAMETERS[case.kind][name].whole else value
        for name, value in {**defaults, **dict(case.parameters)}.items()
    }
    member = KINDS[case.kind].fit(x, y, np.linspace(0.5, 1.0, len(x)), chosen, 3, problem)
    inputs, outcome, content = inputs_of(case.task), outcome_of(problem), member.content()
    served = load_member(case.kind, "members/it", content, inputs, problem.task, outcome)
    rows = rows_of(case.task, 120, seed + 100)
    return Fitted(case, problem, member, served, rows, inputs, outcome, content)
