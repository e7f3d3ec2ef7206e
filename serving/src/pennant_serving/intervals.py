"""How far a prediction may be off: ends of intervals, or radii around the steps of a path."""

from dataclasses import dataclass

import numpy as np

from pennant_serving.arrays import Floats, logit, sigmoid
from pennant_serving.manifest import ConformalisedQuantiles, LogitSpread, Manifest, SplitConformal
from pennant_serving.trees import Trees

_ROUNDING = 1e-12
"""A cumulative chance this close under a quantile has reached it."""


@dataclass(frozen=True)
class Ends:
    """Interval ends and how wide they are.

    Attributes:
        low: (n,); multiclass (n, classes); trajectory (n, steps) radii in metres.
        high: the same; trajectory: the same radii.
        width: (n,): high less low, its mean over classes, or the mean radius.
    """

    low: Floats
    high: Floats
    width: Floats


class IntervalOf:
    """The `intervals` of a manifest; `quantiles` are the trees of its file, where it names one."""

    def __init__(self, manifest: Manifest, quantiles: Trees | None) -> None:
        self._found, self._task, self._quantiles = manifest.intervals, manifest.task, quantiles

    def around(self, prediction: Floats, rows: Floats) -> Ends:
        """The interval of each row."""
        if isinstance(self._found, LogitSpread):
            return _by_logit(self._found.half_width_logit, prediction)
        if isinstance(self._found, SplitConformal):
            return self._fixed(self._found, prediction)
        if self._quantiles is None:
            return _of_counts(self._found, prediction)
        return _of_quantiles(self._found.offset, self._quantiles.predict(rows))

    def _fixed(self, found: SplitConformal, prediction: Floats) -> Ends:
        half = np.array(found.half_widths)
        if self._task == "trajectory":
            radii = np.tile(half, (len(prediction), 1))
            return Ends(radii, radii, np.full(len(prediction), float(half.mean())))
        # Not high less low: rounding would rank rows whose intervals are all alike.
        wide = np.full(len(prediction), 2.0 * float(half[0]))
        return Ends(prediction - half[0], prediction + half[0], wide)


def _by_logit(half_width: float, prediction: Floats) -> Ends:
    z = logit(prediction)
    low, high = sigmoid(z - half_width), sigmoid(z + half_width)
    width = high - low
    return Ends(low, high, width if width.ndim == 1 else width.mean(axis=1))


def _of_counts(found: ConformalisedQuantiles, distribution: Floats) -> Ends:
    """Quantiles: the least count that so much chance lies at or under."""
    under = np.cumsum(distribution, axis=1)[:, :-1]
    low, high = (
        (under < share - _ROUNDING).sum(axis=1).astype(np.float64)
        for share in ((1.0 - found.coverage) / 2.0, (1.0 + found.coverage) / 2.0)
    )
    return _moved(np.maximum(low - found.offset, 0.0), high + found.offset)


def _of_quantiles(offset: float, told: Floats) -> Ends:
    ordered = np.sort(told, axis=1)  # two quantiles fitted apart may cross
    return _moved(ordered[:, 0] - offset, ordered[:, 1] + offset)


def _moved(low: Floats, high: Floats) -> Ends:
    high = np.maximum(low, high)  # an offset below 0 may not turn an interval round
    return Ends(low, high, high - low)
