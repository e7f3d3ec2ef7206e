"""How much memory a tree of processes really takes."""

import contextlib
from collections.abc import Iterable

import psutil


def memory_pss(pids: Iterable[int]) -> dict[int, int]:
    """Bytes of memory per given pid, everything that descends from it included.

    Counted as PSS (proportional set size): a page that n processes share counts 1/n in each, so that
    sums are true where resident sizes count the pages of forks many times. Linux only: elsewhere the
    resident size takes its place, and the sum is too high.
    """
    return {pid: sum(_bytes(each) for each in _tree(pid)) for pid in pids}


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _bytes(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        info = process.memory_full_info()
        return int(getattr(info, "pss", info.rss))
    return 0
