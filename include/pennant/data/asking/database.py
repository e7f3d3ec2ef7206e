"""The rows of a query as CSV, streamed, in a transaction that can only read."""

import csv
import io
import json
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from pennant.data.asking.access import Access, MissingConnection
from pennant.data.asking.archives import MAX_BYTES, BadArchive
from pennant.data.asking.http import Again, Refused
from pennant.data.asking.masking import Secrets
from pennant.reference import Window

_CHUNK = 2_000
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
# What keeps a session of other databases from writing; PostgreSQL's stands in its connection.
_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "mysql": "SET TRANSACTION READ ONLY",
    "mariadb": "SET TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
}


def rows_of(sql: str, window: Window, connection: str, access: Access, seconds: float) -> bytes:
    """The rows that a query gives, as CSV with a header; missing values are empty.

    Moments are written in ISO 8601, in UTC where they have a zone; a bool as `True` or `False`.

    Args:
        sql: the query; `:start` and `:as_of` are bound to the window.
        window: of the run.
        connection: id of the Airflow connection, for messages.
        access: what it holds; its address is an SQLAlchemy URL.
        seconds: for the whole query.

    Raises:
        Again: the database does not answer now.
        Refused: it refused the query, for example because it writes.
        BadArchive: more than `MAX_BYTES` of rows.
        MissingConnection: the connection holds no URL of a database.
    """
    url = _url(connection, access)
    secrets = Secrets(access.password, str(url.password or ""))
    engine: Engine | None = None
    try:
        engine = _engine(url, seconds)
        with engine.connect() as opened:
            if (statement := _READ_ONLY.get(url.get_backend_name())) is not None:
                opened.execute(text(statement))
            return _streamed(opened, sql, window, time.monotonic() + seconds)
    except OperationalError as error:
        raise Again(_said(error, secrets)) from None
    except SQLAlchemyError as error:
        raise Refused(_said(error, secrets)) from None
    except ImportError as error:
        raise Refused(f"a database whose driver is not installed ({error})") from None
    finally:
        if engine is not None:
            engine.dispose()


def shown(access: Access, connection: str) -> str:
    """The database's address without user and password.

    Raises:
        MissingConnection: the connection holds no URL of a database.
    """
    url = _url(connection, access)
    return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()


def _url(connection: str, access: Access) -> URL:
    try:
        url = make_url(access.address)
    except ArgumentError:
        raise MissingConnection(connection, "an address that is no URL of a database") from None
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


def _engine(url: URL, seconds: float) -> Engine:
    given: dict[str, Any] = {}
    if url.get_backend_name() == "postgresql":
        wait = max(int(seconds), 2)  # libpq takes less for 2
        named = url.query.get("options", ())
        options = [*([named] if isinstance(named, str) else named)]
        options += ["-c default_transaction_read_only=on", f"-c statement_timeout={int(seconds * 1000)}"]
        given = {"options": " ".join([*options, "-c timezone=UTC"]), "connect_timeout": wait}
        given["fallback_application_name"] = "pennant"
    try:
        return create_engine(url, poolclass=NullPool, connect_args=given)
    except NoSuchModuleError as error:
        raise Refused(str(error)) from None


def _streamed(connection: Connection, sql: str, window: Window, deadline: float) -> bytes:
    statement = text(sql)
    named = {"start": window.start, "as_of": window.as_of}
    bound = {name: value for name, value in named.items() if name in statement.compile().params}
    result = connection.execution_options(stream_results=True, yield_per=_CHUNK).execute(statement, bound)
    if not result.returns_rows:
        raise Refused("a statement that gives no rows; allowed is a query")
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(result.keys())
    for rows in result.partitions(_CHUNK):
        writer.writerows([_text(value) for value in row] for row in rows)
        if out.tell() > MAX_BYTES:
            raise BadArchive(
                "too_large", f"rows of more than {out.tell()} bytes", f"at most {MAX_BYTES} bytes"
            )
        if time.monotonic() > deadline:
            raise Again("rows that came too slowly for the time allowed")
    return out.getvalue().encode()


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat()
    if isinstance(value, date | clock_time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, default=str)
    return str(value.total_seconds() if isinstance(value, timedelta) else value)


def _said(error: SQLAlchemyError, secrets: Secrets) -> str:
    """The driver's first line: SQLAlchemy's own text repeats the query and links to a page."""
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines() or [""]
    return secrets.masked(f"{type(original).__name__}: {lines[0]}")
