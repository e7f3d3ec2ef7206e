"""By kind of task: how a signal moves a forecast, what an honest forecaster says, how labels are drawn.

Signals have the unit of the task's link: logits for two or more outcomes (for several along a contrast of
each row's own), deviations of its own distribution for a count, the typical residual for a number, and for a
path the typical residual of its last step, growing in a straight line from the first step.
"""

from functools import cache
from typing import Protocol, override

import numpy as np

from pennant.gate.planted import Places, PlantedRows
from pennant.training.losses import Floats, expit
from pennant.training.metrics import by_row
from pennant.training.problem import Problem

NODES = 7
"""Points of the Gauss-Hermite quadrature over what a forecaster does not see."""
NEVER = 1e-6
"""No outcome is taken for less likely than this."""


class Link(Protocol):
    """What the worlds need to know of a task. N rows, each at a place of the planted rows."""

    problem: Problem
    width: int
    """Numbers of a signal for one row: 2 for paths, else 1."""

    def forecast(self, at: Places, seen: Floats, unseen: float) -> Floats:
        """The honest prediction given the signal `seen`, (N, width); `unseen` is the other's deviation."""

    def redraw(
        self, at: Places, signal: Floats, shift: float, flips: Floats, rng: np.random.Generator
    ) -> Floats:
        """Labels of the truth with this signal; `shift` moves the level, `flips` (N,) are -1 or 1."""

    def level(self) -> Floats:
        """How high each planted row is, (n,): what `shift` moves."""

    def interval(self, at: Places, p: Floats, unseen: float) -> tuple[Floats, Floats, float] | None:
        """Lower and upper ends around predictions, and the share of labels inside.

        None where the gate judges no intervals.
        """

    def leaked(self, label: Floats) -> Floats:
        """Predictions that have all but seen the label."""

    def expected(self, metric: str, at: Places, seen: float, unseen: float, wrong: float = 0.0) -> Floats:
        """Expected loss of a forecaster that sees `seen` and misses `unseen` (deviations), (N,).

        `wrong` adds to what it sees an error of this size, up or down, that it takes for truth.
        """


def link_of(planted: PlantedRows) -> Link:
    """The link of the rows' task."""
    if planted.problem.task in {"regression", "trajectory"}:
        return Residual(planted)
    return Tilted(planted)


class Tilted(Link):
    """Outcomes with probabilities, tilted: p(c) exp(signal * direction(c)), made to sum to 1."""

    width = 1

    def __init__(self, planted: PlantedRows) -> None:
        self.problem, self.coverage = planted.problem, planted.coverage
        p = planted.forecast
        if self.problem.task == "binary":
            p = np.stack([1 - p, p], axis=1)
        p = np.clip(p, NEVER, 1.0)
        self._logs = np.log(p / p.sum(axis=1, keepdims=True))
        self._direction = _directions(self.problem, np.exp(self._logs))

    @override
    def forecast(self, at: Places, seen: Floats, unseen: float) -> Floats:
        if self.problem.task == "binary":
            return self._binary(at, seen[:, 0], unseen)
        p = np.zeros((len(at), self._logs.shape[1]))
        for node, weight in zip(*quadrature(), strict=True):
            p += weight * self._truth(at, seen[:, 0] + unseen * node)
            if not unseen:
                return self._shaped(p / weight)
        return self._shaped(p)

    @override
    def redraw(
        self, at: Places, signal: Floats, shift: float, flips: Floats, rng: np.random.Generator
    ) -> Floats:
        p = self._truth(at, signal[:, 0], shift)
        rises = np.cumsum(p, axis=1)[:, :-1]
        return np.asarray((rng.random(len(at))[:, None] > rises).sum(axis=1), dtype=np.float64)

    @override
    def level(self) -> Floats:
        return np.asarray(np.exp(self._logs) @ np.arange(self._logs.shape[1]), dtype=np.float64)

    @override
    def interval(self, at: Places, p: Floats, unseen: float) -> tuple[Floats, Floats, float] | None:
        if self.problem.task != "count":
            return None
        rises, tail = np.cumsum(p, axis=1), (1 - self.coverage) / 2
        low, high = (rises < tail).sum(axis=1), (rises < 1 - tail).sum(axis=1)
        rows = np.arange(len(p))
        inside = rises[rows, high] - np.where(low > 0, rises[rows, np.maximum(low, 1) - 1], 0.0)
        # Counts come in steps: the share inside is what these intervals promise, not what was asked for.
        return low.astype(np.float64), high.astype(np.float64), float(np.clip(inside.mean(), 0.0, 1 - NEVER))

    @override
    def leaked(self, label: Floats) -> Floats:
        outcomes = self._logs.shape[1]
        p = np.full((len(label), outcomes), 0.02 / (outcomes - 1))
        p[np.arange(len(label)), label.astype(np.int64)] = 0.98
        return self._shaped(p)

    @override
    def expected(self, metric: str, at: Places, seen: float, unseen: float, wrong: float = 0.0) -> Floats:
        found = np.zeros(len(at))
        for node, weight in zip(*quadrature(), strict=True):
            known = np.full((len(at), 1), seen * node)
            honest = self._wide(self.forecast(at, known, unseen))
            for sign in (-1.0, 1.0) if wrong else (0.0,):
                said = self.forecast(at, known + sign * wrong, unseen) if wrong else self._shaped(honest)
                found += weight / (2 if wrong else 1) * self._mean_loss(metric, honest, said)
        return found

    def _mean_loss(self, metric: str, chance: Floats, said: Floats) -> Floats:
        losses = [
            by_row(metric, self.problem, np.full(len(said), float(outcome)), said)
            for outcome in range(chance.shape[1])
        ]
        return np.asarray((chance * np.stack(losses, axis=1)).sum(axis=1), dtype=np.float64)

    def _truth(self, at: Places, signal: Floats, shift: float = 0.0) -> Floats:
        z = self._logs[at] + signal[:, None] * self._direction[at]
        if shift:
            z = z + shift * self._upward(at)
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        return np.asarray(z / z.sum(axis=1, keepdims=True), dtype=np.float64)

    def _binary(self, at: Places, seen: Floats, unseen: float) -> Floats:
        """`forecast` for two outcomes, which is most of the work: by one exponential a node."""
        z = (self._logs[:, 1] - self._logs[:, 0])[at] + seen
        if not unseen:
            return expit(z)
        return sum((w * expit(z + unseen * x) for x, w in zip(*quadrature(), strict=True)), np.zeros(len(z)))

    def _upward(self, at: Places) -> Floats:
        """What raises the level: for a count its own direction, else later outcomes over earlier ones."""
        if self.problem.task == "count":
            return self._direction[at]
        outcomes = self._logs.shape[1]
        return np.asarray(np.arange(outcomes) / (outcomes - 1), dtype=np.float64)

    def _shaped(self, p: Floats) -> Floats:
        return np.ascontiguousarray(p[:, 1]) if self.problem.task == "binary" else p

    def _wide(self, p: Floats) -> Floats:
        return np.stack([1 - p, p], axis=1) if p.ndim == 1 else p


class Residual(Link):
    """Numbers and paths: the forecast plus signals plus the row's own residual, turned round by chance.

    Turning residuals round makes their mean and their median 0, so that one honest forecast is the best by
    squared error, absolute error and distance alike; each row keeps its own spread.
    """

    def __init__(self, planted: PlantedRows) -> None:
        if planted.residual is None:
            raise ValueError(f"planted rows of a {planted.problem.task} need residuals")
        self.problem, self.coverage = planted.problem, planted.coverage
        self._forecast, self._residual = planted.forecast, planted.residual
        path = self.problem.task == "trajectory"
        self.width = 2 if path else 1
        last = self._residual[:, -2:] if path else self._residual
        self._scale = float(np.sqrt(np.mean(np.square(last)))) or 1.0
        steps = np.arange(1, self.problem.steps + 1) / self.problem.steps if path else np.ones(1)
        self._rise = np.repeat(steps, self.width)

    @override
    def forecast(self, at: Places, seen: Floats, unseen: float) -> Floats:
        return np.asarray(self._forecast[at] + self._moved(seen), dtype=np.float64)

    @override
    def redraw(
        self, at: Places, signal: Floats, shift: float, flips: Floats, rng: np.random.Generator
    ) -> Floats:
        turned = self._residual[at] * (flips[:, None] if self.width == 2 else flips)
        return np.asarray(self._forecast[at] + self._moved(signal + shift) + turned, dtype=np.float64)

    @override
    def level(self) -> Floats:
        return self._forecast[:, -2] if self.width == 2 else self._forecast

    @override
    def interval(self, at: Places, p: Floats, unseen: float) -> tuple[Floats, Floats, float] | None:
        reach = self._reach(unseen)
        if self.width == 2:
            radii = np.repeat(reach[None], len(p), axis=0)
            return radii, radii, self.coverage
        return p - reach[0], p + reach[0], self.coverage

    @override
    def leaked(self, label: Floats) -> Floats:
        return np.asarray(label + 1e-3 * self._scale, dtype=np.float64)

    @override
    def expected(self, metric: str, at: Places, seen: float, unseen: float, wrong: float = 0.0) -> Floats:
        found = np.zeros(len(at))
        nodes, weights = quadrature()
        nothing = np.zeros_like(self._residual[at])
        flat = [(np.array([node]), weight) for node, weight in zip(nodes, weights, strict=True)]
        if self.width == 2:
            flat = [(np.array([x[0], y[0]]), v * w) for x, v in flat for y, w in flat]
        for point, weight in flat:
            for sign in (-1.0, 1.0) if wrong else (0.0,):
                off = self._moved(unseen * point[None] - sign * wrong)
                missed = self._residual[at] + (off if self.width == 2 else off[0])
                found += weight / (2 if wrong else 1) * by_row(metric, self.problem, missed, nothing)
        return found

    def _moved(self, signal: Floats) -> Floats:
        """Signals, (N, width), in the label's unit and shape."""
        if self.width == 1:
            return np.asarray(self._scale * signal[:, 0], dtype=np.float64)
        return np.asarray(self._scale * np.tile(signal, self.problem.steps) * self._rise, dtype=np.float64)

    def _reach(self, unseen: float) -> Floats:
        """How far from an honest forecast the declared share of labels lies, at most: (1,) or (steps,)."""
        rng = np.random.default_rng(0)
        at = np.resize(np.arange(len(self._residual)), max(len(self._residual), 6000))
        off = self._moved(unseen * rng.standard_normal((len(at), self.width)))
        missed = self._residual[at] + off
        if self.width == 1:
            return np.quantile(np.abs(missed), [self.coverage])
        apart = missed.reshape(len(at), -1, 2)
        return np.asarray(np.quantile(np.hypot(apart[..., 0], apart[..., 1]), self.coverage, axis=0))


@cache
def quadrature() -> tuple[Floats, Floats]:
    """Points and weights of the mean over a standard normal number."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return nodes, weights / weights.sum()


def _directions(problem: Problem, p: Floats) -> Floats:
    """(n, outcomes): what a signal of 1 adds to the logs of the chances."""
    n, outcomes = p.shape
    if problem.task == "binary":
        return np.tile([0.0, 1.0], (n, 1))
    if problem.task == "count":
        counts = np.arange(outcomes)
        mean = p @ counts
        deviation = np.sqrt(np.maximum((p * np.square(counts - mean[:, None])).sum(axis=1), NEVER))
        return np.asarray((counts - mean[:, None]) / deviation[:, None], dtype=np.float64)
    contrast = np.random.default_rng(0).standard_normal((n, outcomes))
    contrast -= contrast.mean(axis=1, keepdims=True)
    return np.asarray(contrast / contrast.std(axis=1, keepdims=True), dtype=np.float64)
