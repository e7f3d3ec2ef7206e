"""The golden rows: a bundle gives the numbers again that it gave when it was made, or it is refused."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pennant_serving.arrays import Floats
from pennant_serving.errors import BundleRejected
from pennant_serving.manifest import Input, Task
from pennant_serving.scorer import Scorer, Scores

GOLDEN_TOLERANCE = 1e-6
_FILE = "golden.parquet"
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Golden:
    """What the golden rows said when the bundle was loaded."""

    rows: int
    max_error: float


def expected_columns(scores: Scores, task: Task) -> dict[str, Floats]:
    """The columns of golden.parquet that hold scores: one for each column of each array.

    An array of one dimension is a column without a number. A path has radii, in `expected_low_<step>`, and
    no high.
    """
    return flattened(scores, task, ("expected", "expected_low", "expected_high"))


def flattened(scores: Scores, task: Task, names: tuple[str, str, str]) -> dict[str, Floats]:
    """Prediction, low and high under these names, one column for each number; see `expected_columns`."""
    arrays = dict(zip(names, (scores.prediction, scores.low, scores.high), strict=True))
    if task == "trajectory":
        del arrays[names[2]]
    columns: dict[str, Floats] = {}
    for name, values in arrays.items():
        if values.ndim == 1:
            columns[name] = values
        else:
            columns.update({f"{name}_{at}": column for at, column in enumerate(values.T)})
    return columns


def check_golden(
    content: bytes, inputs: list[Input], task: Task, scorer: Scorer
) -> tuple[Golden, list[float]]:
    """Score the golden rows; also gives the inputs of the first one.

    Raises:
        BundleRejected: reason `golden`: columns or rows are absent, or a number is off by more than 1e-6.
    """
    names = [each.name for each in inputs]
    wanted = list(expected_columns(scorer.predict(np.empty((0, len(names)))), task))
    columns = _columns(content, [*names, *wanted])
    rows = np.column_stack([columns[name] for name in names])
    if len(rows) == 0:
        raise BundleRejected("golden", _FILE, "no rows", "at least one row")
    worst = 0.0
    for name, answered in expected_columns(scorer.predict(rows), task).items():
        errors = np.abs(answered - columns[name])
        row = int(np.argmax(np.where(np.isnan(errors), math.inf, errors)))
        if not errors[row] <= GOLDEN_TOLERANCE:
            allowed = f"{name} {columns[name][row]!r} within {GOLDEN_TOLERANCE}"
            raise BundleRejected("golden", f"{_FILE} row {row}", f"{answered[row]!r}", allowed)
        worst = max(worst, float(errors[row]))
    return Golden(len(rows), worst), rows[0].tolist()


def check_missing(inputs: list[Input], scorer: Scorer) -> None:
    """See that numbers come out where inputs are missing that may be: each alone, and all of them.

    Raises:
        BundleRejected: reason `manifest`: a member cannot do without an input that may be missing.
    """
    loose = [at for at, each in enumerate(inputs) if each.missing == "allow"]
    middle = np.array([(each.low + each.high) / 2.0 for each in inputs])
    gaps = [[at] for at in loose] + [loose]
    silent: list[list[int]] = []
    for start in range(0, len(gaps), _ROWS_AT_ONCE):
        some = gaps[start : start + _ROWS_AT_ONCE]
        rows = np.tile(middle, (len(some), 1))
        for row, gap in zip(rows, some, strict=True):
            row[gap] = np.nan
        told = np.isfinite(scorer.predict(rows).prediction.reshape(len(rows), -1)).all(axis=1)
        silent += [gap for gap, each in zip(some, told, strict=True) if not each]
    if silent:
        found = f"no number where {inputs[silent[0][0]].name} is missing"
        raise BundleRejected("manifest", "bundle.json: inputs", found, "missing: refuse for that input")


def _columns(content: bytes, names: list[str]) -> dict[str, Floats]:
    try:
        # Not `read_table`: that starts the dataset engine, 50 MB and a quarter second for twenty rows.
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
        # By way of lists: `to_numpy` imports pandas where it is installed. None becomes NaN.
        return {name: np.array(table.column(name).to_pylist(), dtype=np.float64) for name in names}
    except (pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise BundleRejected("golden", _FILE, str(error), f"columns {names}") from error
