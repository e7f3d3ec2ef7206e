"""A new use case from the header and first rows of a CSV file: a folder that loads, to be made right by hand.

It guesses types and ranges, never a decision: who owns it and how late the label is known are asked for. It
cannot know when each column becomes known; it says so in the file.
"""

import csv
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from pennant.declaration import template
from pennant.declaration.expression import parse
from pennant.declaration.loader import CODE, FILE
from pennant.declaration.problems import nearest
from pennant.errors import PennantError

SAMPLE_ROWS = 1000
FORMATS = (
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)
_NAME = re.compile(r"^[a-z][a-z0-9_]{1,40}$")


class ScaffoldError(PennantError):
    """A new use case that cannot be made from what was given.

    Attributes:
        option: the option that is wrong.
        found: what it held.
        allowed: what it may hold.
        nearest: the allowed name most like it, if one is.
    """

    def __init__(self, option: str, found: str, allowed: str, near: str | None = None) -> None:
        self.option, self.found, self.allowed, self.nearest = option, found, allowed, near
        text = f"{option}: found {found!r}; allowed: {allowed}"
        super().__init__(text + (f"; did you mean {near!r}?" if near else ""))


@dataclass(frozen=True)
class Request:
    """What `pennant new` was asked for."""

    name: str
    table: Path
    key: str
    event_time: str
    label: str
    """`column` or `a > b`."""
    delay_hours: float
    """From the event to the moment its label is known."""
    team: str
    email: str
    slack_channel: str


@dataclass(frozen=True)
class Column:
    name: str
    kind: str
    """`str`, `int`, `float` or `bool`."""
    low: float = 0.0
    high: float = 0.0
    missing: bool = False


def create(request: Request, use_cases: Path) -> Path:
    """Write the folder of a new use case.

    Returns:
        The folder, with `use_case.yaml` and `features.py`.

    Raises:
        ScaffoldError: a name, column or file that cannot be used, or a folder that is there already.
        OSError: the folder cannot be written.
    """
    folder = use_cases / request.name
    if not _NAME.match(request.name):
        raise ScaffoldError(
            "NAME", request.name, "lower-case letters, digits and _, 2 to 41 of them, a letter first"
        )
    if folder.exists():
        raise ScaffoldError("NAME", request.name, "the name of a folder that is not there yet")
    columns, first_event = _columns(request)
    expression = parse(request.label)
    if expression is None or expression.operator == "==":
        raise ScaffoldError("--label", request.label, "a column, or two columns as in `a > b`")
    for option, name in [("--key", request.key), ("--event-time", request.event_time)]:
        _known(option, name, list(columns))
    for name in expression.columns:
        _known("--label", name, list(columns))
        if columns[name].kind == "str":
            raise ScaffoldError("--label", name, "a column of numbers")
    inputs = [
        each
        for name, each in columns.items()
        if name not in {request.key, request.event_time, *expression.columns}
    ]
    numbers = [each for each in inputs if each.kind != "str"]
    if not numbers:
        raise ScaffoldError(
            "--csv", str(request.table), "a file with a numeric column beside key, time and label"
        )
    labels = [columns[name] for name in expression.columns]
    text = _declaration(request, inputs, numbers, labels, first_event)
    folder.mkdir(parents=True)
    (folder / FILE).write_text(text, encoding="utf-8")
    (folder / CODE).write_text(_code(request, numbers), encoding="utf-8")
    return folder


def _known(option: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise ScaffoldError(option, name, ", ".join(names), nearest(name, names))


def _columns(request: Request) -> tuple[dict[str, Column], tuple[datetime, str]]:
    """Columns by name, and the earliest event with the format of its time."""
    try:
        with request.table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or [])
            rows = list(islice(reader, SAMPLE_ROWS))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScaffoldError("--csv", str(request.table), f"a readable CSV file ({error})") from None
    if not rows:
        raise ScaffoldError("--csv", str(request.table), "a CSV file with a header and rows")
    for name in names:
        if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
            raise ScaffoldError("--csv", name, "column names of letters, digits and _, a letter first")
    _known("--event-time", request.event_time, names)
    columns = {name: _column(name, [row[name] or "" for row in rows]) for name in names}
    return columns, _event([row[request.event_time] or "" for row in rows])


def _column(name: str, values: list[str]) -> Column:
    given = [each for each in values if each.strip()]
    if given and all(each in {"true", "false", "True", "False"} for each in given):
        return Column(name, "bool", 0, 1, len(given) < len(values))
    try:
        numbers = [float(each) for each in given]
    except ValueError:
        return Column(name, "str")
    if not numbers or not all(abs(each) < 1e300 for each in numbers):
        return Column(name, "str")
    whole = all(re.fullmatch(r"[-+]?\d+", each.strip()) for each in given)
    low, high = min(numbers), max(numbers)
    room = (high - low) or max(abs(high), 1.0)
    return Column(name, "int" if whole else "float", low - room, high + room, len(given) < len(values))


def _event(values: list[str]) -> tuple[datetime, str]:
    given = [each for each in values if each.strip()]
    for pattern in FORMATS:
        try:
            moments = [datetime.strptime(each, pattern) for each in given]  # noqa: DTZ007  # zone set below
        except ValueError:
            continue
        if moments:
            first = min(each if each.tzinfo else each.replace(tzinfo=UTC) for each in moments)
            return first, pattern
    found = given[0] if given else ""
    raise ScaffoldError("--event-time", found, "times such as " + ", ".join(FORMATS))


def _declaration(
    request: Request,
    inputs: list[Column],
    numbers: list[Column],
    labels: list[Column],
    event: tuple[datetime, str],
) -> str:
    start = event[0].astimezone(UTC).replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    quoted = {
        "name": request.name,
        "team": request.team,
        "email": request.email,
        "slack": request.slack_channel,
        "file": request.table.name,
        "key": request.key,
        "time": request.event_time,
        "format": event[1],
        "expression": request.label,
        "first_input": inputs[0].name,
        "first_label": labels[0].name,
    }
    plain = {
        "delay": f"{request.delay_hours:g}",
        "inputs": ", ".join(f"{json.dumps(each.name)}: {each.kind}" for each in inputs),
        "labels": ", ".join(f"{json.dumps(each.name)}: {each.kind}" for each in labels),
        "features": "\n".join(f"  {_feature(each)}: {_range(each)}" for each in numbers),
        "start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "until": f"{start.replace(year=start.year + 1):%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{start.replace(year=start.year + 2):%Y-%m-%dT%H:%M:%SZ}",
    }
    values = plain | {name: json.dumps(value) for name, value in quoted.items()}
    return re.sub(r"<(\w+)>", lambda found: values[found[1]], template.DECLARATION)


def _code(request: Request, numbers: list[Column]) -> str:
    lines = [
        f"        pl.col({json.dumps(each.name)}).cast(pl.Float64).alias({json.dumps(_feature(each))}),"
        for each in numbers
    ]
    return template.CODE.format(name=request.name, columns="\n".join(lines))


def _range(column: Column) -> str:
    missing = "allow" if column.missing else "refuse"
    return f"{{unit: as in the source, low: {column.low:g}, high: {column.high:g}, missing: {missing}}}"


def _feature(column: Column) -> str:
    """The column's name as a feature may be called."""
    name = column.name.lower().lstrip("_")
    return (name if len(name) > 1 else f"x_{name}")[:41]
