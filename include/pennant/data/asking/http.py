"""One request over HTTP: whole, within its size, or an error saying whether another attempt may help.

The secret is added to a request below the client, in the transport, and only for the hosts that it is for. So
no URL that the client logs, raises or follows ever holds it.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType
from typing import Self
from urllib.request import getproxies, proxy_bypass

import httpx

from pennant.data.asking.archives import MAX_BYTES, BadArchive, gunzipped
from pennant.data.asking.masking import Secrets
from pennant.data.connectors.base import KeyPlace

CONCURRENT = 6
"""Requests at once to one provider by one worker."""
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
_GONE = {404, 410}
_REDIRECTS = 5
_LOOPBACK_NAMES = {"localhost", "localhost.localdomain"}


class Again(Exception):
    """This attempt failed in a way that another one may not."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(found)


class Refused(Exception):
    """This attempt failed in a way that no other one mends."""

    def __init__(self, found: str, *, gone: bool = False) -> None:
        self.found, self.gone = found, gone
        super().__init__(found)


@dataclass(frozen=True)
class Key:
    """The secret of a connection, where it goes, and the hosts that may see it."""

    place: KeyPlace
    origins: frozenset[tuple[str, str, int | None]]
    secret: str = field(repr=False)


@dataclass
class Reply:
    """A provider's answer; `content` is None while it is being read, and when nothing has changed."""

    status: int
    headers: httpx.Headers
    content: bytes | None = None


class Client:
    """A pool of connections for one fetch."""

    def __init__(self, key: Key | None, secrets: Secrets) -> None:
        self._key, self._secrets = key, secrets
        self._client = httpx.AsyncClient(
            transport=_Keyed(key),
            timeout=None,  # noqa: S113  # the caller gives each attempt its time, however slowly bytes drip
            headers={
                "Accept": "text/csv, application/json, */*;q=0.5",
                "Accept-Encoding": "gzip",
                "User-Agent": "pennant",
            },
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, url: httpx.URL, headers: Mapping[str, str], progress: Reply) -> int:
        """GET once and fill `progress` with the answer; gives the bytes that came over the line.

        Redirects are followed to http and https only, never from https to http, and never from elsewhere
        into this machine or its network. They go without the secret to another host.

        Raises:
            Again: another attempt may succeed.
            Refused: no other attempt will.
            BadArchive: an answer of more than `MAX_BYTES`.
        """
        try:
            for _ in range(_REDIRECTS + 1):
                async with self._client.stream("GET", url, headers=dict(headers)) as response:
                    if not response.has_redirect_location:
                        return await _finish(response, progress)
                    url = self._onward(url, response.headers["location"])
        except httpx.UnsupportedProtocol as error:
            raise Refused(self._said(error)) from None
        except httpx.TransportError as error:
            # Refused or reset, a name that does not resolve, a body shorter than announced.
            raise Again(self._said(error)) from None
        except (httpx.InvalidURL, httpx.StreamError, UnicodeError) as error:
            raise Refused(self._said(error)) from None
        raise Refused(f"more than {_REDIRECTS} redirects")

    def _onward(self, url: httpx.URL, location: str) -> httpx.URL:
        target = url.join(location)
        if target.scheme not in {"http", "https"} or (url.scheme, target.scheme) == ("https", "http"):
            raise Refused(f"a redirect from {url.scheme} to {target.scheme or 'nowhere'}")
        if is_inside(target.host) and not is_inside(url.host):
            raise Refused(f"a redirect to {target.host}, which is inside of this network")
        if self._key is not None and self._key.place.where == "query":
            target = target.copy_remove_param(self._key.place.name)
        if self._secrets.within(str(target)):
            raise Refused("a redirect whose address holds the key")
        return target

    def _said(self, error: Exception) -> str:
        return self._secrets.masked(f"{type(error).__name__}: {error}".rstrip(": "))


def origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a key is bound to."""
    return url.scheme, url.host, url.port


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: a proxy of the environment is for the outside."""
    if host in _LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_inside(host: str) -> bool:
    """Whether a host's address is of this machine or its network. Names are not looked up."""
    try:
        return not ip_address(host.strip("[]")).is_global
    except ValueError:
        return host in _LOOPBACK_NAMES


async def _finish(response: httpx.Response, progress: Reply) -> int:
    progress.status, progress.headers = response.status_code, response.headers
    found = f"status {response.status_code} {response.reason_phrase}".strip()
    if response.status_code in _RETRIED:
        raise Again(found)
    if response.status_code not in {200, 304}:
        raise Refused(found, gone=response.status_code in _GONE)
    if response.status_code == 304:
        return 0
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_raw():
        size += len(part)
        if size > MAX_BYTES:
            raise BadArchive("too_large", f"more than {size} bytes", f"at most {MAX_BYTES} bytes")
        parts.append(part)
    progress.content = _decoded(b"".join(parts), response.headers.get("content-encoding", ""))
    return size


def _decoded(content: bytes, encoding: str) -> bytes:
    """The body as it was before its transfer.

    httpx would give half of a compressed body as if it were whole.
    """
    name = encoding.strip().lower()
    if name in {"", "identity"} or not content:
        return content
    if name not in {"gzip", "x-gzip"}:
        raise Refused(f"a body in the encoding {name!r}, which was not asked for")
    try:
        return gunzipped(content)
    except BadArchive as bad:
        if bad.problem == "truncated":
            raise Again(f"a body cut off or damaged in its compression ({len(content)} bytes)") from None
        raise
    except zlib.error as error:
        raise Again(f"a body damaged in its compression ({error})") from None


class _Keyed(httpx.AsyncBaseTransport):
    """Adds the key to what goes to its host, and picks the environment's proxy for what goes outside."""

    def __init__(self, key: Key | None) -> None:
        self._key = key
        self._ways: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = self._key
        if key is not None and origin_of(request.url) in key.origins:
            url, headers = request.url, request.headers.copy()
            value = key.place.prefix + key.secret
            if key.place.where == "query":
                url = url.copy_set_param(key.place.name, value)
            else:
                headers[key.place.name] = value
            request = httpx.Request(
                request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
            )
        return await self._way(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        for way in self._ways.values():
            await way.aclose()

    def _way(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        proxy = ""
        if not is_loopback(url.host) and not proxy_bypass(url.host):
            proxies = getproxies()
            proxy = proxies.get(url.scheme) or proxies.get("all") or ""
        if proxy not in self._ways:
            limits = httpx.Limits(max_connections=CONCURRENT, max_keepalive_connections=CONCURRENT)
            self._ways[proxy] = httpx.AsyncHTTPTransport(limits=limits, proxy=proxy or None)
        return self._ways[proxy]
