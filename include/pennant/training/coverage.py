"""How often intervals held what came, for all rows and for each declared slice, measured out of fold.

The interval that is measured is not the shipped one, which was made of these very rows. Each fold's rows are
held against an interval of the scores of rows that its models could be trained on: where folds follow time,
of earlier rows whose labels were known by then, so that the first fold is not measured. What is told is thus
what one would have seen.

Of probabilities no label says whether the interval held. There each slice's mean forecast is told beside
how often the thing came.

Ranges are those of Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the
case of the binomial", Biometrika 26, 404-413; rows are taken to be independent. Of a path, a row is covered
by the share of its steps that lie inside.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from pennant.declaration.model import Condition, TrainedUseCase
from pennant.training import conformal, split
from pennant.training.errors import TooFewRows
from pennant.training.interval import Scored
from pennant.training.losses import Floats, Indices
from pennant.training.rows import TrainingRows

Mask = NDArray[np.bool_]
CONFIDENCE = 0.95
"""Of the ranges told; a warning needs as much for all slices together (Bonferroni)."""


def held(use_case: TrainedUseCase, rows: TrainingRows, scored: Scored) -> tuple[Indices, Floats]:
    """Rows that could be measured, and what share of each (of a path's steps) lay inside: 0 or 1.

    Folds with too few such rows to make an interval of are left out.
    """
    coverage, half_life = use_case.training.interval_coverage, use_case.training.recency_half_life_days
    index, inside = [], []
    for number, fold in enumerate(rows.folds):
        others = np.isin(scored.index, fold.train)
        mine = scored.part == number
        if not others.any():
            continue
        weight = split.recency_weights(rows.label_known_at[scored.index[others]], half_life)
        try:
            far = [conformal.reach(each, weight, coverage) for each in scored.scores[others].T]
        except TooFewRows:
            continue
        index.append(scored.index[mine])
        inside.append((scored.scores[mine] <= far).mean(axis=1))
    return np.concatenate([np.empty(0, np.int64), *index]), np.concatenate([np.empty(0), *inside])


def by_slice(use_case: TrainedUseCase, rows: TrainingRows, scored: Scored) -> dict[str, Any]:
    """`coverage` of the metrics: `all`, and each slice of `training.slices`.

    Returns:
        By name: `rows`, `covered`, `share`, and its 95 % range `low`, `high`. Empty if no fold could
        be measured; a slice without a row is left out.
    """
    index, inside = held(use_case, rows, scored)
    told = {}
    for name, mask in masks(use_case, rows.x[index], rows.names).items():
        if mask.any():
            found = float(inside[mask].sum())
            told[name] = {"covered": found, **_share(found, int(mask.sum()), 1.0 - CONFIDENCE)}
    return told


def beside(use_case: TrainedUseCase, rows: TrainingRows, index: Indices, p: Floats) -> dict[str, Any]:
    """`calibration` of the metrics of probabilities: what was said and seen, by slice and class.

    Args:
        use_case: declares slices and classes.
        rows: the training rows.
        index: the rows that were predicted out of fold.
        p: their calibrated predictions.

    Returns:
        By slice, then by class (a binary task has `1` alone): `rows`, `said`, the mean forecast, `share`, how
        often it came, and that share's 95 % range `low`, `high`.
    """
    columns = p[:, None] if p.ndim == 1 else p
    names = use_case.label.classes if p.ndim > 1 else ["1"]
    wanted = np.arange(len(names)) if p.ndim > 1 else np.ones(1)
    came = rows.y[index][:, None] == wanted
    told: dict[str, Any] = {}
    for name, mask in masks(use_case, rows.x[index], rows.names).items():
        if mask.any():
            told[name] = {
                each: {
                    "said": float(said.mean()),
                    **_share(float(seen.sum()), len(seen), 1.0 - CONFIDENCE),
                }
                for each, said, seen in zip(names, columns[mask].T, came[mask].T, strict=True)
            }
    return told


def coverage_warnings(use_case: TrainedUseCase, told: dict[str, Any]) -> list[dict[str, object]]:
    """Slices whose coverage is not as declared beyond chance, for the warnings of bundle.json.

    A count that is covered more often than declared is no warning: whole numbers leave no other choice.
    """
    wanted = use_case.training.interval_coverage
    slips = (1.0 - CONFIDENCE) / max(len(told), 1)
    found: list[dict[str, object]] = []
    for name, each in told.items():
        share = _share(each["covered"], each["rows"], slips)
        less, more = share["high"] < wanted, share["low"] > wanted and use_case.task != "count"
        if less or more:
            text = (
                f"slice {name}: intervals held {share['share']:.3f} of {each['rows']} rows out of fold "
                f"({share['low']:.3f} to {share['high']:.3f}); {wanted:g} is declared"
            )
            what = "covered_less_than_declared" if less else "covered_more_than_declared"
            found.append({"slice": name, "what": what, "rows": each["rows"], "text": text})
    return found


def masks(use_case: TrainedUseCase, x: Floats, names: tuple[str, ...]) -> dict[str, Mask]:
    """Rows of each slice, `all` of them first; a missing value is in no slice."""
    found = {"all": np.ones(len(x), dtype=bool)}
    for name, condition in use_case.training.slices.items():
        found[name] = inside_of(condition, x[:, names.index(condition.column)])
    return found


def inside_of(condition: Condition, column: Floats) -> Mask:
    """Whether values fulfil a condition; NaN never does."""
    mask = ~np.isnan(column)
    if condition.equals is not None:
        mask &= column == float(condition.equals)
    if condition.below is not None:
        mask &= column < condition.below
    if condition.at_least is not None:
        mask &= column >= condition.at_least
    return mask


def _share(found: float, rows: int, slips: float) -> dict[str, float | int]:
    low = float(beta.ppf(slips / 2.0, found, rows - found + 1.0)) if found > 0 else 0.0
    high = float(beta.ppf(1.0 - slips / 2.0, found + 1.0, rows - found)) if found < rows else 1.0
    return {"rows": rows, "share": found / rows, "low": low, "high": high}
