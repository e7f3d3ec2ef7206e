"""The warehouse is made by migrations alone, and its ledger and predictions keep what they are given."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from setuptools import find_packages
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import DBAPIError

from pennant.settings import REPOSITORY
from pennant.warehouse import engine as module
from pennant.warehouse.engine import (
    FIRST_PARTITIONS_DAYS,
    WarehouseUnreachableError,
    WarehouseUrlError,
    connect,
    ensure_prediction_partitions,
    migrate,
)
from pennant.warehouse.tables import ledger, metadata, predictions

DAY = date(2031, 5, 1)


@pytest.fixture
def warehouse(new_warehouse: Callable[[], str]) -> Iterator[Engine]:
    engine = connect(new_warehouse())
    yield engine
    engine.dispose()


def prediction(number: int, day: date = DAY) -> dict[str, object]:
    return {
        "day": day,
        "prediction_id": f"p{number}",
        "use_case": "league_demo",
        "entity": f"g{number}",
        "version": "1",
        "arm": "champion",
        "policy_id": 1,
        "features": {"x": 1.5},
        "prediction": 0.5,
        "answered_at": datetime(day.year, day.month, day.day, 12, tzinfo=UTC),
    }


def rows_by_partition(engine: Engine) -> dict[str, int]:
    query = "SELECT tableoid::regclass::text AS name, count(*) AS rows FROM predictions GROUP BY 1"
    with engine.connect() as connection:
        return {each.name: each.rows for each in connection.execute(text(query))}


def test_the_migrated_schema_is_the_one_the_rooms_use(warehouse: Engine) -> None:
    with warehouse.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_object": lambda thing, name, kind, *_: (
                    not str(name).startswith("predictions_2")
                    and name != "predictions_default"
                    and not (kind == "index" and str(thing.table.name).startswith("predictions_"))
                ),
            },
        )
        assert compare_metadata(context, metadata) == []


def test_migrating_again_and_at_once_changes_nothing(new_database: Callable[[], str]) -> None:
    url = new_database()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [url] * 4))
    migrate(url)
    engine = connect(url)
    with engine.connect() as connection:
        newest = max(each.name[:4] for each in (module.MIGRATIONS / "versions").glob("0*.py"))
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [newest]
        names = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'predictions'::regclass"
        assert connection.execute(text(names)).scalar_one() == FIRST_PARTITIONS_DAYS + 1
    engine.dispose()


def test_migrations_are_packages_of_the_distribution() -> None:
    found = find_packages(str(REPOSITORY / "include"))
    assert {"pennant.warehouse.migrations", "pennant.warehouse.migrations.versions"} <= set(found)
    strangers = [
        each for each in module.MIGRATIONS.rglob("*") if each.is_file() and each.suffix not in {".py", ".pyc"}
    ]
    assert strangers == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET use_case = 'x'",
        "DELETE FROM ledger",
        "TRUNCATE ledger",
        "UPDATE ledger SET seq = 9 WHERE false",
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_the_ledger_refuses_to_be_rewritten(warehouse: Engine, statement: str, role: str) -> None:
    entry = {
        "seq": 1,
        "use_case": "a",
        "action": "promote",
        "entry": {},
        "previous_hash": "",
        "hash": "h",
        "recorded_at": "t",
    }
    with warehouse.begin() as connection:
        connection.execute(insert(ledger).values(**entry))
    with warehouse.connect() as connection:
        connection.execute(text(f"SET session_replication_role = {role}"))
        with pytest.raises(DBAPIError, match="append-only"):
            connection.execute(text(statement))
    with warehouse.connect() as connection:
        assert connection.execute(select(ledger.c.use_case)).scalars().all() == ["a"]


def test_each_day_of_predictions_has_its_partition(warehouse: Engine) -> None:
    made = ensure_prediction_partitions(warehouse, DAY, 3)
    assert made == ["predictions_20310501", "predictions_20310502", "predictions_20310503"]
    assert ensure_prediction_partitions(warehouse, DAY, 3) == []
    with warehouse.begin() as connection:
        connection.execute(insert(predictions), [prediction(n, DAY + timedelta(days=n)) for n in range(4)])
    assert rows_by_partition(warehouse) == {**dict.fromkeys(made, 1), "predictions_default": 1}


def test_predictions_of_a_day_without_partition_move_into_it(warehouse: Engine) -> None:
    other = DAY + timedelta(days=40)
    with warehouse.begin() as connection:
        connection.execute(insert(predictions), [prediction(1), prediction(2), prediction(3, other)])
    ensure_prediction_partitions(warehouse, DAY, 1)
    assert rows_by_partition(warehouse) == {"predictions_20310501": 2, "predictions_default": 1}


def test_a_prediction_is_kept_once_whatever_partition_it_came_through(warehouse: Engine) -> None:
    with warehouse.begin() as connection:
        connection.execute(insert(predictions), [prediction(1)])
    ensure_prediction_partitions(warehouse, DAY, 1)
    with pytest.raises(DBAPIError, match="duplicate key"), warehouse.begin() as connection:
        connection.execute(insert(predictions), [prediction(1)])


def test_no_prediction_is_lost_while_its_partition_is_made(warehouse: Engine) -> None:
    started, stop = threading.Event(), threading.Event()

    def write() -> int:
        number = 0
        while not stop.is_set() or number < 50:
            with warehouse.begin() as connection:
                connection.execute(insert(predictions), [prediction(number)])
            number += 1
            started.set()
        return number

    with ThreadPoolExecutor(3) as pool:
        writer = pool.submit(write)
        assert started.wait(30)
        makers = [pool.submit(ensure_prediction_partitions, warehouse, DAY, 1) for _ in range(2)]
        made = [each.result(30) for each in makers]
        stop.set()
        written = writer.result(30)
    assert sorted(made) == [[], ["predictions_20310501"]]
    assert rows_by_partition(warehouse) == {"predictions_20310501": written}


def test_moments_come_back_in_utc_whatever_the_server_speaks(warehouse: Engine) -> None:
    with warehouse.begin() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE \"{name}\" SET timezone = 'Asia/Tokyo'"))
    warehouse.dispose()
    with warehouse.connect() as connection:
        moment = connection.execute(text("SELECT now()")).scalar_one()
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_means_psycopg_3(warehouse_url: str, scheme: str) -> None:
    engine = connect(scheme + "://" + warehouse_url.split("://", 1)[1])
    assert engine.url.drivername == "postgresql+psycopg"
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()


def test_options_of_the_url_are_kept(warehouse_url: str) -> None:
    joined = "&" if "?" in warehouse_url else "?"
    engine = connect(f"{warehouse_url}{joined}options=-csearch_path%3Doptuna")
    with engine.connect() as connection:
        assert connection.execute(text("SHOW search_path")).scalar_one() == "optuna"
        assert connection.execute(text("SHOW timezone")).scalar_one() == "UTC"
    engine.dispose()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite:///x.db",
        "mysql://u:secret@h/d",
        "postgresql://u:secret@h:5432",
        "://u:secret@h",
    ],
)
def test_another_kind_of_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(WarehouseUrlError) as caught:
        connect(url)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_down_is_named_without_its_password() -> None:
    # Port 1 of the loopback is reserved and never listens.
    with pytest.raises(WarehouseUnreachableError) as caught:
        migrate("postgresql://someone:secret@127.0.0.1:1/pennant")
    assert "127.0.0.1:1/pennant" in caught.value.address
    assert "secret" not in str(caught.value)
