"""Processes of our own: watched while something waits, and gone when they are stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from pennant.platform.faults import ChildDied, DiskFull, NotHealthy
from pennant.platform.processes import Child, require_space, spawn, stop_all, wait_until

# Starts a grandchild in a session of its own, as Airflow's executor does with tasks, and says its pid.
_PARENT_OF_A_RUNAWAY = """
import subprocess, sys, time
runaway = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(runaway.pid, flush=True)
time.sleep(600)
"""
_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


class Start(Protocol):
    def __call__(self, code: str, patience: float = 10) -> Child: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Runs Python code as the child `probe`; whatever a test leaves running is stopped."""
    started: list[Child] = []

    def spawned(code: str, patience: float = 10) -> Child:
        command = [sys.executable, "-c", code]
        started.append(spawn("probe", command, os.environ, tmp_path / "logs", patience=patience))
        return started[-1]

    yield spawned
    stop_all(started)


def first_line(child: Child) -> str:
    def unwritten() -> str | None:
        return None if child.log.read_text().endswith("\n") else "nothing written yet"

    wait_until(unwritten, child.name, child.log, [child], 20, pause=0.02)
    return child.log.read_text().splitlines()[0]


def ended(pid: int, seconds: float = 10) -> bool:
    try:
        psutil.Process(pid).wait(seconds)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def test_a_killed_child_is_noticed_while_something_else_is_awaited(start: Start, tmp_path: Path) -> None:
    child = start("import time; print('one line', flush=True); time.sleep(600)")
    first_line(child)
    psutil.Process(child.pid).children()[0].kill()
    began = time.monotonic()
    with pytest.raises(ChildDied) as died:
        wait_until(lambda: "not yet", "another part", child.log, [child], seconds=60)
    assert time.monotonic() - began < 10
    assert (died.value.name, died.value.exit_code) == ("probe", -signal.SIGKILL)
    assert died.value.log == tmp_path / "logs" / "probe.log"
    assert died.value.last_lines == ["one line"]


def test_a_child_that_fails_is_told_with_its_exit_code(start: Start) -> None:
    child = start("import sys; print('no such model'); sys.exit(3)")
    with pytest.raises(ChildDied) as died:
        wait_until(child.unfinished, "probe", child.log, [], seconds=30)
    assert (died.value.exit_code, died.value.last_lines) == (3, ["no such model"])


def test_a_wait_ends_at_its_deadline(tmp_path: Path) -> None:
    with pytest.raises(NotHealthy) as late:
        wait_until(lambda: "HTTP 503", "serving", tmp_path / "serving.log", [], seconds=0.2)
    assert (late.value.name, late.value.last) == ("serving", "HTTP 503")


def test_stopping_a_child_ends_its_descendants_in_other_sessions(start: Start) -> None:
    child = start(_PARENT_OF_A_RUNAWAY)
    runaway = int(first_line(child))
    child.stop()
    assert ended(runaway)


def test_descendants_of_a_killed_child_do_not_survive_it(start: Start) -> None:
    child = start(_PARENT_OF_A_RUNAWAY)
    runaway = int(first_line(child))
    next(each for each in psutil.Process(child.pid).children() if each.pid != runaway).kill()
    child.keeper.wait(20)
    assert ended(runaway)


def test_a_child_that_ignores_the_signal_is_killed_after_its_time(start: Start) -> None:
    child = start(_STUBBORN, patience=0.3)
    first_line(child)
    stubborn = psutil.Process(child.pid).children()[0].pid
    child.stop()
    assert ended(stubborn)


def test_nothing_survives_the_sudden_death_of_whoever_started_it(tmp_path: Path) -> None:
    starter = f"""
import os, sys, time
from pathlib import Path
from pennant.platform.processes import spawn
child = spawn("probe", [sys.executable, "-c", {_PARENT_OF_A_RUNAWAY!r}], os.environ, Path({str(tmp_path)!r}))
while not child.log.read_text().endswith("\\n"):
    time.sleep(0.02)
print(child.pid, child.log.read_text(), flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        keeper, runaway = map(int, process.stdout.readline().split())
        process.kill()
    assert ended(keeper, 20)
    assert ended(runaway, 20)


def test_a_disk_without_space_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DiskFull) as full:
        require_space(tmp_path / "not" / "there yet", needed=2**62)
    assert full.value.free < full.value.needed == 2**62
    assert full.value.folder == tmp_path / "not" / "there yet"


def test_the_log_of_the_start_before_is_kept(start: Start, tmp_path: Path) -> None:
    for text in ("first", "second"):
        start(f"print({text!r})").keeper.wait(20)
    logs = tmp_path / "logs"
    assert (logs / "probe.log").read_text() == "second\n"
    assert (logs / "probe.log.1").read_text() == "first\n"
