"""The whole way on the real serving app: canary by real predictions, promotion, rollback by command."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
import typer
from sqlalchemy import Engine, func, select, text
from typer.testing import CliRunner

from pennant.cli import ledger as commands
from pennant.data.lake import Lake
from pennant.declaration.loader import load
from pennant.declaration.model import UseCase
from pennant.platform.processes import wait_until
from pennant.registry import aliases, heads, ledger
from pennant.registry.errors import NoPreviousChampion
from pennant.registry.models import Models
from pennant.release import policy, rollout
from pennant.release.client import ServingClient, prediction_id
from pennant.release.local import LocalTarget
from pennant.release.rollback import rollback
from pennant.settings import Settings
from pennant.warehouse.engine import connect
from pennant.warehouse.tables import predictions

KICK_OFF = datetime(2025, 3, 1, 15, tzinfo=UTC)


def _rows(first: int, wanted: int) -> pl.DataFrame:
    games = range(first, first + wanted)
    return pl.DataFrame(
        {
            "entity": [f"game {each}" for each in games],
            "event_time": [KICK_OFF + timedelta(hours=each) for each in games],
            "moment": [KICK_OFF] * wanted,
            "x": [(each % 5) / 5 for each in games],
        }
    )


def _logged(warehouse: Engine, policy_id: int) -> int:
    query = select(func.count()).select_from(predictions).where(predictions.c.policy_id == policy_id)
    with warehouse.connect() as connection:
        return int(connection.execute(query).scalar_one())


def _score(settings: Settings, warehouse: Engine, name: str, first: int) -> list[dict[str, object]]:
    """Ask for 60 games, and wait until the app has brought its answers to the warehouse."""
    made = policy.current(warehouse, name)
    assert made is not None
    with ServingClient(settings) as client:
        answers = client.predict(name, _rows(first, 60), ["x"])

    def missing() -> str | None:
        count = _logged(warehouse, made.id)
        return None if count >= 60 else f"{count} of 60 are in the warehouse"

    wait_until(missing, "the prediction log", settings.home / "serving.log", [], 30)
    return answers


def test_from_first_champion_to_rollback_on_the_real_serving_app(
    use_case: UseCase,
    models: Models,
    warehouse: Engine,
    local: LocalTarget,
    settings: Settings,
    lake: Lake,
    versions: Callable[[str, int], None],
) -> None:
    name = use_case.name
    versions(name, 2)
    rollout.start(use_case, rollout.request(warehouse, name, "1", KICK_OFF), models, warehouse, local)
    answers = _score(settings, warehouse, name, 0)
    assert {each["version"] for each in answers} == {"1"}
    with ServingClient(settings) as client:
        assert client.predict(name, _rows(0, 60), ["x"]) == answers, "the same question, the same answer"

    second = rollout.request(warehouse, name, "2", KICK_OFF + timedelta(days=1))
    started = rollout.start(use_case, second, models, warehouse, local)
    assert rollout.observe(use_case, started, warehouse).decision == "wait"
    answers = _score(settings, warehouse, name, 1000)
    assert {each["version"] for each in answers} == {"1", "2"}
    seen = rollout.observe(use_case, started, warehouse)
    assert (seen.decision, seen.reason) == ("pass", "sound")
    assert rollout.finish(use_case, started, seen, models, warehouse, local).state == "promoted"
    assert local.served(name).arms == {"champion": "2", "previous": "1"}

    done = rollback(models, warehouse, local, name, "me", "the test says so")
    assert (done.before, done.after) == ("2", "1")
    assert local.served(name).arms == {"champion": "1", "previous": "2"}
    assert {each["version"] for each in _score(settings, warehouse, name, 2000)} == {"1"}
    assert heads.read(lake)


def test_a_question_has_one_name() -> None:
    one = prediction_id("league", "game 1", "2025-03-01", "2025-02-28")
    assert one == prediction_id("league", "game 1", "2025-03-01", "2025-02-28")
    assert one != prediction_id("league", "game 1", "2025-03-01", "2025-03-01")


class Shell:
    """Runs the commands of this group as a person would."""

    def __init__(self, environment: dict[str, str], database: str) -> None:
        self.environment, self.database = environment, database
        self.app = typer.Typer()
        commands.register(self.app)

    def run(self, *arguments: str) -> tuple[int, str]:
        given = [*arguments, "--database", self.database]
        done = CliRunner().invoke(self.app, given, env=self.environment, catch_exceptions=False)
        return done.exit_code, done.output


@pytest.fixture
def shell(settings: Settings, new_warehouse: Callable[[], str], tmp_path: Path) -> Shell:
    """Commands on a warehouse and a lake of their own."""
    environment = {
        "PENNANT_HOME": str(settings.home),
        "PENNANT_MLFLOW_URL": settings.mlflow,
        "PENNANT_LAKE_URL": (tmp_path / "lake").as_uri(),
    }
    return Shell(environment, new_warehouse())


def test_verify_passes_and_fails_after_one_byte_of_history_is_changed(shell: Shell) -> None:
    engine = connect(shell.database)
    with engine.begin() as connection:
        for number in range(3):
            ledger.append(connection, "league", "note", {"number": number})
    heads.remember(engine, Lake(shell.environment["PENNANT_LAKE_URL"]))
    assert shell.run("ledger", "verify") == (0, "The ledger is whole: 3 entries, 1 remembered heads.\n")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER ALL"))
        connection.execute(text("""UPDATE ledger SET entry = '{"number": 7}' WHERE seq = 2"""))
    code, output = shell.run("ledger", "verify", "--json")
    answer = json.loads(output)
    assert code == 1
    assert (answer["whole"], answer["entries"]) == (False, 3)
    assert [(each["seq"], each["kind"]) for each in answer["breaks"]] == [(2, "changed")]
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM ledger WHERE seq > 1"))
    code, output = shell.run("ledger", "verify")
    assert code == 1
    assert "seq 3: cut_off" in output
    engine.dispose()


def test_show_tells_who_moved_what_and_why(
    shell: Shell, settings: Settings, named_versions: Callable[[str, int], None], use_case: UseCase
) -> None:
    named_versions(use_case.name, 1)
    engine = connect(shell.database)
    elsewhere = Settings(
        home=settings.home, mlflow_url=settings.mlflow_url, lake_url=shell.environment["PENNANT_LAKE_URL"]
    )
    aliases.challenge(Models(elsewhere), engine, use_case.name, "1", "it looks good", "ann")
    engine.dispose()
    assert shell.run("ledger", "show", "nobody") == (0, "The ledger has no entries yet.\n")
    code, output = shell.run("ledger", "show", use_case.name)
    assert code == 0
    assert "challenger - > 1  by ann: it looks good" in output
    (entry,) = json.loads(shell.run("ledger", "show", "--json")[1])["entries"]
    assert (entry["seq"], entry["action"]) == (1, "challenge")


def test_rollback_and_status_speak_for_what_is_served(
    models: Models,
    warehouse: Engine,
    database: str,
    local: LocalTarget,
    settings: Settings,
    versions: Callable[[str, int], None],
    tmp_path: Path,
) -> None:
    name = "league_demo"
    shutil.copytree(settings.use_cases / name, tmp_path / "use_cases" / name)
    environment = {
        "PENNANT_HOME": str(settings.home),
        "PENNANT_MLFLOW_URL": settings.mlflow,
        "PENNANT_SERVING_URL": settings.serving,
        "PENNANT_USE_CASES": str(tmp_path / "use_cases"),
    }
    shell = Shell(environment, database)
    versions(name, 2)
    first = rollout.request(warehouse, name, "1", KICK_OFF)
    declared = load(tmp_path / "use_cases" / name)
    rollout.start(declared, first, models, warehouse, local)
    with pytest.raises(NoPreviousChampion) as caught:
        shell.run("rollback", name, "--why", "worse")
    assert caught.value.champion == "1"

    aliases.challenge(models, warehouse, name, "2", "why", "gate")
    aliases.promote(models, warehouse, name, "2", "why", "gate", champion="1")
    code, output = shell.run("rollback", name, "--why", "worse", "--actor", "ann")
    assert code == 0
    assert "version 1 serves again, version 2 is kept loaded" in output
    code, output = shell.run("release", "status", name, "--json")
    status = json.loads(output)
    assert code == 0
    assert status["aliases"] == {"champion": "1", "previous_champion": "2"}
    assert status["served"]["arms"] == {"champion": "1", "previous": "2"}

    arms = [policy.arm_of("champion", models.version(name, "2"), 1.0)]
    policy.publish(warehouse, name, arms, "a policy that nobody has applied", "unapplied")
    code, output = shell.run("release", "status", name)
    assert code == 1
    assert "NOT THE POLICY IN FORCE" in output


def test_the_commands_that_only_read_do_not_import_mlflow(shell: Shell, tmp_path: Path) -> None:
    program = (
        "import sys, typer; from typer.testing import CliRunner; from pennant.cli import ledger;"
        "app = typer.Typer(); ledger.register(app);"
        "given = ['ledger', 'verify', '--database', sys.argv[1]];"
        "done = CliRunner().invoke(app, given, catch_exceptions=False);"
        "assert done.exit_code == 0, done.output;"
        "heavy = {'mlflow', 'polars', 'pandas', 'scipy', 'airflow'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    root = str(Path(commands.__file__).parents[2])
    environment = shell.environment | {"PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", program, shell.database], env=environment, check=True)


@pytest.mark.parametrize(
    "arguments", [["ledger", "verify"], ["ledger", "show"], ["rollback"], ["release", "status"]]
)
def test_help_has_an_example(shell: Shell, arguments: list[str]) -> None:
    done = CliRunner().invoke(shell.app, [*arguments, "--help"])
    assert done.exit_code == 0
    assert "Example: pennant" in done.output
