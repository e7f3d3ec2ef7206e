"""What every kind of member offers, and what it is told when it is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, ValidationError

from pennant_serving.arrays import Floats
from pennant_serving.errors import BundleRejected, ExplanationUnavailable
from pennant_serving.manifest import Input, Outcome, Task

__all__ = ["ExplanationUnavailable", "Loader", "MemberModel", "Purpose", "Sampling", "read"]


class MemberModel(Protocol):
    """One fitted member.

    Its terms are additive in the member's own link: the logit (binary), the scores under a softmax
    (multiclass), the log of the mean (count), the number (regression), x and y of the last step (trajectory).
    """

    def predict(self, rows: Floats) -> Floats:
        """Predictions for (n, features), NaN where missing; a row's bits do not depend on the others."""

    def contributions(self, rows: Floats) -> Floats:
        """Shape (n, outputs, features + 1), in the link; the last column is the bias.

        Raises:
            ExplanationUnavailable: the member has no exact terms.
        """

    def respond(self, link: Floats) -> Floats:
        """The prediction that a link (n, outputs) stands for, such as `predict` gives; not of a path."""


@runtime_checkable
class Sampling(MemberModel, Protocol):
    """A member that can say of a path not only the one that it expects."""

    def samples(self, rows: Floats, count: int) -> Floats:
        """Paths that may be, shape (n, count, 2 steps), the same at every call.

        Raises:
            ValueError: the member has fewer.
        """


@dataclass(frozen=True)
class Purpose:
    """What a member is for: the task, its outcome, and the inputs in order."""

    task: Task
    outcome: Outcome
    inputs: list[Input]

    @property
    def names(self) -> list[str]:
        """Of the inputs."""
        return [each.name for each in self.inputs]

    @property
    def columns(self) -> int:
        """Numbers that a prediction of one row consists of."""
        return self.outcome.columns(self.task)

    def require(self, where: str, kind: str, allowed: tuple[Task, ...]) -> None:
        """Check that a kind of member is one of this task.

        Raises:
            BundleRejected: reason `member`.
        """
        if self.task not in allowed:
            found = f"kind {kind} in a bundle of task {self.task}"
            raise BundleRejected("member", where, found, f"a bundle of task {' or '.join(allowed)}")

    def equal(self, where: str, what: str, found: object, wanted: object) -> None:
        """Check one size or name of a member file against the contract.

        Raises:
            BundleRejected: reason `member`.
        """
        if found != wanted:
            raise BundleRejected("member", where, f"{what} {found!r}", f"{what} {wanted!r}")


Loader = Callable[[str, bytes, Purpose], MemberModel]
"""From the path of a member file in the bundle, its bytes and what it is for; raises BundleRejected."""


def read[F: BaseModel](kind: type[F], where: str, content: bytes, what: str) -> F:
    """A member file of JSON as its strict model.

    Raises:
        BundleRejected: reason `member`.
    """
    try:
        return kind.model_validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BundleRejected("member", where, f"{place}: {first['msg']}", f"the JSON of {what}") from error
