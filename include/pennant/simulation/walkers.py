"""Simulated pedestrians, whose expected next step is known.

They cross a square, each with a preferred velocity of its own that never changes, and give way to each other:

    x(t + 1) = x(t) + STEP_SECONDS (v + sum over the others of push(distance) away from them) + noise
    push(d) = PUSH exp(-d / REACH), in metres per second, all together at most MOST_PUSH

So a straight line is the best guess for who walks alone, and not for who meets somebody. The table has the
shape of the ETH and UCY recordings (connector `eth_ucy`): `frame pedestrian x y`, without a header.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

SEED = 20090901
STEPS = 400
STEP_SECONDS = 0.4
FRAMES_PER_STEP = 10
SIDE = 12.0
"""Metres of the square's side."""
ARRIVALS = 0.35
"""New pedestrians per step, on average."""
PUSH, REACH, MOST_PUSH = 1.8, 0.7, 1.0
"""Metres per second, metres, metres per second."""
NOISE = 0.015
"""Standard deviation of a step's noise in each direction, metres."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Walk:
    """What was simulated, one row per pedestrian and frame in the order of the frames.

    `seen`: frame, pedestrian, x, y (metres). `expected`: frame, pedestrian, next_x, next_y: where the
    pedestrian will be one step later, but for the noise.
    """

    seen: pl.DataFrame
    expected: pl.DataFrame


def table(seed: int = SEED, steps: int = STEPS) -> bytes:
    """The provider's file: tab separated, frames and pedestrians written as `780.0`."""
    frames = pl.col("frame", "pedestrian").cast(pl.Float64)
    return (
        simulate(seed, steps)
        .seen.with_columns(frames)
        .write_csv(separator="\t", include_header=False)
        .encode()
    )


def truth(seed: int = SEED, steps: int = STEPS) -> pl.DataFrame:
    """The planted truth: frame, pedestrian, next_x, next_y (metres), without the noise."""
    return simulate(seed, steps).expected


@lru_cache(maxsize=4)
def simulate(seed: int = SEED, steps: int = STEPS, push: float = PUSH) -> Walk:
    """Let pedestrians come and cross the square for so many steps.

    The same arguments give the same walk; more steps change no earlier one.
    """
    stream = np.random.default_rng(seed)
    number = np.zeros(0, dtype=np.int64)
    at, wish = np.zeros((0, 2)), np.zeros((0, 2))
    seen: list[pl.DataFrame] = []
    expected: list[pl.DataFrame] = []
    count = 0
    for step in range(steps):
        new = int(stream.poisson(ARRIVALS))
        start, velocity = _arrivals(stream, new)
        number = np.concatenate([number, np.arange(count, count + new)])
        at, wish, count = np.concatenate([at, start]), np.concatenate([wish, velocity]), count + new
        following = at + STEP_SECONDS * (wish + _pushes(at, push))
        about = {"frame": np.full(len(number), step * FRAMES_PER_STEP), "pedestrian": number + 1}
        seen.append(pl.DataFrame({**about, "x": at[:, 0].round(4), "y": at[:, 1].round(4)}))
        expected.append(pl.DataFrame({**about, "next_x": following[:, 0], "next_y": following[:, 1]}))
        at = following + NOISE * stream.standard_normal(at.shape)
        inside = (np.abs(at) <= SIDE / 2).all(axis=1)
        number, at, wish = number[inside], at[inside], wish[inside]
    return Walk(pl.concat(seen), pl.concat(expected))


def _arrivals(stream: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Where newcomers enter and what velocity they prefer, each of shape (count, 2)."""
    side = stream.integers(0, 4, count)
    along = stream.uniform(-SIDE / 3, SIDE / 3, count)
    turn = side * np.pi / 2
    aim = turn + stream.normal(0.0, 0.15, count)
    speed = np.clip(stream.normal(1.3, 0.2, count), 0.6, 2.0)
    inward, across = np.stack([np.cos(turn), np.sin(turn)], 1), np.stack([-np.sin(turn), np.cos(turn)], 1)
    start = -SIDE / 2 * inward + along[:, None] * across
    return start, speed[:, None] * np.stack([np.cos(aim), np.sin(aim)], 1)


def _pushes(at: Floats, push: float) -> Floats:
    """How the others push each of them, metres per second, shape (n, 2)."""
    gap = at[:, None, :] - at[None, :, :]
    distance = np.sqrt((gap**2).sum(axis=2))
    size = push * np.exp(-distance / REACH)
    np.fill_diagonal(size, 0.0)
    pushed: Floats = (size[:, :, None] * gap / np.maximum(distance, 1e-9)[:, :, None]).sum(axis=1)
    total = np.sqrt((pushed**2).sum(axis=1, keepdims=True))
    return pushed * np.minimum(1.0, MOST_PUSH / np.maximum(total, 1e-9))
