"""Forecasts of where a walker goes: at its last velocity, or boosted trees that correct it.

All learning happens in the walker's own frame: ahead is the direction of its last step (the x axis where
it stands still), left a quarter turn from it, and lengths are multiples of its pace. So neither the
direction of a street nor a recording's clock matters much, and a scene never seen is no stranger than a known
one. Every training walk is learned twice, as seen and in a mirror: nobody prefers a side by nature.

Features are found by their names, those of `pennant.features.paths`:
`position_x`, `position_y` (metres) and `back_x_<k>`, `back_y_<k>` (k steps ago, less now), which are needed;
pairs `<name>_ahead`, `<name>_left` of what stands or moves about the walker; `turn`, `curvature` (left is
positive); all others as they are, but for `velocity_x`, `velocity_y`, `heading_cos` and `heading_sin`, which
the steps tell already.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
KNOTS = (1, 3, 6, 9, 12)
"""Steps whose residual is learned; the others lie on the spline through them and the origin."""
DECIMALS = 6
"""Of inputs: micrometres."""
MODES = 20
"""So many samples there are: the literature scores the best of 20."""
BLOCKS = 3
"""What trees leave unexplained is taken where they did not see the block of rows. Rows come in order of time,
so those of one walker stand in one block, but at the edges."""
ENOUGH_ROWS = 10_000
"""Of more rows, every second, third, ... shows what is left: windows of a walk overlap in all but a step."""
SPREAD = {"max_depth": 4, "eta": 0.1, "min_child_weight": 30.0, "subsample": 0.7, "colsample_bytree": 0.5}
SPREAD_ROUNDS = 60
SPREAD_FLOOR = 0.1
"""Metres: recordings are marked by hand, no forecast is surer."""
SPREAD_POWER = 0.85
"""Spreads that are foretold differ more than those of scenes not seen."""


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
    # Turned points are a rounding off: straight ahead must not fall to either side of a threshold at 0.
    inputs = np.round(np.concatenate(made, axis=1), DECIMALS)
    return inputs, np.concatenate([*signs, even, np.where(odd, -1.0, 1.0)])


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


@dataclass(frozen=True)
class CorrectedPaths:
    """Constant velocity, corrected by trees; samples add what the trees left unexplained of other walks.

    Attributes:
        trees: residuals at the knots, in paces.
        spread: log of how far off the single path is, in metres by the root of the pace.
        modes: typical residuals that were left, in spreads, the most common first, (MODES, steps, 2).
        problem: names and steps.
    """

    trees: Any
    spread: Any
    modes: Floats
    problem: Problem

    def predict(self, x: Floats) -> Floats:
        """Paths in metres, shape (n, 2 steps)."""
        walks = Walks.of(x, self.problem.names)
        made, signs = _inputs(walks, x, self.problem.names)
        return walks.path(_corrected(self.trees, made, signs, self.problem.steps)).reshape(len(x), -1)

    def samples(self, x: Floats, count: int) -> Floats:
        """So many different paths per row, shape (n, count, 2 steps), in metres; the same at every call.

        Each adds one typical residual to the single path, turned to where the walker goes and as large as
        the forecast is uncertain.

        Raises:
            ValueError: `count` is less than 1 or more than there are modes.
        """
        if not 1 <= count <= len(self.modes):
            raise ValueError(f"count is {count}; allowed: 1 to {len(self.modes)}, the modes of this member")
        walks = Walks.of(x, self.problem.names)
        made, signs = _inputs(walks, x, self.problem.names)
        single = _corrected(self.trees, made, signs, self.problem.steps)
        spread = _spread(self.spread, made, signs, walks.pace) / walks.pace
        around = single[:, None] + self.modes[None, :count] * spread[:, None, None, None]
        return walks.path(around).reshape(len(x), count, -1)

    def content(self) -> bytes:
        """Both boosters in XGBoost's own JSON, and the modes, exact to the last bit."""
        boosters = {name: json.loads(getattr(self, name).save_raw("json")) for name in ("trees", "spread")}
        body = {"names": list(self.problem.names), "steps": self.problem.steps, "modes": self.modes.tolist()}
        return json.dumps({"kind": "path_residual", **body, **boosters}).encode()

    @classmethod
    def read(cls, content: bytes) -> "CorrectedPaths":
        """The member that wrote `content`."""
        import xgboost

        body = json.loads(content)
        trees, spread = (
            xgboost.Booster({"nthread": 1}, model_file=bytearray(json.dumps(body[name]).encode()))
            for name in ("trees", "spread")
        )
        problem = Problem("trajectory", tuple(body["names"]), steps=int(body["steps"]))
        return cls(trees, spread, np.array(body["modes"], dtype=np.float64), problem)


class PathResidual:
    """Kind `path_residual`: trees of absolute error, all knots of a path in each leaf."""

    suffix = "json"

    def fit(
        self, x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int, problem: Problem
    ) -> CorrectedPaths:
        """Boost `n_estimators` trees; `parameters` must hold every name of the kind.

        Residuals are in paces and weigh by the pace, so that errors count in metres.

        Raises:
            ColumnsMissing: a feature that the walker's frame needs is not there.
        """
        walks = Walks.of(x, problem.names)
        made, signs = _inputs(walks, x, problem.names)
        residual = walks.residual(y.reshape(len(y), problem.steps, 2))
        target = residual[:, np.array(_knots(problem.steps)) - 1].reshape(len(y), -1)
        rows = _Rows(made, signs, target, _mirror(target.shape[1]), weight * walks.pace / walks.pace.mean())
        settings = {"objective": "reg:absoluteerror", **parameters}
        rounds = int(settings.pop("n_estimators"))
        trees = rows.boosted(settings, rounds, seed)
        some = slice(None, None, max(1, len(y) // ENOUGH_ROWS))
        thin = replace(rows, made=made[some], target=target[some], weight=rows.weight[some])
        left = residual[some] - thin.foretold_apart(settings, rounds, seed, problem.steps)
        pace = walks.pace[some]
        off = np.hypot(left[..., 0], left[..., 1]).mean(axis=1) * pace
        told = np.log((off + SPREAD_FLOOR) / np.sqrt(pace))[:, None]
        fixed = {"objective": "reg:squarederror", "max_bin": parameters["max_bin"], **SPREAD}
        wide = _Rows(thin.made, signs, told, np.ones(1), weight[some])
        spread = wide.boosted(fixed, SPREAD_ROUNDS, seed)
        metres = _spread(spread, thin.made, signs, pace)
        modes = _modes(left * (pace / metres)[:, None, None], weight[some] * metres**2, seed)
        return CorrectedPaths(trees, spread, modes, problem)


@dataclass(frozen=True)
class _Rows:
    """What trees are fitted to.

    Attributes:
        made: inputs, (n, inputs).
        signs: of the inputs in a mirror.
        target: (n, targets).
        mirror: signs of the targets in a mirror.
        weight: (n,).
    """

    made: Floats
    signs: Floats
    target: Floats
    mirror: Floats
    weight: Floats

    def boosted(self, settings: Mapping[str, Any], rounds: int, seed: int) -> Any:
        """Trees fitted to the rows and to their images in a mirror."""
        import xgboost  # seconds that an ensemble without trees need not pay

        fixed = {
            "multi_strategy": "multi_output_tree",
            "tree_method": "hist",
            "nthread": 1,  # the same bytes on every machine of one kind
            "seed": seed,
            "verbosity": 0,
        }
        data = xgboost.QuantileDMatrix(
            np.concatenate([self.made, self.made * self.signs]),
            label=np.concatenate([self.target, self.target * self.mirror]),
            weight=np.concatenate([self.weight, self.weight]),
            max_bin=int(settings["max_bin"]),
            nthread=1,
        )
        return xgboost.train({**fixed, **settings}, data, num_boost_round=rounds)

    def foretold_apart(self, settings: Mapping[str, Any], rounds: int, seed: int, steps: int) -> Floats:
        """Residuals (n, steps, 2) as trees tell them that did not see the row's block."""
        everyone = np.arange(len(self.made))
        told = np.empty((len(everyone), steps, 2))
        for block in np.array_split(everyone, BLOCKS):
            rest = np.setdiff1d(everyone, block)
            others = replace(self, made=self.made[rest], target=self.target[rest], weight=self.weight[rest])
            trees = others.boosted(settings, rounds, seed)
            told[block] = _corrected(trees, self.made[block], self.signs, steps)
        return told


def _corrected(trees: Any, made: Floats, signs: Floats, steps: int) -> Floats:
    """Residuals (n, steps, 2): the mean of what the trees say and of what they say to the mirror."""
    knots = _knots(steps)
    seen = np.asarray(trees.inplace_predict(made), dtype=np.float64)
    mirrored = np.asarray(trees.inplace_predict(made * signs), dtype=np.float64) * _mirror(2 * len(knots))
    mean = (0.5 * (seen + mirrored)).reshape(len(made), len(knots), 2)
    return np.asarray(_spline(knots, steps) @ mean, dtype=np.float64)


def _spread(spread: Any, made: Floats, signs: Floats, pace: Floats) -> Floats:
    """How far off the single path may be, shape (n,), in metres up to one factor for all."""
    told = 0.5 * (spread.inplace_predict(made) + spread.inplace_predict(made * signs))
    return np.asarray(np.exp(SPREAD_POWER * told.ravel().astype(np.float64)) * np.sqrt(pace))


def _knots(steps: int) -> tuple[int, ...]:
    return (*(each for each in KNOTS if each < steps), steps)


def _mirror(columns: int) -> Floats:
    return np.tile([1.0, -1.0], columns // 2)


def _spline(knots: tuple[int, ...], steps: int) -> Floats:
    """What each knot adds to each step, shape (steps, knots): natural cubic, 0 where the walker is now."""
    from scipy.interpolate import CubicSpline  # seconds of import

    each = np.concatenate([np.zeros((1, len(knots))), np.eye(len(knots))])
    spline = CubicSpline([0, *knots], each, bc_type="natural")
    return np.asarray(spline(np.arange(1, steps + 1)), dtype=np.float64)


def _modes(left: Floats, weight: Floats, seed: int) -> Floats:
    """Centres (MODES, steps, 2) of residuals and their mirror images, the heaviest first."""
    from sklearn.cluster import KMeans  # seconds of import
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    flat = left.reshape(len(left), -1)
    both, weighs = np.concatenate([flat, flat * _mirror(flat.shape[1])]), np.concatenate([weight, weight])
    found = KMeans(min(MODES, len(both)), n_init=1, random_state=seed)
    # One thread: the same sums on every number of cores.
    with threadpool_limits(limits=1):
        found.fit(both, sample_weight=weighs)
    heavy = np.bincount(found.labels_, weights=weighs, minlength=found.n_clusters)
    order = np.argsort(-heavy, kind="stable")
    return np.asarray(found.cluster_centers_[order].reshape(-1, *left.shape[1:]), dtype=np.float64)
