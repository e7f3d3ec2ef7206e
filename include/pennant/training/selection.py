"""Dynamic selection: rows of a declared slice get weights of their own, where enough rows speak for it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pennant.declaration.model import TrainedUseCase
from pennant.training.losses import Floats
from pennant.training.mixture import SMALLEST_WEIGHT, mixture_weights
from pennant.training.problem import Problem, blend

MIN_SLICE_ROWS = 40
"""A slice with fewer rows keeps the weights of all rows."""
PULL_ROWS = 200.0
"""A slice with so many rows goes half the way from the weights of all rows to its own."""


@dataclass(frozen=True)
class Cut:
    """A slice as a condition on one column of x: `x == equals`, or `low <= x < high`; NaN is in none."""

    name: str
    column: int
    equals: float | None
    low: float | None
    high: float | None

    def holds(self, x: Floats) -> NDArray[np.bool_]:
        """Which rows of `x`, shape (n, features), lie in the slice."""
        value = x[:, self.column]
        inside = ~np.isnan(value)
        if self.equals is not None:
            inside &= value == self.equals
        if self.low is not None:
            inside &= value >= self.low
        if self.high is not None:
            inside &= value < self.high
        return inside

    def to_json(self) -> dict[str, Any]:
        """The condition as bundle.json holds it."""
        limits = {"equals": self.equals, "low": self.low, "high": self.high}
        return {"name": self.name, "column": self.column, **limits}


def cuts(use_case: TrainedUseCase) -> list[Cut]:
    """The declared training slices, in their order."""
    columns = list(use_case.features)
    return [
        Cut(
            name,
            columns.index(each.column),
            None if each.equals is None else float(each.equals),
            each.at_least,
            each.below,
        )
        for name, each in use_case.training.slices.items()
    ]


@dataclass(frozen=True, eq=False)
class Selected:
    """Weights by slice.

    Attributes:
        slices: in order; a row takes the first that it lies in.
        inside: the weights of each slice, shape (slices, m).
        outside: weights of rows in no slice, shape (m,).
    """

    slices: list[Cut]
    inside: Floats
    outside: Floats

    def apply(self, predictions: list[Floats], x: Floats) -> Floats:
        """One prediction of the members' predictions, of their shape, for the rows `x`."""
        made = blend(predictions, self.outside)
        for number, rows in enumerate(_first(self.slices, x)):
            if rows.any():
                made[rows] = blend([each[rows] for each in predictions], self.inside[number])
        return made

    def to_json(self) -> dict[str, Any]:
        """The `ensemble` of bundle.json."""
        each = zip(self.slices, self.inside.tolist(), strict=True)
        slices = [{**cut.to_json(), "weights": weights} for cut, weights in each]
        return {"method": "selection", "slices": slices}

    def weights(self) -> Floats:
        """The weights of rows in no slice; a member that only a slice takes has the smallest weight there."""
        return self.outside

    def only(self, kept: NDArray[np.bool_]) -> "Selected":
        """The same weights of the members that are `kept`, shape (m,); the others have none."""
        return Selected(self.slices, self.inside[:, kept], self.outside[kept])


def fit_selection(
    problem: Problem,
    predictions: list[Floats],
    x: Floats,
    y: Floats,
    slices: list[Cut],
    row_weight: Floats | None = None,
) -> Selected:
    """Weights of all rows, and those of each slice: its own, pulled toward them by how few its rows are.

    Args:
        problem: what is predicted.
        predictions: of the m members, out of fold.
        x: the rows, shape (n, features).
        y: labels.
        slices: in the order in which a row looks for its slice.
        row_weight: shape (n,); None counts rows alike.
    """
    weight = np.ones(len(y)) if row_weight is None else row_weight
    everywhere = mixture_weights(problem, predictions, y, weight)
    inside = np.tile(everywhere, (len(slices), 1))
    for number, rows in enumerate(_first(slices, x)):
        if rows.sum() < MIN_SLICE_ROWS:
            continue
        own = mixture_weights(problem, [each[rows] for each in predictions], y[rows], weight[rows])
        worth = float(weight[rows].sum() ** 2 / np.square(weight[rows]).sum())
        part = worth / (worth + PULL_ROWS)
        mixed = part * own + (1.0 - part) * everywhere
        mixed = np.where(mixed < SMALLEST_WEIGHT, 0.0, mixed)
        inside[number] = mixed / mixed.sum()
    only_inside = (everywhere == 0.0) & (inside > 0.0).any(axis=0)
    outside = np.where(only_inside, SMALLEST_WEIGHT, everywhere)
    return Selected(slices, inside, np.asarray(outside / outside.sum(), dtype=np.float64))


def _first(slices: list[Cut], x: Floats) -> list[NDArray[np.bool_]]:
    """For each slice the rows that lie in it and in none before it."""
    left = np.ones(len(x), dtype=bool)
    found = []
    for cut in slices:
        rows = left & cut.holds(x)
        left &= ~rows
        found.append(rows)
    return found
