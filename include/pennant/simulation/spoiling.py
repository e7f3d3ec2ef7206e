"""What faults of the content do to a table of CSV or a document of JSON."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from pennant.simulation.faults import Fault, UnplannedFault

_LISTS = ("data", "events", "games")
"""Where the providers' documents have their records."""
Record = dict[str, Any]


def spoiled(content: bytes, fault: Fault) -> bytes:
    """The body as the fault leaves it.

    Args:
        content: CSV with a header, or JSON whose records are its list or one under `data`, `events` or
            `games`; UTF-8.
        fault: one of `faults.CONTENT`.

    Raises:
        UnplannedFault: no record has the column that the fault spoils.
    """
    if fault.kind == "encoding":
        return content.decode().encode(fault.to)
    if content.lstrip()[:1] in {b"[", b"{"}:
        document = json.loads(content)
        found = _records(document)
        found[:] = _changed(found, fault)
        return json.dumps(document).encode()
    rows = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
    after = _changed(rows, fault)
    names = list(after[0]) if after else []
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(after)
    return text.getvalue().encode()


def _records(document: Any) -> list[Record]:
    if isinstance(document, list):
        return document
    for name in _LISTS:
        if isinstance(document.get(name), list):
            found: list[Record] = document[name]
            return found
    raise UnplannedFault("content", list(document), f"a list of records, or one under {', '.join(_LISTS)}")


def _changed(records: list[Record], fault: Fault) -> list[Record]:
    if not records:
        return records
    stream = np.random.default_rng(fault.seed)
    if fault.kind == "shuffled":
        return [records[index] for index in stream.permutation(len(records))]
    if fault.kind == "added":
        return [{**each, fault.to: "new"} for each in records]
    if fault.kind in {"duplicate", "contradiction", "corrected"}:
        return _hit(records, fault, stream)
    return _edited(records, fault.column, _edit_of(fault))


def _hit(records: list[Record], fault: Fault, stream: np.random.Generator) -> list[Record]:
    """Some of the records twice, or as something else."""
    hit = {int(index) for index in np.flatnonzero(stream.random(len(records)) < fault.share)}
    places = sorted(hit or {int(stream.integers(len(records)))})
    chosen = [records[index] for index in places]
    if fault.kind != "duplicate":
        chosen = _edited(chosen, fault.column, _another)
    other = dict(zip(places, chosen, strict=True))
    first = fault.kind != "corrected"
    return [
        copy
        for index, each in enumerate(records)
        for copy in ([each] if first or index not in other else [])
        + ([other[index]] if index in other else [])
    ]


Edit = Callable[[str, Any], Iterable[tuple[str, Any]]]
"""From a field's name and value to the fields that stand there afterwards."""


def _edit_of(fault: Fault) -> Edit:
    if fault.kind == "removed":
        return lambda _name, _value: ()
    if fault.kind == "renamed":
        return lambda _name, value: [(fault.to, value)]
    if fault.kind == "retyped":
        return lambda name, value: [(name, None if value in {None, ""} else f"about {value}")]
    if fault.kind == "skewed":
        ahead = timedelta(seconds=fault.seconds)
        return lambda name, value: [(name, _later(value, ahead))]
    raise UnplannedFault("kind", fault.kind, "a fault of the content")


def _another(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    """A value of the same kind that is not the same."""
    if isinstance(value, bool) or value is None:
        return [(name, not value)]
    if isinstance(value, int | float):
        return [(name, value + 1)]
    try:
        return [(name, str(int(value) + 1))]
    except ValueError:
        return [(name, f"{value}*")]


def _later(value: Any, ahead: timedelta) -> Any:
    if not isinstance(value, str) or not value:
        return value
    moment = datetime.fromisoformat(value) + ahead
    return moment.isoformat().replace("+00:00", "Z")


def _edited(records: list[Record], column: str, edit: Edit) -> list[Record]:
    found = 0

    def walk(value: Any) -> Any:
        nonlocal found
        if isinstance(value, list):
            return [walk(each) for each in value]
        if not isinstance(value, dict):
            return value
        fields: Record = {}
        for name, inner in value.items():
            if name == column:
                found += 1
                fields |= dict(edit(name, inner))
            else:
                fields[name] = walk(inner)
        return fields

    after = [walk(each) for each in records]
    if not found:
        raise UnplannedFault("column", column, f"a field of the records, such as {', '.join(records[0])}")
    return after
