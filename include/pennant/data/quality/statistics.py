"""Numbers of a batch, and whether they are far from those of the batches before it.

The robust z-score is 0.6745 (x - median) / MAD (Iglewicz and Hoaglin, "How to detect and handle outliers",
ASQC, 1993, p. 11). Where more than half of the earlier numbers are equal the MAD is zero; then the
interquartile range stands in (IQR / 1.349 for a normal), and where that is zero too, a tenth of the median.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from pennant.declaration.model import Outlier

Numbers = dict[str, float]
_FLOOR = 0.1


def numbers_of(groups: Mapping[str, pl.DataFrame], days: float) -> Numbers:
    """Rows per day of each group, and mean, spread and missing share of its columns.

    Args:
        groups: typed rows by group.
        days: length of the batch's window.
    """
    numbers: Numbers = {}
    for group, rows in groups.items():
        numbers[f"{group}: rows per day"] = rows.height / days
        for name, dtype in rows.schema.items():
            if not (dtype.is_numeric() or dtype == pl.Boolean) or not rows.height:
                continue
            values = rows[name].cast(pl.Float64)
            numbers[f"{group}.{name}: missing share"] = values.null_count() / rows.height
            if values.count():
                numbers[f"{group}.{name}: mean"] = _number(values.mean())
            if values.count() > 1:
                numbers[f"{group}.{name}: spread"] = _number(values.std())
    return numbers


def robust_z(value: float, earlier: Sequence[float]) -> float:
    """How many robust standard deviations `value` lies from the median of `earlier`."""
    held = np.asarray(earlier, dtype=np.float64)
    middle = float(np.median(held))
    spread = float(np.median(np.abs(held - middle))) / 0.6745
    if spread == 0.0:
        low, high = np.quantile(held, [0.25, 0.75])
        spread = float(high - low) / 1.349
    spread = max(spread, _FLOOR * abs(middle) / 3)
    if spread == 0.0:
        return 0.0 if value == middle else float("inf")
    return (value - middle) / spread


def outliers(
    numbers: Numbers, earlier: Sequence[Mapping[str, Any]], rule: Outlier | None, volume: bool
) -> list[str]:
    """Numbers of this kind (volume, or distribution) that are out of line, in words.

    Args:
        numbers: of this batch.
        earlier: of the last validated batches, newest first.
        rule: what counts as far; None looks for nothing.
        volume: rows per day, or all the other numbers.
    """
    if rule is None:
        return []
    found = []
    for name, value in numbers.items():
        if name.endswith("rows per day") != volume:
            continue
        held = [float(each[name]) for each in earlier[: rule.batches] if each.get(name) is not None]
        if len(held) < rule.min_batches:
            continue
        z = robust_z(value, held)
        if abs(z) > rule.threshold:
            middle = float(np.median(held))
            found.append(
                f"{name} is {value:.4g}, {len(held)} batches before had {middle:.4g} (robust z {z:+.1f})"
            )
    return found


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
