"""Where an ask goes: the mirror's file before the public address; a web server, a file or a database."""

from dataclasses import dataclass
from urllib.parse import quote

import httpx

from pennant.data.connectors.base import Ask

_WEB = ("http://", "https://")
SIMULATION = "simulation:"


@dataclass(frozen=True)
class Target:
    """One of a web address, a file, or a query.

    Attributes:
        web: URL without the ask's parameters.
        file: fsspec address.
        sql: text of a query.
        shown: the address in answers and messages, if it is another one than the target's own.
    """

    web: str | None = None
    file: str | None = None
    sql: str | None = None
    shown: str | None = None


class BadAddress(Exception):
    """The address of an ask cannot be used; the text says why."""


def target_of(ask: Ask, mirror: str, simulation: str | None, simulated: str) -> Target | None:
    """Find the target of an ask; None if it has no address here.

    Args:
        ask: what to ask.
        mirror: `PENNANT_DATA_MIRROR`, a folder or a URL; empty for none.
        simulation: URL of the simulated provider, while it runs.
        simulated: what stands for that URL, whose port is another one each time.

    Raises:
        BadAddress: a path that leaves the mirror, or a URL with a user or password in it.
    """
    if ask.sql is not None:
        return Target(sql=ask.sql)
    if mirror and ask.path is not None:
        return _mirrored(ask.path, mirror.rstrip("/"))
    if ask.url is None:
        return None
    if ask.url.startswith(SIMULATION) and simulation is not None:
        return Target(web=simulation, shown=simulated)
    return _public(ask.url)


def _mirrored(path: str, mirror: str) -> Target:
    if path.startswith("/") or ".." in path.split("/"):
        raise BadAddress(f"path {path!r} leaves the mirror; allowed is a path below it")
    if mirror.startswith(_WEB):
        return Target(web=f"{mirror}/{quote(path)}")
    return Target(file=f"{mirror}/{path}")


def _public(url: str) -> Target:
    if not url.startswith(_WEB):
        return Target(file=url)
    try:
        userinfo = httpx.URL(url).userinfo
    except httpx.InvalidURL as error:
        raise BadAddress(f"a URL that cannot be read ({error})") from None
    if userinfo:
        raise BadAddress("a URL with a user or password in it; put those into a connection")
    return Target(web=url)
