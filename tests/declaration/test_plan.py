"""A plan tells what a changed declaration would change, before anything runs with it."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from pennant.declaration.effects import ALL, EFFECTS, effect_of
from pennant.declaration.model import UseCase
from pennant.declaration.plan import NothingToCompare, Plan, mark_applied, plan
from pennant.declaration.problems import DeclarationError
from pennant.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", use_cases=tmp_path / "use_cases")


@pytest.fixture
def planned(case: SimpleNamespace, settings: Settings) -> Any:
    """The plan of one change of the valid declaration, which is applied."""

    def change(path: tuple[str | int, ...], value: Any) -> Plan:
        folder = case.put(settings.use_cases, case.written(case.valid)[0])
        mark_applied(folder, settings)
        case.put(settings.use_cases, case.written(case.changed(case.valid, path, value))[0])
        return plan(folder, settings)

    return change


def test_a_new_use_case_brings_its_dags(case: SimpleNamespace, settings: Settings) -> None:
    made = plan(case.put(settings.use_cases, case.valid_text), settings)
    assert made.against == "nothing"
    assert made.new_dags == [f"league_demo__{part}" for part in ALL]
    assert not made.empty


def test_an_applied_declaration_changes_nothing(case: SimpleNamespace, settings: Settings) -> None:
    folder = case.put(settings.use_cases, case.valid_text)
    mark_applied(folder, settings)
    made = plan(folder, settings)
    assert made.empty
    assert made.against == "applied"


def test_comments_order_and_written_defaults_change_nothing(
    case: SimpleNamespace, settings: Settings
) -> None:
    folder = case.put(settings.use_cases, case.valid_text)
    mark_applied(folder, settings)
    data = dict(reversed(case.valid.items()))
    data = case.changed(data, ("sources", "games", "max_attempts"), 4)
    rules = list(reversed(data["validation"]["expectations"]))
    data = case.changed(data, ("validation", "expectations"), rules)
    case.put(settings.use_cases, "# another comment\n" + case.written(data)[0])
    assert plan(folder, settings).empty


@pytest.mark.parametrize(
    ("path", "value", "room", "part", "severity"),
    [
        (("gate", "alpha"), 0.01, "gate", "train", "change"),
        (("gate", "margin"), 0.01, "gate", "train", "change"),
        (("schedules", "score"), "0 5 * * *", "features", "score", "change"),
        (("schedules", "train"), "0 5 * * *", "training", "train", "change"),
        (("watch", "drift", "threshold"), 0.4, "watch", "watch", "change"),
        (("release", "canary_share"), 0.1, "release", "release", "change"),
        (("training", "search", "workers"), 3, "training", "train", "change"),
        (("features", "temperature", "high"), 70, "features", "train", "new_model"),
        (
            ("features", "humidity"),
            {"unit": "share", "low": 0, "high": 1, "missing": "allow"},
            "features",
            "score",
            "new_model",
        ),
        (("features", "temperature"), ..., "features", "score", "new_model"),
        (("label", "delay_hours"), 3.0 + 0, "features", "watch", None),
        (("label", "expression"), "away_goals > home_goals", "features", "watch", "new_history"),
        (
            ("sources", "games", "groups", "team_news", "known_at", "hours"),
            3,
            "data",
            "ingest",
            "new_history",
        ),
        (("title",), "Another league", "declaration", "watch", "note"),
    ],
)
def test_a_change_is_told_with_its_room_its_dags_and_its_weight(
    planned: Any, path: tuple[str | int, ...], value: Any, room: str, part: str, severity: str | None
) -> None:
    made = planned(path, value)
    if severity is None:
        assert made.empty
        return
    (group,) = made.groups
    assert (group.room, group.severity) == (room, severity)
    assert f"league_demo__{part}" in group.dags
    assert [each.field for each in group.changes] == [".".join(map(str, path))]


def test_the_most_serious_changes_come_first(case: SimpleNamespace, settings: Settings) -> None:
    folder = case.put(settings.use_cases, case.valid_text)
    mark_applied(folder, settings)
    data = case.changed(case.valid, ("title",), "Another league")
    data = case.changed(data, ("label", "expression"), "away_goals > home_goals")
    data = case.changed(data, ("split", "folds"), 4)
    case.put(settings.use_cases, case.written(data)[0])
    assert [each.severity for each in plan(folder, settings).groups] == ["new_history", "new_model", "note"]


def test_values_before_and_after_are_shown(planned: Any) -> None:
    (change,) = planned(("gate", "alpha"), 0.01).groups[0].changes
    assert (change.before, change.after) == (0.05, 0.01)


def test_another_file_can_be_compared_with(case: SimpleNamespace, settings: Settings, tmp_path: Path) -> None:
    folder = case.put(settings.use_cases, case.valid_text)
    other = tmp_path / "other.yaml"
    other.write_text(case.valid_text.replace("alpha: 0.05", "alpha: 0.2"))
    (group,) = plan(folder, settings, str(other)).groups
    assert [each.field for each in group.changes] == ["gate.alpha"]


def test_a_file_that_no_longer_fits_the_model_can_be_compared_with(
    case: SimpleNamespace, settings: Settings, tmp_path: Path
) -> None:
    folder = case.put(settings.use_cases, case.valid_text)
    other = tmp_path / "other.yaml"
    other.write_text(case.valid_text.replace("  live_from: 2025-01-01T00:00:00Z\n", "  speed: 3\n"))
    (group,) = plan(folder, settings, str(other)).groups
    assert [each.field for each in group.changes] == ["replay.speed", "replay.live_from"]


def test_a_git_revision_can_be_compared_with(case: SimpleNamespace, settings: Settings) -> None:
    folder = case.put(settings.use_cases, case.valid_text.replace("alpha: 0.05", "alpha: 0.2"))

    def git(*command: str) -> None:
        who = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *command], cwd=settings.use_cases, check=True, capture_output=True)

    git("init", "-q")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    case.put(settings.use_cases, case.valid_text)
    (group,) = plan(folder, settings, "HEAD").groups
    assert [(each.field, each.before) for each in group.changes] == [("gate.alpha", 0.2)]
    for wrong in ("no-such-revision", "--help"):
        with pytest.raises(NothingToCompare) as caught:
            plan(folder, settings, wrong)
        assert caught.value.found == wrong


def test_a_broken_declaration_is_neither_planned_nor_applied(
    case: SimpleNamespace, settings: Settings
) -> None:
    folder = case.put(settings.use_cases, case.valid_text.replace("alpha: 0.05", "alpha: 2"))
    for each in (plan, mark_applied):
        with pytest.raises(DeclarationError):
            each(folder, settings)
    assert not (settings.home / "applied").exists()


def every_field(part: type[BaseModel], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    from pennant.declaration.refusal import annotation, fields_of

    found: list[tuple[str, ...]] = []
    for name in fields_of(part):
        here = (*path, name)
        kind = annotation(here)
        below = annotation((*here, "any"))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += every_field(kind, here)
        elif isinstance(below, type) and issubclass(below, BaseModel):
            found += every_field(below, (*here, "any"))
        else:
            found.append(here)
    return found


def test_every_field_of_the_model_has_an_effect() -> None:
    fields = every_field(UseCase)
    assert ("sources", "any", "groups", "any", "known_at", "hours") in fields
    for field in fields:
        assert effect_of(field).words


def test_every_effect_is_of_a_field_and_of_a_dag() -> None:
    fields = [tuple("*" if part == "any" else part for part in each) for each in every_field(UseCase)]
    for effect in EFFECTS:
        prefix = tuple(effect.prefix.split("."))
        assert any(each[: len(prefix)] == prefix for each in fields), effect.prefix
        assert set(effect.dags) <= set(ALL)
