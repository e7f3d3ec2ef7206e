"""What happens to every request: an id, a limit on how many at once, a log line, metrics, and a last net."""

import re
import time
import uuid
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pennant_serving import logs
from pennant_serving.metrics import Metrics
from pennant_serving.problems import Problem

_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,100}")


def request_id(scope: MutableMapping[str, Any]) -> str:
    return str(scope.get("state", {}).get("request_id", ""))


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_in_flight: int) -> None:
        self._app, self._metrics, self._max_in_flight = app, metrics, max_in_flight
        self._in_flight = 0  # only ever touched on the event loop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        name = _name(scope)
        scope.setdefault("state", {})["request_id"] = name
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", name.encode())]
            await send(message)

        counted = scope["path"].startswith("/api/")
        if counted and self._in_flight >= self._max_in_flight:
            detail = f"{self._max_in_flight} requests are being answered; come back in a second."
            problem = Problem("overloaded", detail, headers={"Retry-After": "1"})
            await problem.response(scope["path"], name)(scope, receive, send_named)
        else:
            self._in_flight += counted
            self._metrics.in_flight.set(self._in_flight)
            try:
                await self._app(scope, receive, send_named)
            except Exception:  # noqa: BLE001 - the last net: the caller gets a problem, the log the place
                logs.error("request failed", request_id=name)
                if status == 0:
                    problem = Problem("internal", "The log of the serving app has this request id.")
                    await problem.response(scope["path"], name)(scope, receive, send_named)
            finally:
                self._in_flight -= counted
                self._metrics.in_flight.set(self._in_flight)
        self._report(scope, name, status, time.perf_counter() - started)

    def _report(self, scope: Scope, name: str, status: int, seconds: float) -> None:
        # The pattern, not the path: a path holds names that would make a metric grow without end.
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.requests.labels(scope["method"], route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if route.startswith("/api/") or status >= 400:  # probes that pass would drown the rest
            logs.info(
                "request",
                request_id=name,
                method=scope["method"],
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 2),
                caller=scope["state"].get("caller"),
            )


def _name(scope: Scope) -> str:
    for header, value in scope["headers"]:
        if header == b"x-request-id" and _GIVEN_ID.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex
