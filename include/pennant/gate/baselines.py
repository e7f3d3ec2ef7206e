"""Forecasts that need no model: what a first champion has to beat."""

from datetime import datetime

import polars as pl

from pennant.declaration.model import UseCase
from pennant.errors import PennantError
from pennant.gate.tables import ScoreTable
from pennant.training.split import training_cutoff

PREFIX = "baseline__"


class BaselineUnavailable(PennantError):
    """A declared baseline cannot be computed from this snapshot."""

    def __init__(self, baseline: str, found: str, allowed: str) -> None:
        self.baseline = baseline
        self.found = found
        self.allowed = allowed
        super().__init__(
            f"baseline {baseline}: found {found}; allowed is {allowed}. "
            "Correct `baselines` in use_case.yaml, or the function `baselines` in features.py."
        )


def baseline_tables(
    use_case: UseCase, frame: pl.DataFrame, fresh: pl.DataFrame, as_of: datetime
) -> dict[str, ScoreTable]:
    """Every declared baseline on the fresh rows.

    `base_rate` is the mean label of the rows that the challenger was trained on, so it knows nothing
    of the fresh ones. `column` reads `baseline__<column>`; rows where it is null are left out of that
    baseline's table, and thereby of its comparison.

    Args:
        use_case: the declaration.
        frame: the whole snapshot.
        fresh: its fresh rows.
        as_of: the snapshot's moment.

    Raises:
        BaselineUnavailable: no such column, or no training row to take a rate of.
    """
    found = {}
    for name, declared in use_case.baselines.items():
        if declared.kind == "base_rate":
            forecast = pl.lit(base_rate(use_case, frame, as_of, name), dtype=pl.Float64)
        else:
            column = f"{PREFIX}{declared.column}"
            if column not in frame.columns:
                allowed = [each for each in frame.columns if each.startswith(PREFIX)]
                raise BaselineUnavailable(name, f"no column {column}", f"one of {allowed}")
            forecast = pl.col(column).cast(pl.Float64).fill_nan(None)
        rows = fresh.select("entity", "event_time", "label", forecast.alias("prediction"))
        found[name] = ScoreTable.from_frame(name, rows.drop_nulls("prediction"))
    return found


def base_rate(use_case: UseCase, frame: pl.DataFrame, as_of: datetime, name: str = "base_rate") -> float:
    """Mean label of the training rows of a snapshot.

    Raises:
        BaselineUnavailable: there is none.
    """
    cutoff = training_cutoff(as_of, use_case.split)
    labels = frame.filter(pl.col("label_known_at") <= cutoff)["label"]
    if labels.is_empty():
        raise BaselineUnavailable(name, f"no label known by {cutoff.isoformat()}", "at least one")
    return float(labels.cast(pl.Float64).to_numpy().mean())


def required_baselines(use_case: UseCase) -> list[str]:
    """Names of the baselines that count."""
    return [name for name, declared in use_case.baselines.items() if declared.required]
