"""The generated Dags: all there, stable, cheap to parse, and none hidden by a broken neighbour."""

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from croniter import croniter

from pennant.declaration.loader import load_all
from pennant.orchestration.factory import build_all
from pennant.orchestration.shape import end_date
from pennant.orchestration.steps import XCOM_LIMIT_BYTES, XComTooLarge, checked
from pennant.settings import Settings

DATA_PARTS = {"ingest", "features"}
PARTS = DATA_PARTS | {"train", "release", "score", "watch", "backtest"}
SHIPPED = ("epl_matches", "league_demo", "mlb_strikeouts", "nfl_games", "pedestrian_paths", "telco_churn")
MODEL = ("gate:", "release:", "watch:", "healing:", "replay:")
HEAVY = (
    "polars",
    "pandas",
    "numpy",
    "pyarrow",
    "mlflow",
    "xgboost",
    "optuna",
    "evidently",
    "shap",
    "sklearn",
)

_SERIALIZE = """
import hashlib, json
from airflow.serialization.serialized_objects import DagSerialization
from pennant.declaration.loader import load_all
from pennant.declaration.model import TrainedUseCase
from pennant.declaration.loader import load_all
from pennant.orchestration.factory import build_all
text = json.dumps({name: DagSerialization.to_dict(dag) for name, dag in build_all().items()}, sort_keys=True)
print(hashlib.sha256(text.encode()).hexdigest())
"""

_PARSE = """
import json, sys
before = set(sys.modules)
import airflow.sdk
import dags.pennant_use_cases
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def _python(repository: Path, code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=repository,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip().splitlines()[-1]


def test_the_dags_folder_gives_every_dag_of_every_use_case(repository: Path, airflow_database: None) -> None:
    bag = DagBag(dag_folder=str(repository / "dags"))
    assert bag.import_errors == {}
    wanted = {f"{name}__{part}" for name in SHIPPED for part in PARTS}
    assert set(bag.dags) == wanted | {"pennant__maintain"}


@pytest.mark.parametrize("trained", [True, False])
def test_who_declares_no_model_gets_no_dag_of_one(
    repository: Path, tmp_path: Path, airflow_database: None, trained: bool
) -> None:
    source, folder = repository / "include" / "use_cases" / "telco_churn", tmp_path / "telco_churn"
    shutil.copytree(source, folder)
    parts = re.split(r"(?m)^(?=[a-z])", (source / "use_case.yaml").read_text(encoding="utf-8"))
    left_out = MODEL if trained else (*MODEL, "training:")
    text = "".join(each for each in parts if not each.startswith(left_out))
    text = re.sub(r"(?m)^  (score|watch|train): .*\n", "", text)
    (folder / "use_case.yaml").write_text(text, encoding="utf-8")
    dags = build_all(Settings(use_cases=tmp_path))
    parts_of = {each.removeprefix("telco_churn__") for each in dags if each.startswith("telco_churn__")}
    assert parts_of == DATA_PARTS | ({"backtest"} if trained else set())


def test_generated_dags_are_byte_equal_whatever_the_hash_seed(repository: Path) -> None:
    first, second = (_python(repository, _SERIALIZE, PYTHONHASHSEED=seed) for seed in ("1", "4711"))
    assert first == second


def test_parsing_the_dags_imports_no_ml_library(repository: Path) -> None:
    imported = json.loads(_python(repository, _PARSE))
    assert "pennant.orchestration.factory" in imported
    assert [name for name in HEAVY if name in imported] == []


def test_a_broken_declaration_is_one_broken_dag_and_hides_no_other(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "include" / "use_cases", tmp_path / "use_cases")
    broken = tmp_path / "use_cases" / "nfl_games" / "use_case.yaml"
    broken.write_text(broken.read_text().replace("owner:", "ownr:"))
    dags = build_all(Settings(use_cases=tmp_path / "use_cases"))
    assert {name for name in dags if name.startswith("nfl_games")} == {"nfl_games__broken"}
    assert {f"league_demo__{part}" for part in PARTS} < set(dags)
    assert "owner" in (dags["nfl_games__broken"].doc_md or "")


def test_every_dag_says_what_it_does_and_takes_a_moment(repository: Path) -> None:
    for name, dag in build_all().items():
        assert dag.doc_md, name
        assert "pennant" in dag.tags
        if name != "pennant__maintain":
            assert {"as_of", "window_start"} <= set(dag.params)


def test_a_replayed_use_case_has_no_schedule_beyond_its_span() -> None:
    dags = build_all(Settings(replay=True))
    assert all(dag.end_date is not None for name, dag in dags.items() if name != "pennant__maintain")
    # Airflow holds the end against schedules by the clock only: these wait for their event alone.
    for name in ("nfl_games__train", "nfl_games__release"):
        assert isinstance(dags[name].schedule, list), name


def test_only_an_installation_with_live_sources_watches_their_lag(repository: Path, tmp_path: Path) -> None:
    assert "pennant__lag" not in build_all()
    shutil.copytree(repository / "include" / "use_cases" / "nfl_games", tmp_path / "nfl_games")
    file = tmp_path / "nfl_games" / "use_case.yaml"
    file.write_text(file.read_text().replace("    ahead_days:", "    max_lag_minutes: 5\n    ahead_days:", 1))
    watching = build_all(Settings(use_cases=tmp_path))["pennant__lag"]
    assert "nfl_games.games" in (watching.doc_md or "")


def test_nothing_is_fitted_on_a_snapshot_before_it_was_searched_for_leaks() -> None:
    training = build_all()["nfl_games__train"]
    assert "examine" in training.get_task("fit").upstream_task_ids


def test_the_first_task_resolves_the_moment_and_nothing_else_does() -> None:
    for name, dag in build_all().items():
        if name.endswith(("__ingest", "__features", "__train", "__score", "__watch", "__backtest")):
            assert [task.task_id for task in dag.roots] == ["resolve"], name


@pytest.mark.parametrize("size", [XCOM_LIMIT_BYTES - 2, 10])
def test_a_small_xcom_passes_unchanged(size: int) -> None:
    assert checked("step", "x" * size) == "x" * size


def test_an_xcom_that_carries_data_is_refused() -> None:
    with pytest.raises(XComTooLarge) as refused:
        checked("step", ["x" * 100] * 100)
    assert refused.value.found_bytes > XCOM_LIMIT_BYTES
    assert refused.value.task_name == "step"


def test_no_interval_of_a_replay_ends_after_it(repository: Path) -> None:
    """A yearly interval that starts in the replay and ends after it would ask for a time that never comes."""
    for use_case in load_all(repository / "include" / "use_cases"):
        for part in ("features", "train", "score", "watch"):
            last = end_date(use_case, part, Settings(replay=True))
            until = croniter(getattr(use_case.schedules, part), last).get_next(datetime)
            assert until <= use_case.replay.until or last == use_case.schedules.start, (use_case.name, part)
