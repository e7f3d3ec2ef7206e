"""Kinds `poisson` and `trees_count`: a mean, and around it the law that training found."""

from collections.abc import Callable

import numpy as np

from pennant_serving.arrays import Floats
from pennant_serving.errors import BundleRejected
from pennant_serving.files import PoissonFile
from pennant_serving.members.base import MemberModel, Purpose, read
from pennant_serving.members.boosted import load_trees
from pennant_serving.members.laws import Law, LawName
from pennant_serving.members.prepared import Prepared
from pennant_serving.trees import Trees

_LAWS: dict[str, LawName] = {
    "poisson": "poisson", "negative_binomial": "negative_binomial", "conway_maxwell": "conway_maxwell",
}  # fmt: skip


class LogLinear:
    """`law` around the mean `exp(intercept + columns @ coef)`."""

    def __init__(self, file: PoissonFile, law: Law) -> None:
        self._prepared, self._law, self._most = Prepared(file), law, file.most
        self._coef, self._intercept = np.array(file.coef), file.intercept

    def predict(self, rows: Floats) -> Floats:
        return self.respond((self._intercept + self._terms(rows).sum(axis=1))[:, None])

    def contributions(self, rows: Floats) -> Floats:
        own = self._prepared.by_feature(self._terms(rows))
        return np.column_stack([own, np.full(len(rows), self._intercept)])[:, None]

    def respond(self, link: Floats) -> Floats:
        mean = np.exp(np.minimum(link[:, 0], np.log(max(self._most, 1))))
        return self._law.chances(mean, self._most)

    def _terms(self, rows: Floats) -> Floats:
        return self._prepared.terms(self._prepared.centred(rows), self._coef)


class CountTrees:
    """`law` around the mean that trees of `count:poisson` foretell."""

    def __init__(self, trees: Trees, law: Law, most: int) -> None:
        self._trees, self._law, self._most = trees, law, most

    def predict(self, rows: Floats) -> Floats:
        return self._law.chances(self._trees.predict(rows)[:, 0], self._most)

    def contributions(self, rows: Floats) -> Floats:
        return self._trees.contributions(rows)

    def respond(self, link: Floats) -> Floats:
        return self._law.chances(np.exp(link[:, 0]), self._most)


def load_poisson(where: str, content: bytes, purpose: Purpose) -> MemberModel:
    """Kind `poisson`; see `members.base.Loader`."""
    purpose.require(where, "poisson", ("count",))
    file = read(PoissonFile, where, content, "a poisson member")
    purpose.equal(where, "features:", len(file.impute), len(purpose.inputs))
    purpose.equal(where, "most:", file.most, purpose.outcome.most)
    return LogLinear(file, _law(where, file.law, file.spread))


def load_trees_count(where: str, content: bytes, purpose: Purpose) -> MemberModel:
    """Kind `trees_count`; see `members.base.Loader`."""
    purpose.require(where, "trees_count", ("count",))
    trees = load_trees(where, content, purpose, ("count:poisson",), 1)
    most = _number(where, trees, "most", int)
    purpose.equal(where, "most:", most, purpose.outcome.most)
    law = _law(where, trees.attribute("law"), _number(where, trees, "spread", float))
    return CountTrees(trees, law, most)


def _number[N: (int, float)](where: str, trees: Trees, name: str, kind: Callable[[str], N]) -> N:
    text = trees.attribute(name)
    try:
        return kind(text or "")
    except ValueError as error:
        raise BundleRejected("member", where, f"attribute {name} {text!r}", "a number") from error


def _law(where: str, name: str | None, spread: float) -> Law:
    if name not in _LAWS:
        raise BundleRejected("member", where, f"law {name!r}", f"law {' or '.join(_LAWS)}")
    least = {"negative_binomial": 1e-9, "conway_maxwell": 1.0}.get(name, 0.0)
    if not least <= spread < float("inf"):
        raise BundleRejected("member", where, f"{name} with spread {spread}", f"a spread from {least:g}")
    return Law(_LAWS[name], spread)
