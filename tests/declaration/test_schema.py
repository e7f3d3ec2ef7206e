"""Editors and readers are told what the loader asks, in the same words."""

from typing import Any

from pennant.declaration.model import DataUseCase, UseCase
from pennant.declaration.schema import json_schema, reference
from pennant.settings import REPOSITORY


def test_the_schema_knows_every_field_by_the_name_of_the_file() -> None:
    schema = json_schema()
    assert set(schema["required"]) == {
        name for name, each in DataUseCase.model_fields.items() if each.is_required()
    }
    assert set(schema["properties"]) == set(UseCase.model_fields)
    assert "with" in schema["$defs"]["Expectation"]["properties"]
    assert "with_" not in schema["$defs"]["Expectation"]["properties"]


def test_the_schema_refuses_unknown_fields_in_every_part() -> None:
    schema = json_schema()
    for part in [schema, *schema["$defs"].values()]:
        assert part["additionalProperties"] is False


def test_the_words_of_the_model_reach_the_editor() -> None:
    split: dict[str, Any] = json_schema()["$defs"]["Split"]["properties"]
    assert split["history_days"]["description"] == "How far back training rows go."
    assert split["history_days"]["minimum"] == 1


def test_the_documented_fields_are_those_of_the_model() -> None:
    page = (REPOSITORY / "docs" / "declaration.md").read_text(encoding="utf-8")
    # Made anew with: python -c "from pennant.declaration.schema import reference; print(reference())"
    assert page.split("## Every field\n\n", 1)[1] == reference()


def test_who_declares_a_part_of_a_model_declares_all_of_it() -> None:
    parts = set(UseCase.model_fields) - set(DataUseCase.model_fields)
    assert parts == {"training", "gate", "release", "watch", "healing", "replay"}
    needed = {part: set(needs) for part, needs in json_schema()["dependentRequired"].items()}
    # Who trains need not serve; who serves declares everything.
    assert needed == dict.fromkeys(parts - {"training"}, parts)
