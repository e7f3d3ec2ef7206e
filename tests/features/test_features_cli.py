"""A snapshot is shown, compared and rebuilt from the command line; a leak fails the command."""

import json

import pytest
from typer.testing import CliRunner

from pennant.cli.main import app
from pennant.features.snapshot import build_snapshot
from pennant.settings import REPOSITORY


@pytest.fixture
def run(tmp_path, monkeypatch):
    def command(*words: str):
        variables = {"PENNANT_HOME": str(tmp_path), "PENNANT_LAKE_URL": (tmp_path / "a lake").as_uri()}
        return CliRunner().invoke(app, [*words, "--json"], env=variables)

    return command


@pytest.fixture
def taken(lake, league_demo, short_league, windows, land, settings):
    """Snapshots as of the ends of two windows."""
    for window in windows:
        land(league_demo, short_league, window)
    return [build_snapshot(league_demo, lake, settings, window.as_of).sha256 for window in windows[1:]]


def test_a_snapshot_is_found_by_the_beginning_of_its_hash(run, taken):
    shown = json.loads(run("snapshot", "show", taken[0][:10]).stdout)
    assert (shown["sha256"], shown["use_case"]) == (taken[0], "league_demo")
    assert {each["column"] for each in shown["columns"]} > {"entity", "label", "elo_difference"}
    refused = run("snapshot", "show", "ffff")
    assert refused.exit_code == 1
    assert set(json.loads(refused.stdout)["allowed"]) == set(taken)


def test_a_snapshot_rebuilt_is_equal_byte_for_byte(run, taken):
    done = run("snapshot", "rebuild", taken[0])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["equal"] is True


def test_two_snapshots_differ_in_the_rows_that_came(run, taken):
    found = json.loads(run("snapshot", "diff", *taken).stdout)
    assert found["rows_of_the_first_alone"] == 0
    assert found["rows_of_the_second_alone"] > 50
    assert found["rows_with_other_values"] == {}


def test_an_honest_use_case_passes_and_names_its_page(run, taken, tmp_path):
    done = run("leaks", "league_demo", "--as-of", "2025-01-27")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["leaks"] == []
    assert said["page"].endswith("league_demo/20250127T000000Z.html")


def test_a_leak_fails_the_command(run, taken, tmp_path):
    folder = tmp_path / "use_cases" / "league_demo"
    folder.mkdir(parents=True)
    shipped = REPOSITORY / "include" / "use_cases" / "league_demo"
    (folder / "use_case.yaml").write_text((shipped / "use_case.yaml").read_text())
    honest = (shipped / "features.py").read_text()
    leaking = honest.replace(
        'home["win_rate"]', 'view.events("games", "schedule", "result")["home_goals"].mean()'
    )
    assert leaking != honest
    (folder / "features.py").write_text(leaking)
    variables = {
        "PENNANT_HOME": str(tmp_path),
        "PENNANT_LAKE_URL": (tmp_path / "a lake").as_uri(),
        "PENNANT_USE_CASES": str(tmp_path / "use_cases"),
    }
    done = CliRunner().invoke(app, ["leaks", "league_demo", "--as-of", "2025-01-27", "--json"], env=variables)
    assert done.exit_code == 1
    assert {each["origin"] for each in json.loads(done.stdout)["leaks"]} == {"games.result.home_goals"}
