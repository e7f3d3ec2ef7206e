"""How a JSON table goes on: by a link or token in the body, by page numbers, or by offsets."""

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pennant.data.connectors.base import Answer
from pennant.data.errors import SourceMalformed
from pennant.declaration.model import Source

PAGING = ("next", "page", "offset")
PAGING_OPTIONS = ("records", "paging", "next", "parameter", "size", "size_parameter", "first")
"""`next`: dotted path to the link, or to a token for `parameter`. `parameter`: of the token, page number or
offset (default: the paging's name). `size`: records of a full page, sent as `size_parameter` if that is
given; a shorter page is the last. `first`: number of the first page (default 1)."""
Following = Callable[[bytes], Mapping[str, str] | None]


def paging_problems(source: Source) -> list[str]:
    """What is wrong with the options of a JSON source, in words; empty if nothing is."""
    options = source.options
    kind = options.get("paging")
    found = []
    if kind is not None and kind not in PAGING:
        found.append(f"option paging: found {kind!r}; allowed: {', '.join(PAGING)}")
    found += [
        f"option {name}: found {options[name]!r}; allowed is text"
        for name in ("records", "next", "parameter", "size_parameter")
        if not isinstance(options.get(name, ""), str)
    ]
    found += [
        f"option {name}: found {options[name]!r}; allowed is a whole number"
        for name in ("size", "first")
        if not _whole(options.get(name, 1))
    ]
    if kind == "next" and "next" not in options:
        found.append("paging next needs the option next: the dotted path to the link or token")
    if kind == "offset" and "size" not in options:
        found.append("paging offset needs the option size: the records of a full page")
    return found


def next_pages(source: Source) -> tuple[dict[str, str], Following | None]:
    """The parameters of the first page, and what gives those of the next from each page's body in turn.

    The second counts the pages that it was shown, so it serves one run of asking.
    """
    options = source.options
    kind, size = options.get("paging"), options.get("size")
    first: dict[str, str] = {}
    if kind is None:
        return first, None
    if size is not None and "size_parameter" in options:
        first[str(options["size_parameter"])] = str(size)
    if kind == "next":
        return first, lambda body: _linked(options, body)
    name = str(options.get("parameter", kind))
    start, step = (0, int(str(size))) if kind == "offset" else (int(str(options.get("first", 1))), 1)
    first[name] = str(start)
    numbers = count(start + step, step)

    def following(body: bytes) -> Mapping[str, str] | None:
        found = _at(_parsed(body), str(options.get("records", "")))
        length = len(found) if isinstance(found, list) else 0
        if length == 0 or (size is not None and length < int(str(size))):
            return None
        return {name: str(next(numbers))}

    return first, following


def records_of(source: Source, answer: Answer, content: Any) -> list[Any]:
    """The list of records in a document.

    Raises:
        SourceMalformed: there is no list at the declared place.
    """
    path = str(source.options.get("records", ""))
    found = _at(content, path)
    if isinstance(found, list):
        return found
    place = f"at {path!r}" if path else "at its top"
    there = (
        f"the fields {', '.join(list(content)[:8])}" if isinstance(content, dict) else type(content).__name__
    )
    raise SourceMalformed(
        answer.source,
        answer.address,
        "not_records",
        found=f"{type(found).__name__} {place} of a document with {there}",
        allowed=f"a list of records {place}",
    )


def _linked(options: Mapping[str, object], body: bytes) -> Mapping[str, str] | None:
    value = _at(_parsed(body), str(options["next"]))
    if value in (None, "", False):
        return None
    if "parameter" in options:
        return {str(options["parameter"]): str(value)}
    return dict(parse_qsl(urlsplit(str(value)).query)) or None


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None  # the reader says what is wrong with it


def _at(content: Any, path: str) -> Any:
    for name in path.split(".") if path else []:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
