"""The two tables this app shares with Pennant: it reads `traffic_policies` and adds to `predictions`."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

_NEWEST = """
SELECT DISTINCT ON (use_case) id, use_case, salt, arms
FROM traffic_policies
WHERE %(use_case)s::text IS NULL OR use_case = %(use_case)s
ORDER BY use_case, id DESC
"""


def plain(error: Exception) -> str:
    """One line about a failure. A broken URL is not repeated: it may hold the password."""
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        return f"{type(error).__name__}: the database URL cannot be read"
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


class Warehouse:
    """Short connections to PostgreSQL, each with timeouts, so that a silent server never holds a thread."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)

    def connect(self) -> psycopg.Connection:
        """Open a connection.

        Raises:
            psycopg.Error: the server does not answer within three seconds, or refuses.
        """
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=3,
            tcp_user_timeout=10_000,
            application_name="pennant-serving",
        )
        connection.execute("SET statement_timeout = '15s'")
        return connection

    def newest_policies(self, use_case: str | None = None) -> Sequence[dict[str, Any]]:
        """The newest policy row per use case: columns id, use_case, salt, arms.

        Raises:
            psycopg.Error: the warehouse does not answer or has no such table.
        """
        with self.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_NEWEST, {"use_case": use_case}).fetchall()
