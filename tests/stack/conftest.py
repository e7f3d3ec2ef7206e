"""One whole life under the real scheduler, played once per session; the tests look at what it left."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import Engine

from pennant.declaration.loader import load
from pennant.declaration.model import UseCase
from pennant.demo.airflow import AirflowClient
from pennant.demo.past import Story
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


@contextmanager
def life(home: Path, name: str, since: datetime | None, steps: int, mirror: str) -> Iterator[Played]:
    """Play a life on free ports; everything stays up until the block is left."""
    names = ("postgres_port", "airflow_port", "mlflow_port", "serving_port")
    ports = dict(zip(names, unused_ports(4), strict=True))
    settings = replace(Settings.load({}), home=home, data_mirror=mirror, **ports)
    with perform(settings, name, "month", steps, since, Console(force_terminal=False)) as performance:
        own = replace(settings, home=home / "demo")
        reached = connections(own)
        warehouse = connect(reached.warehouse_url)
        with (
            AirflowClient(
                reached.airflow_url, reached.airflow_user, reached.airflow_password, performance.alive
            ) as airflow,
            ServingClient(replace(own, serving_url=reached.serving_url)) as serving,
        ):
            use_case = load(settings.use_cases / name)
            yield Played(use_case, own, performance.story, reached, warehouse, airflow, serving)
        warehouse.dispose()


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Real NFL games where the mirror has them, else the simulated league; few steps, all rooms."""
    mirror = os.environ.get("PENNANT_DATA_MIRROR", "")
    home = tmp_path_factory.mktemp("a home with spaces")
    if mirror and (Path(mirror) / GAMES).exists():
        with life(home, "nfl_games", datetime(2017, 3, 1, tzinfo=UTC), 2, mirror) as whole:
            yield whole
    else:
        with life(home, "league_demo", None, 4, "") as whole:
            yield whole


@pytest.fixture(scope="module")
def league(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """The simulated league: a planted drift, a retrain, a canary, a bad challenger, the way back."""
    with life(tmp_path_factory.mktemp("league"), "league_demo", None, 4, "") as whole:
        yield whole
