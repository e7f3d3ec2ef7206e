"""Keys and databases of providers: how a source gets at the secret of its connection."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pennant.errors import PennantError

SECRET_FIELDS = ("api_key", "token", "key", "secret")
"""Where a connection's extra may hold the key, if its password is empty."""
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
_NO_DATABASE = {"", "http", "https", "generic"}


@dataclass(frozen=True)
class Access:
    """What an Airflow connection holds; only its login is ever shown.

    `address` is a host, a base address or, for a database, an SQLAlchemy URL with its password.
    """

    address: str = field(default="", repr=False)
    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def secret(self) -> str:
        """The key: the password, else the first of `SECRET_FIELDS` in the extra; empty if there is none."""
        named = (str(self.extra.get(name) or "") for name in SECRET_FIELDS)
        return self.password or next((each for each in named if each), "")


Accesses = Callable[[str], Access]
"""Gives the access of a connection by its id; raises `MissingConnection`."""


class MissingConnection(PennantError):
    """A source needs an Airflow connection that is not there, or that does not hold what it should.

    Attributes:
        connection: its id.
        found: what stands there.
        variable: the environment variable that can hold it.
    """

    def __init__(self, connection: str, found: str = "no such connection") -> None:
        self.connection, self.found = connection, found
        self.variable = variable_of(connection)
        super().__init__(
            f"connection {connection}: found {found}. Add it in Airflow under Admin, Connections, or set "
            f'{self.variable}: for a key {{"conn_type": "http", "password": "<the key>"}}, for a database '
            f"postgres://<user>:<password>@<host>:5432/<database>."
        )


def variable_of(connection: str) -> str:
    """The variable that Airflow reads a connection from."""
    return f"AIRFLOW_CONN_{connection.upper()}"


def from_environment(connection: str) -> Access:
    """Read a connection from `AIRFLOW_CONN_<ID>`, as a URI or as JSON, for commands outside of Airflow.

    Raises:
        MissingConnection: the variable is not set, or cannot be read.
    """
    text = os.environ.get(variable_of(connection), "").strip()
    if not text:
        raise MissingConnection(connection)
    try:
        return _from_json(text) if text.startswith("{") else _from_uri(text)
    except (ValueError, AttributeError, TypeError):
        # The text may hold a secret, so nothing of it is shown.
        raise MissingConnection(connection, "a value that is neither a URI nor JSON") from None


def _from_json(text: str) -> Access:
    body = json.loads(text)
    extra = body.get("extra") or {}
    login, password = str(body.get("login") or ""), str(body.get("password") or "")
    host, kind = str(body.get("host") or ""), str(body.get("conn_type") or "")
    if kind not in _NO_DATABASE:
        user = f"{quote(login, safe='')}:{quote(password, safe='')}@" if login else ""
        port = f":{body['port']}" if body.get("port") else ""
        host = f"{_DRIVERS.get(kind, kind)}://{user}{host}{port}/{body.get('schema') or ''}"
    return Access(host, login, password, json.loads(extra) if isinstance(extra, str) else extra)


def _from_uri(text: str) -> Access:
    split = urlsplit(text)
    kind, login, password = split.scheme, unquote(split.username or ""), unquote(split.password or "")
    if not kind:
        raise ValueError("no scheme")
    if kind not in _NO_DATABASE:
        return Access(_DRIVERS.get(kind, kind) + text[len(kind) :], login, password)
    # Airflow writes a host with a scheme of its own as http://https%3A%2F%2Fhost; its fields follow the ?.
    return Access(unquote(split.hostname or ""), login, password, dict(parse_qsl(split.query)))
