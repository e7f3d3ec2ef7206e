"""How a command in another terminal finds the stack that runs from the same home folder."""

import fcntl
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pennant.platform import airflow, orphans, serving
from pennant.platform.faults import StackNotRunning
from pennant.platform.processes import wait_until
from pennant.settings import Settings

DEMO = "demo"
"""Folder in the home folder from which `pennant demo` runs its own stack."""


@dataclass(frozen=True)
class Connections:
    """Addresses and logins of everything that runs. `repr` hides the secrets."""

    warehouse_url: str
    mlflow_url: str
    airflow_url: str
    airflow_user: str
    airflow_password: str
    serving_url: str
    serving_key: str

    def __repr__(self) -> str:
        return (
            f"Connections(airflow={self.airflow_url}, mlflow={self.mlflow_url}, serving={self.serving_url})"
        )


def record_path(settings: Settings) -> Path:
    """`stack.json`: pids, ports and addresses of the running stack; mode 0600."""
    return settings.home / "stack.json"


def lock_path(settings: Settings) -> Path:
    """Locked by the process that runs the stack for as long as it lives, however it ends."""
    return settings.home / "stack.lock"


def is_running(settings: Settings) -> bool:
    """True while the process that started the stack of this home folder is alive."""
    try:
        descriptor = os.open(lock_path(settings), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def located(settings: Settings) -> Settings:
    """The settings of what runs: from the home folder itself or, when nothing does, of the demo in it."""
    demo = replace(settings, home=settings.home / DEMO)
    return demo if not is_running(settings) and is_running(demo) else settings


def record(settings: Settings) -> Mapping[str, Any]:
    """What the running stack wrote down about itself.

    Raises:
        StackNotRunning: nothing runs, or it has only just begun to start.
    """
    path = record_path(settings)
    if not is_running(settings) or not path.exists():
        raise StackNotRunning(settings.home)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def stop_running(settings: Settings, seconds: float = 90) -> int:
    """Ask the process that runs the stack to stop it, and wait; clear up after one that was killed.

    Returns:
        The pid of that process.

    Raises:
        StackNotRunning: nothing runs and nothing was left behind.
        NotHealthy: it had not stopped after `seconds`.
    """
    path = record_path(settings)
    if not path.exists():
        raise StackNotRunning(settings.home)
    pid = int(json.loads(path.read_text(encoding="utf-8"))["pid"])
    if not is_running(settings):
        orphans.stop_left_behind(path)
        return pid
    os.kill(pid, signal.SIGTERM)

    def still_there() -> str | None:
        return "it still runs" if is_running(settings) else None

    wait_until(still_there, f"stopping process {pid}", settings.home / "logs", [], seconds)
    return pid


def running_settings(settings: Settings) -> Settings:
    """`settings` with the ports and addresses of the stack that runs from its home folder.

    Raises:
        StackNotRunning: as `record`.
    """
    settings = located(settings)
    return replace(settings, **record(settings)["settings"])


def connections(settings: Settings) -> Connections:
    """Where everything is: the running stack or, when `PENNANT_WAREHOUSE_URL` is set, what the settings name.

    Raises:
        StackNotRunning: neither is there.
    """
    if is_running(located(settings)) or not settings.warehouse_url:
        settings = running_settings(settings)
    user = "admin"
    return Connections(
        warehouse_url=settings.warehouse_url,
        mlflow_url=settings.mlflow,
        airflow_url=settings.airflow,
        airflow_user=user,
        airflow_password=airflow.passwords(settings.secrets)[user],
        serving_url=settings.serving,
        serving_key=serving.prepare_keys(settings.secrets)["orchestrator"],
    )
