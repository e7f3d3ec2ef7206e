"""`pennant prepare`: what an installation needs before something else starts its processes."""

import stat
from pathlib import Path

import psycopg
import pytest

from pennant.platform.postgres import DATABASES, Postgres, database_url
from pennant.platform.prepare import NoServerNamed, prepare
from pennant.settings import Settings


def test_preparing_twice_makes_databases_tables_and_keys_once(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    server = postgres_server.url()
    settings = Settings(home=tmp_path, database_url=server)
    first = prepare(settings)
    keys = {each.name: each.read_bytes() for each in settings.secrets.iterdir()}
    assert prepare(settings) == first
    assert {each.name: each.read_bytes() for each in settings.secrets.iterdir()} == keys
    with psycopg.connect(database_url(server, "pennant")) as connection:
        there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        assert set(DATABASES) <= there
        assert connection.execute("SELECT to_regclass('predictions') IS NOT NULL").fetchone() == (True,)
    assert stat.S_IMODE((settings.secrets / "signing.key").stat().st_mode) == 0o600
    assert "***" in first.warehouse


def test_without_a_server_it_is_said_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(NoServerNamed, match="PENNANT_DATABASE_URL"):
        prepare(Settings(home=tmp_path))
