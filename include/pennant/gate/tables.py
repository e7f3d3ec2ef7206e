"""What the gate compares: one table of scores per model or baseline, over the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pennant.training.metrics import by_row
from pennant.training.problem import Problem
from pennant.training.rows import labels_of

Floats = NDArray[np.float64]
Positions = NDArray[np.intp] | NDArray[np.bool_]

BINARY = Problem("binary", ())


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of one forecaster: n rows, one per (entity, event_time).

    Attributes:
        name: what it is called in reasons and plots.
        entity: (n,) strings.
        event_time: (n,) `datetime64[us]`, UTC.
        label: (n,), or (n, 2 steps) metres for a trajectory; see `pennant.training.problem`.
        prediction: of the shape that the problem's task has: (n,), (n, classes), (n, most + 1) or
            (n, 2 steps).
        bundle_sha256: the bundle that gave the scores; empty for a baseline.
        rows_trained_on: how many of these rows the model saw in training; the gate wants 0.
        problem: what is predicted. Two tables of counts may end at another `most`.
        low: lower ends of the intervals, (n,) or (n, classes); for a trajectory (n, steps) radii in metres;
            None without intervals.
        high: upper ends; for a trajectory the same radii.
        coverage: the share of labels that the intervals are meant to hold; None without intervals. The gate
            holds a challenger for a count, a number or a path that has none.
        cluster: (n,) which rows count together in intervals; None: those of one UTC day.
    """

    name: str
    entity: NDArray[np.str_]
    event_time: NDArray[np.datetime64]
    label: Floats
    prediction: Floats
    bundle_sha256: str = ""
    rows_trained_on: int = 0
    problem: Problem = BINARY
    low: Floats | None = None
    high: Floats | None = None
    coverage: float | None = None
    cluster: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        arrays = [self.entity, self.event_time, self.label, self.prediction]
        sizes = {len(each) for each in arrays} | {len(each) for each in self.intervals}
        if len(sizes) != 1:
            raise ValueError(f"score table {self.name!r}: columns of different lengths {sorted(sizes)}")
        width = predicted_columns(self.problem)
        allowed = (len(self),) if width is None else (len(self), width)
        labels = allowed if self.problem.task == "trajectory" else (len(self),)
        for what, found, wanted in (
            ("predictions", self.prediction.shape, allowed),
            ("labels", self.label.shape, labels),
        ):
            if found != wanted:
                raise ValueError(
                    f"score table {self.name!r}: {what} of shape {found}; allowed for a task of kind "
                    f"{self.problem.task} is {wanted}"
                )

    def __len__(self) -> int:
        return len(self.label)

    @property
    def intervals(self) -> tuple[Floats, ...]:
        """Lower and upper ends; empty without intervals."""
        return () if self.low is None or self.high is None else (self.low, self.high)

    @classmethod
    def from_frame(
        cls, name: str, frame: pl.DataFrame, bundle_sha256: str = "", rows_trained_on: int = 0
    ) -> Self:
        """Build from the columns `entity`, `event_time`, `label`, `prediction`; nulls become NaN.

        For binary predictions.
        """
        prediction = frame["prediction"].cast(pl.Float64).to_numpy().astype(np.float64)
        return cls(name, *identity(frame), prediction, bundle_sha256, rows_trained_on)

    def losses(self, metric: str) -> Floats:
        """The loss of each row by a metric of the task, shape (n,)."""
        return by_row(metric, self.problem, self.label, self.prediction)

    def take(self, rows: Positions) -> "ScoreTable":
        """The same table with only these rows, in this order."""
        return replace(
            self,
            entity=self.entity[rows],
            event_time=self.event_time[rows],
            label=self.label[rows],
            prediction=self.prediction[rows],
            low=None if self.low is None else self.low[rows],
            high=None if self.high is None else self.high[rows],
            cluster=None if self.cluster is None else self.cluster[rows],
        )

    def up_to(self, most: int) -> "ScoreTable":
        """Counts whose last column says `most` and more: no table gains by lumping more outcomes together."""
        if self.problem.task != "count" or most >= self.problem.most:
            return self
        rest = self.prediction[:, most:].sum(axis=1, keepdims=True)
        prediction = np.hstack([self.prediction[:, :most], rest])
        return replace(self, prediction=prediction, problem=replace(self.problem, most=most))

    def canonical_order(self) -> NDArray[np.intp]:
        """Row order by (event_time, entity): sums in this order do not depend on the input's order."""
        return np.lexsort((self.entity, self.event_time))

    @property
    def unit(self) -> str:
        """What rows are counted together by."""
        return "days" if self.cluster is None else "clusters"

    def clusters(self) -> NDArray[np.str_] | NDArray[np.datetime64]:
        """(n,) what each row counts together with: the declared cluster, or the UTC day of its event."""
        return self.event_time.astype("datetime64[D]") if self.cluster is None else self.cluster


@dataclass(frozen=True)
class Unscorable:
    """Stands for a model that gave no scores, with the reason why."""

    name: str
    code: Literal["contract_mismatch", "bundle_rejected", "scoring_failed"]
    why: str
    bundle_sha256: str = ""


def identity(
    frame: pl.DataFrame, problem: Problem = BINARY
) -> tuple[NDArray[np.str_], NDArray[np.datetime64], Floats]:
    """Entity, event_time and label of a snapshot's rows as the arrays of a score table."""
    moments = frame["event_time"].cast(pl.Datetime("us", "UTC")).dt.replace_time_zone(None)
    nothing = np.empty((0, 2 * problem.steps) if problem.task == "trajectory" else 0)
    return (
        np.array(frame["entity"].cast(pl.String).to_list(), dtype=np.str_),
        moments.to_numpy().astype("datetime64[us]"),
        labels_of(frame["label"]) if frame.height else nothing,
    )


def cluster_of(frame: pl.DataFrame) -> NDArray[np.str_] | None:
    """The clusters of a snapshot's rows, if they are declared."""
    if "cluster" not in frame.columns:
        return None
    return np.array(frame["cluster"].to_list(), dtype=np.str_)


def predicted_columns(problem: Problem) -> int | None:
    """How many columns a prediction of this problem has; None for one number a row."""
    if problem.task == "trajectory":
        return 2 * problem.steps
    return problem.outcomes if problem.task in {"multiclass", "count"} else None


def columns_of(name: str, values: Floats) -> Mapping[str, Floats]:
    """Values by name, as the columns of a file: one, or `name_0` and so on."""
    if values.ndim == 1:
        return {name: values}
    return {f"{name}_{at}": np.ascontiguousarray(column) for at, column in enumerate(values.T)}


def same_rows(left: ScoreTable, right: ScoreTable) -> bool:
    """Whether two tables in canonical order hold exactly the same (entity, event_time) rows."""
    return (
        len(left) == len(right)
        and bool(np.array_equal(left.event_time, right.event_time))
        and bool(np.array_equal(left.entity, right.entity))
    )


def same_problem(left: ScoreTable, right: ScoreTable) -> bool:
    """Whether two tables predict the same thing; where a distribution of counts ends may differ."""
    one, other = left.problem, right.problem
    same_task = (one.task, one.steps) == (other.task, other.steps)
    return same_task and (one.task != "multiclass" or one.classes == other.classes)


def rows_of(part: ScoreTable, whole: ScoreTable) -> NDArray[np.intp] | None:
    """Positions in `whole` of the rows of `part`; None when a row of `part` is not in `whole`."""
    if same_rows(part, whole):
        return np.arange(len(whole))
    place = {key: at for at, key in enumerate(zip(whole.entity, whole.event_time, strict=True))}
    found = [place.get(key, -1) for key in zip(part.entity, part.event_time, strict=True)]
    return None if -1 in found else np.array(found, dtype=np.intp)
