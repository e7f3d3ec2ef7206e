"""Planted rows for a use case that has no data yet: made up, of its task, and said to be so."""

from collections.abc import Sequence

import numpy as np

from pennant.declaration.model import UseCase
from pennant.gate.forecasts import Forecast
from pennant.gate.planted import PlantedRows
from pennant.training.losses import Floats
from pennant.training.members.distributions import poisson
from pennant.training.problem import Problem

ROWS, DAYS = 2_000, 250
FRESH = 300
SPREAD = 1.2
"""Standard deviation of the true logits: games between unequal teams."""
MEAN_COUNT, MOST = 5.0, 20
SLICE_SHARE = 0.2
WALK = 1.3
"""Metres per second, over steps of 0.4 s: people who walk."""


def synthetic_rows(use_case: UseCase, why: str) -> PlantedRows:
    """Rows of the use case's task, with made-up forecasts, slices and baselines.

    Args:
        use_case: with a gate.
        why: there are no rows of its own, one clause.
    """
    path = use_case.label.path
    problem = Problem(
        use_case.task,
        (),
        classes=len(use_case.label.classes) or 2,
        most=MOST if use_case.task == "count" else 0,
        steps=path.steps if path else 0,
    )
    required = [name for name, each in use_case.baselines.items() if each.required]
    coverage = use_case.training.interval_coverage
    return made_up(problem, required, list(use_case.gate.slices), why, coverage)


def made_up(
    problem: Problem,
    required: Sequence[str],
    slices: Sequence[str],
    why: str = "asked for",
    coverage: float = 0.9,
    seed: int = 7,
) -> PlantedRows:
    """2,000 rows on 250 days of unequal size; a slice is any fifth of them, a baseline a constant.

    A path's baseline is its true straight line, seen badly.
    """
    rng = np.random.default_rng(seed)
    edges = np.cumsum(1.0 / np.arange(1, DAYS + 1) ** 0.5)
    day = np.sort(rng.permutation(DAYS)[np.searchsorted(edges / edges[-1], (np.arange(ROWS) + 0.5) / ROWS)])
    event_time = np.datetime64("2024-01-01T18:00", "us") + day.astype("timedelta64[D]")
    forecast, residual, constant = _forecasts(problem, rng)
    everyone = np.ones(ROWS, dtype=bool)
    return PlantedRows(
        source="synthetic",
        about=f"{ROWS:,} made-up rows on {len(np.unique(day))} days ({why})",
        problem=problem,
        event_time=event_time,
        forecast=forecast,
        residual=residual,
        baselines={name: Forecast(everyone, constant) for name in required},
        slices={name: rng.random(ROWS) < SLICE_SHARE for name in slices},
        coverage=coverage,
        fresh=FRESH,
    )


def _forecasts(problem: Problem, rng: np.random.Generator) -> tuple[Floats, Floats | None, Floats]:
    """Forecasts, residuals, and what a baseline says."""
    if problem.task == "binary":
        p = 1 / (1 + np.exp(-SPREAD * rng.standard_normal(ROWS)))
        return p, None, np.full(ROWS, p.mean())
    if problem.task == "multiclass":
        weight = np.exp(rng.standard_normal((ROWS, problem.classes)))
        chances = weight / weight.sum(axis=1, keepdims=True)
        return chances, None, np.repeat(chances.mean(axis=0)[None], ROWS, axis=0)
    if problem.task == "count":
        counts = poisson(MEAN_COUNT * np.exp(0.3 * rng.standard_normal(ROWS)), problem.most)
        return counts, None, np.repeat(counts.mean(axis=0)[None], ROWS, axis=0)
    if problem.task == "regression":
        number = rng.standard_normal(ROWS)
        return number, rng.standard_normal(ROWS), np.full(ROWS, number.mean())
    return _paths(problem.steps, rng)


def _paths(steps: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Straight walks whose turns nobody foresees."""
    step = np.arange(1, steps + 1)
    heading = rng.uniform(0, 2 * np.pi, ROWS)
    speed = 0.4 * WALK * np.exp(0.2 * rng.standard_normal(ROWS))

    def straight(pace: Floats) -> Floats:
        both = np.stack([np.cos(heading), np.sin(heading)], axis=1) * pace[:, None]
        return np.asarray((both[:, None, :] * step[None, :, None]).reshape(ROWS, 2 * steps))

    turn = rng.standard_normal((ROWS, 1, 2)) * 0.08 * step[None, :, None]
    wobble = 0.05 * rng.standard_normal((ROWS, steps, 2)).cumsum(axis=1)
    badly = straight(speed * np.exp(0.3 * rng.standard_normal(ROWS)))
    return straight(speed), (turn + wobble).reshape(ROWS, 2 * steps), badly
