"""The commands answer people and programs alike, and succeed only when all is well."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pennant.cli.declaration import register
from pennant.declaration.problems import DeclarationError


@pytest.fixture
def run(case: SimpleNamespace, tmp_path: Path) -> Any:
    app = typer.Typer()
    register(app)
    folders = {"PENNANT_HOME": str(tmp_path / "home"), "PENNANT_USE_CASES": str(tmp_path / "use_cases")}

    def command(*words: str) -> Any:
        return CliRunner().invoke(app, list(words), env={**folders, "COLUMNS": "200"})

    case.put(tmp_path / "use_cases", case.valid_text)
    return command


def test_good_use_cases_are_listed(run: Any) -> None:
    answer = run("use-cases", "--json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout) == {
        "use_cases": [
            {
                "name": "league_demo",
                "state": "ok",
                "title": "Simulated league",
                "owner": "demo",
                "task": "binary",
                "ends_with": "model",
            }
        ]
    }
    assert "Simulated league" in run("use-cases").stdout


def test_a_broken_one_is_listed_with_its_problems_and_fails_the_command(
    run: Any, case: SimpleNamespace, tmp_path: Path
) -> None:
    folder = tmp_path / "use_cases" / "alpha"
    folder.mkdir()
    (folder / "use_case.yaml").write_text(case.valid_text.replace("alpha: 0.05", "alpha: [2]"))
    (folder / "features.py").touch()
    answer = run("use-cases", "--json")
    assert answer.exit_code == 1
    broken, good = json.loads(answer.stdout)["use_cases"]
    assert (broken["name"], broken["state"], good["state"]) == ("alpha", "broken", "ok")
    assert [each["field"] for each in broken["problems"]] == ["gate.alpha"]
    shown = run("use-cases")
    assert shown.exit_code == 1
    assert "gate.alpha" in shown.stdout


def test_a_plan_is_shown_and_kept_when_asked(run: Any, case: SimpleNamespace, tmp_path: Path) -> None:
    assert run("plan", "league_demo", "--mark-applied").exit_code == 0
    (kept,) = json.loads(run("plan", "--json").stdout)["plans"]
    assert kept["empty"]
    case.put(tmp_path / "use_cases", case.valid_text.replace("[slack, console]", "[console]", 1))
    (changed,) = json.loads(run("plan", "league_demo", "--json").stdout)["plans"]
    assert changed["groups"][0]["changes"] == [
        {"field": "alerts.routes.warning", "before": ["slack", "console"], "after": ["console"]}
    ]
    assert '["slack", "console"]' in run("plan").stdout


def test_the_plan_of_a_broken_declaration_fails(run: Any, case: SimpleNamespace, tmp_path: Path) -> None:
    case.put(tmp_path / "use_cases", "name: [")
    answer = run("plan", "league_demo")
    assert answer.exit_code == 1
    assert isinstance(answer.exception, DeclarationError)


def test_the_schema_is_printed_or_written(run: Any, tmp_path: Path) -> None:
    printed = json.loads(run("schema").stdout)
    target = tmp_path / "schema.json"
    assert run("schema", "--output", str(target)).exit_code == 0
    assert json.loads(target.read_text()) == printed


def test_a_use_case_is_begun_by_one_command(run: Any, tmp_path: Path) -> None:
    table = tmp_path / "churn.csv"
    table.write_text("customer,day,tenure,left\nc1,2023-03-01,4,1\nc2,2023-04-01,14,0\n")
    words = ["--csv", str(table), "--key", "customer", "--event-time", "day", "--label", "left"]
    words += ["--label-delay-hours", "720", "--team", "growth", "--email", "g@example.org"]
    answer = run("new", "churn", *words, "--slack-channel", "#churn", "--json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["name"] == "churn"
    assert run("use-cases").exit_code == 0
