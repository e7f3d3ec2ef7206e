"""What can go wrong with the processes of one machine, each with the port, process or log to look at."""

from collections.abc import Sequence
from pathlib import Path

from pennant.errors import PennantError


class PortTaken(PennantError):
    """Another program listens on a port that one of our processes needs."""

    def __init__(self, name: str, port: int, variable: str, holder: str | None) -> None:
        self.name, self.port, self.variable, self.holder = name, port, variable, holder
        who = f"held by {holder}" if holder else "held by a process of another user"
        super().__init__(
            f"{name}: port {port} of 127.0.0.1 is taken, {who}. Stop that program, or choose another port: "
            f"{variable}=<port> (1 to 65535)."
        )


class DiskFull(PennantError):
    """Too little free space under the folder that Pennant writes to."""

    def __init__(self, folder: Path, free: int, needed: int) -> None:
        self.folder, self.free, self.needed = folder, free, needed
        super().__init__(
            f"{folder}: {free / 2**20:.0f} MB free on this disk, at least {needed / 2**20:.0f} MB needed. "
            "Free some space, or choose a folder on another disk: PENNANT_HOME=<folder>."
        )


class ChildDied(PennantError):
    """A process that should be running has ended."""

    def __init__(self, name: str, exit_code: int, log: Path, last_lines: Sequence[str]) -> None:
        self.name, self.exit_code, self.log, self.last_lines = name, exit_code, log, list(last_lines)
        how = f"was killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
        tail = "".join(f"\n    {line}" for line in self.last_lines)
        super().__init__(
            f"{name} {how}. Its log is {log}; the last lines:{tail or ' (the log is empty)'}\n"
            "Read the log, mend the cause, then start again: what was half done is finished by the next run."
        )


class NotHealthy(PennantError):
    """A process runs but did not answer before its deadline."""

    def __init__(self, name: str, seconds: float, last: str, log: Path) -> None:
        self.name, self.seconds, self.last, self.log = name, seconds, last, log
        super().__init__(
            f"{name} did not become healthy within {seconds:.0f} s; its last answer: {last}. Read {log}. "
            "On a very slow or busy machine, start again: what is already prepared is kept."
        )


class PostgresFault(PennantError):
    """PostgreSQL cannot be prepared, started or used; the message says which step and why."""

    def __init__(self, where: str, found: str, then: str) -> None:
        self.where, self.found, self.then = where, found, then
        super().__init__(f"PostgreSQL: {where}: {found.strip()}. {then}")


class StackRunning(PennantError):
    """A stack already runs from the same home folder."""

    def __init__(self, home: Path, pid: int) -> None:
        self.home, self.pid = home, pid
        super().__init__(
            f"a stack already runs from {home} (process {pid}). Use it, stop it with `pennant down`, "
            "or start this one elsewhere: PENNANT_HOME=<folder> and other ports."
        )


class StackNotRunning(PennantError):
    """No stack runs from this home folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(
            f"no stack runs from {home}. Start one with `pennant up` or `make demo`, or name a warehouse "
            "with PENNANT_WAREHOUSE_URL."
        )
