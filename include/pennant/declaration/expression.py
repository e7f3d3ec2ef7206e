"""The little expressions of a declaration: a column, or a comparison with a column or a number."""

import re
from dataclasses import dataclass
from typing import Literal, cast

Operator = Literal[">", ">=", "<", "<=", "==", "!="]

_COLUMN = r"[A-Za-z_]\w*"
_NUMBER = r"-?\d+(?:\.\d+)?"
_COMPARISON = re.compile(rf"^\s*({_COLUMN})\s*(>=|<=|==|!=|>|<)\s*({_COLUMN}|{_NUMBER})\s*$")
_ALONE = re.compile(rf"^\s*({_COLUMN})\s*$")


@dataclass(frozen=True)
class Expression:
    """`left`, or `left operator right`, where `right` is a column or a number."""

    left: str
    operator: Operator | None = None
    right: str | float | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that it reads."""
        return [self.left, *([self.right] if isinstance(self.right, str) else [])]


def parse(text: str) -> Expression | None:
    """Read `column`, `a > b` or `a < 9`; None for anything else."""
    alone = _ALONE.match(text)
    if alone:
        return Expression(alone[1])
    both = _COMPARISON.match(text)
    if both is None:
        return None
    right = both[3] if re.fullmatch(_COLUMN, both[3]) else float(both[3])
    return Expression(both[1], cast(Operator, both[2]), right)
