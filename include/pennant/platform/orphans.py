"""What an earlier stack left running because whoever ran it was killed: found by its record, and ended."""

import contextlib
import json
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from pennant.platform.processes import Child, still_running

_KEEPER = "pennant.platform.keeper"


def described(children: Iterable[Child]) -> list[dict[str, object]]:
    """What a record says of each process, enough to know it again after its pid was given to another."""
    found = []
    for child in children:
        with contextlib.suppress(psutil.Error):
            began = psutil.Process(child.pid).create_time()
            found.append({"name": child.name, "keeper": child.pid, "began": began, "log": str(child.log)})
    return found


def stop_left_behind(record: Path, seconds: float = 60) -> list[str]:
    """End the processes of `record` that still run, and remove it. The caller holds the stack's lock.

    Keepers notice by themselves that their stack is gone and clear up: this waits for them, and kills
    what is left after `seconds`.

    Returns:
        Names of the processes that still ran.
    """
    if not record.exists():
        return []
    try:
        processes = json.loads(record.read_text(encoding="utf-8"))["processes"]
    except (ValueError, KeyError):
        processes = []  # half written by a killed process: those keepers see for themselves
    left = {each["name"]: keeper for each in processes if (keeper := _same(each["keeper"], each["began"]))}
    trees = {}
    for name, keeper in left.items():
        with contextlib.suppress(psutil.Error):
            trees[name] = [keeper, *keeper.children(recursive=True)]
            keeper.terminate()
    deadline = time.monotonic() + seconds
    for tree in trees.values():
        for process in still_running(tree, deadline - time.monotonic()):
            with contextlib.suppress(psutil.Error):
                process.kill()
    record.unlink(missing_ok=True)
    return list(left)


def _same(pid: int, began: float) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if abs(process.create_time() - began) < 1 and _KEEPER in process.cmdline():
            return process
    return None
