"""A provider that answers as a test says, and a place from which the engine asks it."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import Engine, text

from pennant.data.asking.access import Access, Accesses, MissingConnection
from pennant.data.asking.engine import Asking, retrieve
from pennant.data.connectors.base import Answer
from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.reference import Window
from pennant.settings import Settings

from .conftest import SOURCE, declared, month

BODY = b"game,day,time,home,away,points,crowd\ng001,2024-02-11,13:00,A,B,1,\n"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str
    params: dict[str, str]
    headers: dict[str, str]
    moment: float
    """Of the monotonic clock."""


@dataclass(frozen=True)
class Said:
    """One answer. `cut` announces the whole body and sends so many bytes of it; `raw` is sent as it is."""

    status: int = 200
    body: bytes = BODY
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    raw: bytes | None = None


Script = Callable[[Asked, int], Said]
"""From a request and how many came before it to the answer."""


@dataclass
class Desk:
    """A running provider."""

    script: Script
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def at(self) -> str:
        return f"{self.url}/games.csv"


@contextmanager
def desk(script: Script | Said = Said()) -> Iterator[Desk]:
    """Serve a script on 127.0.0.1."""
    made = Desk(script if callable(script) else lambda _asked, _number: script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _serve(made, self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # named by the base
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _serve(made: Desk, request: BaseHTTPRequestHandler) -> None:
    split = urlsplit(request.path)
    headers = {name.lower(): value for name, value in request.headers.items()}
    asked = Asked(split.path, dict(parse_qsl(split.query)), headers, time.monotonic())
    with made.lock:
        number = len(made.asked)
        made.asked.append(asked)
    said = made.script(asked, number)
    with suppress(BrokenPipeError, ConnectionResetError):
        if said.raw is not None:
            request.wfile.write(said.raw)
            request.close_connection = True
            return
        request.send_response(said.status)
        for name, value in said.headers.items():
            request.send_header(name, value)
        body = b"" if said.status == 304 else said.body
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body if said.cut is None else body[: said.cut])
        request.close_connection = said.cut is not None or request.close_connection


@dataclass
class Stage:
    """A use case with one source, `games`, and what the engine works with."""

    use_case: UseCase
    place: Asking
    folder: Path

    @property
    def source(self) -> str:
        return f"{self.use_case.name}.games"

    def ask(self, window: Window | None = None) -> list[Answer]:
        return retrieve(self.use_case, "games", window or month(2), self.place)

    def health(self) -> dict[str, Any]:
        wanted = text("SELECT * FROM source_health WHERE use_case = :name")
        with self.place.warehouse.connect() as connection:
            row = connection.execute(wanted, {"name": self.use_case.name}).mappings().one_or_none()
        return dict(row) if row else {}

    def execute(self, statement: str) -> None:
        """Change the state of this use case in the warehouse, for example so that time has passed."""
        with self.place.warehouse.begin() as connection:
            connection.execute(text(statement), {"name": self.use_case.name})

    def everything(self) -> str:
        """All that was stored: every file of the lake, every row about sources."""
        files = [p.read_bytes().decode(errors="replace") for p in self.folder.rglob("*") if p.is_file()]
        with self.place.warehouse.connect() as connection:
            rows = [
                str(row)
                for table in ("source_health", "source_limits")
                for row in connection.execute(text(f"SELECT * FROM {table}"))
            ]
        return "\n".join([*files, *rows])


def engine(
    warehouse: Engine, folder: Path, access: Accesses | Mapping[str, Access] | None = None, **source: Any
) -> Stage:
    """A use case of its own, whose source is asked at `url`."""
    given = access or {}

    def looked_up(name: str) -> Access:
        if callable(given):
            return given(name)
        if name not in given:
            raise MissingConnection(name)
        return given[name]

    use_case = declared(f"engine_{uuid.uuid4().hex[:12]}", SOURCE | {"max_attempts": 2} | source)
    settings = Settings(home=folder.parent, data_mirror=str(source.get("mirror", "")))
    return Stage(use_case, Asking(Lake(folder.as_uri()), warehouse, settings, looked_up), folder)
