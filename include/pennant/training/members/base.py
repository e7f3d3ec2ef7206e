"""What every kind of member offers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pennant.training.losses import Floats

Value = float | int | str
Parameters = Mapping[str, Value]


@dataclass(frozen=True)
class Allowed:
    """One hyper-parameter: its default and what it may be.

    Attributes:
        default: taken where nothing is declared, searched or given.
        low: smallest value.
        high: largest value.
        whole: only whole numbers.
    """

    default: float
    low: float
    high: float
    whole: bool = False

    def describe(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"

    def accepts(self, value: object) -> bool:
        """True for a number of the right type and size; a bool is no number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (not self.whole or float(value).is_integer())


class FittedMember(Protocol):
    """A fitted model."""

    def predict(self, x: Floats) -> Floats:
        """Probabilities, shape (n,), for `x` of shape (n, features)."""

    def content(self) -> bytes:
        """The bytes of the member's file; equal for equal inputs."""


class MemberKind(Protocol):
    """A way to fit."""

    suffix: str
    """Ending of the member's file."""
    allowed: Mapping[str, Allowed]

    def fit(self, x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int) -> FittedMember:
        """Fit on `x` (n, features) with NaN where missing, labels and weights of shape (n,)."""
