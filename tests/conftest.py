"""Fixtures that several rooms share. What they need is imported when a test asks for them, not before."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pennant.platform.postgres import Postgres
    from pennant.platform.stack import Stack

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Postgres]":
    """A real PostgreSQL on a free port, for the whole session."""
    from pennant.platform.ports import unused_ports
    from pennant.platform.postgres import Postgres

    home = tmp_path_factory.mktemp("postgres home")
    # Its data need not survive a power cut, so that tests need not wait for the disk.
    server = Postgres(
        home / "postgres",
        unused_ports(1)[0],
        home / "secrets",
        home / "logs",
        {"fsync": "off", "max_wal_size": "256MB"},
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def new_database(postgres_server: "Postgres") -> Callable[[], str]:
    """Makes an empty database `pennant_test_<n>` per call and returns its URL."""
    from pennant.platform.postgres import create_databases

    def create() -> str:
        name = f"pennant_test_{next(_numbers)}"
        create_databases(postgres_server.url(), [name])
        return postgres_server.url(name)

    return create


@pytest.fixture(scope="session")
def new_warehouse(postgres_server: "Postgres", new_database: Callable[[], str]) -> Callable[[], str]:
    """Makes a migrated warehouse of its own per call (a copy: about 0.1 s) and returns its URL."""
    import psycopg
    from psycopg import sql

    from pennant.warehouse.engine import migrate

    template = new_database()
    migrate(template)
    original = sql.Identifier(template.rsplit("/", 1)[1])

    def create() -> str:
        name = f"pennant_test_{next(_numbers)}"
        with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
            # A pool of the migration may still hold an idle session, and a template may have none.
            ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(ends, [template.rsplit("/", 1)[1]])
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), original)
            )
        return postgres_server.url(name)

    return create


@pytest.fixture(scope="session")
def warehouse_url(new_warehouse: Callable[[], str]) -> str:
    """URL of one migrated warehouse that the tests of this session share."""
    return new_warehouse()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Stack]":
    """The whole system on free ports, in a home folder of its own whose path has a space in it."""
    from pennant.platform.ports import unused_ports
    from pennant.platform.stack import Stack
    from pennant.settings import Settings

    names = ("postgres_port", "airflow_port", "mlflow_port", "serving_port")
    ports = dict(zip(names, unused_ports(len(names)), strict=True))
    home = tmp_path_factory.mktemp("pennant home")
    with Stack(replace(Settings.load(), home=home, **ports)) as running:
        yield running


_NEEDS = {
    "browser": (
        lambda: bool(os.environ.get("PENNANT_TEST_BROWSER") or shutil.which("chromium")),
        "needs a browser: apt-get install chromium, or PENNANT_TEST_BROWSER=<program>",
    ),
    "cluster": (
        lambda: bool(os.environ.get("PENNANT_TEST_KUBECONFIG")),
        "needs a Kubernetes cluster: PENNANT_TEST_KUBECONFIG=<file>",
    ),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for marker, (there, how) in _NEEDS.items():
        if not there():
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=how))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the very end what was left out and how to have it."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    if reasons:
        terminalreporter.section("left out")
        for reason, number in sorted(reasons.items()):
            terminalreporter.write_line(f"{number} test{'s' if number > 1 else ''}: {reason}")
