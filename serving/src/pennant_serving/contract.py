"""From JSON features to a matrix, by the contract of the bundle: everything else is refused by name."""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pennant_serving.bundle import Bundle
from pennant_serving.lines import LineOutside, check_line
from pennant_serving.manifest import Input
from pennant_serving.problems import Problem, shown
from pennant_serving.scorer import Floats

_MOST_ERRORS = 25


@dataclass(frozen=True)
class Finding:
    """One value that breaks the contract."""

    row: int
    field: str
    found: str
    allowed: str

    def document(self) -> dict[str, Any]:
        return {"row": self.row, "field": self.field, "found": self.found, "allowed": self.allowed}


def matrix(
    rows: Sequence[tuple[int, Mapping[str, Any]]], inputs: Sequence[Input], known: Mapping[str, Input]
) -> tuple[Floats, list[Finding]]:
    """Features of shape (n, inputs) in the bundle's order, NaN where null.

    Args:
        rows: number of the row in the request, and its features.
        inputs: what the bundle takes; each must be there.
        known: what any arm of the policy takes; more than that is an unknown field.
    """
    values = np.empty((len(rows), len(inputs)))
    findings: list[Finding] = []
    for at, (number, features) in enumerate(rows):
        for column, each in enumerate(inputs):
            value, wrong = _value(each, features)
            values[at, column] = value
            if wrong is not None:
                findings.append(Finding(number, f"features.{each.name}", *wrong))
        if len(features) > len(inputs) or findings:
            findings.extend(_unknown(number, features, known))
        if len(findings) >= _MOST_ERRORS:
            break
    return values, findings


_ABSENT = object()


def _value(each: Input, features: Mapping[str, Any]) -> tuple[float, tuple[str, str] | None]:
    found = features.get(each.name, _ABSENT)
    if type(found) is float or type(found) is int:
        try:
            number = float(found)
        except OverflowError:
            number = math.inf
        if each.low <= number <= each.high:
            return number, None
        return number, (shown(found), f"a number from {each.low:g} to {each.high:g} ({each.unit})")
    if found is None:
        allowed = f"a number ({each.unit}); this input may not be missing"
        return math.nan, None if each.missing == "allow" else ("null", allowed)
    or_null = " or null" if each.missing == "allow" else ""
    if found is _ABSENT:
        return math.nan, ("nothing", f"a number{or_null} ({each.unit})")
    return math.nan, (shown(found), f"a JSON number{or_null} ({each.unit})")


def _unknown(number: int, features: Mapping[str, Any], known: Mapping[str, Input]) -> list[Finding]:
    findings = []
    for name in features:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; nearest is {near[0]!r}" if near else ""
            allowed = f"the inputs of the contract{hint}"
            findings.append(Finding(number, f"features.{shown(name)[1:-1]}", "an unknown field", allowed))
    return findings


def line_findings(numbers: Sequence[int], lines: Sequence[float | None], bundle: Bundle) -> list[Finding]:
    """The lines of a request that the bundle cannot price; only a count has any.

    Args:
        numbers: of the rows in the request.
        lines: of those rows; None where none is asked for.
        bundle: is to price them.
    """
    findings = []
    for number, line in zip(numbers, lines, strict=True):
        if line is None:
            continue
        if bundle.task != "count":
            allowed = f"no line: this model foretells no count, its task is {bundle.task}"
            findings.append(Finding(number, "line", shown(line), allowed))
            continue
        try:
            check_line(line, bundle.outcome.most)
        except LineOutside as error:
            findings.append(Finding(number, "line", shown(error.found), error.allowed))
    return findings[:_MOST_ERRORS]


def refuse(findings: Sequence[Finding]) -> None:
    """Raise the problem that names every finding (at most 25); nothing when there is none.

    Raises:
        Problem: 422, with `errors`.
    """
    if findings:
        first = findings[0]
        raise Problem(
            "invalid-request",
            f"Row {first.row}, {first.field}: found {first.found}; allowed is {first.allowed}.",
            errors=[each.document() for each in findings[:_MOST_ERRORS]],
        )
