"""Data for a walk forward where no stack runs: a folder of its own, with a PostgreSQL while it is fetched."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import OperationalError

from pennant.data.asking.access import from_environment
from pennant.data.ingest import fetch, validate
from pennant.data.kept import fingerprint_of
from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase
from pennant.errors import PennantError
from pennant.platform.ports import unused_ports
from pennant.platform.postgres import Postgres, create_databases
from pennant.reference import Window
from pennant.settings import Settings
from pennant.warehouse.engine import connect, migrate

FOLDER = "backtest"


class NothingKnown(PennantError):
    """A lake without a validated batch of a use case."""

    def __init__(self, use_case: str, lake: str) -> None:
        self.use_case, self.lake = use_case, lake
        super().__init__(
            f"{use_case}: {lake} has no validated batch; ingest its data first: pennant ingest {use_case}"
        )


class Busy(PennantError):
    """Another walk forward fetches into the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"{folder} is in use by another backtest; wait for it, or set PENNANT_HOME to another folder"
        )


class DatabaseGone(PennantError):
    """The PostgreSQL of a fetch went away under it."""

    def __init__(self, use_case: str, logs: Path, error: str) -> None:
        self.use_case, self.logs, self.error = use_case, logs, error
        super().__init__(
            f"{use_case}: the database went away while data was fetched ({error}). What has landed stays; "
            f"run the command again to go on. Its log is in {logs}"
        )


def own(use_case: DataUseCase, settings: Settings) -> Settings:
    """The settings of a use case's folder for walks forward, below the home folder.

    What landed was read by one declaration; another one of its sources gets a folder of its own.
    """
    read_by = [use_case.sources, use_case.validation, use_case.identities, use_case.schedules.ingest_history]
    mark = fingerprint_of(*read_by)[:12]
    return replace(settings, home=settings.home / FOLDER / f"{use_case.name}-{mark}")


def newest(use_case: DataUseCase, settings: Settings) -> datetime:
    """Until when a lake knows of a use case: the end of its newest validated window.

    Raises:
        NothingKnown: it has none.
    """
    paths = Lake(settings.lake).list(f"validated/{use_case.name}/{use_case.spine.source}")
    ends = [Window.from_key(path.split("/")[-2]).as_of for path in paths if path.endswith("/batch.json")]
    if not ends:
        raise NothingKnown(use_case.name, settings.lake)
    return max(ends)


def fetched(
    use_case: DataUseCase, settings: Settings, windows: list[Window], told: Callable[[], None]
) -> None:
    """Fetch and validate windows that the lake does not have yet; the others cost nothing.

    Args:
        use_case: whose sources.
        settings: see `own`.
        windows: in order.
        told: called after each source of each window.

    Raises:
        Busy: another process is at it.
        DatabaseGone: its PostgreSQL was stopped.
    """
    lake = Lake(settings.lake)
    sources = sorted(use_case.sources)
    there = {path.removesuffix("/batch.json") for path in lake.list(f"validated/{use_case.name}")}
    missing = [
        (window, source)
        for window in windows
        for source in sources
        if f"validated/{use_case.name}/{source}/{window.key}" not in there
    ]
    for _ in range(len(windows) * len(sources) - len(missing)):
        told()
    if not missing:
        return
    with _warehouse(settings) as url:
        engine = connect(url)
        try:
            for window, source in missing:
                landed = fetch(use_case, source, window, lake, engine, settings, from_environment)
                validate(use_case, landed, lake, engine, settings)
                told()
        except OperationalError as error:
            words = str(error.orig).strip().splitlines()
            raise DatabaseGone(use_case.name, settings.home / "logs", words[-1] if words else "") from error
        finally:
            engine.dispose()


@contextmanager
def _warehouse(settings: Settings) -> Iterator[str]:
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(settings.home) from None
        server = Postgres(
            settings.home / "postgres",
            unused_ports(1)[0],
            settings.secrets,
            settings.home / "logs",
            {"fsync": "off"},
        )
        server.start()
        try:
            create_databases(server.url(), ["pennant"])
            migrate(server.url("pennant"))
            yield server.url("pennant")
        finally:
            server.stop()
