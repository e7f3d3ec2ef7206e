"""Linear members: logistic regression of two classes or of more, and ridge regression."""

import numpy as np

from pennant_serving.arrays import Floats, sigmoid, softmax
from pennant_serving.files import LineFile, MultinomialFile
from pennant_serving.members.base import MemberModel, Purpose, read
from pennant_serving.members.prepared import Prepared


class Line:
    """`intercept + columns @ coef`: the number itself, or the logit of a probability."""

    def __init__(self, file: LineFile, *, probability: bool) -> None:
        self._prepared = Prepared(file)
        self._coef, self._intercept = np.array(file.coef), file.intercept
        self._probability = probability

    def predict(self, rows: Floats) -> Floats:
        return self.respond((self._intercept + self._terms(rows).sum(axis=1))[:, None])

    def contributions(self, rows: Floats) -> Floats:
        own = self._prepared.by_feature(self._terms(rows))
        return np.column_stack([own, np.full(len(rows), self._intercept)])[:, None]

    def respond(self, link: Floats) -> Floats:
        return sigmoid(link[:, 0]) if self._probability else link[:, 0]

    def _terms(self, rows: Floats) -> Floats:
        return self._prepared.terms(self._prepared.centred(rows), self._coef)


class Multinomial:
    """`softmax(intercept + columns @ coef)`, coef of shape (columns, classes)."""

    def __init__(self, file: MultinomialFile) -> None:
        self._prepared = Prepared(file)
        self._coef, self._intercept = np.array(file.coef), np.array(file.intercept)

    def predict(self, rows: Floats) -> Floats:
        # Sums, not a product of matrices: BLAS sums a row in a batch otherwise than a row alone.
        links = [at + terms.sum(axis=1) for at, terms in zip(self._intercept, self._terms(rows), strict=True)]
        return self.respond(np.column_stack(links))

    def contributions(self, rows: Floats) -> Floats:
        parts = [
            np.column_stack([self._prepared.by_feature(terms), np.full(len(rows), at)])
            for at, terms in zip(self._intercept, self._terms(rows), strict=True)
        ]
        return np.stack(parts, axis=1)

    def respond(self, link: Floats) -> Floats:
        return softmax(link)

    def _terms(self, rows: Floats) -> list[Floats]:
        """For each class, (n, columns)."""
        centred = self._prepared.centred(rows)
        return [self._prepared.terms(centred, coef) for coef in self._coef.T]


def load_logistic(where: str, content: bytes, purpose: Purpose) -> MemberModel:
    """Kind `logistic`; see `members.base.Loader`."""
    purpose.require(where, "logistic", ("binary", "multiclass"))
    if purpose.task == "binary":
        return Line(_line(where, content, purpose, "a logistic member"), probability=True)
    file = read(MultinomialFile, where, content, "a multinomial logistic member")
    purpose.equal(where, "features:", len(file.impute), len(purpose.inputs))
    purpose.equal(where, "classes:", len(file.intercept), len(purpose.outcome.classes))
    return Multinomial(file)


def load_ridge(where: str, content: bytes, purpose: Purpose) -> MemberModel:
    """Kind `ridge`; see `members.base.Loader`."""
    purpose.require(where, "ridge", ("regression",))
    return Line(_line(where, content, purpose, "a ridge member"), probability=False)


def _line(where: str, content: bytes, purpose: Purpose, what: str) -> LineFile:
    file = read(LineFile, where, content, what)
    purpose.equal(where, "features:", len(file.impute), len(purpose.inputs))
    return file
