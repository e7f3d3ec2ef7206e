"""What every kind of member offers."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from pennant.declaration.parameters import Allowed
from pennant.training.losses import Floats
from pennant.training.problem import Problem

__all__ = ["Allowed", "FittedMember", "MemberKind", "Parameters", "Sampling", "Value"]

Value = float | int | str
Parameters = Mapping[str, Value]


class FittedMember(Protocol):
    """A fitted model."""

    def predict(self, x: Floats) -> Floats:
        """Predictions for `x` of shape (n, features); see `pennant.training.problem` for their shapes."""

    def content(self) -> bytes:
        """The bytes of the member's file; equal for equal inputs."""


@runtime_checkable
class Sampling(Protocol):
    """A fitted model that can say of a path not only the one that it expects."""

    def samples(self, x: Floats, count: int) -> Floats:
        """Paths that may be, shape (n, count, 2 steps)."""


class MemberKind(Protocol):
    """A way to fit."""

    suffix: str
    """Ending of the member's file."""

    def fit(
        self, x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int, problem: Problem
    ) -> FittedMember:
        """Fit on `x` (n, features) with NaN where missing, labels `y`, and weights of shape (n,)."""
