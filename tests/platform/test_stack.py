"""The whole system as one: reachable, closed to the outside, one per home folder, never left behind."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from pennant.platform import discover
from pennant.platform.faults import DiskFull, PortTaken, StackNotRunning, StackRunning
from pennant.platform.ports import unused_ports
from pennant.platform.processes import still_running, wait_until
from pennant.platform.stack import Stack
from pennant.settings import Settings

PORTS = ("postgres_port", "airflow_port", "mlflow_port", "serving_port")


@pytest.fixture
def own_settings(tmp_path: Path) -> Settings:
    ports = dict(zip(PORTS, unused_ports(len(PORTS)), strict=True))
    return replace(Settings.load(), home=tmp_path / "own home", **ports)


def tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


@pytest.mark.stack
def test_every_part_listens_on_the_loopback_address_only(stack: Stack) -> None:
    everything = [each for child in stack.children() for each in tree(child.pid)]
    listening = {
        (each.name(), where.laddr.ip)
        for each in everything
        for where in each.net_connections(kind="inet")
        if where.status == psutil.CONN_LISTEN
    }
    assert listening
    assert {address for _, address in listening} == {"127.0.0.1"}


@pytest.mark.stack
def test_another_terminal_finds_the_running_stack_and_logs_in(stack: Stack) -> None:
    home = replace(Settings(), home=stack.settings.home)
    found = discover.connections(home)
    assert discover.running_settings(home).airflow_port == stack.settings.airflow_port
    login = {"username": found.airflow_user, "password": found.airflow_password}
    with httpx.Client(trust_env=False, timeout=30) as client:
        token = client.post(f"{found.airflow_url}/auth/token", json=login).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        broken = client.get(f"{found.airflow_url}/api/v2/importErrors", headers=bearer).json()
        key = {"Authorization": f"Bearer {found.serving_key}"}
        models = client.get(f"{found.serving_url}/api/v2/models", headers=key)
        stranger = client.get(f"{found.serving_url}/api/v2/models")
    assert broken["total_entries"] == 0, broken
    assert (models.status_code, stranger.status_code) == (200, 401)


@pytest.mark.stack
def test_clients_write_artifacts_straight_to_the_artifact_folder(stack: Stack) -> None:
    address = f"{stack.settings.mlflow}/api/2.0/mlflow/experiments"
    with httpx.Client(trust_env=False, timeout=30) as client:
        made = client.post(f"{address}/create", json={"name": "where do artifacts go"}).json()
        found = client.get(f"{address}/get", params={"experiment_id": made["experiment_id"]}).json()
    assert found["experiment"]["artifact_location"].startswith(stack.settings.artifacts)


@pytest.mark.stack
def test_a_second_stack_in_the_same_home_is_refused(stack: Stack) -> None:
    with pytest.raises(StackRunning) as refused:
        Stack(stack.settings).start()
    assert (refused.value.home, refused.value.pid) == (stack.settings.home, os.getpid())
    stack.check()


@pytest.mark.stack
def test_nobody_else_may_read_what_is_secret(stack: Stack) -> None:
    home = stack.settings.home
    secrets = [
        each for each in stack.settings.secrets.iterdir() if each.suffix != ".pub" and each.stat().st_size
    ]
    files = [*secrets, discover.record_path(stack.settings)]
    assert stat.S_IMODE(stack.settings.secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) & 0o037 for each in files} == {0}
    password = (stack.settings.secrets / "postgres.password").read_text()
    shown = [" ".join(each.cmdline()) for child in stack.children() for each in tree(child.pid)]
    assert not [line for line in shown if password in line]
    assert not [log for log in (home / "logs").iterdir() if password in log.read_text(errors="replace")]


@pytest.mark.stack
def test_all_processes_together_stay_within_the_memory_promised(stack: Stack) -> None:
    assert sum(stack.memory().values()) < 4 * 2**30


def test_a_taken_port_stops_the_start_before_anything_runs(own_settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", own_settings.mlflow_port))
        other.listen()
        with pytest.raises(PortTaken) as taken:
            Stack(own_settings).start()
    assert (taken.value.name, taken.value.variable) == ("mlflow", "PENNANT_MLFLOW_PORT")
    assert not discover.is_running(own_settings)
    assert not (own_settings.home / "postgres").exists()


def test_a_full_disk_stops_the_start(own_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pennant.platform.stack.SPACE_TO_START", 2**62)
    with pytest.raises(DiskFull) as full:
        Stack(own_settings).start()
    assert full.value.folder == own_settings.home


def test_where_nothing_runs_that_is_what_is_said(own_settings: Settings) -> None:
    for ask in (discover.record, discover.connections, discover.stop_running):
        with pytest.raises(StackNotRunning):
            ask(own_settings)


@pytest.fixture
def environment(own_settings: Settings) -> dict[str, str]:
    own = {name: str(getattr(own_settings, name)) for name in ("home", *PORTS)}
    return {**os.environ, **{f"PENNANT_{name.upper()}": value for name, value in own.items()}}


@pytest.fixture
def up(environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    """`pennant up` in a process of its own, just started."""
    command = [sys.executable, "-c", "from pennant.cli.main import app; app()", "up", "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        yield process
        process.terminate()


@pytest.mark.stack
def test_a_killed_part_ends_the_stack_with_its_name_and_log(
    up: "subprocess.Popen[str]", own_settings: Settings
) -> None:
    assert up.stdout is not None
    assert "airflow" in up.stdout.readline()  # printed when all is healthy
    parts = discover.record(own_settings)["processes"]
    everything = tree(up.pid)
    scheduler = next(each["keeper"] for each in parts if each["name"] == "airflow-scheduler")
    psutil.Process(scheduler).children()[0].kill()
    said, _ = up.communicate(timeout=60)
    told = json.loads(said)
    assert up.returncode == 1
    assert (told["error"], told["name"], told["exit_code"]) == (
        "ChildDied", "airflow-scheduler", -signal.SIGKILL,
    )  # fmt: skip
    assert told["log"] == str(own_settings.home / "logs" / "airflow-scheduler.log")
    assert not still_running(everything, 0.1)


@pytest.mark.stack
def test_after_a_sudden_end_nothing_is_left_for_the_next_start_to_meet(
    up: "subprocess.Popen[str]", own_settings: Settings
) -> None:
    def still_starting() -> str | None:
        path = discover.record_path(own_settings)
        return None if path.exists() and "airflow-scheduler" in path.read_text() else "not all started"

    wait_until(still_starting, "pennant up", own_settings.home / "logs", [], seconds=120)
    everything = tree(up.pid)
    up.kill()
    up.wait(30)
    assert not discover.is_running(own_settings)
    assert discover.stop_running(own_settings) == up.pid
    assert not still_running(everything, 0.1)
    assert not discover.record_path(own_settings).exists()
