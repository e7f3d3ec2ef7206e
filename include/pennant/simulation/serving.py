"""A provider over real HTTP on a loopback port: pages, conditional requests, gzip, and a plan of faults."""

import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from pennant.simulation.faults import CONTENT, Course, Fault, Plan
from pennant.simulation.spoiling import spoiled

_TEXT = {"Content-Type": "text/plain"}
_LOGIN = b"<!DOCTYPE html><html><body><h1>Please log in</h1></body></html>"
_PIECES = 40
"""In how many pieces a body drips."""


@dataclass(frozen=True)
class Request:
    """What a provider is asked: path, query and headers (names in lower case)."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Page:
    """What a provider answers.

    Attributes:
        content: the body, without any compression.
        content_type: with its charset.
        status: of a page that is no table.
        modified: for Last-Modified; without it no request for the page is conditional.
        headers: further ones.
    """

    content: bytes
    content_type: str
    status: int = HTTPStatus.OK
    modified: datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Answers = Callable[[Request], Page]


@dataclass
class Provider:
    """A running provider: its address, and what it was asked."""

    url: str
    requests: list[tuple[int, str]] = field(default_factory=list)
    """(status answered, path) of each request, in order; status 0 is a dropped connection."""


@contextmanager
def running(answers: Answers, plan: Plan | Sequence[Fault | None] = ()) -> Iterator[Provider]:
    """Serve pages on 127.0.0.1; `Provider.url` is the address without a path.

    Args:
        answers: gives the page of a request; called once per request that needs one, by several threads. A
            ValueError is told to the client as a bad request.
        plan: which requests meet a fault; of a list, the n-th request meets the n-th, and None is answered
            well, as is everything after the last.
    """
    closing = threading.Event()
    provider = Provider("")
    desk = _Desk(answers, Course(plan if isinstance(plan, Plan) else list(plan)), provider, closing)
    server = ThreadingHTTPServer(("127.0.0.1", 0), desk.handler())
    server.daemon_threads = True
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
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

    answers: Answers
    course: Course
    provider: Provider
    closing: threading.Event
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, address: str) -> Fault | None:
        with self.lock:
            return self.course.next(address)

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
    fault = desk.next_fault(request.path)
    kind = fault.kind if fault is not None else None
    if kind == "dropped":
        desk.note(0, request.path)
        request.close_connection = True
    elif fault is not None and kind == "status":
        _send(desk, request, fault.status, b"the provider is not well\n", {**_TEXT, **fault.headers})
    elif kind == "html":
        _send(desk, request, HTTPStatus.OK, _LOGIN, {"Content-Type": "text/html; charset=utf-8"})
    else:
        if fault is not None and kind == "slow":
            desk.closing.wait(fault.seconds)
        _send_page(desk, request, fault)


def _send_page(desk: _Desk, request: BaseHTTPRequestHandler, fault: Fault | None) -> None:
    split = urlsplit(request.path)
    given = {name.lower(): value for name, value in request.headers.items()}
    asked = Request(split.path, dict(parse_qsl(split.query)), given)
    try:
        page = desk.answers(asked)
    except ValueError as error:
        _send(desk, request, HTTPStatus.BAD_REQUEST, f"{error}\n".encode(), _TEXT)
        return
    headers = {"Content-Type": page.content_type, **page.headers}
    if page.status != HTTPStatus.OK:
        _send(desk, request, page.status, page.content, headers)
        return
    content = _content(page, fault)
    if page.modified is not None:
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        modified = page.modified.astimezone(UTC)
        headers |= {"ETag": tag, "Last-Modified": format_datetime(modified, usegmt=True)}
        if _unchanged(request, tag, modified):
            _send(desk, request, HTTPStatus.NOT_MODIFIED, b"", headers)
            return
    whole = fault is None or fault.kind not in {"half_body", "drip"}
    if whole and "gzip" in request.headers.get("Accept-Encoding", ""):
        content = gzip.compress(content, compresslevel=1, mtime=0)
        headers["Content-Encoding"] = "gzip"
    _send(desk, request, HTTPStatus.OK, content, headers, None if whole else fault)


def _content(page: Page, fault: Fault | None) -> bytes:
    if fault is not None and fault.kind == "empty":
        return b""
    if fault is not None and fault.kind in CONTENT:
        return spoiled(page.content, fault)
    return page.content


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
    headers: Mapping[str, str],
    fault: Fault | None = None,
) -> None:
    desk.note(int(status), request.path)
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    try:
        if fault is None:
            request.wfile.write(content)
        elif fault.kind == "half_body":
            request.wfile.write(content[: len(content) // 2])
            request.close_connection = True
        else:
            _drip(desk, request, content, fault.seconds)
    except (BrokenPipeError, ConnectionResetError):
        request.close_connection = True  # the client gave up waiting


def _drip(desk: _Desk, request: BaseHTTPRequestHandler, content: bytes, seconds: float) -> None:
    size = -(-len(content) // _PIECES) or 1
    for start in range(0, len(content), size):
        request.wfile.write(content[start : start + size])
        request.wfile.flush()
        if desk.closing.wait(seconds / _PIECES):
            request.close_connection = True
            return
