"""Hyper-parameters: what is fixed, searched or given by hand, and whether each is allowed.

For each member, later wins: the kind's defaults, the declared `fixed`, then either the search or the
overrides. A member with overrides is not searched.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pennant.declaration.model import Member, Range, TrainedUseCase
from pennant.declaration.parameters import NEURAL, PARAMETERS
from pennant.training.errors import BadParameter, UnknownName
from pennant.training.members.base import Parameters, Value
from pennant.training.members.transformer import require_neural

Overrides = Mapping[str, Mapping[str, Value]]
Chosen = dict[str, dict[str, Value]]
"""Member -> hyper-parameter -> value, complete."""


@dataclass(frozen=True)
class Space:
    """What a search varies, by `<member>.<parameter>`, and the rest, which stands still."""

    searched: dict[str, Range]
    still: Chosen

    def complete(self, found: Mapping[str, Value]) -> Chosen:
        """All hyper-parameters of all members, `found` filled in."""
        chosen = {member: dict(values) for member, values in self.still.items()}
        for name in self.searched:
            member, parameter = name.split(".", 1)
            chosen[member][parameter] = _tidy(self.searched[name], found[name])
        return chosen


def space(use_case: TrainedUseCase, overrides: Overrides | None) -> Space:
    """Check every name and value, and part what is searched from what is not.

    Raises:
        UnknownName: an override or a declared hyper-parameter that does not exist.
        BadParameter: a value or a bound that its model does not take.
        NeuralExtraMissing: a member needs packages that are not installed.
    """
    given = {member: dict(values) for member, values in (overrides or {}).items()}
    members = use_case.training.members
    for name in given:
        if name not in members:
            raise UnknownName("overrides", name, members)
    searched: dict[str, Range] = {}
    still: Chosen = {}
    for name, member in members.items():
        if member.kind in NEURAL:
            require_neural(f"training.members.{name}")
        still[name] = _still(name, member, given.get(name, {}))
        ranges = _checked_ranges(name, member)
        if name not in given:
            searched.update({f"{name}.{parameter}": each for parameter, each in ranges.items()})
    return Space(searched, still)


def _still(name: str, member: Member, override: Parameters) -> dict[str, Value]:
    declared = _checked(f"training.members.{name}.fixed", member.kind, member.fixed)
    by_hand = _checked(f"overrides.{name}", member.kind, override)
    defaults = {
        each: _number(allowed.default, allowed.whole) for each, allowed in PARAMETERS[member.kind].items()
    }
    return {**defaults, **declared, **by_hand}


def _checked(where: str, kind: str, values: Parameters) -> dict[str, Value]:
    allowed = PARAMETERS[kind]
    checked: dict[str, Value] = {}
    for name, value in values.items():
        if name not in allowed:
            raise UnknownName(where, name, allowed)
        if not allowed[name].accepts(value):
            raise BadParameter(f"{where}.{name}", value, allowed[name].describe())
        checked[name] = _number(float(value), allowed[name].whole)
    return checked


def _checked_ranges(name: str, member: Member) -> dict[str, Range]:
    where = f"training.members.{name}.search"
    for parameter, each in member.search.items():
        if each.low > each.high or (each.log and each.low <= 0):
            raise BadParameter(
                f"{where}.{parameter}", (each.low, each.high), "low <= high, and low > 0 with log"
            )
        _checked(where, member.kind, {parameter: each.low})
        _checked(where, member.kind, {parameter: each.high})
        if PARAMETERS[member.kind][parameter].whole and each.kind != "int":
            raise BadParameter(f"{where}.{parameter}.kind", each.kind, "int, as it takes whole numbers")
    return member.search


def _number(value: float, whole: bool) -> Value:
    return int(value) if whole else float(value)


def _tidy(declared: Range, value: Value) -> Value:
    return _number(float(value), declared.kind == "int")
