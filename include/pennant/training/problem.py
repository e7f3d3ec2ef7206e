"""What is to be predicted, as the members and the losses need to know it: kinds of labels and of predictions.

| task | label y | prediction p |
| --- | --- | --- |
| binary | 0 or 1, (n,) | probability of 1, (n,) |
| multiclass | 0 to classes - 1, (n,) | probability of each class, (n, classes) |
| count | 0, 1, 2, ..., (n,) | a distribution, (n, most + 1); the last column: `most` and more |
| regression | a number, (n,) | a number, (n,) |
| trajectory | x1, y1, x2, y2, ... in metres, (n, 2 steps) | the same, (n, 2 steps) |
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pennant.declaration.model import Cluster, DataUseCase, TrainedUseCase
from pennant.training.errors import LabelNotAllowed, LabelNotBinary, OneClass
from pennant.training.losses import CLIP, Floats, log_losses

Task = Literal["binary", "multiclass", "count", "regression", "trajectory"]
SPARE_COUNTS = 10
"""A distribution reaches so far beyond the largest count that was seen."""
LARGEST_COUNT = 1000


@dataclass(frozen=True)
class Problem:
    """A task, and the sizes of its labels and predictions.

    Attributes:
        task: what kind.
        names: features, in the order of the columns of x.
        classes: of a multiclass label.
        most: the last column of a count's distribution says how likely this many and more are.
        steps: of a path.
        columns: features that are the forecast of a member of kind `column`.
        sequence: features of each event, oldest first, for a member that reads events in their order.
        cluster: when a member that can be trained on a cluster is; None: never.
    """

    task: Task
    names: tuple[str, ...]
    classes: int = 2
    most: int = 0
    steps: int = 0
    columns: tuple[str, ...] = ()
    sequence: tuple[tuple[str, ...], ...] = ()
    cluster: Cluster | None = None

    @property
    def outcomes(self) -> int:
        """How many outcomes have a probability; 0 where a prediction is no distribution."""
        return {"binary": 2, "multiclass": self.classes, "count": self.most + 1}.get(self.task, 0)


def problem_of(use_case: DataUseCase, y: Floats) -> Problem:
    """The problem of a use case with training labels `y`.

    Raises:
        LabelNotBinary, LabelNotAllowed: a label that the task does not know.
        OneClass: all labels of a binary task are the same.
    """
    names = tuple(use_case.features)
    path = use_case.label.path
    problem = Problem(
        use_case.task,
        names,
        classes=len(use_case.label.classes) or 2,
        steps=path.steps if path else 0,
        cluster=use_case.training.cluster if isinstance(use_case, TrainedUseCase) else None,
    )
    check_labels(problem, y)
    if use_case.task == "count" and len(y):
        problem = replace(problem, most=int(y.max()) + SPARE_COUNTS)
    return problem


def check_labels(problem: Problem, y: Floats) -> None:
    """Refuse labels that the task does not know; see `problem_of`."""
    if problem.task == "binary":
        odd = np.unique(y[~np.isin(y, (0.0, 1.0))])
        if len(odd):
            raise LabelNotBinary([float(each) for each in odd[:5]])
        return
    wrong, allowed = ~np.isfinite(y), "finite numbers"
    if problem.task == "multiclass":
        wrong, allowed = ~np.isin(y, np.arange(problem.classes)), f"0 to {problem.classes - 1}"
    elif problem.task == "count":
        wrong = ~(np.isfinite(y) & (y >= 0) & (y <= LARGEST_COUNT) & (y == np.floor(y)))
        allowed = f"whole numbers from 0 to {LARGEST_COUNT}"
    if wrong.any():
        raise LabelNotAllowed(problem.task, [float(each) for each in np.unique(y[wrong])[:5]], allowed)


def require_variety(problem: Problem, y: Floats, where: str) -> None:
    """Check that labels differ, and that each class is there.

    Raises:
        OneClass: they do not, or one is not.
    """
    if problem.task == "multiclass":
        absent = np.setdiff1d(np.arange(problem.classes), y)
        if len(absent):
            raise OneClass(where, float(np.unique(y)[0]), len(y), absent=[int(each) for each in absent])
    if problem.task != "trajectory" and y.min() == y.max():
        raise OneClass(where, float(y[0]), len(y))


def likelihood(problem: Problem, y: Floats, p: Floats) -> Floats:
    """The probability that was given to what happened, shape (n,), clipped to [1e-6, 1 - 1e-6]."""
    if problem.task == "binary":
        inside = np.clip(p, CLIP, 1.0 - CLIP)
        return np.asarray(np.where(y == 1.0, inside, 1.0 - inside), dtype=np.float64)
    at = np.minimum(y, p.shape[1] - 1).astype(np.int64)
    return np.asarray(np.clip(p[np.arange(len(y)), at], CLIP, 1.0), dtype=np.float64)


def row_losses(problem: Problem, y: Floats, p: Floats) -> Floats:
    """The loss of each row, shape (n,): log loss in nats where there are probabilities.

    Else the squared error (regression), or the mean distance over the steps in metres (trajectory).
    """
    if problem.task == "binary":
        return log_losses(y, p)
    if problem.outcomes:
        return np.asarray(-np.log(likelihood(problem, y, p)), dtype=np.float64)
    if problem.task == "regression":
        return np.asarray(np.square(y - p), dtype=np.float64)
    apart = (y - p).reshape(len(y), p.shape[1] // 2, 2)
    return np.asarray(np.hypot(apart[:, :, 0], apart[:, :, 1]).mean(axis=1), dtype=np.float64)


def blend(predictions: list[Floats], weights: Floats) -> Floats:
    """The weighted mean of members' predictions, of their shape."""
    return np.asarray(sum(w * p for w, p in zip(weights, predictions, strict=True)), dtype=np.float64)
