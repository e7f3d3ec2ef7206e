"""Worlds with planted truth for the gate's certificate: who is better is known, because it was made so.

Rows fall on days of unequal size. The true probability of a row is sigmoid(z), z normal. A forecaster
sees z + error and says the probability that follows from it, so that an honest forecaster is calibrated
however large its error. Part of the error is shared by all rows of a day: paired differences are then
correlated within days, as they are when one model misreads an evening.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pennant.declaration.model import Gate
from pennant.gate.interval import Metric
from pennant.gate.tables import Floats, ScoreTable, Unscorable

SPREAD = 1.2
"""Standard deviation of the true logits: games between unequal teams."""
SMALL, MIDDLE, LARGE = 0.2, 0.8, 1.8
"""Standard deviations of a good, an average and a bad forecaster's error, in logits."""
DAY_SHARE = 0.2
"""Share of an error's variance that all rows of a day have in common."""
_CHUNK = 250


@dataclass(frozen=True)
class World:
    """One simulated judgement: what is handed to the judge."""

    challenger: ScoreTable | Unscorable
    champion: ScoreTable | Unscorable | None
    baselines: Mapping[str, ScoreTable]
    slices: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Draw:
    """The raw material of one world: n rows with truth, outcome and the day they fall on."""

    entity: NDArray[np.str_]
    event_time: NDArray[np.datetime64]
    z: Floats
    label: Floats
    day_noise: Floats
    row_noise: Floats
    slice_noise: Floats

    def forecast(self, who: int, error: float, day_share: float = DAY_SHARE, bias: float = 0.0) -> Floats:
        """Probabilities of forecaster number `who` (0 or 1) with this standard deviation of error."""
        noise = np.sqrt(day_share) * self.day_noise[who] + np.sqrt(1 - day_share) * self.row_noise[who]
        return honest(self.z + error * noise, error, bias)

    def table(self, name: str, prediction: Floats, bundle: str = "") -> ScoreTable:
        return ScoreTable(name, self.entity, self.event_time, self.label, prediction, bundle)


def draws(rows: int, count: int, seed: int) -> Iterator[Draw]:
    """`count` independent draws of `rows` rows on about rows/8 days of unequal size."""
    days = max(6, rows // 8)
    edges = np.cumsum(1.0 / np.arange(1, days + 1) ** 0.5)
    day = np.searchsorted(edges / edges[-1], (np.arange(rows) + 0.5) / rows)
    event_time = np.datetime64("2024-01-01T18:00", "us") + day.astype("timedelta64[D]")
    entity = np.array([f"row-{at:05d}" for at in range(rows)])
    rng = np.random.default_rng(seed)
    for start in range(0, count, _CHUNK):
        many = min(_CHUNK, count - start)
        z = SPREAD * rng.standard_normal((many, rows))
        label = (rng.random((many, rows)) < _sigmoid(z)).astype(np.float64)
        by_day = rng.standard_normal((many, 2, days))[:, :, day]
        by_row = rng.standard_normal((many, 2, rows))
        slices = rng.random((many, rows))
        for at in range(many):
            yield Draw(entity, event_time, z[at], label[at], by_day[at], by_row[at], slices[at])


def simple(draw: Draw, policy: Gate, baselines: tuple[str, ...], errors: tuple[float, float]) -> World:
    """A challenger and a champion with errors of these sizes; every baseline is the base rate."""
    constant = np.full(len(draw.label), 0.5)
    return World(
        draw.table("challenger", draw.forecast(0, errors[0]), "planted-challenger"),
        draw.table("champion", draw.forecast(1, errors[1]), "planted-champion"),
        {name: draw.table(name, constant) for name in baselines},
        dict.fromkeys(policy.slices, draw.slice_noise < 0.2),
    )


def with_champion(world: World, change: Callable[[ScoreTable], ScoreTable | Unscorable]) -> World:
    """The same world with another champion."""
    if not isinstance(world.champion, ScoreTable):
        raise TypeError(f"this world's champion is {world.champion!r}, not a score table")
    return replace(world, champion=change(world.champion))


def with_challenger(world: World, change: Callable[[ScoreTable], ScoreTable | Unscorable]) -> World:
    """The same world with another challenger."""
    if not isinstance(world.challenger, ScoreTable):
        raise TypeError(f"this world's challenger is {world.challenger!r}, not a score table")
    return replace(world, challenger=change(world.challenger))


def honest(seen: Floats, error: float, bias: float = 0.0) -> Floats:
    """P(label = 1) given a signal `seen` = z + error, plus a planted bias in logits.

    z given the signal is normal; the mean of sigmoid over it is taken by MacKay's (1992) approximation
    sigmoid(mean / sqrt(1 + pi variance / 8)).
    """
    trust = SPREAD**2 / (SPREAD**2 + error**2)
    variance = trust * error**2
    return _sigmoid(bias + trust * seen / np.sqrt(1 + np.pi * variance / 8))


def expected_loss(metric: Metric, error: float) -> float:
    """Mean loss of a forecaster with this error, by Gauss-Hermite quadrature over truth and error."""
    nodes, weights = _quadrature()
    z = SPREAD * nodes[:, None]
    p, truth = honest(z + error * nodes[None, :], error), _sigmoid(z)
    if metric == "brier":
        loss = truth * (1 - p) ** 2 + (1 - truth) * p**2
    else:
        loss = -truth * np.log(p) - (1 - truth) * np.log1p(-p)
    return float(weights @ loss @ weights)


def error_for_gain(metric: Metric, gain: float) -> float | None:
    """The error size whose expected loss is `gain` above that of a MIDDLE forecaster; None if none has."""
    low, high = MIDDLE, 12.0
    wanted = expected_loss(metric, MIDDLE) + gain
    if expected_loss(metric, high) < wanted:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expected_loss(metric, middle) < wanted else (low, middle)
    return high


@cache
def _quadrature() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    return nodes, weights / weights.sum()


def _sigmoid(z: Floats) -> Floats:
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, small) / (1.0 + small), dtype=np.float64)
