"""Locks between tasks of one installation, held by PostgreSQL and freed when their holder dies."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)


@contextmanager
def held(warehouse: Engine, key: str) -> Iterator[Connection]:
    """Wait for the lock named `key`, hold it for the block, and give the connection that holds it.

    The lock belongs to the connection: a killed process frees it at once.
    """
    with warehouse.connect() as connection:
        try:
            connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": _number(key)})
            connection.commit()
            yield connection
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": _number(key)})
            connection.commit()
