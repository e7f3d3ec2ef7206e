"""Forecasts of where a walker goes: at its last velocity, or boosted trees that correct it.

All learning happens in the walker's own frame: ahead is the direction of its last step (the x axis where it
stands still), left a quarter turn from it, and lengths are multiples of its pace. So neither the direction of a
street nor the units of a recording's clock matter, and a scene never seen is no stranger than a known one.
Every training walk is learned twice, as seen and in a mirror, for nobody prefers a side by nature.

Features are found by their names, those of `pennant.features.paths`:
`position_x`, `position_y` (metres), `back_x_<k>`, `back_y_<k>` (k steps ago, less now), both needed; pairs
`<name>_ahead`, `<name>_left` of what stands or moves about the walker; `turn`, `curvature` (left is positive);
all others as they are, but for `velocity_x`, `velocity_y`, `heading_cos` and `heading_sin`, which the steps
tell already.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pennant.training.errors import ColumnsMissing
from pennant.training.losses import Floats
from pennant.training.members.base import Parameters
from pennant.training.problem import Problem

HERE = ("position_x", "position_y")
DIRECTED = (*HERE, "velocity_x", "velocity_y", "heading_cos", "heading_sin")
"""Told in the directions of the ground, not the walker's."""
ODD = ("turn", "curvature")
"""Change their sign in a mirror, as whatever ends in `_left` does."""
STILL = 1e-9
"""Metres in a step under which it has no direction."""
LEAST_PACE = 0.05
"""Metres in a step that are added to every pace: whoever stands may start."""
KNOTS = (3, 6, 9, 12)
"""Steps whose residual is learned; the others lie on the spline through them and the origin."""
MODES = 20
"""Samples that literature scores the best of."""
BLOCKS = 3
"""Residuals are those of trees that did not see the block of rows; rows of a walker stand together."""
ATTRIBUTE = "pennant_path"


@dataclass(frozen=True)
class Walks:
    """Walkers at one moment each, as they see the world.

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
    def of(cls, x: Floats, names: Sequence[str]) -> "Walks":
        """Read the rows `x` (n, features).

        Raises:
            ColumnsMissing: no position, or not where the walker was a step ago.
        """
        needed = [*HERE, "back_x_1", "back_y_1"]
        missing = [each for each in needed if each not in names]
        if missing:
            raise ColumnsMissing(missing, list(names))
        at = {name: index for index, name in enumerate(names)}
        steps = 1
        while f"back_x_{steps + 1}" in at and f"back_y_{steps + 1}" in at:
            steps += 1
        columns = [[at[f"back_{axis}_{k}"] for axis in ("x", "y")] for k in range(1, steps + 1)]
        back = x[:, np.array(columns)]
        velocity = -np.nan_to_num(back[:, 0])
        last = np.hypot(velocity[:, 0], velocity[:, 1])
        moving = last > STILL
        cos = np.where(moving, velocity[:, 0] / np.where(moving, last, 1.0), 1.0)
        sin = np.where(moving, velocity[:, 1] / np.where(moving, last, 1.0), 0.0)
        pace = 0.5 * (last + _net_pace(back)) + LEAST_PACE
        turned = _turned(back, cos[:, None], sin[:, None]) / pace[:, None, None]
        return cls(x[:, [at[name] for name in HERE]], velocity, cos, sin, pace, turned)

    def straight(self, steps: int) -> Floats:
        """Where constant velocity leads, in metres, shape (n, steps, 2)."""
        ahead = np.arange(1, steps + 1)[None, :, None]
        return np.asarray(self.here[:, None] + self.velocity[:, None] * ahead, dtype=np.float64)

    def residual(self, paths: Floats) -> Floats:
        """What paths (n, steps, 2) in metres differ by from constant velocity: in the frame, in paces."""
        apart = paths - self.straight(paths.shape[1])
        return _turned(apart, self.cos[:, None], self.sin[:, None]) / self.pace[:, None, None]

    def path(self, residual: Floats) -> Floats:
        """The paths (n, ..., steps, 2) in metres of residuals of that shape."""
        between = (1,) * (residual.ndim - 2)
        cos, sin, pace = (each.reshape(-1, *between) for each in (self.cos, self.sin, self.pace))
        apart = _turned(residual * pace[..., None], cos, -sin)
        straight = self.straight(residual.shape[-2])
        return straight.reshape(len(straight), *between[1:], *straight.shape[1:]) + apart


def _net_pace(back: Floats) -> Floats:
    """Metres per step between now and the earliest known position; 0 where none is known."""
    pace = np.zeros(len(back))
    for k in range(back.shape[1]):
        length = np.hypot(back[:, k, 0], back[:, k, 1]) / (k + 1)
        pace = np.where(np.isnan(length), pace, length)
    return pace


def _turned(points: Floats, cos: Floats, sin: Floats) -> Floats:
    """Points (..., 2) of the ground as (ahead, left) of the direction (cos, sin); with -sin, back again."""
    x, y = points[..., 0], points[..., 1]
    return np.stack([x * cos + y * sin, y * cos - x * sin], axis=-1)


def _inputs(walks: Walks, x: Floats, names: Sequence[str]) -> tuple[Floats, Floats]:
    """What the trees see, shape (n, inputs), and each input's sign in a mirror, shape (inputs,)."""
    back = walks.back
    legs = -np.diff(back, axis=1, prepend=0.0)
    lengths = np.hypot(legs[..., 0], legs[..., 1])
    bends = -np.diff(legs, axis=1)[:, :3]
    shape = [back, legs, bends]
    signs = [np.tile([1.0, -1.0], each.shape[1]) for each in shape]
    plain = [i for i, each in enumerate(names) if each not in DIRECTED and not each.startswith("back_")]
    odd = [names[i] in ODD or names[i].endswith("_left") for i in plain]
    made = [*(each.reshape(len(x), -1) for each in shape), lengths, walks.pace[:, None], x[:, plain]]
    even = np.ones(lengths.shape[1] + 1)
    return np.concatenate(made, axis=1), np.concatenate([*signs, even, np.where(odd, -1.0, 1.0)])


@dataclass(frozen=True)
class Straight:
    """Constant velocity."""

    problem: Problem

    def predict(self, x: Floats) -> Floats:
        """Paths in metres, shape (n, 2 steps); a walker seen once stays where it is."""
        walks = Walks.of(x, self.problem.names)
        return walks.straight(self.problem.steps).reshape(len(x), -1)

    def content(self) -> bytes:
        """The columns and steps as JSON; nothing is fitted."""
        body = {"kind": "constant_velocity", "names": list(self.problem.names), "steps": self.problem.steps}
        return json.dumps(body, indent=1).encode()


class ConstantVelocity:
    """Kind `constant_velocity`: neither turns nor changes pace."""

    suffix = "json"

    def fit(
        self,
        x: Floats,
        y: Floats,  # noqa: ARG002  # nothing is fitted
        weight: Floats,  # noqa: ARG002
        parameters: Parameters,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        problem: Problem,
    ) -> Straight:
        """Check that the features tell a velocity.

        Raises:
            ColumnsMissing: they do not.
        """
        Walks.of(x[:0], problem.names)
        return Straight(problem)


class CorrectedPaths:
    """Constant velocity, corrected by trees; samples add what they left unexplained of other walks."""

    def __init__(self, booster: Any, problem: Problem, knots: tuple[int, ...], modes: Floats) -> None:
        self._booster, self._problem, self._knots = booster, problem, knots
        self._modes = modes

    def predict(self, x: Floats) -> Floats:
        """Paths in metres, shape (n, 2 steps)."""
        walks = Walks.of(x, self._problem.names)
        return walks.path(self._residual(walks, x)).reshape(len(x), -1)

    def samples(self, x: Floats, count: int) -> Floats:
        """So many different paths per row, shape (n, count, 2 steps), in metres.

        Each adds one typical residual of the training rows to the single path, turned to where the walker
        goes and as large as its pace; the same for every call.

        Raises:
            ValueError: `count` is less than 1 or more than there are modes.
        """
        if not 1 <= count <= len(self._modes):
            raise ValueError(f"count is {count}; allowed: 1 to {len(self._modes)}")
        walks = Walks.of(x, self._problem.names)
        around = self._residual(walks, x)[:, None] + self._modes[None, :count]
        return walks.path(around).reshape(len(x), count, -1)

    def content(self) -> bytes:
        """The trees in XGBoost's UBJSON; knots and modes are an attribute of theirs, in JSON."""
        body = {"knots": list(self._knots), "modes": self._modes.tolist()}
        body |= {"names": list(self._problem.names), "steps": self._problem.steps}
        self._booster.set_attr(**{ATTRIBUTE: json.dumps(body)})
        return bytes(self._booster.save_raw(raw_format="ubj"))

    def _residual(self, walks: Walks, x: Floats) -> Floats:
        made, signs = _inputs(walks, x, self._problem.names)
        return _corrected(self._booster, made, signs, self._knots, self._problem.steps)


class PathResidual:
    """Kind `path_residual`: trees of absolute error, all knots of a path in each leaf."""

    suffix = "ubj"

    def fit(
        self, x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int, problem: Problem
    ) -> CorrectedPaths:
        """Boost `n_estimators` trees; `parameters` must hold every name of the kind.

        Errors count in metres, those of slow walkers less: rows weigh by the root of their pace.

        Raises:
            ColumnsMissing: a feature that the walker's frame needs is not there.
        """
        walks = Walks.of(x, problem.names)
        made, signs = _inputs(walks, x, problem.names)
        residual = walks.residual(y.reshape(len(y), problem.steps, 2))
        knots = tuple(step for step in KNOTS if step < problem.steps) + (problem.steps,)
        target = residual[:, np.array(knots) - 1].reshape(len(y), -1)
        weighs = weight * walks.pace / walks.pace.mean()
        booster = _boosted(made, signs, target, weighs, parameters, seed)
        left = np.empty_like(residual)
        for block in np.array_split(np.arange(len(y)), BLOCKS):
            rest = np.setdiff1d(np.arange(len(y)), block)
            other = _boosted(made[rest], signs, target[rest], weighs[rest], parameters, seed)
            seen = _corrected(other, made[block], signs, knots, problem.steps)
            left[block] = residual[block] - seen
        return CorrectedPaths(booster, problem, knots, _modes(left, weighs, seed))


def _boosted(
    made: Floats, signs: Floats, target: Floats, weight: Floats, parameters: Parameters, seed: int
) -> Any:
    """Trees fitted to the rows and to their images in a mirror."""
    import xgboost  # seconds that an ensemble without trees need not pay

    chosen = {name: value for name, value in parameters.items() if name != "n_estimators"}
    fixed = {
        "objective": "reg:absoluteerror",
        "multi_strategy": "multi_output_tree",
        "tree_method": "hist",
        "nthread": 1,  # the same bytes on every machine of one kind
        "seed": seed,
        "verbosity": 0,
    }
    data = xgboost.QuantileDMatrix(
        np.concatenate([made, made * signs]),
        label=np.concatenate([target, target * _mirror(target.shape[1])]),
        weight=np.concatenate([weight, weight]),
        max_bin=int(parameters["max_bin"]),
        nthread=1,
    )
    return xgboost.train({**fixed, **chosen}, data, num_boost_round=int(parameters["n_estimators"]))


def _corrected(booster: Any, made: Floats, signs: Floats, knots: tuple[int, ...], steps: int) -> Floats:
    """Residuals (n, steps, 2): the mean of what the trees say and of what they say to the mirror."""
    seen = np.asarray(booster.inplace_predict(made), dtype=np.float64)
    mirrored = np.asarray(booster.inplace_predict(made * signs), dtype=np.float64)
    mean = 0.5 * (seen + mirrored * _mirror(seen.shape[1]))
    return np.asarray(_spline(knots, steps) @ mean.reshape(len(made), len(knots), 2), dtype=np.float64)


def _mirror(columns: int) -> Floats:
    return np.tile([1.0, -1.0], columns // 2)


def _spline(knots: tuple[int, ...], steps: int) -> Floats:
    """What each knot adds to each step, shape (steps, knots): natural cubic, 0 where the walker is now."""
    from scipy.interpolate import CubicSpline  # seconds of import

    each = np.concatenate([np.zeros((1, len(knots))), np.eye(len(knots))])
    kind = "natural" if len(knots) > 1 else "not-a-knot"
    spline = CubicSpline([0, *knots], each, bc_type=kind)
    return np.asarray(spline(np.arange(1, steps + 1)), dtype=np.float64)


def _modes(left: Floats, weight: Floats, seed: int) -> Floats:
    """Centres (MODES, steps, 2) of what was left unexplained, and of its mirror image."""
    from sklearn.cluster import KMeans  # seconds of import

    flat = left.reshape(len(left), -1)
    both = np.concatenate([flat, flat * _mirror(flat.shape[1])])
    found = KMeans(min(MODES, len(both)), n_init=1, random_state=seed)
    found.fit(both, sample_weight=np.concatenate([weight, weight]))
    return np.asarray(found.cluster_centers_.reshape(-1, *left.shape[1:]), dtype=np.float64)
