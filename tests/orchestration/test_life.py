"""The life of the simulated league by `dag.test()`: the Dags' tasks in one process, no scheduler.

The rooms behind them are real: PostgreSQL, MLflow, the serving app as its own process.
"""

import json
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from pennant.orchestration.factory import build_all
from pennant.platform import serving
from pennant.platform.ports import unused_ports
from pennant.platform.processes import spawn, wait_until
from pennant.settings import Settings
from pennant.warehouse.engine import connect

NAME = "league_demo"
HISTORY = ("2023-01-01", "2024-01-01", "2025-01-01")
LIVE = ("2025-01-01", "2025-02-01")


@pytest.fixture(scope="module")
def settings(
    new_warehouse: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """An installation without Airflow's own processes, its addresses in the environment of this one."""
    home = tmp_path_factory.mktemp("installation")
    port = unused_ports(1)[0]
    made = Settings(
        home=home,
        warehouse_url=new_warehouse(),
        mlflow_url=f"sqlite:///{home}/mlflow.db",
        serving_port=port,
    )
    serving.prepare_keys(made.secrets)
    given = {
        "PENNANT_HOME": str(home),
        "PENNANT_WAREHOUSE_URL": made.warehouse_url,
        "PENNANT_MLFLOW_URL": made.mlflow_url,
        "PENNANT_SERVING_PORT": str(port),
        "AIRFLOW_CONN_PENNANT_WAREHOUSE": made.warehouse_url.replace("+psycopg", ""),
        "GX_ANALYTICS_ENABLED": "false",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        environment = {**os.environ, **serving.environment(made, made.warehouse_url)}
        child = spawn("serving", serving.command(), environment, home / "logs")
        try:
            with httpx.Client(timeout=5) as client:
                wait_until(lambda: serving.unhealthy(made.serving, client), "serving", child.log, [child], 60)
            yield made
        finally:
            child.stop()


@pytest.fixture(scope="module")
def warehouse(settings: Settings) -> Iterator[Engine]:
    engine = connect(settings.warehouse_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def run(settings: Settings, airflow_database: None) -> Callable[..., Any]:
    """Run one Dag of the league to its end; gives its run."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    dags = build_all(settings)

    def play(part: str, **conf: Any) -> Any:
        dag = dags[f"{NAME}__{part}"]
        DagBundlesManager().sync_bundles_to_db()
        bag = DagBag(dag_folder=os.devnull)
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        return dag.test(run_conf=conf)

    return play


def _result(done: Any, task: str) -> Any:
    return done.get_task_instance(task).xcom_pull(task_ids=task)


@pytest.mark.timeout(900)
def test_one_life_from_ingest_to_watch_and_every_step_twice(
    run: Callable[..., Any], warehouse: Engine, settings: Settings
) -> None:
    for start, end in pairwise(HISTORY):
        assert run("ingest", window_start=start, as_of=end).state == "success"
    trained = run("train", as_of=HISTORY[-1])
    assert trained.state == "success"
    assert _result(trained, "conclude")["outcome"] == "promote"
    assert run("release").state == "success"
    window = {"window_start": LIVE[0], "as_of": LIVE[1]}
    for part in ("ingest", "score", "watch"):
        assert run(part, **window).state == "success", part
    again = run("train", as_of=HISTORY[-1])
    assert _result(again, "fit")["version"] == _result(trained, "fit")["version"]
    assert _result(again, "conclude")["outcome"] == "hold"  # it is the champion itself
    before = _everything(warehouse, settings)
    assert before["predictions"] > 300
    for part in ("ingest", "score", "watch"):
        assert run(part, **window).state == "success", part
    assert _everything(warehouse, settings) == before


def _everything(warehouse: Engine, settings: Settings) -> dict[str, int]:
    """Row counts of all that a repeated task must not double."""
    tables = ("data_batches", "outcomes", "system_alerts", "model_performance", "healing_actions", "ledger")
    with warehouse.connect() as connection:
        counts = {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables
        }
    counts["predictions"] = _drained(warehouse, settings)
    counts["objects"] = sum(path.is_file() for path in Path(settings.home / "lake").rglob("*"))
    return counts


def _drained(warehouse: Engine, settings: Settings) -> int:
    """Predictions in the warehouse once the serving app's spool is empty."""
    key = json.loads((settings.secrets / "serving.keys").read_text())["orchestrator"]
    with httpx.Client(base_url=settings.serving, headers={"Authorization": f"Bearer {key}"}) as client:
        while _backlog(client.get("/metrics").text):
            pass
    with warehouse.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM predictions")).scalar_one())


def _backlog(metrics: str) -> float:
    line = next(each for each in metrics.splitlines() if each.startswith("pennant_serving_spool_backlog "))
    return float(line.rsplit(" ", 1)[1])
