"""Turns what pydantic refuses into a problem with its place, what is allowed, and the nearest name."""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from pennant.declaration.document import Document
from pennant.declaration.model import UseCase
from pennant.declaration.problems import Field, Problem, nearest, shown

_KINDS = {
    "string_type": "text; put it in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number, without quotes",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "finite_number": "a finite number",
    "moment": "a moment with its time zone, for example 2024-03-01T00:00:00Z",
    "timezone_aware": "a moment with its time zone, for example 2024-03-01T00:00:00Z",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_LENGTHS = {
    "too_short": ("min_length", "at least {} entries"),
    "too_long": ("max_length", "at most {} entries"),
}
_PATTERNS = {
    r"^[a-z][a-z0-9_]{1,40}$": "a name: lower-case letters, digits and _, 2 to 41 of them, a letter first",
    r"^\S+ \S+ \S+ \S+ \S+$": 'a cron expression of five fields in quotes, for example "0 6 * * *"',
    r"^[^@\s]+@[^@\s]+$": "an e-mail address",
    r"^(#[a-z0-9_-]{1,80}|[CDG][A-Z0-9]{8,})$": 'a Slack channel in quotes, for example "#models"',
    r"^([01]\d|2[0-3]):[0-5]\d$": "a time HH:MM",
}


def explain(document: Document, error: ErrorDetails) -> Problem:
    """The problem that one pydantic error stands for."""
    path = _in_file(document, error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(document, path)
    if kind == "missing":
        return _missing(document, path)
    of_key = error["loc"][-1] == "[key]"
    found = repr(path[-1]) if of_key else shown(error["input"])
    if kind == "literal_error":
        names = [str(each) for each in _choices(annotation(path[:-1] if of_key else path))]
        near = nearest(path[-1] if of_key else error["input"], names)
        allowed = str(context.get("expected", ", ".join(names)))
        return document.problem(path, "not one of the allowed words", found=found, allowed=allowed, near=near)
    return document.problem(path, _message(kind), found=found, allowed=_allowed(kind, context, error["msg"]))


def fields_of(kind: object) -> dict[str, object]:
    """Names, as the file spells them, and types of the fields of a part; empty for anything else."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {}
    return {each.alias or name: each.annotation for name, each in kind.model_fields.items()}


def annotation(path: Field) -> object:
    """The declared type at a path of the file, or None where nothing is declared."""
    kind: object = UseCase
    for part in path:
        kind = _plain(kind)
        if get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif get_origin(kind) is list:
            kind = get_args(kind)[0]
        else:
            kind = fields_of(kind).get(str(part))
    return _plain(kind)


def _plain(kind: object) -> object:
    """Without `Annotated` and without the None of an optional."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, types.UnionType):
        rest = [each for each in get_args(kind) if each is not type(None)]
        if len(rest) == 1:
            return _plain(rest[0])
    return kind


def _choices(kind: object) -> tuple[Any, ...]:
    if get_origin(kind) is dict:
        kind = get_args(kind)[0]
    return get_args(kind) if get_origin(kind) is Literal else ()


def _in_file(document: Document, location: tuple[int | str, ...]) -> Field:
    """Pydantic's location without the marks it adds for unions and keys."""
    path: Field = ()
    for part in location:
        deeper = (*path, part)
        if deeper in document.places:
            path = deeper
    last = location[-1]
    known = fields_of(annotation(path))
    return (*path, last) if isinstance(last, str) and last in known and path != location else path


def _unknown(document: Document, path: Field) -> Problem:
    part = document.value(path[:-1])
    given = set(part) if isinstance(part, dict) else set()
    known = list(fields_of(annotation(path[:-1])))
    near = nearest(path[-1], [each for each in known if each not in given]) or nearest(path[-1], known)
    return document.problem(path, "no such field", found=repr(path[-1]), allowed=", ".join(known), near=near)


def _missing(document: Document, path: Field) -> Problem:
    part = document.value(path[:-1])
    known = fields_of(annotation(path[:-1]))
    strangers = [each for each in part if each not in known] if isinstance(part, dict) else []
    near = nearest(path[-1], strangers)
    return document.problem(
        path, "the field is missing", found="nothing", allowed=_described(known.get(str(path[-1]))), near=near
    )


def _described(kind: object) -> str:
    kind = _plain(kind)
    choices = _choices(kind)
    if choices and get_origin(kind) is Literal:
        return " or ".join(repr(each) for each in choices)
    fields = fields_of(kind)
    if fields:
        return "a mapping with " + ", ".join(fields)
    names: dict[object, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    origins: dict[object, str] = {list: "a list", dict: "a mapping"}
    return names.get(kind) or origins.get(get_origin(kind)) or "a value"


def _message(kind: str) -> str:
    if kind in _BOUNDS or kind == "finite_number":
        return "out of range"
    if kind in _LENGTHS:
        return "of the wrong length"
    return (
        "of the wrong form" if kind.startswith("string_") and kind != "string_type" else "of the wrong type"
    )


def _allowed(kind: str, context: dict[str, Any], message: str) -> str:
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return (
            f"{words} {context[name]:g}"
            if isinstance(context[name], float | int)
            else f"{words} {context[name]}"
        )
    if kind in _LENGTHS:
        name, words = _LENGTHS[kind]
        return words.format(context[name])
    if kind == "string_too_short":
        return "text that is not empty"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(str(context.get("pattern")), message)
    if kind.startswith("datetime"):
        return _KINDS["moment"]
    return _KINDS.get(kind, message[0].lower() + message[1:])
