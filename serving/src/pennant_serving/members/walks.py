"""Walkers as they see the world, read from features by their names; `pennant.training.members.paths` fits.

In the walker's frame ahead is the direction of its last step (the x axis where it stands still), left a
quarter turn from it, and lengths are multiples of its pace.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pennant_serving.arrays import Floats

HERE = ("position_x", "position_y")
DIRECTED = (*HERE, "velocity_x", "velocity_y", "heading_cos", "heading_sin")
"""Told in the directions of the ground, not the walker's."""
ODD = ("turn", "curvature")
"""Change their sign in a mirror, as whatever ends in `_left` does."""
STILL = 1e-9
"""Metres in a step under which it has no direction."""
LEAST_PACE = 0.05
"""Metres in a step that are added to every pace: whoever stands may start."""
DECIMALS = 6
"""Of inputs: micrometres."""
NEEDED = (*HERE, "back_x_1", "back_y_1")


@dataclass(frozen=True)
class Frame:
    """Where the features of a walker stand among the inputs.

    Attributes:
        here: columns of the position.
        back: columns of earlier positions, less now, (k, 2).
        plain: columns that trees see as they are.
        odd: of those, which change their sign in a mirror.
    """

    here: list[int]
    back: list[tuple[int, int]]
    plain: list[int]
    odd: list[bool]

    @classmethod
    def of(cls, names: Sequence[str]) -> "Frame":
        """The frame of inputs that have `NEEDED` among them.

        Raises:
            KeyError: they do not.
        """
        at = {name: index for index, name in enumerate(names)}
        back = [(at["back_x_1"], at["back_y_1"])]
        while f"back_x_{len(back) + 1}" in at and f"back_y_{len(back) + 1}" in at:
            back.append((at[f"back_x_{len(back) + 1}"], at[f"back_y_{len(back) + 1}"]))
        plain = [i for i, each in enumerate(names) if each not in DIRECTED and not each.startswith("back_")]
        odd = [names[i] in ODD or names[i].endswith("_left") for i in plain]
        return cls([at[name] for name in HERE], back, plain, odd)


@dataclass(frozen=True)
class Walks:
    """Walkers at one moment each.

    Attributes:
        here: position in metres, shape (n, 2).
        velocity: metres in the last step, shape (n, 2); 0 where no earlier position is known.
        cos: of the direction ahead, shape (n,).
        sin: of the direction ahead, shape (n,).
        pace: metres in a step, `LEAST_PACE` more than the mean of the last step's and the net one of the
            longest known way, shape (n,).
        back: earlier positions in the walker's frame, in paces, shape (n, k, 2); NaN where unknown.
    """

    here: Floats
    velocity: Floats
    cos: Floats
    sin: Floats
    pace: Floats
    back: Floats

    @classmethod
    def of(cls, rows: Floats, frame: Frame) -> "Walks":
        """Read the rows (n, inputs)."""
        back = rows[:, np.array(frame.back)]
        velocity = -np.nan_to_num(back[:, 0])
        last = np.hypot(velocity[:, 0], velocity[:, 1])
        moving = last > STILL
        cos = np.where(moving, velocity[:, 0] / np.where(moving, last, 1.0), 1.0)
        sin = np.where(moving, velocity[:, 1] / np.where(moving, last, 1.0), 0.0)
        pace = 0.5 * (last + _net_pace(back)) + LEAST_PACE
        seen = turned(back, cos[:, None], sin[:, None]) / pace[:, None, None]
        return cls(rows[:, frame.here], velocity, cos, sin, pace, seen)

    def straight(self, steps: int) -> Floats:
        """Where constant velocity leads, in metres, shape (n, steps, 2)."""
        ahead = np.arange(1, steps + 1)[None, :, None]
        return np.asarray(self.here[:, None] + self.velocity[:, None] * ahead, dtype=np.float64)

    def path(self, residual: Floats) -> Floats:
        """The paths (n, ..., steps, 2) in metres of residuals of that shape, in the frame, in paces."""
        between = (1,) * (residual.ndim - 2)
        cos, sin, pace = (each.reshape(-1, *between) for each in (self.cos, self.sin, self.pace))
        apart = turned(residual * pace[..., None], cos, -sin)
        straight = self.straight(residual.shape[-2])
        return straight.reshape(len(straight), *between[1:], *straight.shape[1:]) + apart


def inputs(walks: Walks, rows: Floats, frame: Frame) -> tuple[Floats, Floats]:
    """What the trees see, shape (n, inputs), and each input's sign in a mirror, shape (inputs,)."""
    back = walks.back
    legs = -np.diff(back, axis=1, prepend=0.0)
    lengths = np.hypot(legs[..., 0], legs[..., 1])
    bends = -np.diff(legs, axis=1)[:, :3]
    shape = [back, legs, bends]
    signs = [np.tile([1.0, -1.0], each.shape[1]) for each in shape]
    flat = [each.reshape(len(rows), -1) for each in shape]
    made = [*flat, lengths, walks.pace[:, None], rows[:, frame.plain]]
    even = np.ones(lengths.shape[1] + 1)
    # Turned points are a rounding off: straight ahead must not fall to either side of a threshold at 0.
    rounded = np.round(np.concatenate(made, axis=1), DECIMALS)
    return rounded, np.concatenate([*signs, even, np.where(frame.odd, -1.0, 1.0)])


def _net_pace(back: Floats) -> Floats:
    """Metres per step between now and the earliest known position; 0 where none is known."""
    pace = np.zeros(len(back))
    for k in range(back.shape[1]):
        length = np.hypot(back[:, k, 0], back[:, k, 1]) / (k + 1)
        pace = np.where(np.isnan(length), pace, length)
    return pace


def turned(points: Floats, cos: Floats, sin: Floats) -> Floats:
    """Points (..., 2) of the ground as (ahead, left) of the direction (cos, sin); with -sin, back again."""
    x, y = points[..., 0], points[..., 1]
    return np.stack([x * cos + y * sin, y * cos - x * sin], axis=-1)
