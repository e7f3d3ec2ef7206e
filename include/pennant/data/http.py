"""One conditional download over HTTP: whole, within its time and size, or an error saying why.

Retries follow full-jitter exponential backoff (Brooker, "Exponential backoff and jitter", AWS
Architecture Blog, 2015), so that many windows of one backfill do not ask again at the same moment.
"""

import time
from dataclasses import dataclass
from ipaddress import ip_address

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from pennant.data.errors import SourceDown, SourceMalformed

MAX_BYTES = 256 * 2**20
"""A larger answer is refused: a table of this project is a few megabytes."""
LONGEST_WAIT_SECONDS = 30.0

_RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}
_backoff = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_SECONDS)


@dataclass(frozen=True)
class Download:
    """A provider's answer. `content` is None when it has not changed since the validators given."""

    content: bytes | None
    content_type: str = ""
    etag: str | None = None
    last_modified: str | None = None
    retrieved_at: str | None = None
    """The provider's own clock (the `Date` header), as it wrote it; nothing computes with it."""


class _Again(Exception):
    """This attempt failed in a way that another one may not."""

    def __init__(self, found: str, wait_seconds: float | None = None) -> None:
        self.found, self.wait_seconds = found, wait_seconds
        super().__init__(found)


def download(
    source: str,
    url: str,
    *,
    timeout_seconds: float,
    max_attempts: int,
    etag: str | None = None,
    last_modified: str | None = None,
) -> Download:
    """GET `url`, conditional on the validators of an earlier answer if they are given.

    Each attempt has `timeout_seconds` in all, however slowly the bytes drip.

    Raises:
        SourceDown: no complete answer after `max_attempts`, or a status that no retry mends.
        SourceMalformed: an answer larger than `MAX_BYTES`.
    """
    headers = {"Accept": "text/csv, */*;q=0.5"}
    if etag:
        headers["If-None-Match"] = etag
    if last_modified:
        headers["If-Modified-Since"] = last_modified
    retrying = Retrying(
        stop=stop_after_attempt(max_attempts),
        wait=_wait,
        retry=retry_if_exception_type(_Again),
        reraise=True,
    )
    # A proxy of the environment is for the outside: this machine's own addresses are asked directly.
    with httpx.Client(
        follow_redirects=True, timeout=timeout_seconds, trust_env=not _is_loopback(url), headers=headers
    ) as client:
        try:
            return retrying(_attempt, client, source, url, timeout_seconds)
        except _Again as error:
            raise SourceDown(source, url, found=error.found, attempts=max_attempts) from error


def _attempt(client: httpx.Client, source: str, url: str, timeout_seconds: float) -> Download:
    deadline = time.monotonic() + timeout_seconds
    try:
        with client.stream("GET", url) as response:
            _check_status(source, url, response)
            content = None if response.status_code == 304 else _read(source, url, response, deadline)
    except httpx.TimeoutException as error:
        raise _Again(f"{type(error).__name__}: no answer within {timeout_seconds:g} s") from error
    except httpx.TransportError as error:
        # Connection refused or reset, a name that does not resolve, a body shorter than announced.
        raise _Again(f"{type(error).__name__}: {error}") from error
    except (httpx.InvalidURL, httpx.TooManyRedirects, httpx.DecodingError) as error:
        raise SourceDown(source, url, found=f"{type(error).__name__}: {error}", attempts=1) from error
    held = response.headers
    return Download(
        content=content,
        content_type=held.get("content-type", ""),
        etag=held.get("etag"),
        last_modified=held.get("last-modified"),
        retrieved_at=held.get("date"),
    )


def _check_status(source: str, url: str, response: httpx.Response) -> None:
    status = response.status_code
    if status in {200, 304}:
        return
    found = f"status {status} {response.reason_phrase}".strip()
    if status in _RETRIED_STATUS:
        wait = response.headers.get("retry-after", "")
        raise _Again(found, wait_seconds=float(wait) if wait.isdecimal() else None)
    raise SourceDown(source, url, found=found, attempts=1)


def _read(source: str, url: str, response: httpx.Response, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        size += len(part)
        if size > MAX_BYTES:
            raise SourceMalformed(
                source,
                url,
                "too_large",
                found=f"more than {size} bytes",
                allowed=f"at most {MAX_BYTES} bytes",
            )
        if time.monotonic() > deadline:
            raise _Again(f"only {size} bytes within the time allowed")
        parts.append(part)
    return b"".join(parts)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait_seconds if isinstance(error, _Again) else None
    return min(asked, LONGEST_WAIT_SECONDS) if asked is not None else _backoff(state)


def _is_loopback(url: str) -> bool:
    host = httpx.URL(url).host
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
