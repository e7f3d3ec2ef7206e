"""Features as linear members see them: gaps filled, perhaps bent by splines, standardised.

The splines are natural cubic ones (Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning",
2nd edition, p. 145, formulas 5.4 and 5.5), their knots at quantiles of the training rows.
"""

from dataclasses import dataclass

import numpy as np

from pennant.training.losses import Floats

_FLAT = 1e-12


@dataclass(frozen=True)
class Prepared:
    """What was learned of the training rows; arrays of shape (features,) or (columns,).

    Attributes:
        impute: medians, for gaps.
        knots: by feature; fewer than three leave it straight.
        mean: of the columns made.
        scale: of the columns made; 1 where one is constant.
    """

    impute: Floats
    knots: tuple[tuple[float, ...], ...]
    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, x: Floats, knots: int) -> "Prepared":
        """Learn from training rows; a feature with few values gets no knots."""
        missing = np.isnan(x)
        impute = np.array(
            [np.median(c[~m]) if not m.all() else 0.0 for c, m in zip(x.T, missing.T, strict=True)]
        )
        filled = np.where(missing, impute, x)
        places = tuple(_places(column, knots) for column in filled.T)
        made = _bent(filled, places)
        mean, spread = made.mean(axis=0), made.std(axis=0)
        scale = np.where(spread > _FLAT * np.maximum(1.0, np.abs(mean)), spread, 1.0)
        return cls(impute, places, mean, scale)

    def apply(self, x: Floats) -> Floats:
        """The columns, shape (n, columns)."""
        filled = np.where(np.isnan(x), self.impute, x)
        return np.asarray((_bent(filled, self.knots) - self.mean) / self.scale, dtype=np.float64)

    def to_json(self) -> dict[str, object]:
        """The numbers, for a member's file."""
        plain = {name: getattr(self, name).tolist() for name in ("impute", "mean", "scale")}
        return {**plain, "knots": [list(each) for each in self.knots]}


def _places(column: Floats, knots: int) -> tuple[float, ...]:
    if knots < 3 or len(np.unique(column)) <= 2 * knots:
        return ()
    found = np.unique(np.quantile(column, np.linspace(0.05, 0.95, knots)))
    return tuple(float(each) for each in found) if len(found) >= 3 else ()


def _bent(filled: Floats, knots: tuple[tuple[float, ...], ...]) -> Floats:
    if not any(knots):
        return filled
    columns = [filled]
    for column, places in zip(filled.T, knots, strict=True):
        if places:
            columns.append(_natural(column, np.array(places)))
    return np.hstack(columns)


def _natural(column: Floats, knots: Floats) -> Floats:
    """The curved part of a natural cubic spline, one column less than two for each knot."""
    width = knots[-1] - knots[0]
    z, at = (column - knots[0]) / width, (knots - knots[0]) / width
    cubes = np.clip(z[:, None] - at, 0.0, None) ** 3
    rise = (cubes - cubes[:, -1:]) / np.where(at[-1] > at, at[-1] - at, 1.0)
    return np.asarray(rise[:, :-2] - rise[:, -2:-1], dtype=np.float64)
