"""Kind `xgboost`: boosted trees by their objective, one for each task."""

import numpy as np

from pennant_serving.arrays import Floats, sigmoid, softmax
from pennant_serving.errors import BundleRejected
from pennant_serving.manifest import Task
from pennant_serving.members.base import MemberModel, Purpose
from pennant_serving.members.laws import poisson
from pennant_serving.trees import Trees, TreesError

_OBJECTIVES: dict[Task, tuple[str, ...]] = {
    "binary": ("binary:logistic",),
    "multiclass": ("multi:softprob",),
    "count": ("count:poisson",),
    "regression": ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"),
}


class Boosted:
    """Trees whose margin is the link: logit, class scores, log of the mean of a Poisson, or a number."""

    def __init__(self, trees: Trees, purpose: Purpose) -> None:
        self._trees, self._task, self._most = trees, purpose.task, purpose.outcome.most

    def predict(self, rows: Floats) -> Floats:
        found = self._trees.predict(rows)
        if self._task == "multiclass":
            return found
        return poisson(found[:, 0], self._most) if self._task == "count" else found[:, 0]

    def contributions(self, rows: Floats) -> Floats:
        return self._trees.contributions(rows)

    def respond(self, link: Floats) -> Floats:
        if self._task == "multiclass":
            return softmax(link)
        if self._task == "count":
            return poisson(np.exp(link[:, 0]), self._most)
        return sigmoid(link[:, 0]) if self._task == "binary" else link[:, 0]


def load_xgboost(where: str, content: bytes, purpose: Purpose) -> MemberModel:
    """Kind `xgboost`; see `members.base.Loader`."""
    purpose.require(where, "xgboost", ("binary", "multiclass", "count", "regression"))
    outputs = len(purpose.outcome.classes) if purpose.task == "multiclass" else 1
    return Boosted(load_trees(where, content, purpose, _OBJECTIVES[purpose.task], outputs), purpose)


def load_trees(
    where: str, content: bytes, purpose: Purpose, objectives: tuple[str, ...], outputs: int
) -> Trees:
    """An XGBoost model of these inputs, with one of these objectives and so many outputs.

    Raises:
        BundleRejected: reason `member`.
    """
    trees = read_trees(where, content)
    objective, names = trees.objective(), trees.feature_names()
    if objective not in objectives:
        allowed = f"objective {' or '.join(objectives)}"
        raise BundleRejected("member", where, f"objective {objective}", allowed)
    purpose.equal(where, "features:", trees.feature_count, len(purpose.inputs))
    if names:
        purpose.equal(where, "feature names in this order:", names, purpose.names)
    purpose.equal(where, "outputs:", trees.outputs(), outputs)
    return trees


def read_trees(where: str, content: bytes) -> Trees:
    """An XGBoost model, whatever it is for.

    Raises:
        BundleRejected: reason `member`.
    """
    try:
        return Trees(content)
    except TreesError as error:
        raise BundleRejected("member", where, str(error), "an XGBoost model in UBJSON or JSON") from error
