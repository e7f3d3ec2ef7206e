"""Processes of our own: each under a keeper, with a log file, watched while anything waits for it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from pennant.platform.faults import ChildDied, DiskFull, NotHealthy

LOG_LINES_SHOWN = 12


@dataclass
class Child:
    """One running program and its keeper (see `pennant.platform.keeper`)."""

    name: str
    keeper: "subprocess.Popen[bytes]"
    log: Path
    patience: float

    @property
    def pid(self) -> int:
        """The keeper's pid; the program is its child."""
        return self.keeper.pid

    def check(self) -> None:
        """Do nothing while the program runs.

        Raises:
            ChildDied: it has ended, with how and the last lines of its log.
        """
        code = self.keeper.poll()
        if code is not None:
            raise ChildDied(self.name, code, self.log, last_lines(self.log))

    def unfinished(self) -> str | None:
        """For a program that should end: None when it has ended well, else that it has not.

        Raises:
            ChildDied: it ended with an error.
        """
        if self.keeper.poll() == 0:
            return None
        self.check()
        return "it still runs"

    def ask_to_stop(self) -> None:
        """Send the keeper SIGTERM: it stops the program and all that descends from it."""
        if self.keeper.poll() is None:
            self.keeper.terminate()

    def stop(self) -> None:
        """Stop the program and wait until nothing of it is left."""
        self.ask_to_stop()
        try:
            # The keeper kills after `patience` and then clears up; it needs a little longer itself.
            self.keeper.wait(self.patience + 15)
        except subprocess.TimeoutExpired:
            self.keeper.kill()
            self.keeper.wait()
        if self.keeper.stdin:
            with contextlib.suppress(OSError):
                self.keeper.stdin.close()


def spawn(
    name: str,
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    logs: Path,
    *,
    stop_signal: signal.Signals = signal.SIGTERM,
    patience: float = 10,
    folder: Path | None = None,
) -> Child:
    """Start `command` with exactly `environment`; its output goes to `logs/<name>.log`.

    Args:
        name: what messages call the process.
        command: program and arguments; no shell is involved.
        environment: the whole environment of the process.
        logs: folder of the log file, made if needed. A log of an earlier start is kept as `<name>.log.1`.
        stop_signal: what asks this program to end.
        patience: seconds it gets to end before it is killed.
        folder: its working directory.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    keeper = [sys.executable, "-m", "pennant.platform.keeper", stop_signal.name, str(patience)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*keeper, *map(str, command)],
            stdin=subprocess.PIPE,  # never written to: its closing tells the keeper that we are gone
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    return Child(name, process, log, patience)


def stop_all(children: Iterable[Child]) -> None:
    """Stop all of them at the same time; returns when nothing of them is left."""
    stopping = list(children)
    for child in stopping:
        child.ask_to_stop()
    for child in stopping:
        child.stop()


def wait_until(
    probe: Callable[[], str | None],
    name: str,
    log: Path,
    watched: Iterable[Child],
    seconds: float,
    pause: float = 0.1,
) -> None:
    """Ask `probe` until it returns None (healthy); a string says what it saw instead.

    Raises:
        ChildDied: one of `watched` ended meanwhile.
        NotHealthy: `seconds` passed.
    """
    children = list(watched)
    deadline = time.monotonic() + seconds
    while (seen := probe()) is not None:
        for child in children:
            child.check()
        if time.monotonic() > deadline:
            raise NotHealthy(name, seconds, seen, log)
        time.sleep(pause)


def still_running(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait up to `seconds` for processes that are not our children; returns those that still run.

    A zombie has ended: in a container, nobody may ever collect it.
    """
    deadline = time.monotonic() + seconds
    left = list(processes)
    while left and time.monotonic() < deadline:
        left = [each for each in left if _runs(each)]
        time.sleep(0.05 if left else 0)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def last_lines(log: Path, count: int = LOG_LINES_SHOWN) -> list[str]:
    """The last `count` lines of a log that are not empty; [] when there is no log."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 64_000))
        text = file.read().decode("utf-8", "replace")
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]


def require_space(folder: Path, needed: int) -> None:
    """Refuse to go on when the disk under `folder` has less than `needed` bytes free.

    Raises:
        DiskFull: with what is free and what is needed.
    """
    there = folder
    while not there.exists():
        there = there.parent
    stat = os.statvfs(there)
    free = stat.f_bavail * stat.f_frsize
    if free < needed:
        raise DiskFull(folder, free, needed)
