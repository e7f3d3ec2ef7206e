"""Fixtures of the serving tests: a real PostgreSQL with Pennant's own schema, signed bundles, processes."""

import json
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

sys.path.insert(0, str(Path(__file__).parent))

from serving_bundles import Signer, new_signer, write_bundle
from serving_process import Process, environment

_numbers = count(1)


def new_postgres(home: Path) -> Any:
    """A PostgreSQL from the wheel on a free port, started."""
    from pennant.platform.ports import unused_ports
    from pennant.platform.postgres import Postgres

    server = Postgres(home / "pg", unused_ports(1)[0], home / "secrets", home / "logs", {"fsync": "off"})
    server.start()
    return server


def new_warehouse(server: Any) -> str:
    """A database with the tables that Pennant's migrations make: the contract is tested against those."""
    from pennant.platform.postgres import create_databases
    from pennant.warehouse.engine import migrate

    name = f"serving_{next(_numbers)}"
    create_databases(server.url(), [name])
    migrate(server.url(name))
    return str(server.url(name))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = new_postgres(tmp_path_factory.mktemp("serving postgres"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _template(postgres: Any) -> str:
    return new_warehouse(postgres).rsplit("/", 1)[1]


@pytest.fixture
def warehouse(postgres: Any, _template: str) -> str:
    """URL of a fresh warehouse."""
    name = f"serving_{next(_numbers)}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(ends, [_template])
        copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(copy.format(sql.Identifier(name), sql.Identifier(_template)))
    return str(postgres.url(name))


@pytest.fixture(scope="module")
def _stoppable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    server = new_postgres(tmp_path_factory.mktemp("own postgres"))
    yield server, new_warehouse(server)
    server.stop()


@pytest.fixture
def own_postgres(_stoppable: tuple[Any, str]) -> tuple[Any, str]:
    """A PostgreSQL that the test may stop, and the URL of an empty warehouse on it."""
    server, url = _stoppable
    if server.child is None:
        server.start()
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE predictions, traffic_policies")
    return server, url


@pytest.fixture(scope="session")
def signer() -> Signer:
    return new_signer()


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> dict[str, tuple[Path, str]]:
    """Two versions with other numbers: {version: (folder, sha256)}. Not to be changed by tests."""
    home = tmp_path_factory.mktemp("bundles")
    return {
        str(seed): (home / str(seed), write_bundle(home / str(seed), signer, seed=seed)) for seed in (1, 2)
    }


@pytest.fixture
def publish(bundles: dict[str, tuple[Path, str]]) -> Callable[..., int]:
    """Adds a policy: publish(url, {"champion": ("1", 1.0)}) -> its id."""

    def add(
        url: str,
        arms: dict[str, tuple[str, float]],
        use_case: str = "toy",
        others: dict[str, tuple[Path, str]] | None = None,
    ) -> int:
        found = bundles | (others or {})
        listed = [
            {
                "arm": arm,
                "version": version,
                "bundle_uri": found[version][0].as_uri(),
                "bundle_sha256": found[version][1],
                "weight": weight,
            }
            for arm, (version, weight) in arms.items()
        ]
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "INSERT INTO traffic_policies (use_case, salt, arms, why, request_key) "
                "VALUES (%s, 'salt', %s, 'test', gen_random_uuid()::text) RETURNING id",
                (use_case, json.dumps(listed)),
            ).fetchone()
        assert row is not None
        return int(row[0])

    return add


@pytest.fixture
def launch(tmp_path: Path, signer: Signer) -> Iterator[Callable[..., Process]]:
    """Starts the app on a warehouse: launch(url, **settings) -> a process that listens."""
    started: list[Process] = []

    def start(url: str, *arguments: str, **settings: str) -> Process:
        given = environment(tmp_path / "installation", signer.public, url)
        given |= {f"PENNANT_SERVING_{name.upper()}": value for name, value in settings.items()}
        process = Process({name: value for name, value in given.items() if value}, list(arguments))
        started.append(process)
        return process.start()

    yield start
    for process in started:
        if process.child.poll() is None:
            process.kill()
