"""What no answer may be, whoever gives it: checks of bytes and headers before they become a table."""

from collections import Counter
from collections.abc import Sequence

from pennant.data.connectors.base import Answer
from pennant.data.errors import SourceMalformed

MAX_LINE_BYTES = 1 << 20
"""A longer line is no line of a table: a missing line break, or an attack. No cell may be longer either."""
MAX_COLUMNS = 5_000
MAX_ROWS = 20_000_000
MAX_CELLS = 500_000_000
"""Rows times columns that a compressed file may unfold to."""
MAX_TEXT_BYTES = 2**30
"""All text of one answer together, unfolded."""
OWN = ("line", "misfit")
"""Columns that reading adds; a provider's may not be called so."""


def malformed(answer: Answer, problem: str, **given: str | None) -> SourceMalformed:
    """The error for an answer that is not the declared table."""
    return SourceMalformed(answer.source, answer.address, problem, **given)  # type: ignore[arg-type]


def check_text(answer: Answer, content: bytes) -> None:
    """Refuse what is no text of lines, looking at each byte once and keeping none.

    Raises:
        SourceMalformed: empty, HTML, zero bytes, a line beyond `MAX_LINE_BYTES`.
    """
    start = content[:2000].lstrip()
    if not start and not content.strip():
        raise malformed(answer, "empty", found=f"{len(content)} bytes", allowed="a table")
    if start.startswith(b"<"):
        raise malformed(answer, "html", found=repr(start[:80].decode(errors="replace")), allowed="a table")
    at = content.find(b"\0")
    if at >= 0:
        raise malformed(answer, "not_text", found=f"a zero byte at {at}", allowed="text")
    _check_lines(answer, content)


def _check_lines(answer: Answer, content: bytes) -> None:
    begin, end = 0, len(content)
    while end - begin > MAX_LINE_BYTES:
        reach = begin + MAX_LINE_BYTES + 1
        last = max(content.rfind(b"\n", begin, reach), content.rfind(b"\r", begin, reach))
        if last < 0:
            stop = content.find(b"\n", reach)
            length = (end if stop < 0 else stop) - begin
            raise malformed(
                answer,
                "too_large",
                found=f"line {content.count(b'\n', 0, begin) + 1} of {length} bytes",
                allowed=f"lines of at most {MAX_LINE_BYTES} bytes",
            )
        begin = last + 1


def check_columns(answer: Answer, names: Sequence[str]) -> None:
    """Refuse a header that cannot be told apart; a column without a name is nobody's.

    Raises:
        SourceMalformed: a doubled name, one of `OWN`, or more than `MAX_COLUMNS`.
    """
    doubled = [name for name, count in Counter(name for name in names if name).items() if count > 1]
    if doubled:
        found = f"{list(names).count(doubled[0])} of it"
        raise malformed(answer, "doubled_column", column=doubled[0], found=found, allowed="one")
    taken = [name for name in names if name in OWN]
    if taken:
        raise malformed(
            answer, "doubled_column", column=taken[0], found="a column of this name", allowed="another name"
        )
    if len(names) > MAX_COLUMNS:
        raise malformed(
            answer, "too_large", found=f"{len(names)} columns", allowed=f"at most {MAX_COLUMNS} columns"
        )


def check_size(answer: Answer, rows: int, columns: int) -> None:
    """Refuse a table of more rows or cells than memory has room for.

    Raises:
        SourceMalformed: beyond `MAX_ROWS` or `MAX_CELLS`.
    """
    if rows > MAX_ROWS or rows * max(columns, 1) > MAX_CELLS:
        raise malformed(
            answer,
            "too_large",
            found=f"{rows} rows of {columns} columns",
            allowed=f"at most {MAX_ROWS} rows and {MAX_CELLS} cells",
        )


def check_cells(answer: Answer, longest: dict[str, int], total: int) -> None:
    """Refuse cells that no line could hold, and text that unfolds beyond `MAX_TEXT_BYTES`.

    Args:
        answer: for the message.
        longest: bytes of the longest cell, by column.
        total: bytes of all cells.

    Raises:
        SourceMalformed: a cell is too long, or all are together.
    """
    for name, size in longest.items():
        if size > MAX_LINE_BYTES:
            found, allowed = f"a value of {size} bytes", f"values of at most {MAX_LINE_BYTES} bytes"
            raise malformed(answer, "too_large", column=name, found=found, allowed=allowed)
    if total > MAX_TEXT_BYTES:
        found, allowed = f"{total} bytes of text", f"at most {MAX_TEXT_BYTES} bytes"
        raise malformed(answer, "too_large", found=found, allowed=allowed)
