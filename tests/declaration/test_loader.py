"""A declaration loads whole, or says at which line what is wrong and what is allowed."""

import pickle
import subprocess
import sys
import time
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from pennant.declaration.loader import load, load_all
from pennant.declaration.problems import DeclarationError


def text_of(case: SimpleNamespace, old: str, new: str) -> str:
    text: str = case.valid_text
    assert old in text
    return text.replace(old, new, 1)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize("name", ["league_demo", "nfl_games"])
def test_what_ships_loads(case: SimpleNamespace, tmp_path: Path, name: str) -> None:
    loaded = load(case.put(tmp_path, (case.shipped / name / "use_case.yaml").read_text(), name))
    assert loaded.name == name
    assert loaded.schedules.start.tzinfo is UTC


def test_the_file_and_its_folder_load_the_same(case: SimpleNamespace, tmp_path: Path) -> None:
    folder = case.put(tmp_path, case.written(case.valid)[0])
    assert load(folder) == load(folder / "use_case.yaml")


def test_a_loaded_declaration_cannot_be_changed(case: SimpleNamespace, tmp_path: Path) -> None:
    use_case = load(case.put(tmp_path, case.written(case.valid)[0]))
    with pytest.raises(ValidationError, match="frozen"):
        use_case.gate.alpha = 0.4


def test_an_unknown_field_is_refused_with_its_line_and_the_nearest_name(
    case: SimpleNamespace, tmp_path: Path
) -> None:
    text = text_of(case, "  max_calibration_error:", "  max_calibration_eror:")
    unknown, missing = sorted(case.refused(tmp_path, text), key=lambda each: each.message)
    assert (unknown.field, unknown.nearest) == ("gate.max_calibration_eror", "max_calibration_error")
    assert unknown.line == line_of(text, "max_calibration_eror")
    assert unknown.column == 3
    assert (missing.field, missing.nearest) == ("gate.max_calibration_error", "max_calibration_eror")
    assert missing.line == line_of(text, "gate:")


def test_a_wrong_word_names_the_allowed_ones(case: SimpleNamespace, tmp_path: Path) -> None:
    text = text_of(case, "policy: superiority", "policy: superority")
    (problem,) = case.refused(tmp_path, text)
    assert (problem.field, problem.found, problem.nearest) == ("gate.policy", "'superority'", "superiority")
    assert "non_inferiority" in problem.allowed
    assert problem.line == line_of(text, "superority")


def test_a_wrong_key_of_a_closed_set_names_the_allowed_ones(case: SimpleNamespace, tmp_path: Path) -> None:
    text = text_of(case, "  drift: {action", "  drifts: {action")
    (problem,) = case.refused(tmp_path, text)
    assert (problem.field, problem.found, problem.nearest) == ("healing.drifts", "'drifts'", "drift")
    assert problem.line == line_of(text, "drifts:")


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("alpha: 0.05", 'alpha: "0.05"', "gate.alpha"),
        ("alpha: 0.05", "alpha: 5", "gate.alpha"),
        ("alpha: 0.05", "alpha: .nan", "gate.alpha"),
        ("alpha: 0.05", "alpha: true", "gate.alpha"),
        ("alpha: 0.05", "alpha:", "gate.alpha"),
        ("folds: 3", "folds: 3.5", "split.folds"),
        ("task: binary", "task: [binary]", "task"),
        ("  start: 2023-01-01T00:00:00Z", "  start: 2023-01-01", "schedules.start"),
        ("  start: 2023-01-01T00:00:00Z", "  start: 2023-01-01T00:00:00", "schedules.start"),
        ("  start: 2023-01-01T00:00:00Z", "  start: 1672531200", "schedules.start"),
        ("email: demo@example.org", "email: demo", "owner.email"),
        ('slack_channel: "#league-demo"', "slack_channel: league demo", "owner.slack_channel"),
        ("title: Simulated league", 'title: ""', "title"),
        ("key: [game_id]", "key: []", "sources.games.key"),
        ("key: [game_id]", "key: [5]", "sources.games.key[0]"),
        ('  ingest: "0 0 1 * *"', '  ingest: "@daily"', "schedules.ingest"),
    ],
)
def test_a_wrong_type_or_range_is_refused_at_its_line(
    case: SimpleNamespace, tmp_path: Path, old: str, new: str, field: str
) -> None:
    text = text_of(case, old, new)
    (problem,) = case.refused(tmp_path, text)
    assert problem.field == field
    assert problem.line == line_of(text, new.splitlines()[0])
    assert problem.allowed


def test_all_problems_of_a_file_come_at_once_in_line_order(case: SimpleNamespace, tmp_path: Path) -> None:
    text = (
        text_of(case, "task: binary", "task: ternary")
        .replace("folds: 3", "folds: one")
        .replace("alpha: 0.05", "alpha: 2")
    )
    problems = case.refused(tmp_path, text)
    assert [each.field for each in problems] == ["task", "split.folds", "gate.alpha"]
    assert [each.line for each in problems] == sorted(each.line for each in problems)


def test_the_error_carries_its_first_problem_and_survives_pickling(
    case: SimpleNamespace, tmp_path: Path
) -> None:
    folder = case.put(tmp_path, text_of(case, "task: binary", "task: ternary"))
    with pytest.raises(ValueError, match="ternary") as caught:
        load(folder)
    error = caught.value
    assert isinstance(error, DeclarationError)
    assert (error.file, error.field, error.found) == (folder / "use_case.yaml", "task", "'ternary'")
    assert pickle.loads(pickle.dumps(error)).problems == error.problems


def test_a_repeated_key_is_refused_where_it_repeats(case: SimpleNamespace, tmp_path: Path) -> None:
    text = text_of(case, "task: binary", "task: binary\ntags: [one]")
    (problem,) = case.refused(tmp_path, text)
    assert problem.field == "tags"
    assert problem.line == line_of(text, "tags: [demo")
    assert str(line_of(text, "tags: [one]")) in problem.found


@pytest.mark.parametrize(
    ("text", "line"),
    [("name: a\n  b: [1, 2\nc: 3\n", 2), ("name: 'a\n", 2), ("a: b\n\tc: d\n", 2), ("a: *nowhere\n", 1)],
)
def test_text_that_is_no_yaml_is_refused_with_the_line(
    case: SimpleNamespace, tmp_path: Path, text: str, line: int
) -> None:
    (problem,) = case.refused(tmp_path, text)
    assert problem.message == "the file is not YAML"
    assert problem.line == line


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "---\n", "- a\n- b\n", "just words\n", "a: &x [*x]\n"]
)
def test_a_file_without_fields_is_refused(case: SimpleNamespace, tmp_path: Path, text: str) -> None:
    problems = case.refused(tmp_path, text)
    assert problems[0].field == ""


def test_a_file_that_multiplies_itself_is_refused_quickly(case: SimpleNamespace, tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (problem,) = case.refused(tmp_path, "\n".join(rows))
    assert problem.message == "the file never ends"


def test_tags_and_merge_keys_do_not_change_a_declaration_unseen(
    case: SimpleNamespace, tmp_path: Path
) -> None:
    tagged = text_of(case, "title: Simulated league", "title: !!python/name:os.system x")
    assert case.refused(tmp_path, tagged)[0].field == "title"
    merged = text_of(case, "tags: [demo", "<<: {task: binary}\ntags: [demo")
    assert case.refused(tmp_path, merged)[0].field == "<<"


def test_a_team_called_no_stays_a_team(case: SimpleNamespace, tmp_path: Path) -> None:
    text = text_of(case, "tags: [demo, simulated]", "tags: [NO, on, 2024-01-01, 1:30]")
    assert load(case.put(tmp_path, text)).tags == ["NO", "on", "2024-01-01", "1:30"]


def test_bytes_that_are_no_text_are_refused(case: SimpleNamespace, tmp_path: Path) -> None:
    folder = case.put(tmp_path, "")
    (folder / "use_case.yaml").write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(DeclarationError) as caught:
        load(folder)
    assert caught.value.found == "byte 6 is not UTF-8"


def test_a_folder_of_another_name_is_refused(case: SimpleNamespace, tmp_path: Path) -> None:
    text, places = case.written(case.valid)
    (problem,) = case.refused(tmp_path, text, "league_demos")
    assert (problem.field, problem.found, problem.allowed) == ("name", "'league_demo'", "league_demos")
    assert problem.line == places["name",]


def test_a_declaration_without_its_code_is_refused(case: SimpleNamespace, tmp_path: Path) -> None:
    folder = case.put(tmp_path, case.written(case.valid)[0])
    (folder / "features.py").unlink()
    with pytest.raises(DeclarationError) as caught:
        load(folder)
    assert caught.value.file == folder / "features.py"


def test_a_missing_declaration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DeclarationError) as caught:
        load(tmp_path / "empty")
    assert caught.value.file == tmp_path / "empty" / "use_case.yaml"


def test_an_unknown_use_case_comes_with_the_nearest_one(case: SimpleNamespace, tmp_path: Path) -> None:
    case.put(tmp_path, case.valid_text)
    with pytest.raises(DeclarationError) as caught:
        load(tmp_path / "league-demo")
    assert (caught.value.found, caught.value.nearest) == ("'league-demo'", "league_demo")


def test_one_broken_declaration_hides_no_other(case: SimpleNamespace, tmp_path: Path) -> None:
    good = case.written(case.valid)[0]
    case.put(tmp_path, good)
    for name in ("alpha", "omega"):
        case.put(tmp_path, good.replace('name: "league_demo"', f'name: "{name}"'), name)
    (tmp_path / "alpha" / "use_case.yaml").write_text("{")
    (tmp_path / "empty_folder").mkdir()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "README.md").write_text("no folder")
    first, second, third, fourth = load_all(tmp_path)
    assert isinstance(first, DeclarationError)
    assert isinstance(second, DeclarationError)
    assert (second.file.parent.name, second.found) == ("empty_folder", "no file")
    assert [each.name for each in (third, fourth) if not isinstance(each, DeclarationError)] == [
        "league_demo",
        "omega",
    ]


def test_a_missing_folder_of_use_cases_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError) as caught:
        load_all(tmp_path / "nowhere")
    assert caught.value.found == "nothing"


def test_loading_is_cheap_enough_for_every_thirty_seconds(case: SimpleNamespace, tmp_path: Path) -> None:
    folder = case.put(tmp_path, case.valid_text)
    load(folder)
    # Processor time: other work on the machine does not count.
    start = time.process_time()
    for _ in range(5):
        load(folder)
    assert (time.process_time() - start) / 5 < 0.030
    timed = "import time; t = time.process_time(); import pennant.declaration.loader"
    code = f"{timed}; print(time.process_time() - t)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(answer.stdout) < 0.6
