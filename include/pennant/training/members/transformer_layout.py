"""Which columns a transformer sees, in which token, and how they are scaled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pennant.training.errors import BadParameter, ColumnsMissing
from pennant.training.losses import Floats, Indices
from pennant.training.members.paths import DIRECTED, HERE, ODD
from pennant.training.problem import Problem

FARTHEST = 8.0
"""Standard deviations beyond which a value is taken for one there."""
FLAT = 1e-9


@dataclass(frozen=True)
class Layout:
    """Columns in the order of the graph's first half, which makes them of the features.

    Of a path, the columns are: ahead and left of each earlier position, of each leg between two of them, the
    pace, and the features that are no positions; see `pennant.training.members.paths`. Else they are the
    features.

    Attributes:
        backs: earlier positions, of a path.
        plain: features that are columns as they are.
        events: columns of each event's token, oldest first, shape (events, width).
        rest: columns of the token that holds all others.
        signs: of the columns in a mirror; 1 where there is no path.
    """

    backs: int
    plain: tuple[int, ...]
    events: Indices
    rest: Indices
    signs: Floats

    @classmethod
    def of(cls, problem: Problem) -> "Layout":
        """The layout of a problem with a sequence.

        Raises:
            ColumnsMissing: a feature of the sequence does not exist.
            BadParameter: of a path: a sequence of what depends on the directions of the ground.
        """
        missing = [each for event in problem.sequence for each in event if each not in problem.names]
        if missing:
            raise ColumnsMissing(missing, list(problem.names))
        path = problem.task == "trajectory"
        backs = steps_back(problem.names) if path else 0
        left_out = {*DIRECTED, *_back_names(backs)} if path else set()
        plain = tuple(i for i, each in enumerate(problem.names) if each not in left_out)
        made = 4 * backs + 1 if path else 0
        at = {problem.names[i]: made + place for place, i in enumerate(plain)}
        at |= {name: place for place, name in enumerate(_back_names(backs))}
        tokens = [_token(event, at, backs) for event in problem.sequence]
        if len({len(each) for each in tokens}) != 1 or not tokens[0]:
            allowed = "events alike, of back_x_<k> and back_y_<k> or of what knows no direction of the ground"
            raise BadParameter("training.members: sequence", problem.sequence, allowed)
        events = np.array(tokens, dtype=np.int64)
        rest = np.setdiff1d(np.arange(made + len(plain)), events)
        odd = [problem.names[i] in ODD or problem.names[i].endswith("_left") for i in plain]
        signs = np.where(odd, -1.0, 1.0) if path else np.ones(len(plain))
        if path:
            turned = np.repeat([1.0, -1.0, 1.0, -1.0, 1.0], [backs, backs, backs, backs, 1])
            signs = np.concatenate([turned, signs])
        return cls(backs, plain, events, rest, signs)

    def scaling(self, made: Floats) -> tuple[Floats, Floats]:
        """Mean and spread of each column of `made` (n, columns); of a token's place, over all events.

        What changes its sign in a mirror has a mean of 0, so that it does so when scaled, too. A column
        without two values has an endless spread: nothing was learned of it, so all it says later is the mean.
        """
        groups = [*self.events.T, *self.rest[:, None]]
        mean, scale = np.zeros(made.shape[1]), np.full(made.shape[1], np.inf)
        for columns in groups:
            present = made[:, columns]
            present = present[~np.isnan(present)]
            if not len(present):
                continue
            middle = 0.0 if self.signs[columns[0]] < 0 else float(present.mean())
            spread = float(np.sqrt(np.square(present - middle).mean()))
            mean[columns] = middle
            scale[columns] = spread if spread > max(FLAT, FLAT * abs(middle)) else np.inf
        return mean, scale

    @staticmethod
    def scaled(made: Floats, mean: Floats, scale: Floats) -> Floats:
        """Columns as the network sees them; NaN stays."""
        return np.clip((made - mean) / scale, -FARTHEST, FARTHEST)


def steps_back(names: Sequence[str]) -> int:
    """How many earlier positions the features tell; see `paths`.

    Raises:
        ColumnsMissing: none, or not where the walker is.
    """
    steps = 0
    while f"back_x_{steps + 1}" in names and f"back_y_{steps + 1}" in names:
        steps += 1
    missing = [each for each in (*HERE, "back_x_1", "back_y_1") if each not in names]
    if missing:
        raise ColumnsMissing(missing, list(names))
    return steps


def _back_names(backs: int) -> list[str]:
    return [f"back_{axis}_{k}" for axis in ("x", "y") for k in range(1, backs + 1)]


def _token(event: Sequence[str], at: dict[str, int], backs: int) -> list[int]:
    """Columns of an event; an earlier position has the leg that began there, too."""
    own = [at[name] for name in event] if at.keys() >= set(event) else []
    return own + [2 * backs + each for each in own if each < 2 * backs]
