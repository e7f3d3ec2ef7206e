"""A valid declaration to break, and a writer of YAML that knows on which line each field stands."""

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pennant.declaration.document import read
from pennant.declaration.loader import load
from pennant.declaration.problems import DeclarationError, Field, Problem
from pennant.settings import REPOSITORY

SHIPPED = REPOSITORY / "include" / "use_cases"
# A copy of its own: what ships may change, and these tests break one thing at a time.
VALID_FILE = Path(__file__).parent / "valid.yaml"
VALID: dict[str, Any] = read(VALID_FILE).data

_WORDS = {None: "null", True: "true", False: "false"}


def written(data: dict[str, Any]) -> tuple[str, dict[Field, int]]:
    """The data as YAML in block style, and the line of each field, by a writer of our own."""
    lines: list[str] = []
    places: dict[Field, int] = {}
    _write(data, (), lines, places)
    return "\n".join(lines) + "\n", places


def _write(value: Any, path: Field, lines: list[str], places: dict[Field, int]) -> None:
    indent = "  " * len(path)
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in entries:
        here = (*path, key)
        head = f"{indent}{key}:" if isinstance(value, dict) else f"{indent}-"
        if isinstance(value, dict) or not isinstance(child, dict | list) or not child:
            places[here] = len(lines) + 1
        else:
            places[here] = len(lines) + 2  # the entry's own first line comes after its dash
        if isinstance(child, dict | list) and child:
            lines.append(head)
            _write(child, here, lines, places)
        else:
            lines.append(f"{head} {_scalar(child)}")


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    if value in (float("inf"), float("-inf")):
        return ".inf" if value > 0 else "-.inf"
    return _WORDS[value] if value is None or isinstance(value, bool) else repr(value)


def changed(data: dict[str, Any], path: Field, value: Any) -> dict[str, Any]:
    """A copy with another value at `path`; `...` removes it."""
    copy = deepcopy(data)
    part: Any = copy
    for each in path[:-1]:
        part = part[each]
    if value is ...:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return copy


def put(folder: Path, text: str, name: str = "league_demo") -> Path:
    """A folder of a use case with this declaration."""
    case = folder / name
    case.mkdir(parents=True, exist_ok=True)
    (case / "use_case.yaml").write_text(text, encoding="utf-8")
    (case / "features.py").write_text("")
    return case


def refused(folder: Path, text: str, name: str = "league_demo") -> list[Problem]:
    """The problems that loading this text gives."""
    with pytest.raises(DeclarationError) as caught:
        load(put(folder, text, name))
    return caught.value.problems


class Case(SimpleNamespace):
    def __repr__(self) -> str:
        return "case"


@pytest.fixture(scope="session")
def case() -> SimpleNamespace:
    """What the tests of this folder share: the valid data, and functions to break and load it."""
    return Case(
        valid=VALID,
        valid_text=VALID_FILE.read_text(),
        shipped=SHIPPED,
        written=written,
        changed=changed,
        put=put,
        refused=refused,
        load=load,
    )
