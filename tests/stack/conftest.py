"""One whole life under the real scheduler, played once per session; the tests look at what it left."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import Engine

from pennant.declaration.loader import load
from pennant.declaration.model import UseCase
from pennant.demo.airflow import AirflowClient
from pennant.demo.life import Story
from pennant.demo.stage import perform
from pennant.platform.discover import Connections, connections
from pennant.platform.ports import unused_ports
from pennant.release.client import ServingClient
from pennant.settings import Settings
from pennant.warehouse.engine import connect

GAMES = "game_outcome/nfl/games_1999_2024.csv"


@dataclass(frozen=True)
class Played:
    """A life that has been played, and everything needed to look at what it left behind."""

    use_case: UseCase
    settings: Settings
    story: Story
    reached: Connections
    warehouse: Engine
    airflow: AirflowClient
    serving: ServingClient


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Real NFL games where the mirror has them, else the simulated league; few steps, all rooms."""
    ports = dict(
        zip(("postgres_port", "airflow_port", "mlflow_port", "serving_port"), unused_ports(4), strict=True)
    )
    home = tmp_path_factory.mktemp("a home with spaces")
    mirror = os.environ.get("PENNANT_DATA_MIRROR", "")
    real = bool(mirror) and (Path(mirror) / GAMES).exists()
    name, since, steps = (
        ("nfl_games", datetime(2017, 3, 1, tzinfo=UTC), 2) if real else ("league_demo", None, 4)
    )
    settings = replace(Settings.load({}), home=home, data_mirror=mirror, **ports)
    with perform(settings, name, "month", steps, since, Console(force_terminal=False)) as performance:
        own = replace(settings, home=home / "demo")
        reached = connections(own)
        use_case = load(settings.use_cases / name)
        warehouse = connect(reached.warehouse_url)
        with (
            AirflowClient(
                reached.airflow_url, reached.airflow_user, reached.airflow_password, performance.alive
            ) as airflow,
            ServingClient(replace(own, serving_url=reached.serving_url)) as serving,
        ):
            yield Played(use_case, own, performance.story, reached, warehouse, airflow, serving)
        warehouse.dispose()
