"""`pennant gate` from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pennant.cli.gate import register
from pennant.gate.evidence import evaluate


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def test_certify_prints_the_rates_and_succeeds_only_if_certified(command: typer.Typer) -> None:
    asked = ["gate", "certify", "league_demo", "--simulations", "50", "--synthetic", "--workers", "1"]
    made = CliRunner().invoke(command, [*asked, "--json"])
    content = json.loads(made.stdout)
    assert content["use_case"] == "league_demo"
    assert content["source"] == "synthetic"
    assert made.exit_code == (0 if content["passed"] else 1)
    assert {each["scenario"] for each in content["rates"]} >= {"a_a", "better", "leaky", "first_better"}
    assert set(content["false_promotions"]) >= {"a_a", "worse"}
    assert set(content["missed_promotions"]) >= {"better", "clearly_better"}


def test_certify_plants_on_the_events_that_the_use_case_has(
    command: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENNANT_HOME", str(tmp_path / "home"))
    page = tmp_path / "page.html"
    asked = ["gate", "certify", "league_demo", "--simulations", "50", "--rows", "200", "--workers", "1"]
    first = CliRunner().invoke(command, [*asked, "--until", "2023-05-01", "--report", str(page)])
    assert "Source: own data." in first.stdout
    assert "league_demo" in first.stdout
    assert "200 rows per scenario" in first.stdout
    assert "a_a_by_day" in first.stdout
    assert "own data" in page.read_text(encoding="utf-8")
    again = CliRunner().invoke(command, [*asked, "--json"])  # what is there is enough
    content = json.loads(again.stdout)
    assert content["source"] == "own data"
    assert "known on 2023-05-01" in content["about"]
    assert "slice_many_absences" in {each["scenario"] for each in content["rates"]}


def test_without_any_data_the_certificate_says_why_it_is_synthetic(
    command: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENNANT_HOME", str(tmp_path))
    monkeypatch.setenv("PENNANT_WAREHOUSE_URL", "postgresql://nobody@127.0.0.1:1/none")
    asked = ["gate", "certify", "league_demo", "--simulations", "50", "--workers", "1"]
    told = CliRunner().invoke(command, asked).stdout
    assert "Source: synthetic." in told
    assert "no validated batch" in told


def test_explain_shows_a_kept_verdict_by_its_hash(
    command: typer.Typer, stage: Any, monkeypatch: pytest.MonkeyPatch, policy_with: Callable[..., Any]
) -> None:
    kept = evaluate(
        stage.use_case,
        stage.snapshot,
        stage.good,
        stage.poor,
        stage.lake,
        stage.models,
        stage.settings,
        stage.warehouse,
    )
    monkeypatch.setenv("PENNANT_HOME", str(stage.settings.home))
    shown = CliRunner().invoke(command, ["gate", "explain", "league_demo", kept.sha256])
    assert shown.exit_code == 0
    assert "PROMOTE" in shown.stdout
    assert "beats_champion" in shown.stdout
    data = CliRunner().invoke(command, ["gate", "explain", "league_demo", kept.reference.uri, "--json"])
    assert json.loads(data.stdout) == kept.data
