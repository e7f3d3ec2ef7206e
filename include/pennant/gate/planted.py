"""Rows with planted truth: real rows of a use case whose labels are drawn anew; who is better is then known.

A planted world keeps what makes a use case hard to judge: how many rows fall on a day, how uncertain each
row is, which rows lie in a slice, what the baselines say. It replaces what nobody knows, the truth:

    truth of a row = the model's forecast + a + b          (added in the task's link space)

`a` is what only the challenger sees of the row, `b` what only the champion sees; both are normal, and a part
of each is shared by all rows of a day. Each of the two forecasts the mean of the truth over what it does not
see. That is calibrated by construction, and the one that sees more is better by an amount that can be
reckoned. Where both see equally much they are exchangeable: an A/A pair.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pennant.gate.forecasts import Forecast
from pennant.training.losses import Floats
from pennant.training.problem import Problem

Places = NDArray[np.intp]
Source = Literal["own data", "synthetic"]

DAY_SHARE = 0.2
"""Share of the variance of what a forecaster sees that all rows of a day have in common."""


@dataclass(frozen=True)
class PlantedRows:
    """The n rows that worlds are drawn from.

    Attributes:
        source: whether they are the use case's own.
        about: where they are from, one sentence.
        problem: what is predicted.
        event_time: (n,) `datetime64[us]`, UTC; rising, within each cluster where there are any.
        forecast: the model's predictions, out of sample; they stand for the truth.
        residual: label less forecast for a regression or a trajectory, of the shape of the label; else None.
        baselines: forecasts of the declared baselines.
        slices: for each slice of the policy, an (n,) mask.
        coverage: the share of labels that intervals are meant to hold.
        fresh: rows of a usual judgement of this use case.
        cluster: (n,) what each row counts together with, equal ones behind one another; None: its UTC day.
    """

    source: Source
    about: str
    problem: Problem
    event_time: NDArray[np.datetime64]
    forecast: Floats
    residual: Floats | None
    baselines: Mapping[str, Forecast]
    slices: Mapping[str, NDArray[np.bool_]]
    coverage: float
    fresh: int
    cluster: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.forecast)

    def days(self) -> list[Places]:
        """The rows of each UTC day, or of each declared cluster, one after another."""
        mine = self.event_time.astype("datetime64[D]") if self.cluster is None else self.cluster
        cuts = np.flatnonzero(mine[1:] != mine[:-1]) + 1
        return np.split(np.arange(len(self)), cuts)


@dataclass(frozen=True)
class Picks:
    """Many worlds of equally many rows, drawn by whole days with replacement.

    Attributes:
        at: (worlds, rows) places in the planted rows.
        day: (worlds, rows) number of the day within its world; a day drawn twice has two numbers.
    """

    at: Places
    day: Places

    def noise(self, rng: np.random.Generator, day_share: float, width: int) -> Floats:
        """Standard normal numbers, (worlds * rows, width), correlated within a day by `day_share`."""
        worlds, rows = self.at.shape
        by_day = rng.standard_normal((worlds, int(self.day.max()) + 1, width))
        shared = by_day[np.arange(worlds)[:, None], self.day]
        own = rng.standard_normal((worlds, rows, width))
        mixed = np.sqrt(day_share) * shared + np.sqrt(1 - day_share) * own
        return np.asarray(mixed.reshape(worlds * rows, width), dtype=np.float64)


def picks(
    planted: PlantedRows, worlds: int, rows: int, rng: np.random.Generator, chances: Floats | None = None
) -> Picks:
    """Draw worlds of `rows` rows each; the last day of a world is cut where the rows are full.

    Args:
        planted: what to draw from.
        worlds: how many.
        rows: of each.
        rng: chance.
        chances: of each day; all days alike when None.
    """
    days = planted.days()
    sizes = np.array([len(day) for day in days])
    at, number = np.empty((worlds, rows), dtype=np.intp), np.empty((worlds, rows), dtype=np.intp)
    for world in range(worlds):
        drawn: list[int] = []
        have = 0
        while have < rows:
            many = max(8, int(1.2 * (rows - have) / sizes.mean()))
            drawn += rng.choice(len(days), size=many, p=chances).tolist()
            have = int(sizes[drawn].sum())
        at[world] = np.concatenate([days[day] for day in drawn])[:rows]
        number[world] = np.repeat(np.arange(len(drawn)), sizes[drawn])[:rows]
    return Picks(at, number)


def chances_by_level(planted: PlantedRows, level: Floats) -> Floats:
    """Chances of days that favour rows of a high level: a day one deviation up is drawn e times as often."""
    means = np.array([level[day].mean() for day in planted.days()])
    spread = float(means.std()) or 1.0
    weight = np.exp(np.clip((means - means.mean()) / spread, -3.0, 3.0))
    return np.asarray(weight / weight.sum(), dtype=np.float64)
