"""Keys of sources come from Airflow's connections; one that is missing is named."""

import json

import pytest

from pennant.data.asking.access import MissingConnection
from pennant.orchestration.access import from_airflow


def test_a_key_is_the_connections_password_and_a_database_is_a_url_for_sqlalchemy(
    airflow_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    odds = {"conn_type": "http", "password": "a key", "extra": {"plan": "small"}}
    games = "postgres://reader:p%40ss@db.example.org:5432/games"
    monkeypatch.setenv("AIRFLOW_CONN_THE_ODDS_API", json.dumps(odds))
    monkeypatch.setenv("AIRFLOW_CONN_THEIR_GAMES", games)
    key, database = from_airflow("the_odds_api"), from_airflow("their_games")
    assert (key.password, key.extra) == ("a key", {"plan": "small"})
    assert database.address.startswith("postgresql")
    assert "reader:p%40ss@db.example.org:5432/games" in database.address
    assert "p%40ss" not in repr(database)
    assert "a key" not in repr(key)


def test_a_missing_connection_is_named(airflow_database: None) -> None:
    with pytest.raises(MissingConnection) as refused:
        from_airflow("sportradar")
    assert "sportradar" in str(refused.value)
