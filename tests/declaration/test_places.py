"""Whatever is wrong in a declaration, the error stands at the line where it is wrong."""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from pennant.declaration.document import parse
from pennant.declaration.model import UseCase
from pennant.declaration.problems import dotted
from pennant.declaration.refusal import annotation, fields_of

# Values of these are free objects: anything may stand below them.
FREE = ("with",)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every path of the data, outermost first."""
    entries = list(value.items() if isinstance(value, dict) else enumerate(value))
    found = [] if not path else [path]
    for key, child in entries:
        here = (*path, key)
        found += paths(child, here) if isinstance(child, dict | list) else [here]
    return found


def part_of(kind: object) -> type[BaseModel] | None:
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def required(path: tuple[str | int, ...]) -> bool:
    part = part_of(annotation(path[:-1])) if path[:-1] else UseCase
    if part is None:
        return False
    names = {field.alias or name: field for name, field in part.model_fields.items()}
    return str(path[-1]) in names and names[str(path[-1])].is_required()


def value_at(data: Any, path: tuple[str | int, ...]) -> Any:
    for each in path:
        data = data[each]
    return data


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_dropped_required_field_is_missed_where_it_belongs(
    case: SimpleNamespace, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from([each for each in paths(case.valid) if required(each)]))
    text, places = case.written(case.changed(case.valid, path, ...))
    problem = _only(case, text, dotted(path))
    assert problem.message == "the field is missing"
    around = path[:-1]
    # An emptied part is written {} on the line of its own name.
    assert problem.line == (places[around] if around else 1)


@given(data=st.data(), name=st.from_regex(r"[a-z]{3,12}", fullmatch=True))
@settings(max_examples=60, deadline=None)
def test_an_unknown_field_is_found_at_its_own_line(
    case: SimpleNamespace, data: st.DataObject, name: str
) -> None:
    parts = [(), *(path for path in paths(case.valid) if part_of(annotation(path)) is not None)]
    around = data.draw(st.sampled_from(parts))
    if name in fields_of(annotation(around) if around else UseCase):
        return
    text, places = case.written(case.changed(case.valid, (*around, name), 1))
    problem = _only(case, text, dotted((*around, name)))
    assert problem.line == places[(*around, name)]
    assert problem.message == "no such field"


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_a_value_of_a_wrong_type_is_found_at_its_own_line(case: SimpleNamespace, data: st.DataObject) -> None:
    candidates = [path for path in paths(case.valid) if not set(FREE) & set(path[:-1])]
    path = data.draw(st.sampled_from(candidates))
    wrong: Any = 3.25 if isinstance(value_at(case.valid, path), dict | list) else {"surprise": [1]}
    text, places = case.written(case.changed(case.valid, path, wrong))
    problem = _only(case, text, dotted(path))
    assert problem.line == places[path]
    assert problem.allowed


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_the_reader_gives_back_what_was_written(case: SimpleNamespace, data: st.DataObject) -> None:
    scalars = (
        st.none()
        | st.booleans()
        | st.integers(-(10**9), 10**9)
        | st.floats(allow_nan=False)
        | st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), max_size=20)
    )
    values = st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner, max_size=4)
        ),
        max_leaves=12,
    )
    drawn = data.draw(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), values, min_size=1))
    text, places = case.written(drawn)
    document = parse(text, Path("use_case.yaml"))
    assert document.data == drawn
    assert {path: line for path, (line, _) in document.places.items()} == places


def _only(case: SimpleNamespace, text: str, field: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        problems = case.refused(Path(folder), text)
    assert [each.field for each in problems] == [field]
    return problems[0]
