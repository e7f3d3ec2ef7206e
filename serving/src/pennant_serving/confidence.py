"""How sure an answer is, compared with the reference rows: by the width of its interval and by its members.

`confidence = 1 - (rank of width + rank of disagreement) / 2`; a rank is the share of reference rows that lie
below. 1 is the surest row there was, 0 the least sure. It ranks answers of one bundle; it is no probability,
and says nothing of inputs unlike the reference rows.
"""

import numpy as np

from pennant_serving.arrays import Floats, logit, step_lengths
from pennant_serving.manifest import Confidence, Task


def disagreement(task: Task, predictions: list[Floats], mixed: Floats, weights: Floats) -> Floats:
    """How far the members are from their combination, shape (n,); 0 of a single member.

    Binary: weighted standard deviation in logits; regression: in its unit; multiclass and count: weighted
    mean total-variation distance; trajectory: weighted mean distance in metres.
    """
    total = np.zeros(len(mixed))
    if len(predictions) == 1:
        return total
    for at, each in enumerate(predictions):
        total += weights[:, at] * _apart(task, each, mixed)
    return np.sqrt(total) if task in {"binary", "regression"} else total


def _apart(task: Task, each: Floats, mixed: Floats) -> Floats:
    if task == "binary":
        return np.asarray(np.square(logit(each) - logit(mixed)), dtype=np.float64)
    if task == "regression":
        return np.asarray(np.square(each - mixed), dtype=np.float64)
    if task == "trajectory":
        return np.asarray(step_lengths(each - mixed).mean(axis=1), dtype=np.float64)
    return np.asarray(0.5 * np.abs(each - mixed).sum(axis=1), dtype=np.float64)


def confidence(found: Confidence | None, width: Floats, apart: Floats) -> Floats:
    """In [0, 1], shape (n,); NaN where the bundle holds no percentiles."""
    if found is None:
        return np.full(len(width), np.nan)
    ranks = _rank(np.array(found.width), width) + _rank(np.array(found.disagreement), apart)
    return np.asarray(1.0 - ranks / 2.0, dtype=np.float64)


def _rank(percentiles: Floats, values: Floats) -> Floats:
    """Share of reference rows below each value; percentiles are joined by straight lines."""
    last = len(percentiles) - 1
    at = np.searchsorted(percentiles, values, side="left")
    inside = np.clip(at, 1, last)
    before, behind = percentiles[inside - 1], percentiles[inside]
    gap = np.where(behind > before, behind - before, 1.0)
    share = (inside - 1 + (values - before) / gap) / last
    return np.asarray(np.where(at == 0, 0.0, np.where(at > last, 1.0, share)), dtype=np.float64)
