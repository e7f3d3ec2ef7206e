"""A variant is the same events asked for at another moment, by members of its own."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pennant.declaration.loader import load_trained
from pennant.declaration.problems import dotted
from pennant.declaration.variants import UnknownVariant, as_variant

HERE = ("training", "variants", "at_kick_off")
NEW = {"closing_chance": {"unit": "probability", "low": 0, "high": 1, "missing": "allow"}}
VARIANT: dict[str, Any] = {
    "title": "At kick-off",
    "lead_hours": 0,
    "features": NEW,
    "members": {"closing": {"kind": "column", "columns": ["closing_chance"]}},
}

# (what is changed in the variant, the field that is blamed)
LAWS: dict[str, tuple[dict[str, Any], str]] = {
    "its members are of kinds that fit the task": (
        {"members": {"closing": {"kind": "poisson"}}},
        "members.closing.kind",
    ),
    "its members take features that exist": (
        {"members": {"closing": {"kind": "column", "columns": ["opening_chance"]}}},
        "members.closing.columns.0",
    ),
    "it leaves out features that exist": ({"without": ["nobody"]}, "without.0"),
    "its slices are declared": ({"ensemble": "selection"}, "ensemble"),
    "its calibration fits the task": ({"calibration": "temperature"}, "calibration"),
    "its moment is before the label is known": ({"lead_hours": -23}, "lead_hours"),
    "it needs members": ({"members": {}}, "members"),
}


def with_variant(case: SimpleNamespace, variant: dict[str, Any], name: str = "at_kick_off") -> Any:
    """The text of the valid declaration with this variant, and the line of each of its fields."""
    return case.written(case.changed(case.valid, ("training", "variants"), {name: variant}))


@pytest.mark.parametrize("law", LAWS)
def test_a_variant_is_refused_where_it_is_wrong(case: SimpleNamespace, tmp_path: Path, law: str) -> None:
    changes, blamed = LAWS[law]
    text, places = with_variant(case, {**VARIANT, **changes})
    (problem,) = case.refused(tmp_path, text)
    field = (*HERE, *(int(each) if each.isdigit() else each for each in blamed.split(".")))
    assert (problem.field, problem.line) == (dotted(field), places[field])


def test_a_variant_keeps_off_the_names_of_the_use_case(case: SimpleNamespace, tmp_path: Path) -> None:
    taken = next(iter(case.valid["features"]))
    doubled = {**VARIANT, "features": {**NEW, taken: NEW["closing_chance"]}}
    found = case.refused(tmp_path, with_variant(case, doubled)[0])
    assert [each.field for each in found] == [".".join([*HERE, "features", taken])]
    found = case.refused(tmp_path, with_variant(case, VARIANT, "baselines")[0])
    assert [each.field for each in found] == ["training.variants.baselines"]


def test_a_variant_has_its_own_moments_and_members_and_all_else_of_the_use_case(
    case: SimpleNamespace, tmp_path: Path
) -> None:
    gone = next(iter(case.valid["features"]))
    text = with_variant(case, {**VARIANT, "without": [gone]})[0]
    declared = load_trained(case.put(tmp_path, text))
    made = as_variant(declared, "at_kick_off")
    assert (made.spine.lead_hours, list(made.training.members)) == (0, ["closing"])
    assert made.training.calibration == "none"
    assert list(made.features) == [*(each for each in declared.features if each != gone), "closing_chance"]
    assert (made.sources, made.label, made.split) == (declared.sources, declared.label, declared.split)
    with pytest.raises(UnknownVariant) as refused:
        as_variant(declared, "at_half_time")
    assert refused.value.allowed == ["at_kick_off"]
