"""Signs of a leak in the numbers alone: a feature too good to be honest, or good only about the very event.

Neither proves a leak: a market's own probability is good alone. So a sign is shown and fails no run; what
`pennant.features.leaks` finds does.

Strength is |2 AUC - 1| for a label of 0 and 1 (Mann-Whitney; the rank-biserial correlation), else the
absolute Spearman correlation. Both are 0 for a feature that says nothing and 1 for one that says everything.
The interval is asymptotic: Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology
143 (1982), p. 31, for AUC; Fisher's z with the factor 1.06 of Fieller, Hartley and Pearson, Biometrika 44
(1957), p. 471, for Spearman.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pennant.declaration.model import DataUseCase
from pennant.features.build import BASELINE, baseline_columns

Floats = npt.NDArray[np.float64]

FEWEST_ROWS = 100
TOO_GOOD = 0.15
"""By so much stronger alone than the best baseline is a sign."""
_Z = 2.576  # 99 %


@dataclass(frozen=True)
class Strength:
    """How much one column says about the label alone, with a 99 % interval."""

    column: str
    value: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Sign:
    """A column that deserves a look, and why."""

    column: str
    kind: str
    """`too_good`: stronger than every baseline by more than `TOO_GOOD`; `only_now`: strong about its own
    event and silent about the next one in time."""
    words: str


def strengths(use_case: DataUseCase, snapshot: pl.DataFrame) -> list[Strength]:
    """Strength of every feature and baseline alone, the strongest first; none for a trajectory."""
    if use_case.task == "trajectory":
        return []
    label = _label(use_case, snapshot)
    columns = [*use_case.features, *(BASELINE + name for name in baseline_columns(use_case))]
    found = [each for name in columns if (each := _strength(name, snapshot[name], label)) is not None]
    return sorted(found, key=lambda each: -each.value)


def signs(use_case: DataUseCase, snapshot: pl.DataFrame, measured: list[Strength]) -> list[Sign]:
    """What is suspicious about the measured strengths; baselines are the yardstick and never a sign."""
    of_baselines = [each.high for each in measured if each.column.startswith(BASELINE)]
    reached = max(of_baselines, default=0.0)
    label = _label(use_case, snapshot) if measured else pl.Series([], dtype=pl.Float64)
    found = []
    for each in measured:
        if each.column.startswith(BASELINE):
            continue
        if each.low > reached + TOO_GOOD and (of_baselines or each.low > 0.9):
            words = f"says {each.value:.2f} alone; the best baseline says {reached:.2f} at most"
            found.append(Sign(each.column, "too_good", words))
        delayed = _strength(each.column, snapshot[each.column].shift(1), label)
        if each.low > 0.5 and delayed is not None and delayed.high < 0.05:
            words = f"says {each.value:.2f} about its own event and {delayed.value:.2f} about the next one"
            found.append(Sign(each.column, "only_now", words))
    return found


def _label(use_case: DataUseCase, snapshot: pl.DataFrame) -> pl.Series:
    """The label in an order that means something: of classes, the first one against the rest."""
    if use_case.task == "multiclass":
        return (snapshot["label"] == 0.0).cast(pl.Float64)
    return snapshot["label"]


def _strength(name: str, values: pl.Series, label: pl.Series) -> Strength | None:
    both = pl.DataFrame({"x": values.cast(pl.Float64), "y": label}).drop_nulls()
    x, y = both["x"].rank("average").to_numpy(), both["y"].to_numpy()
    if both.height < FEWEST_ROWS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    binary = both["y"].n_unique() == 2
    value, spread = _rank_biserial(x, y) if binary else _spearman(x, both["y"].rank("average").to_numpy())
    low, high = max(abs(value) - _Z * spread, 0.0), min(abs(value) + _Z * spread, 1.0)
    return Strength(name, abs(value), low, high, both.height)


def _rank_biserial(ranks: Floats, y: Floats) -> tuple[float, float]:
    won = y == y.max()
    ones, zeros = int(won.sum()), int((~won).sum())
    auc = (float(ranks[won].sum()) - ones * (ones + 1) / 2) / (ones * zeros)
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (ones - 1) * (q1 - auc**2) + (zeros - 1) * (q2 - auc**2)
    return 2 * auc - 1, 2 * math.sqrt(max(variance, 0.0) / (ones * zeros))


def _spearman(x: Floats, y: Floats) -> tuple[float, float]:
    value = float(np.corrcoef(x, y)[0, 1])
    return value, math.sqrt(1.06 / max(len(x) - 3, 1)) * (1 - value**2)
