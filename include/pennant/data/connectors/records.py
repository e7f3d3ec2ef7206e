"""Reading nested JSON of a provider into rows: what has to be there is named where it is missing."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from pennant.data.connectors.base import Answer
from pennant.data.errors import SourceMalformed
from pennant.data.parsing import json_table
from pennant.declaration.model import Source


def part_of(
    answer: Answer, value: Any, where: str, kind: type | tuple[type, ...], name: str | None = None
) -> Any:
    """A documented part of an answer: `value` itself, or its field `name`.

    Raises:
        SourceMalformed: it is missing or of another kind; `column` says where.
    """
    found = value
    if name is not None:
        found = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(found, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise SourceMalformed(
            answer.source,
            answer.address,
            "missing_column",
            column=where,
            found=f"{found!r:.80}",
            allowed=" or ".join(each.__name__ for each in kinds),
        )
    return found


def table_of(answer: Answer, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows of a provider's answer as a table of text."""
    return json_table(answer, list(rows))


def options_of(kind: str, source: Source, allowed: tuple[str, ...], texts: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with options: names that nobody knows, and texts that have to be there."""
    found = [
        f"{kind} knows no option {name!r}; allowed: {', '.join(allowed)}"
        for name in source.options
        if name not in allowed
    ]
    return found + [
        f"option {name}: found {source.options.get(name, 'nothing')!r}; allowed: a text"
        for name in texts
        if not isinstance(source.options.get(name), str) or not source.options[name]
    ]
