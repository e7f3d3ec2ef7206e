"""A use case may end with its features; one that has any part of a model has all of them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pennant.declaration.loader import MODEL_PARTS, load, load_modelled, load_trained
from pennant.declaration.model import DataUseCase, UseCase
from pennant.declaration.problems import DeclarationError
from pennant.settings import Settings

ONLY_MODELS = ("score", "watch", "train")
GONE: Any = ...


@pytest.fixture
def bare(case: SimpleNamespace) -> Any:
    """The valid declaration without its model."""
    data = case.valid
    for part in ("training", *MODEL_PARTS):
        data = case.changed(data, (part,), GONE)
    for schedule in ONLY_MODELS:
        data = case.changed(data, ("schedules", schedule), GONE)
    return data


def test_a_use_case_without_a_model_loads_as_far_as_its_features(
    case: SimpleNamespace, bare: Any, tmp_path: Path
) -> None:
    folder = case.put(tmp_path, case.written(bare)[0])
    loaded = load(folder)
    assert isinstance(loaded, DataUseCase)
    assert not isinstance(loaded, UseCase)


def test_whoever_needs_the_model_is_told_that_there_is_none(
    case: SimpleNamespace, bare: Any, tmp_path: Path
) -> None:
    folder = case.put(tmp_path, case.written(bare)[0])
    with pytest.raises(DeclarationError) as refused:
        load_modelled(folder)
    assert set(refused.value.allowed.split(", ")) == {"training", *MODEL_PARTS}
    with pytest.raises(DeclarationError):
        load_trained(folder)


def test_a_use_case_may_end_with_its_training(case: SimpleNamespace, bare: Any, tmp_path: Path) -> None:
    trained = case.changed(bare, ("training",), case.valid["training"])
    folder = case.put(tmp_path, case.written(trained)[0])
    loaded = load_trained(folder)
    assert loaded.training.search.trials > 0
    assert not isinstance(loaded, UseCase)


@pytest.mark.parametrize("part", MODEL_PARTS)
def test_one_part_of_a_model_asks_for_the_others(
    case: SimpleNamespace, bare: Any, tmp_path: Path, part: str
) -> None:
    text = case.written(case.changed(bare, (part,), case.valid[part]))[0]
    problems = case.refused(tmp_path, text)
    missing = {each.field for each in problems if each.message == "the field is missing"}
    assert set(MODEL_PARTS) - {part} <= missing


def test_a_declaration_that_gains_a_model_gains_its_dags(
    case: SimpleNamespace, bare: Any, tmp_path: Path
) -> None:
    from pennant.declaration.plan import mark_applied, plan

    settings = Settings(home=tmp_path / "home")
    folder = case.put(tmp_path / "use_cases", case.written(bare)[0])
    mark_applied(folder, settings)
    case.put(tmp_path / "use_cases", case.valid_text)
    gained = {name.rpartition("__")[2] for name in plan(folder, settings).new_dags}
    assert gained == {"train", "release", "score", "watch", "backtest"}
