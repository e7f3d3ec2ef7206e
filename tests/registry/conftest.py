"""A real MLflow on SQLite, a real PostgreSQL, and models with as many versions as a test asks for."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pennant.data.lake import Lake
from pennant.registry.models import Models
from pennant.settings import Settings
from pennant.warehouse.engine import connect

_names = count(1)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    home = tmp_path_factory.mktemp("registry home")
    return Models(Settings(home=home, mlflow_url=f"sqlite:///{home / 'mlflow.db'}"))


@pytest.fixture
def warehouse(new_warehouse: Callable[[], str], models: Models) -> Iterator[Engine]:
    """A warehouse of its own, because a test may break its ledger."""
    engine = connect(new_warehouse())
    yield engine
    engine.dispose()


@pytest.fixture
def lake(models: Models, tmp_path: Path) -> Lake:
    """A lake of its own: the heads of one ledger belong to one warehouse."""
    models.settings = Settings(
        home=models.settings.home,
        mlflow_url=models.settings.mlflow_url,
        lake_url=(tmp_path / "lake").as_uri(),
    )
    return Lake(models.settings.lake)


@pytest.fixture
def model(models: Models, lake: Lake) -> Callable[[int], str]:
    """Registers a new model with versions 1..n and returns its name."""

    def create(versions: int) -> str:
        name = f"model_{next(_names)}"
        with models._asking() as client:
            client.create_registered_model(name)
            for number in range(1, versions + 1):
                client.create_model_version(
                    name, f"file:///bundles/{number}", tags={"bundle_sha256": f"{number:064d}"}
                )
        return name

    return create


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    from pennant.platform.ports import unused_ports

    return unused_ports(1)[0]
