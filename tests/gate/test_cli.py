"""`pennant gate` from the command line."""

import json
from collections.abc import Callable
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
    made = CliRunner().invoke(command, ["gate", "certify", "league_demo", "--simulations", "50", "--json"])
    content = json.loads(made.stdout)
    assert content["use_case"] == "league_demo"
    assert made.exit_code == (0 if content["passed"] else 1)
    assert {each["scenario"] for each in content["rates"]} >= {"a_a", "better", "leaky", "first_better"}
    text = CliRunner().invoke(command, ["gate", "certify", "league_demo", "--simulations", "50"]).stdout
    assert "a_a_by_day" in text


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
