"""A small program that runs one other program and lets nothing of it survive.

    python -m pennant.platform.keeper SIGNAL SECONDS COMMAND...

It starts COMMAND in a session of its own and waits. When its standard input closes (whoever started
it is gone, also by SIGKILL), when it gets SIGTERM or SIGINT, or when COMMAND ends, it sends SIGNAL to
COMMAND, gives it SECONDS, and then kills everything that descends from it: as a "subreaper" it
inherits the orphans, so that a task process in a session of its own does not get away either.
It exits as COMMAND did: with its exit code, or by the same signal.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

import psutil

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36


def main(arguments: list[str]) -> int:
    """Run COMMAND as the module's docstring says; returns what `subprocess` calls its return code."""
    stop_signal, patience, command = signal.Signals[arguments[0]], float(arguments[1]), arguments[2:]
    stopping, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(each, _noted)
    _prctl(_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        # Should this keeper be killed, its child gets the signal to stop. Safe here: one thread.
        preexec_fn=lambda: _prctl(_SET_PDEATHSIG, stop_signal),  # noqa: PLW1509
    )
    _wait_for_an_end(child, stopping)
    if child.poll() is None:
        child.send_signal(stop_signal)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
    code = child.wait()
    _kill_descendants()
    return code


def _noted(_signal: int, _frame: object) -> None:
    """The wake-up descriptor carries the news; a handler has to exist for it to be written."""


def _wait_for_an_end(child: "subprocess.Popen[bytes]", stopping: int) -> None:
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin.fileno(), stopping], [], [])
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1024):
            return
        if stopping in ready and set(os.read(stopping, 1024)) & {signal.SIGTERM, signal.SIGINT}:
            return
        _reap_orphans(child.pid)


def _reap_orphans(besides: int) -> None:
    """Collect ended orphans that fell to us, so that none stays a zombie; never the child itself."""
    for each in psutil.Process().children():
        if each.pid != besides:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each.pid, os.WNOHANG)


def _kill_descendants() -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = psutil.Process().children(recursive=True)
        if not left:
            return
        for each in left:
            with contextlib.suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(left, timeout=0.5)  # then look again: one may have forked before it was killed


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere closing standard input and the session still do most of the work."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _end_like(code: int) -> int:
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(_end_like(main(sys.argv[1:])))
