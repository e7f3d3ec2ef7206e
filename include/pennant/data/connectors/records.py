"""Reading nested JSON of a provider into rows: what has to be there is named where it is missing."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from math import ceil
from typing import Any

import polars as pl

from pennant.data.connectors.base import Answer
from pennant.data.errors import SourceMalformed
from pennant.data.parsing import json_table
from pennant.declaration.model import Source

Kinds = type | tuple[type, ...]
NUMBER = (int, float, str)
"""Providers write prices and lines as numbers or as text; which it is, the declared type says."""


def part_of(answer: Answer, value: Any, where: str, kind: Kinds, name: str | None = None) -> Any:
    """A documented part of an answer: `value` itself, or its field `name`.

    Raises:
        SourceMalformed: it is missing or of another kind; `column` says where.
    """
    found = value
    if name is not None:
        found = value.get(name) if isinstance(value, Mapping) else None
    if _is(found, kind):
        return found
    fields = [str(each) for each in value] if isinstance(value, Mapping) else []
    missing = name is not None and name not in fields
    raise SourceMalformed(
        answer.source,
        answer.address,
        "missing_column" if found is None else "not_records" if name is None else "retyped_column",
        column=where,
        found=f"an object with the fields {', '.join(fields)}"[:600]
        if fields and missing
        else f"{found!r:.80}",
        allowed=_named(kind),
        nearest=_nearest(name, fields) if name is not None and missing else None,
    )


def maybe(answer: Answer, value: Mapping[str, Any], where: str, kind: Kinds, name: str) -> Any:
    """A part that a provider leaves out where there is none: null then.

    Raises:
        SourceMalformed: it is there and of another kind.
    """
    return None if value.get(name) is None else part_of(answer, value, where, kind, name)


def table_of(answer: Answer, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> pl.DataFrame:
    """Rows of a provider's answer as a table of text, `columns` in their order; there may be no rows."""
    table = json_table(answer, list(rows))
    if not table.height:
        names = [("line", pl.Int64), *((name, pl.String) for name in ("misfit", *columns))]
        return pl.DataFrame(schema=dict(names))
    return table.select("line", "misfit", *columns)


def options_of(kind: str, source: Source, allowed: Sequence[str], texts: Sequence[str] = ()) -> list[str]:
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


def whole_problems(source: Source, **least: int) -> list[str]:
    """Options that are given and are no whole number of at least so much."""
    wrong = [
        (name, low, source.options[name])
        for name, low in least.items()
        if name in source.options
        and (not _is(source.options[name], int) or int(str(source.options[name])) < low)
    ]
    return [
        f"option {name}: found {given!r}; allowed: a whole number of at least {low}"
        for name, low, given in wrong
    ]


def price_problems(source: Source, prices: Sequence[str]) -> list[str]:
    """Groups with prices that would count as known before the provider told them.

    A price that is asked for today was not there days before the game, as a schedule is.
    """
    rules = ("retrieved", "column")
    return [
        f"group {name}: found rule {group.known_at.rule} for the prices {', '.join(held)}; allowed: "
        f"{' or '.join(rules)}, because a price is known when it is told"
        for name, group in source.groups.items()
        if (held := [each for each in group.columns if each in prices]) and group.known_at.rule not in rules
    ]


def path_problems(kind: str, source: Source) -> list[str]:
    """A paged table cannot be a file."""
    return [f"{kind} has pages and is no file: found path {source.path!r}; allowed: none"] * bool(source.path)


def days_of(source: Source, since: datetime, as_of: datetime, back_days: int) -> list[date]:
    """The days whose games a span may tell of, for a provider that files games by its own local day.

    They reach back as long as results take to be known and `back_days` for what is corrected, and ahead as
    far as games are listed; and a day more at both ends, because a local day is not one of UTC.
    """
    hours = [each.known_at.hours for each in source.groups.values() if each.known_at.rule == "after_event"]
    back = max(back_days, ceil(max(hours, default=0) / 24)) + 1
    first = (since - timedelta(days=back)).date()
    last = (as_of + timedelta(days=source.ahead_days + 1)).date()
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _is(found: Any, kind: Kinds) -> bool:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    # A truth value is an int in Python, and no price.
    return isinstance(found, kinds) and (bool in kinds or not isinstance(found, bool))


def _named(kind: Kinds) -> str:
    names = {
        "Mapping": "an object",
        "dict": "an object",
        "list": "a list",
        "str": "a text",
        "bool": "a truth",
    }
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join(dict.fromkeys(names.get(each.__name__, "a number") for each in kinds))


def _nearest(name: str, fields: Sequence[str]) -> str | None:
    folded = {each.casefold(): each for each in fields}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return folded[found[0]] if found else None
