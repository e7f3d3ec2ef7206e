"""The two little expressions of a declaration: a column, or a comparison of two columns."""

import re
from dataclasses import dataclass
from typing import Literal

_COLUMN = r"[A-Za-z_]\w*"
_COMPARISON = re.compile(rf"^\s*({_COLUMN})\s*(>|==)\s*({_COLUMN})\s*$")
_ALONE = re.compile(rf"^\s*({_COLUMN})\s*$")


@dataclass(frozen=True)
class Expression:
    """`left`, or `left operator right`."""

    left: str
    operator: Literal[">", "=="] | None = None
    right: str | None = None

    @property
    def columns(self) -> list[str]:
        return [self.left] if self.right is None else [self.left, self.right]


def parse(text: str) -> Expression | None:
    """Read `column`, `a > b` or `a == b`; None for anything else."""
    alone = _ALONE.match(text)
    if alone:
        return Expression(alone[1])
    both = _COMPARISON.match(text)
    return Expression(both[1], both[2], both[3]) if both else None  # type: ignore[arg-type]
