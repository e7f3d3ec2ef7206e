"""Sets the stage of the demo: a stack with a home of its own, the players, the summary."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console

from pennant.declaration.loader import load
from pennant.declaration.model import UseCase
from pennant.demo.airflow import AirflowClient
from pennant.demo.life import Life, Stride
from pennant.demo.past import Past, Story
from pennant.demo.plot import play, play_past
from pennant.demo.progress import Progress
from pennant.demo.summary import Place, show
from pennant.errors import PennantError
from pennant.platform.discover import DEMO, Connections, connections, is_running
from pennant.platform.faults import StackRunning
from pennant.platform.stack import Stack
from pennant.release.client import ServingClient
from pennant.settings import Settings
from pennant.warehouse.engine import connect

_KEPT = ("secrets",)


class UnknownUseCase(PennantError):
    """There is no such use case."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.allowed = sorted(each.name for each in folder.iterdir() if (each / "use_case.yaml").exists())
        super().__init__(f"Use case {name!r} is not in {folder}; allowed are {', '.join(self.allowed)}.")


@dataclass(frozen=True)
class Performance:
    """A demo that has been played: its story, and a check that everything still runs."""

    story: Story
    alive: Callable[[], None]


@contextmanager
def perform(
    settings: Settings,
    name: str,
    stride: Stride,
    steps: int,
    since: datetime | None,
    console: Console,
) -> Iterator[Performance]:
    """Play the life of a use case and show its summary; everything runs until the block is left.

    The demo has a home of its own, `<home>/demo`, and begins with an empty one: a simulated clock
    that starts anew cannot go on with what an earlier one has seen.

    Raises:
        PennantError: a part did not start, or a step failed; everything is stopped.
    """
    settings = _own_home(settings)
    if not (settings.use_cases / name / "use_case.yaml").exists():
        raise UnknownUseCase(name, settings.use_cases)
    use_case = load(settings.use_cases / name)
    began = time.monotonic()
    stack = Stack(settings)
    try:
        with Progress(console) as progress:
            with progress.step("Start PostgreSQL, MLflow, the serving app and Airflow"):
                stack.start()
            reached = connections(settings)
            warehouse = connect(reached.warehouse_url)
            with _airflow(reached, stack) as airflow, ServingClient(stack.settings) as serving:
                if isinstance(use_case, UseCase):
                    past: Past = (life := Life(use_case, airflow, warehouse, serving, progress))
                    play(life, stride, since or use_case.replay.history_from, steps, settings)
                else:
                    past = Past(use_case, airflow, warehouse, progress)
                    play_past(past, since or use_case.schedules.start, settings)
        memory = sum(stack.memory().values()) / 2**20
        show(console, use_case.title, past.story, _places(reached, name), time.monotonic() - began, memory)
        yield Performance(past.story, stack.check)
    finally:
        stack.stop()


def _own_home(settings: Settings) -> Settings:
    home = settings.home / DEMO
    settings = replace(settings, home=home, replay=True)
    if is_running(settings):
        raise StackRunning(home, 0)
    if home.exists():
        for each in home.iterdir():
            if each.name not in _KEPT:
                shutil.rmtree(each) if each.is_dir() else each.unlink()
    return settings


def _airflow(reached: Connections, stack: Stack) -> AirflowClient:
    return AirflowClient(reached.airflow_url, reached.airflow_user, reached.airflow_password, stack.check)


def _places(reached: Connections, name: str) -> list[Place]:
    login = f"user {reached.airflow_user}, password {reached.airflow_password}"
    return [
        Place("Airflow", f"{reached.airflow_url}/dags?tags={name}", login),
        Place("MLflow", f"{reached.mlflow_url}/#/models/{name}", "no login"),
        Place("Serving API", f"{reached.serving_url}/docs", f"key {reached.serving_key}"),
    ]
