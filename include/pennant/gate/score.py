"""Scores of a bundle on the fresh rows of a snapshot: the rows no model was trained on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pennant.declaration.model import Slice, UseCase
from pennant.errors import PennantError
from pennant.gate.tables import Floats, ScoreTable, Unscorable, cluster_of, identity
from pennant.training.fresh import fresh, trained_on
from pennant.training.problem import Problem
from pennant_serving.bundle import Bundle


class ContractMismatch(PennantError):
    """A bundle asks for inputs that the rows do not have, or predicts another thing.

    Attributes:
        bundle_sha256: the bundle.
        missing: inputs without a column.
        other: what it predicts instead, and what is declared; empty when it is the same.
    """

    def __init__(self, bundle_sha256: str, missing: Sequence[str], other: str = "") -> None:
        self.bundle_sha256 = bundle_sha256
        self.missing = list(missing)
        self.other = other
        parts = [f"no column for {', '.join(missing)}"] if missing else []
        super().__init__("; ".join([*parts, *([other] if other else [])]))


class SliceColumnMissing(PennantError):
    """A declared slice names a column that the snapshot does not have."""

    def __init__(self, slice_name: str, column: str, allowed: list[str]) -> None:
        self.slice_name = slice_name
        self.column = column
        self.allowed = allowed
        super().__init__(
            f"gate slice {slice_name}: found column {column!r}; allowed are {', '.join(allowed)}. "
            "Correct gate.slices in use_case.yaml."
        )


def fresh_rows(use_case: UseCase, frame: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The gate's rows, which training never sees; see `pennant.training.fresh`."""
    return fresh(frame, use_case.split, as_of).sort("event_time", "entity")


def problem_of(use_case: UseCase, bundle: Bundle) -> Problem:
    """What a bundle predicts.

    Raises:
        ContractMismatch: it is of another task, of other classes or of another number of steps.
    """
    said: dict[str, Any] = bundle.manifest
    task, outcome = said["task"], said.get("outcome", {})
    classes, steps = list(outcome.get("classes", [])), int(outcome.get("steps", 0))
    path = use_case.label.path
    declared = (use_case.task, use_case.label.classes, path.steps if path else 0)
    if (task, classes, steps) != declared:
        other = f"it predicts {_described(task, classes, steps)}, and declared is {_described(*declared)}"
        raise ContractMismatch(bundle.sha256, [], other)
    names = tuple(each.name for each in bundle.inputs)
    return Problem(use_case.task, names, len(classes) or 2, int(outcome.get("most", 0)), steps)


def _described(task: str, classes: Sequence[str], steps: int) -> str:
    more = f" of {', '.join(classes)}" if classes else f" of {steps} steps" if steps else ""
    return f"a {task}{more}"


def inputs_of(rows: pl.DataFrame, names: Sequence[str]) -> Floats:
    """Columns of the rows as the scorer takes them: (n, inputs), NaN where missing."""
    found = rows.select(pl.col(names).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    return np.ascontiguousarray(found, dtype=np.float64)


def score_table(use_case: UseCase, rows: pl.DataFrame, bundle: Bundle, name: str) -> ScoreTable:
    """Score rows with a bundle, by the implementation that serving uses.

    Args:
        use_case: the declaration; the bundle has to be of this use case.
        rows: rows of a snapshot, n of them.
        bundle: a verified bundle.
        name: what the table is called.

    Raises:
        ContractMismatch: an input has no column, or the bundle predicts another thing.
        ValueError: the bundle is of another use case.
    """
    if bundle.use_case != use_case.name:
        raise ValueError(f"bundle {bundle.sha256}: found use case {bundle.use_case}, wanted {use_case.name}")
    problem = problem_of(use_case, bundle)
    there = set(rows.columns)
    missing = [each for each in problem.names if each not in there]
    if missing:
        raise ContractMismatch(bundle.sha256, missing)
    scores = bundle.predict(inputs_of(rows, problem.names))
    return ScoreTable(
        name,
        *identity(rows, problem),
        np.asarray(scores.prediction, dtype=np.float64),
        bundle.sha256,
        trained_on(rows, bundle.manifest, bundle.trained_until),
        problem,
        np.asarray(scores.low, dtype=np.float64),
        np.asarray(scores.high, dtype=np.float64),
        use_case.training.interval_coverage,
        cluster_of(rows),
    )


def scored(use_case: UseCase, rows: pl.DataFrame, bundle: Bundle, name: str) -> ScoreTable | Unscorable:
    """The bundle's score table of these rows, or why it has none."""
    try:
        return score_table(use_case, rows, bundle, name)
    except ContractMismatch as error:
        return Unscorable(name, "contract_mismatch", str(error), bundle.sha256)


def slice_masks(use_case: UseCase, rows: pl.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """For each declared slice an (n,) mask of the rows; a null value is in no slice.

    Raises:
        SliceColumnMissing: the slice's column is not in the rows.
    """
    masks: dict[str, NDArray[np.bool_]] = {}
    for name, declared in use_case.gate.slices.items():
        if declared.column not in rows.columns:
            raise SliceColumnMissing(name, declared.column, sorted(rows.columns))
        found = rows.select(_condition(declared).fill_null(value=False)).to_series()
        masks[name] = found.to_numpy().astype(np.bool_)
    return masks


def describe_slice(declared: Slice) -> str:
    """The slice's condition as text, for example `absences_total >= 6`."""
    parts = [] if declared.equals is None else [f"{declared.column} = {declared.equals}"]
    parts += [] if declared.at_least is None else [f"{declared.column} >= {declared.at_least:g}"]
    parts += [] if declared.below is None else [f"{declared.column} < {declared.below:g}"]
    return " and ".join(parts) or "every row"


def _condition(declared: Slice) -> pl.Expr:
    column = pl.col(declared.column)
    condition = column.is_not_null()
    if declared.equals is not None:
        condition &= column == declared.equals
    if declared.at_least is not None:
        condition &= column >= declared.at_least
    if declared.below is not None:
        condition &= column < declared.below
    return condition
