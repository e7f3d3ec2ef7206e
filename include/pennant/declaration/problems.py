"""What is wrong in a declaration, as data: the command line, Airflow and tests read the same values."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pennant.errors import PennantError

Field = tuple[str | int, ...]
"""Path of a field from the root of the file, for example `("sources", "games", "key", 0)`."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong at one place."""

    file: Path
    line: int
    """1 is the first line."""
    column: int
    """1 is the first column."""
    field: str
    """Dotted path, empty for the file as a whole."""
    found: str
    allowed: str
    nearest: str | None
    """The allowed name that is most like the one found, if one is."""
    message: str
    """The reason in the words of the domain."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        text = where + (f"{self.field}: " if self.field else "") + self.message
        text += f"; found {self.found}; allowed: {self.allowed}"
        return text + (f"; did you mean {self.nearest!r}?" if self.nearest else "")

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "file": str(self.file)}


class DeclarationError(PennantError, ValueError):
    """A declaration that does not load. All that is wrong in the file is in `problems`, in line order.

    Attributes:
        problems: at least one.
        file, line, field, found, allowed, nearest: those of the first problem.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a DeclarationError needs at least one problem")
        self.problems = sorted(problems, key=lambda each: (each.line, each.column, each.field))
        first = self.problems[0]
        self.file, self.line, self.field = first.file, first.line, first.field
        self.found, self.allowed, self.nearest = first.found, first.allowed, first.nearest
        super().__init__("\n".join(str(each) for each in self.problems))

    def __reduce__(self) -> tuple[type["DeclarationError"], tuple[list[Problem]]]:
        return type(self), (self.problems,)


def nearest(found: object, names: Iterable[str]) -> str | None:
    """The name most like `found`, or None if none is like it."""
    close = difflib.get_close_matches(str(found), list(names), n=1, cutoff=0.6)
    return close[0] if close else None


def dotted(field: Field) -> str:
    """`("sources", "games", "key", 0)` as `sources.games.key[0]`."""
    text = ""
    for part in field:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: object) -> str:
    """A value as a message shows it: short, and a mapping or list by its size."""
    if isinstance(value, dict):
        return f"a mapping of {len(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
