"""An Airflow home of its own, set before anything imports Airflow."""

import os
import tempfile
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).parents[2]
_HOME = Path(tempfile.mkdtemp(prefix="pennant-airflow-"))
(_HOME / "dags").mkdir()
os.environ.update(
    {
        "AIRFLOW_HOME": str(_HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(_HOME / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(_REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
)


@pytest.fixture(scope="session")
def repository() -> Path:
    return _REPOSITORY


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's own tables, made once."""
    from airflow.utils.db import initdb

    initdb()
