"""What every `pennant` command promises: quick, an example, `--json`, and one message per error."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pennant.cli import main
from pennant.cli.output import Json, answer
from pennant.errors import PennantError


class NoSuchLeague(PennantError):
    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"league {name!r} is not there")


def commands(of: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    of = typer.main.get_command(main.app) if of is None else of
    if not hasattr(of, "commands"):
        yield path, of
        return
    for name, command in of.commands.items():
        yield from commands(command, (*path, name))


ALL = [pytest.param(command, id=" ".join(path)) for path, command in commands()]


@pytest.mark.parametrize("command", ALL)
def test_a_command_can_answer_in_json(command: Any) -> None:
    assert "--json" in {option for each in command.params for option in each.opts}


@pytest.mark.parametrize("command", ALL)
def test_the_help_of_a_command_has_an_example(command: Any) -> None:
    assert "Example: pennant " in " ".join((command.help or "").split())


def test_every_module_with_commands_is_registered() -> None:
    folder = Path(main.__file__).parent
    found = {each.stem for each in folder.glob("*.py") if "def register(" in each.read_text(encoding="utf-8")}
    assert set(main.GROUPS) == found


def test_the_command_begins_without_heavy_libraries() -> None:
    heavy = ("mlflow", "pandas", "polars", "airflow", "xgboost", "sklearn", "great_expectations", "evidently")
    code = f"import sys, pennant.cli.main; print([each for each in {heavy!r} if each in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def broken() -> typer.Typer:
    """The real command with two more that fail."""
    app = main.build()

    @app.command()
    def lost(as_json: Json = False) -> None:
        answer({}, "", as_json)
        raise NoSuchLeague("nowhere")

    @app.command()
    def defect() -> None:
        raise ZeroDivisionError

    return app


def test_an_error_of_ours_is_one_message_and_a_failure(broken: typer.Typer) -> None:
    result = CliRunner().invoke(broken, ["lost"])
    assert result.exit_code == 1
    assert result.stderr == "pennant: league 'nowhere' is not there\n"


def test_an_error_of_ours_is_data_when_json_was_asked_for(broken: typer.Typer) -> None:
    result = CliRunner().invoke(broken, ["lost", "--json"])
    assert result.exit_code == 1
    told = json.loads(result.stdout.splitlines()[-1])
    assert told == {"error": "NoSuchLeague", "message": "league 'nowhere' is not there", "name": "nowhere"}


def test_a_defect_keeps_its_traceback(broken: typer.Typer) -> None:
    result = CliRunner().invoke(broken, ["defect"])
    assert isinstance(result.exception, ZeroDivisionError)
    assert result.exit_code != 0


def test_a_setting_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENNANT_AIRFLOW_PORT", "eighty")
    result = CliRunner().invoke(main.app, ["status"], env=dict(os.environ))
    assert result.exit_code == 1
    assert "PENNANT_AIRFLOW_PORT" in result.stderr
    assert "eighty" in result.stderr
