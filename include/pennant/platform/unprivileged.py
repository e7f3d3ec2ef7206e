"""PostgreSQL refuses to run as root: as root, it runs as the user `nobody` instead."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pennant.platform.faults import PostgresFault

ACCOUNT = "nobody"


@dataclass(frozen=True)
class RunAs:
    """How to start the server's programs: a prefix of the command, and who then owns the data folder."""

    prefix: tuple[str, ...] = ()
    uid: int | None = None
    gid: int | None = None

    def own(self, path: Path) -> None:
        """Give `path` (not what is in it) to the server's user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def run_as(programs: Path, folder: Path) -> RunAs:
    """Find a way to run the server of `programs` on `folder`, and try it.

    As an ordinary user nothing is needed. As root, the account `nobody` gets `folder`; where it cannot
    reach the folder or the programs (a checkout below a closed `/root`), it is granted the right to
    read and search folders, and where even that is not on offer, to pass file permissions.

    Raises:
        PostgresFault: as root, when no way works; the message has what each way said.
    """
    if os.geteuid() != 0:
        return RunAs()
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise PostgresFault(
            "running as root", f"this system has no user {ACCOUNT!r}", "Run as an ordinary user instead."
        ) from None
    tried: list[str] = []
    for prefix in _prefixes(account):
        way = RunAs(prefix, account.pw_uid, account.pw_gid)
        way.own(folder)
        complaint = _complaint(way, programs, folder)
        if complaint is None:
            return way
        tried.append(f"{' '.join(prefix)}: {complaint}")
    raise PostgresFault(
        "running as root, which PostgreSQL refuses",
        "no way to run it as an ordinary user works: "
        + ("; ".join(tried) or "neither setpriv nor runuser is there"),
        "Run as an ordinary user, or install util-linux, or name a server: PENNANT_DATABASE_URL=postgresql://...",
    )


def _prefixes(account: pwd.struct_passwd) -> Iterator[tuple[str, ...]]:
    if setpriv := shutil.which("setpriv"):
        # The last option survives the change of user, which clears a death signal set before it.
        drop = (
            setpriv,
            f"--reuid={account.pw_uid}",
            f"--regid={account.pw_gid}",
            "--clear-groups",
            "--pdeathsig=INT",
        )
        yield drop
        for right in ("dac_read_search", "dac_override"):
            # Without the bit, access(2), which initdb asks, forgets the right of any user but root.
            yield (*drop, "--securebits=+no_setuid_fixup", f"--inh-caps=+{right}", f"--ambient-caps=+{right}")
    elif runuser := shutil.which("runuser"):
        yield (runuser, "-u", account.pw_name, "--")


def _complaint(way: RunAs, programs: Path, folder: Path) -> str | None:
    """None when the programs start and the folder can be written to; else what went wrong."""
    # It only shows its settings, but looks for its own parts first, as the real run does.
    shows = [str(programs / "initdb"), "--show", "-U", "probe", "-D", str(folder / "probe")]
    writes = ["sh", "-c", 'cd "$1" && : >.probe && rm .probe', "sh", str(folder)]
    for command in (shows, writes):
        done = subprocess.run(
            [*way.prefix, *command], cwd="/", capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            return lines[-1] if lines else f"exit code {done.returncode}"
    return None
