"""The time-ordered split: which rows may be trained on, and the expanding folds inside them.

The newest `fresh_days` belong to the gate. Nothing here looks at their values: a row is fresh or not by
its `label_known_at` alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from pennant.declaration.model import Split
from pennant.training.errors import TooFewRows, TooLittleWeight
from pennant.training.losses import Floats, Indices

Moments = NDArray[np.datetime64]
"""UTC moments in microseconds, without time zone as NumPy has none."""

MIN_FOLD_ROWS = 20


@dataclass(frozen=True)
class Fold:
    """One step of the walk forward: indices into the training rows."""

    number: int
    train: Indices
    validate: Indices


def training_cutoff(as_of: datetime, split: Split) -> datetime:
    """Newest `label_known_at` that may be trained on: `as_of - fresh_days - embargo_hours`."""
    return as_of - timedelta(days=split.fresh_days) - timedelta(hours=split.embargo_hours)


def expanding_folds(
    event_time: Moments, moment: Moments, label_known_at: Moments, split: Split
) -> list[Fold]:
    """Cut the training rows into `folds` + 1 blocks of time; each block but the first validates once.

    Fold k trains on every row whose label was known `embargo_hours` before the first prediction
    moment of its block: what one could have trained at that moment. Rows of the same event
    time never fall on both sides.

    Args:
        event_time: shape (n,), sorted.
        moment: when each row is predicted, shape (n,).
        label_known_at: when each label is known, shape (n,).
        split: the declared split.

    Raises:
        TooFewRows: a fold has fewer than 20 rows on either side.
    """
    embargo = np.timedelta64(timedelta(hours=split.embargo_hours))
    edges = [
        int(np.searchsorted(event_time, event_time[len(event_time) * k // (split.folds + 1)], side="left"))
        for k in range(1, split.folds + 1)
    ]
    folds = []
    for number, (start, end) in enumerate(zip(edges, [*edges[1:], len(event_time)], strict=True), start=1):
        validate = np.arange(start, end, dtype=np.int64)
        if len(validate) < MIN_FOLD_ROWS:
            raise TooFewRows(f"fold {number} of {split.folds}, validating", len(validate), MIN_FOLD_ROWS)
        known = label_known_at <= moment[start:end].min() - embargo
        train = np.flatnonzero(known & (np.arange(len(known)) < start)).astype(np.int64)
        if len(train) < MIN_FOLD_ROWS:
            raise TooFewRows(f"fold {number} of {split.folds}, training", len(train), MIN_FOLD_ROWS)
        folds.append(Fold(number, train, validate))
    return folds


def grouped_folds(groups: NDArray[np.str_], label: Floats | None, split: Split) -> list[Fold]:
    """Folds for data whose order in time says nothing: every row but those never judged validates once.

    Args:
        groups: whose rows stay together, shape (n,).
        label: to part groups evenly by class, that of a group's first row; None parts them by size, each its
            own fold while there are no more than `split.folds`.
        split: the declared split.

    Raises:
        TooFewRows: a fold has fewer than 20 rows on either side, or all groups are `train_only`.
    """
    part = _parts(groups, label, split)
    if part.max(initial=-1) < 0:
        raise TooFewRows("rows outside of split.train_only, to judge by", 0, MIN_FOLD_ROWS)
    folds = []
    for number in range(int(part.max(initial=-1)) + 1):
        validate, train = (np.flatnonzero(side).astype(np.int64) for side in (part == number, part != number))
        for side, found in (("validating", validate), ("training", train)):
            if len(found) < MIN_FOLD_ROWS:
                raise TooFewRows(f"fold {number + 1}, {side}", len(found), MIN_FOLD_ROWS)
        folds.append(Fold(number + 1, train, validate))
    return folds


def _parts(groups: NDArray[np.str_], label: Floats | None, split: Split) -> Indices:
    """The fold of each row; -1 for rows that are never judged."""
    unique, first, which = np.unique(groups, return_index=True, return_inverse=True)
    names: list[str] = unique.tolist()
    drawn = sorted(range(len(names)), key=lambda at: _drawn(names[at]))
    judged = [at for at in drawn if names[at] not in split.train_only]
    part = np.full(len(names), -1, dtype=np.int64)
    if label is None:
        sizes, loads = np.bincount(which), np.zeros(min(split.folds, len(judged)), dtype=np.int64)
        for at in judged:
            part[at] = int(np.argmin(loads))
            loads[part[at]] += sizes[at]
        return part[which]
    came = label[first]
    for each in np.unique(came):
        dealt = [at for at in judged if came[at] == each]
        part[dealt] = np.arange(len(dealt)) % split.folds
    return part[which]


def _drawn(name: str) -> str:
    return sha256(name.encode()).hexdigest()


def recency_weights(label_known_at: Moments, half_life_days: float) -> Floats:
    """Weights that halve every `half_life_days` back from the newest row, shape (n,), mean 1.

    The mean is 1 so that regularisation means the same however old the rows are.
    """
    age = (label_known_at.max() - label_known_at) / np.timedelta64(1, "D")
    weight = np.exp2(-age.astype(np.float64) / half_life_days)
    return np.asarray(weight / weight.mean(), dtype=np.float64)


def require_weight(weight: Floats, half_life_days: float, where: str) -> None:
    """Check that the weights are worth as many rows as a fold needs.

    A half-life of a day over twenty years leaves weights of exactly 0 and one row that counts.

    Raises:
        TooLittleWeight: they are not.
    """
    worth = float(weight.sum() ** 2 / np.square(weight).sum())
    if worth < MIN_FOLD_ROWS:
        raise TooLittleWeight(where, worth, len(weight), MIN_FOLD_ROWS, half_life_days)
