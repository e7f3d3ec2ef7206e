"""What the gate compares: one table of scores per model or baseline, over the same rows."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of one forecaster: n rows, one per (entity, event_time).

    Attributes:
        name: what it is called in reasons and plots.
        entity: (n,) strings.
        event_time: (n,) `datetime64[us]`, UTC.
        label: (n,) 0.0 or 1.0.
        prediction: (n,) probability that the label is 1.
        bundle_sha256: the bundle that gave the scores; empty for a baseline.
        rows_trained_on: how many of these rows the model saw in training; the gate wants 0.
    """

    name: str
    entity: NDArray[np.str_]
    event_time: NDArray[np.datetime64]
    label: Floats
    prediction: Floats
    bundle_sha256: str = ""
    rows_trained_on: int = 0

    def __post_init__(self) -> None:
        sizes = {len(self.entity), len(self.event_time), len(self.label), len(self.prediction)}
        if len(sizes) != 1:
            raise ValueError(f"score table {self.name!r}: columns of different lengths {sorted(sizes)}")

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def from_frame(
        cls, name: str, frame: pl.DataFrame, bundle_sha256: str = "", rows_trained_on: int = 0
    ) -> Self:
        """Build from the columns `entity`, `event_time`, `label`, `prediction`; nulls become NaN."""
        moments = frame["event_time"].cast(pl.Datetime("us", "UTC")).dt.replace_time_zone(None)
        return cls(
            name=name,
            entity=np.array(frame["entity"].cast(pl.String).to_list(), dtype=np.str_),
            event_time=moments.to_numpy().astype("datetime64[us]"),
            label=frame["label"].cast(pl.Float64).to_numpy().astype(np.float64),
            prediction=frame["prediction"].cast(pl.Float64).to_numpy().astype(np.float64),
            bundle_sha256=bundle_sha256,
            rows_trained_on=rows_trained_on,
        )

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "ScoreTable":
        """The same table with only these rows, in this order."""
        return ScoreTable(
            self.name,
            self.entity[rows],
            self.event_time[rows],
            self.label[rows],
            self.prediction[rows],
            self.bundle_sha256,
            self.rows_trained_on,
        )

    def canonical_order(self) -> NDArray[np.intp]:
        """Row order by (event_time, entity): sums in this order do not depend on the input's order."""
        return np.lexsort((self.entity, self.event_time))

    def days(self) -> NDArray[np.datetime64]:
        """(n,) UTC day of each event."""
        return self.event_time.astype("datetime64[D]")


@dataclass(frozen=True)
class Unscorable:
    """Stands for a model that gave no scores, with the reason why."""

    name: str
    code: Literal["contract_mismatch", "bundle_rejected", "scoring_failed"]
    why: str
    bundle_sha256: str = ""


def same_rows(left: ScoreTable, right: ScoreTable) -> bool:
    """Whether two tables in canonical order hold exactly the same (entity, event_time) rows."""
    return (
        len(left) == len(right)
        and bool(np.array_equal(left.event_time, right.event_time))
        and bool(np.array_equal(left.entity, right.entity))
    )


def rows_of(part: ScoreTable, whole: ScoreTable) -> NDArray[np.intp] | None:
    """Positions in `whole` of the rows of `part`; None when a row of `part` is not in `whole`."""
    if same_rows(part, whole):
        return np.arange(len(whole))
    place = {key: at for at, key in enumerate(zip(whole.entity, whole.event_time, strict=True))}
    found = [place.get(key, -1) for key in zip(part.entity, part.event_time, strict=True)]
    return None if -1 in found else np.array(found, dtype=np.intp)
