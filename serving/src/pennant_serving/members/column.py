"""Kind `column`: a forecast that stands in features already, such as the market's; see `files.ColumnFile`."""

import numpy as np

from pennant_serving.arrays import Floats, logit, sigmoid, softmax
from pennant_serving.errors import BundleRejected
from pennant_serving.files import ColumnFile
from pennant_serving.members.base import MemberModel, Purpose, read
from pennant_serving.members.laws import SMALLEST_MEAN, poisson

_SMALLEST_SHARE = 1e-9


class Column:
    """Features taken for a forecast; where one of them is missing, all of `instead`."""

    def __init__(self, file: ColumnFile, purpose: Purpose) -> None:
        self._at, self._instead = list(file.columns), np.array(file.instead)
        self._sharpness, self._task = file.sharpness, purpose.task
        self._most, self._inputs = purpose.outcome.most, len(purpose.inputs)

    def predict(self, rows: Floats) -> Floats:
        values = self._values(rows)
        if self._task == "count":
            return poisson(values[:, 0], self._most)
        return values if self._task == "trajectory" else self.respond(self._link(values))

    def contributions(self, rows: Floats) -> Floats:
        kept = slice(-2, None) if self._task == "trajectory" else slice(None)
        link, at = self._link(self._values(rows))[:, kept], self._at[kept]
        bias = self._link(self._instead[None])[0, kept]
        parts = np.zeros((len(rows), len(at), self._inputs + 1))
        parts[:, :, -1] = bias
        for output, column in enumerate(at):
            parts[:, output, column] = link[:, output] - bias[output]
        return parts

    def respond(self, link: Floats) -> Floats:
        if self._task == "multiclass":
            return softmax(link)
        if self._task == "count":
            return poisson(np.exp(link[:, 0]), self._most)
        return sigmoid(link[:, 0]) if self._task == "binary" else link[:, 0]

    def _values(self, rows: Floats) -> Floats:
        values = rows[:, self._at]
        gap = np.isnan(values).any(axis=1)
        return np.ascontiguousarray(np.where(gap[:, None], self._instead, values))

    def _link(self, values: Floats) -> Floats:
        if self._task == "binary":
            return np.asarray(self._sharpness * logit(values), dtype=np.float64)
        if self._task == "multiclass":
            return np.asarray(self._sharpness * np.log(np.maximum(values, _SMALLEST_SHARE)))
        return np.log(np.maximum(values, SMALLEST_MEAN)) if self._task == "count" else values


def load_column(where: str, content: bytes, purpose: Purpose) -> MemberModel:
    """Kind `column`; see `members.base.Loader`."""
    file = read(ColumnFile, where, content, "a column member")
    columns = 1 if purpose.task == "count" else purpose.columns
    purpose.equal(where, "columns:", len(file.columns), columns)
    if max(file.columns) >= len(purpose.inputs):
        found, last = f"column {max(file.columns)}", len(purpose.inputs) - 1
        raise BundleRejected("member", where, found, f"0 to {last}")
    if purpose.task in {"binary", "multiclass"} and not all(0.0 <= each <= 1.0 for each in file.instead):
        raise BundleRejected("member", where, f"instead {file.instead}", "probabilities")
    purpose.equal(where, "most:", file.most, purpose.outcome.most)
    return Column(file, purpose)
