"""The way into the warehouse: one engine per process, migrations, and the partitions of `predictions`."""

from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError

from pennant.errors import PennantError

MIGRATIONS = Path(__file__).parent / "migrations"
FIRST_PARTITIONS_DAYS = 14
"""How many days of partitions a migration leaves ready; the maintenance Dag adds the coming ones."""

_MIGRATION_LOCK = 0x50454E4E  # any fixed number: "PENN"
_PARTITION_LOCK = 0x50415254  # "PART"
_POSTGRES = {"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"}


class WarehouseUrlError(PennantError):
    """A warehouse URL that cannot be used.

    Attributes:
        found: the URL without its password, or what could be read of it.
    """

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(
            f"the warehouse URL cannot be used: found {found!r}; allowed is "
            "postgresql://user:password@host:port/database; set PENNANT_WAREHOUSE_URL"
        )


class WarehouseUnreachableError(PennantError):
    """No PostgreSQL answers at the warehouse's address.

    Attributes:
        address: the URL without its password.
        found: what the driver said.
    """

    def __init__(self, address: str, found: str) -> None:
        self.address = address
        self.found = found
        super().__init__(
            f"the warehouse at {address} cannot be reached: {found}; "
            "start PostgreSQL, or set PENNANT_WAREHOUSE_URL to a server that runs"
        )


def connect(url: str) -> Engine:
    """Make the engine of the warehouse; nothing is opened before it is used.

    Args:
        url: `postgresql://`, `postgres://`, or the same with a `+psycopg` or `+psycopg2` driver;
            psycopg 3 is used in every case.

    Returns:
        An engine with a small pool, whose sessions speak UTC.

    Raises:
        WarehouseUrlError: not a PostgreSQL URL.
    """
    address = _address(url)
    given = address.query.get("options", ())
    options = " ".join([*([given] if isinstance(given, str) else given), "-c timezone=UTC"])
    return create_engine(
        address,
        pool_size=2,
        max_overflow=4,
        pool_pre_ping=True,
        # fallback_application_name gives way to one named in the URL.
        connect_args={"connect_timeout": 10, "options": options, "fallback_application_name": "pennant"},
    )


def migrate(url: str) -> None:
    """Bring the warehouse to the newest schema and make the first partitions; safe to run at once and again.

    Raises:
        WarehouseUrlError: not a PostgreSQL URL.
        WarehouseUnreachableError: no server answers there.
    """
    from alembic import command  # a second of import that only a migration needs
    from alembic.config import Config

    engine = connect(url)
    config = Config()
    # A configuration value reads % as the start of a reference.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            _lock(connection, _MIGRATION_LOCK)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        with engine.connect() as connection:
            today = connection.execute(text("SELECT (now() AT TIME ZONE 'UTC')::date")).scalar_one()
        ensure_prediction_partitions(engine, today, FIRST_PARTITIONS_DAYS)
    except OperationalError as error:
        raise WarehouseUnreachableError(engine.url.render_as_string(), str(error.orig).strip()) from error
    finally:
        engine.dispose()


def ensure_prediction_partitions(engine: Engine, first_day: date, days: int) -> list[str]:
    """Make the daily partitions of `predictions` that are missing.

    Rows of such a day that already lie in the default partition move into the new one. Each day is
    its own transaction, so that writers wait for one day at most.

    Args:
        engine: of the warehouse.
        first_day: UTC day of the first partition.
        days: how many days in a row.

    Returns:
        Names of the partitions that were made, oldest first.
    """
    wanted = [first_day + timedelta(days=offset) for offset in range(days)]
    made = []
    for day in wanted:
        with engine.begin() as connection:
            _lock(connection, _PARTITION_LOCK)
            if _make_partition(connection, day):
                made.append(_partition_name(day))
    return made


def _make_partition(connection: Connection, day: date) -> bool:
    name = _partition_name(day)
    if connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar() is not None:
        return False
    # A row that was on its way into the default partition when the new one came would be refused, so
    # writers wait at the parent; readers go on.
    connection.execute(text("LOCK TABLE ONLY predictions IN EXCLUSIVE MODE"))
    # CREATE ... PARTITION OF would fail on rows of this day that lie in the default partition.
    connection.execute(text(f"CREATE TABLE {name} (LIKE predictions INCLUDING ALL)"))
    connection.execute(text("LOCK TABLE predictions_default IN ACCESS EXCLUSIVE MODE"))
    moved = "WITH moved AS (DELETE FROM predictions_default WHERE day = :day RETURNING *)"
    connection.execute(text(f"{moved} INSERT INTO {name} SELECT * FROM moved"), {"day": day})  # noqa: S608
    bounds = f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
    connection.execute(text(f"ALTER TABLE predictions ATTACH PARTITION {name} FOR VALUES {bounds}"))
    return True


def _partition_name(day: date) -> str:
    return f"predictions_{day:%Y%m%d}"


def _lock(connection: Connection, number: int) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def _address(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text may hold a password, so only its scheme is shown.
        scheme, found, _ = url.partition("://")
        raise WarehouseUrlError(f"{scheme}://..." if found else "no scheme") from None
    if parsed.drivername not in _POSTGRES or not parsed.database:
        raise WarehouseUrlError(parsed.render_as_string())
    return parsed.set(drivername="postgresql+psycopg")
