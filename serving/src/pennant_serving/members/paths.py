"""Kinds `constant_velocity` and `path_residual`: paths at the last velocity, or corrected by trees.

The trees learned residuals in the walker's frame (see `walks.py`) at some steps, the knots; all steps lie
on the natural cubic spline through them. Each prediction is the mean of what the trees say of the walk and
of its image in a mirror. `pennant.training.members.paths` fits them.
"""

import json

import numpy as np

from pennant_serving.arrays import Floats
from pennant_serving.errors import BundleRejected
from pennant_serving.files import ResidualFile, StraightFile
from pennant_serving.members.base import MemberModel, Purpose, read
from pennant_serving.members.boosted import read_trees
from pennant_serving.members.sources import attributed, sources
from pennant_serving.members.walks import NEEDED, Frame, Walks, inputs, turned
from pennant_serving.trees import Trees

_KNOTS = (1, 3, 6, 9, 12)
_SPREAD_POWER = 0.85
"""Spreads that are foretold differ more than those of scenes not seen."""


class Straight:
    """Constant velocity; a walker seen once stays where it is."""

    def __init__(self, purpose: Purpose) -> None:
        self._frame, self._steps = Frame.of(purpose.names), purpose.outcome.steps
        self._inputs = len(purpose.inputs)

    def predict(self, rows: Floats) -> Floats:
        return Walks.of(rows, self._frame).straight(self._steps).reshape(len(rows), -1)

    def contributions(self, rows: Floats) -> Floats:
        parts = np.zeros((len(rows), 2, self._inputs + 1))
        velocity = Walks.of(rows, self._frame).velocity
        for axis in (0, 1):
            parts[:, axis, self._frame.here[axis]] = rows[:, self._frame.here[axis]]
            parts[:, axis, self._frame.back[0][axis]] = velocity[:, axis] * self._steps
        return parts

    def respond(self, link: Floats) -> Floats:
        return link


class CorrectedPaths:
    """Constant velocity, corrected by trees; samples add typical residuals that the trees left."""

    def __init__(self, trees: Trees, spread: Trees, modes: Floats, purpose: Purpose) -> None:
        self._trees, self._spread, self._modes = trees, spread, modes
        self._frame, self._steps = Frame.of(purpose.names), purpose.outcome.steps
        self._straight = Straight(purpose)
        self._knots = knots(self._steps)
        self._spline = spline(self._knots, self._steps)
        self._mirror = np.tile([1.0, -1.0], len(self._knots))
        self._sources = sources(purpose.names)

    def predict(self, rows: Floats) -> Floats:
        walks, made, signs = self._seen(rows)
        return walks.path(self._corrected(made, signs)).reshape(len(rows), -1)

    def samples(self, rows: Floats, count: int) -> Floats:
        """So many different paths per row, (n, count, 2 steps) in metres, the most common kind first.

        Raises:
            ValueError: `count` is less than 1 or more than the member has modes.
        """
        if not 1 <= count <= len(self._modes):
            raise ValueError(f"count is {count}; allowed: 1 to {len(self._modes)}, the modes of this member")
        walks, made, signs = self._seen(rows)
        told = 0.5 * (self._spread.predict(made) + self._spread.predict(made * signs))[:, 0]
        spread = np.exp(_SPREAD_POWER * told) * np.sqrt(walks.pace) / walks.pace
        single = self._corrected(made, signs)
        around = single[:, None] + self._modes[None, :count] * spread[:, None, None, None]
        return walks.path(around).reshape(len(rows), count, -1)

    def contributions(self, rows: Floats) -> Floats:
        """TreeSHAP terms of the last step's correction, turned to the ground, beside constant velocity's.

        An input of the trees that is made of several features divides its term evenly among them; how the
        direction and the pace of the last step turn and stretch the correction is part of each term.
        """
        walks, made, signs = self._seen(rows)
        seen, image = (self._trees.contributions(each)[:, -2:] for each in (made, made * signs))
        both = 0.5 * (seen + image * np.array([1.0, -1.0])[:, None])
        ground = turned(both.transpose(0, 2, 1) * walks.pace[:, None, None], walks.cos[:, None],
                        -walks.sin[:, None]).transpose(0, 2, 1)  # fmt: skip
        return self._straight.contributions(rows) + attributed(ground, self._sources)

    def respond(self, link: Floats) -> Floats:
        return link

    def _seen(self, rows: Floats) -> tuple[Walks, Floats, Floats]:
        walks = Walks.of(rows, self._frame)
        return walks, *inputs(walks, rows, self._frame)

    def _corrected(self, made: Floats, signs: Floats) -> Floats:
        """Residuals (n, steps, 2): the mean of what the trees say and of what they say to the mirror."""
        seen, image = self._trees.predict(made), self._trees.predict(made * signs) * self._mirror
        mean = (0.5 * (seen + image)).reshape(len(made), len(self._knots), 2)
        steps = np.zeros((len(made), self._steps, 2))
        for knot in range(len(self._knots)):  # not one product of matrices: a row's bits must be its own
            steps += self._spline[None, :, knot, None] * mean[:, None, knot]
        return steps


def knots(steps: int) -> tuple[int, ...]:
    """Steps whose residual the trees foretell, the last one among them."""
    return (*(each for each in _KNOTS if each < steps), steps)


def spline(at: tuple[int, ...], steps: int) -> Floats:
    """What each knot adds to each step, shape (steps, knots): natural cubic, 0 where the walker is now."""
    x = np.array([0, *at], dtype=np.float64)
    y = np.concatenate([np.zeros((1, len(at))), np.eye(len(at))])
    gaps, slopes = np.diff(x), np.diff(y, axis=0) / np.diff(x)[:, None]
    matrix, right = np.eye(len(x)), np.zeros_like(y)  # second derivatives; 0 at both ends
    for i in range(1, len(x) - 1):
        matrix[i, i - 1 : i + 2] = gaps[i - 1], 2.0 * (gaps[i - 1] + gaps[i]), gaps[i]
        right[i] = 6.0 * (slopes[i] - slopes[i - 1])
    bend = np.linalg.solve(matrix, right)
    wanted = np.arange(1, steps + 1, dtype=np.float64)
    of = np.minimum(np.searchsorted(x, wanted, side="right") - 1, len(x) - 2)
    gap, behind = gaps[of][:, None], (wanted - x[of])[:, None]
    left = gap - behind
    cubic = (bend[of] * left**3 + bend[of + 1] * behind**3) / (6.0 * gap)
    line = (y[of] / gap - bend[of] * gap / 6.0) * left + (y[of + 1] / gap - bend[of + 1] * gap / 6.0) * behind
    return np.asarray(cubic + line, dtype=np.float64)


def load_constant_velocity(where: str, content: bytes, purpose: Purpose) -> MemberModel:
    """Kind `constant_velocity`; see `members.base.Loader`."""
    purpose.require(where, "constant_velocity", ("trajectory",))
    file = read(StraightFile, where, content, "a constant_velocity member")
    _check(where, file, purpose)
    return Straight(purpose)


def load_path_residual(where: str, content: bytes, purpose: Purpose) -> MemberModel:
    """Kind `path_residual`; see `members.base.Loader`."""
    purpose.require(where, "path_residual", ("trajectory",))
    file = read(ResidualFile, where, content, "a path_residual member")
    _check(where, file, purpose)
    trees, spread = (
        read_trees(f"{where}: {name}", json.dumps(getattr(file, name)).encode())
        for name in ("trees", "spread")
    )
    seen = len(sources(purpose.names))
    for name, each, outputs in (
        ("trees", trees, 2 * len(knots(file.steps))),
        ("spread", spread, 1),
    ):
        purpose.equal(f"{where}: {name}", "inputs made of the features:", each.feature_count, seen)
        purpose.equal(f"{where}: {name}", "outputs:", each.outputs(), outputs)
    return CorrectedPaths(trees, spread, np.array(file.modes), purpose)


def _check(where: str, file: StraightFile | ResidualFile, purpose: Purpose) -> None:
    purpose.equal(where, "steps:", file.steps, purpose.outcome.steps)
    purpose.equal(where, "names in this order:", file.names, purpose.names)
    absent = [each for each in NEEDED if each not in purpose.names]
    if absent:
        raise BundleRejected("member", where, f"no inputs {absent}", f"inputs with {list(NEEDED)}")
