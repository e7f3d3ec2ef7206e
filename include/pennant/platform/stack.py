"""All of Pennant on one machine: PostgreSQL, Airflow, MLflow and the serving app, started as one."""

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import httpx
import psutil

from pennant.platform import airflow, credentials, discover, mlflow, orphans, serving
from pennant.platform import environment as shared
from pennant.platform.faults import DiskFull, StackRunning
from pennant.platform.memory import memory_pss
from pennant.platform.ports import require_free
from pennant.platform.postgres import Postgres, create_databases, database_url
from pennant.platform.processes import Child, require_space, spawn, stop_all, wait_until
from pennant.settings import Settings
from pennant.warehouse.engine import migrate

START_SECONDS = 240.0
"""How long one part may take to become healthy: several times what two slow cores need."""
SPACE_TO_START = 2**30
"""Bytes that must be free: the data of a demo, its logs, and PostgreSQL's write-ahead log of half of it."""
_LEAST_SPACE_WHILE_RUNNING = 100 * 2**20
_ADDRESSES = ("warehouse_url", "mlflow_url", "serving_url", "airflow_url", "lake_url", "artifacts_url")


class Stack:
    """The processes of one installation; one stack per home folder at a time.

    It takes the ports and folders of `settings` and touches nothing else. When `settings.database_url`
    names a PostgreSQL server, that one is used and none is started.

    Use it as a context manager, or call `start` and, whatever happens, `stop`.
    """

    def __init__(self, settings: Settings, told: Callable[[str, float], None] | None = None) -> None:
        """Start nothing yet.

        Args:
            settings: of this installation.
            told: called with the name of each part that became healthy, and the seconds since the start.
        """
        self._given = settings
        self._told = told or (lambda _part, _seconds: None)
        self._children: dict[str, Child] = {}
        self._postgres: Postgres | None = None
        self._lock: IO[str] | None = None
        self._began = 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def logs(self) -> Path:
        return self._given.home / "logs"

    @property
    def settings(self) -> Settings:
        """The settings with every address filled in, as our processes see them."""
        given = self._given
        return replace(
            given,
            warehouse_url=given.warehouse_url or self._database("pennant"),
            mlflow_url=given.mlflow,
            serving_url=given.serving,
            airflow_url=given.airflow,
            lake_url=given.lake,
            artifacts_url=given.artifacts,
        )

    def environment(self) -> dict[str, str]:
        """The whole environment of our processes: a test or command that has it reaches everything."""
        return shared.environment(self.settings, self._database("airflow"))

    def start(self) -> None:
        """Start everything and return when all of it is healthy; on an error, stop what was started.

        Raises:
            StackRunning: another stack runs from the same home folder.
            PennantError: a port is taken, the disk is full, a process died or did not become healthy:
                see `pennant.platform.faults`.
        """
        self._began = time.monotonic()
        try:
            self._prepare()
            self._start_parts()
        except OSError as error:
            self.stop()
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise DiskFull(self._given.home, 0, _LEAST_SPACE_WHILE_RUNNING) from error
            raise
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything, PostgreSQL last; nothing of it is left when this returns. Harmless twice."""
        stop_all(self._children.values())
        self._children.clear()
        if self._postgres is not None:
            self._postgres.stop()
        if self._lock is not None:
            discover.record_path(self._given).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def check(self) -> None:
        """Do nothing while all is well.

        Raises:
            ChildDied: one of our processes has ended.
            DiskFull: nearly no space is left.
        """
        for child in self.children():
            child.check()
        require_space(self._given.home, _LEAST_SPACE_WHILE_RUNNING)

    def children(self) -> list[Child]:
        """The processes that should be running now."""
        server = self._postgres.child if self._postgres else None
        return [*([server] if server else []), *self._children.values()]

    def memory(self) -> dict[str, int]:
        """Bytes of memory (PSS) by process name, with all that descends from each, and of this process."""
        pids = {child.name: child.pid for child in self.children()}
        sizes = memory_pss(pids.values())
        own = psutil.Process().memory_full_info()
        return {name: sizes[pid] for name, pid in pids.items()} | {
            "pennant": int(getattr(own, "pss", own.rss))
        }

    def _prepare(self) -> None:
        home = self._given.home
        home.mkdir(parents=True, exist_ok=True)
        require_space(home, SPACE_TO_START)
        self._take_lock()
        orphans.stop_left_behind(discover.record_path(self._given))
        for name, port in self._ports().items():
            require_free(name, port, f"PENNANT_{name.upper()}_PORT")
        serving.prepare_keys(self._given.secrets)
        airflow.passwords(self._given.secrets)

    def _take_lock(self) -> None:
        lock = discover.lock_path(self._given).open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise StackRunning(self._given.home, int(holder or 0)) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _start_parts(self) -> None:
        if not self._given.database_url:
            self._embedded().start()
            self._record()
            self._done("postgres")
        create_databases(self._server_url())
        settings, everything = self.settings, self.environment()
        own = mlflow.environment(settings, self._database("mlflow"))
        self._spawn("mlflow", mlflow.command(settings), everything | own)
        with self._airflow_migration(everything):
            migrate(settings.warehouse_url)
            self._done("warehouse")
            self._spawn("serving", serving.command(), everything)
            self._record()
        for name, arguments in airflow.COMPONENTS.items():
            self._spawn(name, airflow.command(*arguments), everything)
        self._record()
        # No proxy of the environment may stand between us and 127.0.0.1.
        with httpx.Client(timeout=5, trust_env=False) as client:
            self._await("serving", lambda: serving.unhealthy(settings.serving, client))
            self._await("mlflow", lambda: mlflow.unhealthy(settings.mlflow, client))
            self._await("airflow-api-server", lambda: airflow.unhealthy(settings.airflow, client))

    @contextlib.contextmanager
    def _airflow_migration(self, environment: dict[str, str]) -> Iterator[None]:
        """Run `airflow db migrate` beside what is done inside, unless the stamp says that it was done."""
        url, stamp = self._database("airflow"), self._given.home / "airflow" / "migrated"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == airflow.migration_mark(url):
            yield
            return
        child = spawn("airflow-migrate", airflow.command("db", "migrate"), environment, self.logs)
        try:
            yield
            wait_until(child.unfinished, "airflow db migrate", child.log, self.children(), START_SECONDS)
        finally:
            child.stop()
        stamp.write_text(airflow.migration_mark(url), encoding="utf-8")
        self._done("airflow-migrate")

    def _spawn(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        patience = airflow.PATIENCE.get(name, 10.0)
        self._children[name] = spawn(
            name, command, environment, self.logs, patience=patience, folder=self._given.home
        )

    def _await(self, name: str, probe: Callable[[], str | None]) -> None:
        wait_until(probe, name, self._children[name].log, self.children(), START_SECONDS)
        self._done(name)

    def _done(self, part: str) -> None:
        self._told(part, time.monotonic() - self._began)

    def _ports(self) -> dict[str, int]:
        given = self._given
        ours = {"airflow": given.airflow_port, "mlflow": given.mlflow_port, "serving": given.serving_port}
        return ours if given.database_url else {"postgres": given.postgres_port, **ours}

    def _embedded(self) -> Postgres:
        if self._postgres is None:
            given = self._given
            self._postgres = Postgres(given.home / "postgres", given.postgres_port, given.secrets, self.logs)
        return self._postgres

    def _server_url(self) -> str:
        return self._given.database_url or self._embedded().url()

    def _database(self, name: str) -> str:
        return database_url(self._server_url(), name)

    def _record(self) -> None:
        settings = self.settings
        content = {
            "pid": os.getpid(),
            "settings": {name: getattr(settings, name) for name in _ADDRESSES}
            | {f"{name}_port": port for name, port in self._ports().items()},
            "processes": orphans.described(self.children()),
        }
        credentials.keep(discover.record_path(self._given), json.dumps(content, indent=1))
