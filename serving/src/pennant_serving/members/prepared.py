"""Features as linear members see them: gaps filled, perhaps bent by natural cubic splines, standardised.

The formula is in `files.PreparedFile`.
"""

import numpy as np

from pennant_serving.arrays import Floats
from pennant_serving.files import PreparedFile


class Prepared:
    """The columns of a linear member."""

    def __init__(self, file: PreparedFile) -> None:
        self._impute = np.array(file.impute)
        self._mean, self._scale = np.array(file.mean), np.array(file.scale)
        self._curved = [(at, np.array(knots)) for at, knots in enumerate(file.knots) if knots]

    def centred(self, rows: Floats) -> Floats:
        """The columns less their means, shape (n, columns)."""
        filled = np.where(np.isnan(rows), self._impute, rows)
        columns = [filled, *(_curve(filled[:, at], knots) for at, knots in self._curved)]
        made = np.hstack(columns) if self._curved else filled
        return np.asarray(made - self._mean, dtype=np.float64)

    def terms(self, centred: Floats, coef: Floats) -> Floats:
        """What each column adds, shape (n, columns), for coefficients (columns,) of the scaled columns."""
        return np.asarray(coef * centred / self._scale, dtype=np.float64)

    def by_feature(self, terms: Floats) -> Floats:
        """Terms (n, columns) added up by the feature that each column is made of, shape (n, features)."""
        own, start = terms[:, : len(self._impute)].copy(), len(self._impute)
        for at, knots in self._curved:
            end = start + len(knots) - 2
            own[:, at] += terms[:, start:end].sum(axis=1)
            start = end
        return own


def _curve(column: Floats, knots: Floats) -> Floats:
    """The curved part of a natural cubic spline."""
    width = knots[-1] - knots[0]
    z, at = (column - knots[0]) / width, (knots - knots[0]) / width
    cubes = np.clip(z[:, None] - at, 0.0, None) ** 3
    rise = (cubes - cubes[:, -1:]) / np.where(at[-1] > at, at[-1] - at, 1.0)
    return np.asarray(rise[:, :-2] - rise[:, -2:-1], dtype=np.float64)
