"""The simulated provider: the league's table as CSV over real HTTP on a loopback port.

It answers conditional requests (ETag, Last-Modified) and, when told so by a plan, misbehaves: status
codes, slow answers, half bodies, HTML in the place of CSV. It does *not* check who asks.
"""

import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from pennant.errors import PennantError
from pennant.simulation.table import publish

Tables = dict[str, Callable[[datetime | None], bytes]]

PROVIDERS: Tables = {"league_demo": publish}
"""Use case -> its table as of a moment (None: the end of time)."""


class UnknownProvider(PennantError):
    """No simulated provider has this name."""

    def __init__(self, name: str, allowed: Sequence[str]) -> None:
        """Keep what was asked for and what there is."""
        self.name, self.allowed = name, list(allowed)
        super().__init__(
            f"no simulated provider for use case {name!r}; there are {', '.join(allowed)}. "
            "Give the source kind csv, or add a provider to pennant.simulation.provider.PROVIDERS"
        )


@dataclass(frozen=True)
class Fault:
    """How one answer goes wrong.

    `status` answers with that code and no table; `slow` waits `seconds` before the body (less if the
    provider is closed); `half_body` announces the whole length, sends half and closes; `html` sends a
    page with status 200; `empty` sends no bytes with status 200; `dropped` closes without an answer.
    """

    kind: Literal["status", "slow", "half_body", "html", "empty", "dropped"]
    status: int = 503
    seconds: float = 30.0


@dataclass
class Provider:
    """A running provider: its address, and what it was asked."""

    url: str
    requests: list[tuple[int, str]] = field(default_factory=list)
    """(status answered, path) of each request, in order; status 0 is a dropped connection."""


@contextmanager
def serve(use_case_name: str) -> Iterator[str]:
    """Serve the simulated table of a use case; gives the URL of its CSV.

    The query `?as_of=2025-03-01T00:00:00Z` asks for the table as it stood then.

    Raises:
        UnknownProvider: no such simulation.
    """
    if use_case_name not in PROVIDERS:
        raise UnknownProvider(use_case_name, sorted(PROVIDERS))
    with run(PROVIDERS[use_case_name]) as provider:
        yield provider.url


@contextmanager
def run(
    table: Callable[[datetime | None], bytes],
    plan: Sequence[Fault | None] = (),
    modified: datetime | None = None,
) -> Iterator[Provider]:
    """Serve any table over HTTP on 127.0.0.1; the n-th request meets the n-th entry of `plan`.

    Args:
        table: gives the CSV as of a moment; called once per request that needs a body.
        plan: faults in order; None, and every request after the last entry, is answered well.
        modified: what Last-Modified says of the table at the end of time; default: the first moment of
            2023. A table as of a moment was modified at that moment.
    """
    closing = threading.Event()
    provider = Provider("")
    stamp = modified or datetime(2023, 1, 1, tzinfo=UTC)
    desk = _Desk(table, list(plan), stamp, provider, closing)
    server = ThreadingHTTPServer(("127.0.0.1", 0), desk.handler())
    server.daemon_threads = True
    provider.url = f"http://127.0.0.1:{server.server_address[1]}/games.csv"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class _Desk:
    """What all requests to one provider share."""

    table: Callable[[datetime | None], bytes]
    plan: list[Fault | None]
    modified: datetime
    provider: Provider
    closing: threading.Event
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self) -> Fault | None:
        with self.lock:
            return self.plan.pop(0) if self.plan else None

    def note(self, status: int, path: str) -> None:
        with self.lock:
            self.provider.requests.append((status, path))

    def handler(self) -> type[BaseHTTPRequestHandler]:
        desk = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                _answer(desk, self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
                """Keep the task log free of one line per request; `Provider.requests` has them."""

        return Handler


def _answer(desk: _Desk, request: BaseHTTPRequestHandler) -> None:
    fault = desk.next_fault()
    if fault is not None and fault.kind == "dropped":
        desk.note(0, request.path)
        request.close_connection = True
        return
    if fault is not None and fault.kind == "status":
        _send(desk, request, fault.status, b"the provider is not well\n", {"Content-Type": "text/plain"})
        return
    if fault is not None and fault.kind == "html":
        page = b"<!DOCTYPE html><html><body><h1>Please log in</h1></body></html>"
        _send(desk, request, HTTPStatus.OK, page, {"Content-Type": "text/html; charset=utf-8"})
        return
    if fault is not None and fault.kind == "slow":
        desk.closing.wait(fault.seconds)
    _send_table(desk, request, fault)


def _send_table(desk: _Desk, request: BaseHTTPRequestHandler, fault: Fault | None) -> None:
    try:
        moment = _as_of(request.path)
    except ValueError as error:
        _send(desk, request, HTTPStatus.BAD_REQUEST, f"{error}\n".encode(), {"Content-Type": "text/plain"})
        return
    content = b"" if fault is not None and fault.kind == "empty" else desk.table(moment)
    tag = f'"{hashlib.sha256(content).hexdigest()}"'
    modified = (moment or desk.modified).astimezone(UTC)
    headers = {
        "Content-Type": "text/csv; charset=utf-8",
        "ETag": tag,
        "Last-Modified": format_datetime(modified, usegmt=True),
    }
    if _unchanged(request, tag, modified):
        _send(desk, request, HTTPStatus.NOT_MODIFIED, b"", headers)
        return
    half = fault is not None and fault.kind == "half_body"
    if not half and "gzip" in request.headers.get("Accept-Encoding", ""):
        content = gzip.compress(content, compresslevel=1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    _send(desk, request, HTTPStatus.OK, content, headers, half)


def _as_of(path: str) -> datetime | None:
    given = parse_qs(urlsplit(path).query).get("as_of")
    if not given:
        return None
    moment = datetime.fromisoformat(given[0])
    if moment.tzinfo is None:
        raise ValueError(f"as_of has no time zone: {given[0]}; write 2025-03-01T00:00:00Z")
    return moment.astimezone(UTC)


def _unchanged(request: BaseHTTPRequestHandler, tag: str, modified: datetime) -> bool:
    """Whether the client has this already; If-None-Match goes before If-Modified-Since (RFC 9110, 13.2.2)."""
    known = request.headers.get("If-None-Match")
    if known is not None:
        return known.strip() == "*" or tag in [each.strip().removeprefix("W/") for each in known.split(",")]
    since = request.headers.get("If-Modified-Since")
    if since is None:
        return False
    try:
        return modified.replace(microsecond=0) <= parsedate_to_datetime(since)
    except (TypeError, ValueError):
        return False


def _send(
    desk: _Desk,
    request: BaseHTTPRequestHandler,
    status: int,
    content: bytes,
    headers: dict[str, str],
    half: bool = False,
) -> None:
    desk.note(int(status), request.path)
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    try:
        request.wfile.write(content[: len(content) // 2] if half else content)
    except (BrokenPipeError, ConnectionResetError):
        request.close_connection = True  # the client gave up waiting
    if half:
        request.close_connection = True
