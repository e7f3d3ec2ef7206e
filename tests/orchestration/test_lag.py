"""A live source that has had nothing new for too long is told, once."""

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from pennant.orchestration.factory import build_all
from pennant.settings import Settings
from pennant.warehouse.engine import connect
from pennant.warehouse.tables import source_health, system_alerts


@pytest.fixture
def live(
    repository: Path, tmp_path: Path, new_warehouse: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """An installation with one use case, whose games have to be at most five minutes old."""
    shutil.copytree(repository / "include" / "use_cases" / "nfl_games", tmp_path / "use_cases" / "nfl_games")
    file = tmp_path / "use_cases" / "nfl_games" / "use_case.yaml"
    file.write_text(file.read_text().replace("    ahead_days:", "    max_lag_minutes: 5\n    ahead_days:", 1))
    settings = Settings(
        home=tmp_path, use_cases=tmp_path / "use_cases", warehouse_url=new_warehouse(), mlflow_url="sqlite://"
    )
    monkeypatch.setenv("PENNANT_HOME", str(tmp_path))
    monkeypatch.setenv("PENNANT_USE_CASES", str(settings.use_cases))
    monkeypatch.setenv("AIRFLOW_CONN_PENNANT_WAREHOUSE", settings.warehouse_url.replace("+psycopg", ""))
    return settings


def play(dag: Any) -> Any:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(dag_folder=os.devnull)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    return dag.test()


@pytest.mark.parametrize(("minutes", "told"), [(60, ["data_lag_games"]), (1, [])])
def test_a_live_source_is_told_when_it_lags_and_not_before(
    live: Settings, airflow_database: None, minutes: int, told: list[str]
) -> None:
    engine = connect(live.warehouse_url)
    then = datetime.now(UTC) - timedelta(minutes=minutes)
    row = {"use_case": "nfl_games", "source": "games", "state": "ok", "consecutive_failures": 0}
    with engine.begin() as connection:
        moments = {"first_asked_at": then, "last_success_at": then, "newest_known_at": then}
        connection.execute(insert(source_health).values(**row, **moments))
    for _ in range(2):
        assert play(build_all(live)["pennant__lag"]).state == "success"
    with engine.connect() as connection:
        alerts = connection.execute(select(system_alerts.c["class"], system_alerts.c.severity)).all()
    engine.dispose()
    assert [each[0] for each in alerts] == told
    assert {each[1] for each in alerts} <= {"critical"}
