"""A YAML file read into plain values, with the line and column of every field.

Scalars are read by the rules of YAML 1.2: `NO` and `on` are text (a team, a word), `07` is seven, and
a date stays text. Tags, merge keys and repeated keys, which change meaning unseen, are refused.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import yaml

from pennant.declaration.problems import DeclarationError, Field, Problem, dotted, shown

MAX_NODES = 50_000
"""Aliases can multiply a small file without end; a real declaration has about 500 nodes."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


_SCALARS = {
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    "int": (r"^[-+]?[0-9]+$", list("-+0123456789")),
    "float": (
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$",
        list("-+.0123456789"),
    ),
}
for _name, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(_pattern), _first)


@dataclass
class Document:
    """The values of one file, and where each field stands."""

    file: Path
    data: dict[str, object]
    places: dict[Field, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    """What was wrong while reading, other than syntax: repeated keys, tags, keys that are no names."""

    def place(self, path: Field) -> tuple[int, int]:
        """Line and column of a field, or of the nearest part around it that is in the file."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def value(self, path: Field) -> object:
        """The value at `path`; None where there is none."""
        value: object = self.data
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def problem(
        self, path: Field, message: str, *, found: str | None = None, allowed: str, near: str | None = None
    ) -> Problem:
        """Make the problem of the field at `path`; `found` is its value if not given."""
        line, column = self.place(path)
        given = shown(self.value(path)) if found is None else found
        return Problem(self.file, line, column, dotted(path), given, allowed, near, message)


def read(file: Path) -> Document:
    """Read a YAML file.

    Raises:
        DeclarationError: no such file, not UTF-8, empty, not YAML, or its root is no mapping.
    """
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise _whole(file, "the declaration is missing", "no file", "a file use_case.yaml") from None
    except IsADirectoryError:
        raise _whole(file, "the declaration is no file", "a folder", "a file use_case.yaml") from None
    except UnicodeDecodeError as error:
        raise _whole(file, "the file is not text", f"byte {error.start} is not UTF-8", "UTF-8") from None
    return parse(text, file)


def parse(text: str, file: Path) -> Document:
    """Read YAML text; `file` names it in messages.

    Raises:
        DeclarationError: empty, not YAML, or its root is no mapping.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        found = " ".join(filter(None, (error.context, error.problem)))
        problem = Problem(file, line, column, "", found, "YAML", None, "the file is not YAML")
        raise DeclarationError([problem]) from None
    except yaml.YAMLError as error:
        raise _whole(file, "the file is not YAML", " ".join(str(error).split()), "YAML") from None
    if root is None:
        raise _whole(file, "the file is empty", "nothing", "the fields of a use case")
    if not isinstance(root, yaml.MappingNode):
        raise _whole(
            file,
            "the file is no mapping",
            "a list" if isinstance(root, yaml.SequenceNode) else "one value",
            "the fields of a use case",
        )
    document = Document(file, {})
    walk = _Walk(document)
    values = walk.mapping(root, ())
    document.data = values
    return document


class _Walk:
    """Turns nodes into values and notes where they stand."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nodes = 0
        self.open: set[int] = set()

    def mapping(self, node: yaml.MappingNode, path: Field) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.refuse(path, key, "a key has to be one word", f"a {key.id}", "a name")
                continue
            # The text itself: a team called NO or a column called null keeps its name.
            name, here = key.value, (*path, key.value)
            if name in values:
                first = self.document.places[here][0]
                self.refuse(here, key, "the key is there twice", f"it again, first in line {first}", "once")
                continue
            self.document.places[here] = (key.start_mark.line + 1, key.start_mark.column + 1)
            values[name] = self.value(child, here)
        return values

    def value(self, node: yaml.Node, path: Field) -> object:
        self.nodes += 1
        if self.nodes > MAX_NODES or id(node) in self.open:
            found = "an alias inside itself" if id(node) in self.open else f"more than {MAX_NODES} values"
            raise _whole(self.document.file, "the file never ends", found, "aliases without a circle")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return self.sequence(node, path)
            return self.scalar(node, path)
        finally:
            self.open.discard(id(node))

    def sequence(self, node: yaml.SequenceNode, path: Field) -> list[object]:
        values = []
        for number, child in enumerate(node.value):
            here = (*path, number)
            self.document.places[here] = (child.start_mark.line + 1, child.start_mark.column + 1)
            values.append(self.value(child, here))
        return values

    def scalar(self, node: yaml.Node, path: Field) -> object:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        text = str(node.value)
        try:
            if kind == "int":
                return int(text)
            if kind == "float":
                return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            self.refuse(path, node, "the value cannot be read", repr(text), f"a YAML {kind}")
            return text
        if kind in {"null", "bool", "str"}:
            return {"null": None, "bool": text.lower() == "true"}.get(kind, text)
        self.refuse(path, node, "tags are not read", node.tag, "plain values")
        return text

    def refuse(self, path: Field, node: yaml.Node, message: str, found: str, allowed: str) -> None:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        problem = Problem(self.document.file, line, column, dotted(path), found, allowed, None, message)
        self.document.problems.append(problem)


def _whole(file: Path, message: str, found: str, allowed: str) -> DeclarationError:
    return DeclarationError([Problem(file, 1, 1, "", found, allowed, None, message)])
