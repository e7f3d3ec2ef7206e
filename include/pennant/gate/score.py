"""Scores of a bundle on the fresh rows of a snapshot: the rows no model was trained on."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pennant.declaration.model import Slice, UseCase
from pennant.errors import PennantError
from pennant.gate.tables import ScoreTable, Unscorable
from pennant_serving.bundle import Bundle

IDENTITY = ("entity", "event_time", "label")


class ContractMismatch(PennantError):
    """A bundle asks for inputs that the rows do not have.

    Attributes:
        bundle_sha256: the bundle.
        missing: inputs without a column.
        empty: inputs that may not be missing, with the number of rows where they are.
    """

    def __init__(self, bundle_sha256: str, missing: list[str], empty: dict[str, int]) -> None:
        self.bundle_sha256 = bundle_sha256
        self.missing = missing
        self.empty = empty
        parts = [f"no column for {', '.join(missing)}"] if missing else []
        parts += [f"{name} is missing in {rows} rows and may not be" for name, rows in empty.items()]
        super().__init__("; ".join(parts))


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
    """The rows whose label became known in the last `split.fresh_days`: training never sees them."""
    start = as_of - timedelta(days=use_case.split.fresh_days)
    return frame.filter(pl.col("label_known_at") > start).sort("event_time", "entity")


def score_table(use_case: UseCase, snapshot_frame: pl.DataFrame, bundle: Bundle) -> pl.DataFrame:
    """Score rows with a bundle, by the implementation that serving uses.

    Args:
        use_case: the declaration; the bundle has to be of this use case.
        snapshot_frame: rows of a snapshot, n of them.
        bundle: a verified bundle.

    Returns:
        (n, 4): `entity`, `event_time`, `label`, `prediction`, in the order of the rows.

    Raises:
        ContractMismatch: an input has no column, or is null where the contract forbids it.
        ValueError: the bundle is of another use case.
    """
    if bundle.use_case != use_case.name:
        raise ValueError(f"bundle {bundle.sha256}: found use case {bundle.use_case}, wanted {use_case.name}")
    names = [each.name for each in bundle.inputs]
    missing = [name for name in names if name not in snapshot_frame.columns]
    if missing:
        raise ContractMismatch(bundle.sha256, missing, {})
    inputs = snapshot_frame.select(pl.col(names).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    holes = {
        each.name: int(np.isnan(inputs[:, at]).sum())
        for at, each in enumerate(bundle.inputs)
        if each.missing == "refuse"
    }
    empty = {name: rows for name, rows in holes.items() if rows}
    if empty:
        raise ContractMismatch(bundle.sha256, [], empty)
    prediction = bundle.predict(np.ascontiguousarray(inputs)).prediction
    return snapshot_frame.select(IDENTITY).with_columns(pl.Series("prediction", prediction))


def scored(use_case: UseCase, rows: pl.DataFrame, bundle: Bundle, name: str) -> ScoreTable | Unscorable:
    """The bundle's score table of these rows, or why it has none."""
    try:
        frame = score_table(use_case, rows, bundle)
    except ContractMismatch as error:
        return Unscorable(name, "contract_mismatch", str(error), bundle.sha256)
    seen = rows.filter(pl.col("label_known_at") <= bundle.trained_until).height
    return ScoreTable.from_frame(name, frame, bundle.sha256, seen)


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
