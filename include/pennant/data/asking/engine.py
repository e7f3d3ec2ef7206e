"""Asks a source's provider for what a window needs, and its fallback where the provider is down.

Every provider has the same manners: its limits and its breaker are kept in PostgreSQL for all workers, its
last answers in the lake. So a restart, another process or another machine goes on where this one stopped.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx
from sqlalchemy import Engine

from pennant.data.asking import health
from pennant.data.asking.access import Access, Accesses, MissingConnection, from_environment
from pennant.data.asking.breaker import Circuit
from pennant.data.asking.http import Client, Key, origin_of
from pennant.data.asking.limits import Limits
from pennant.data.asking.manners import Manners
from pennant.data.asking.masking import Secrets
from pennant.data.asking.moments import retrieved_now
from pennant.data.asking.provider import Provider
from pennant.data.asking.tally import Tally
from pennant.data.asking.targets import SIMULATION, BadAddress, Target, target_of
from pennant.data.connectors.base import Answer, Ask, Connector
from pennant.data.connectors.kinds import connector_of, fallback_of, provider_name
from pennant.data.errors import PastUnavailable, SourceDown, SourceMalformed, SourceMisdeclared, Throttled
from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase, Source
from pennant.reference import Window
from pennant.settings import Settings

SHORTEST_REACH = timedelta(hours=1)
"""So late may a run start that asks a provider who only tells how things stand now; or as late as its window
is long, if that is longer."""


@dataclass(frozen=True)
class Asking:
    """What the engine works with: where it remembers, where it counts, and who knows the keys."""

    lake: Lake
    warehouse: Engine
    settings: Settings
    access: Accesses = from_environment


@dataclass(frozen=True)
class _Fetch:
    use_case: DataUseCase
    source_name: str
    window: Window
    place: Asking

    @property
    def name(self) -> str:
        return f"{self.use_case.name}.{self.source_name}"


def retrieve(use_case: DataUseCase, source_name: str, window: Window, place: Asking) -> list[Answer]:
    """Ask for everything that `window` needs of a source: all of it or an error.

    Returns:
        The answers in the order of the connector's asks, pages in their order. An optional part that is not
        there brings none.

    Raises:
        SourceDown: the provider gave no complete answer, and neither did its fallback. `BreakerOpen` if it
            was not even asked, `Throttled` if its turn comes too late.
        SourceMalformed: an answer that is too large, a damaged archive, pages without an end.
        PastUnavailable: the provider does not know how things stood then.
        SourceMisdeclared: options or addresses that the connector cannot use.
        MissingConnection: the key or database is in a connection that is not there.
    """
    fetch = _Fetch(use_case, source_name, window, place)
    source = use_case.sources[source_name]
    second = fallback_of(source)
    begun = time.monotonic()
    # With a second provider the first one has half of the time.
    share = 1.0 if second is None else 0.5
    try:
        return _ask(fetch, source, begun + share * source.deadline_seconds, fallback=False)
    except (MissingConnection, SourceMisdeclared) as error:
        health.not_asked(place.warehouse, use_case.name, source_name, str(error))
        raise
    except SourceDown as error:
        if second is None:
            raise
        try:
            return _ask(fetch, second, begun + source.deadline_seconds, fallback=True)
        except (SourceDown, PastUnavailable) as other:
            found = f"{error.found}; and its fallback, {second.kind}: {getattr(other, 'found', other)}"
            raise SourceDown(fetch.name, error.address, found, error.attempts) from None


def _ask(fetch: _Fetch, source: Source, end: float, *, fallback: bool) -> list[Answer]:
    connector = connector_of(source)
    if problems := connector.problems(source):
        raise SourceMisdeclared(fetch.name, problems)
    _check_reach(fetch, connector)
    warehouse, case = fetch.place.warehouse, fetch.use_case.name
    circuit = Circuit(
        warehouse, case, fetch.source_name, source.breaker, probe_seconds=2 * source.timeout_seconds + 10
    )
    label = provider_name(fetch.use_case.sources[fetch.source_name], fallback=fallback)
    with ExitStack() as stack:
        asks = _targets(fetch, connector, source, stack)
        if not asks:
            return []
        access, secrets = _access(fetch, connector, source, asks)
        key = _key(source, connector, asks, access)
        manners = Manners(
            _limits(fetch, source, key, fallback=fallback), Tally(), source.timeout_seconds, end
        )
        provider = Provider(
            use_case=case,
            source_name=fetch.source_name,
            label=label,
            slots="fallback-" if fallback else "",
            source=source,
            window=fetch.window,
            lake=fetch.place.lake,
            manners=manners,
            secrets=secrets,
            access=access,
            key_name=key.place.name if key is not None and key.place.where == "query" else None,
            circuit=None if fallback else circuit,
        )

        async def ask() -> list[Answer]:
            with secrets.kept_from_logs():
                async with Client(key, secrets) as client:
                    return await provider.answers(asks, client)

        answers = _run(ask) if fallback else _guarded(circuit, provider, ask)
    health.answered(warehouse, case, fetch.source_name, label, manners.tally, fallback=fallback)
    return answers


def _guarded(
    circuit: Circuit, provider: Provider, ask: Callable[[], Coroutine[Any, Any, list[Answer]]]
) -> list[Answer]:
    """Ask through the breaker, and note how it went."""
    circuit.enter()
    try:
        answers = _run(ask)
    except Throttled as error:
        circuit.hold_off(str(error), provider.manners.tally)
        raise
    except (SourceDown, SourceMalformed) as error:
        circuit.fail(str(error), provider.manners.tally)
        raise
    finally:
        circuit.release()
    circuit.close()
    return answers


def _check_reach(fetch: _Fetch, connector: Connector) -> None:
    now, window = retrieved_now(), fetch.window
    reach = max(window.length, SHORTEST_REACH)
    if connector.history == "today" and now - window.as_of > reach:
        raise PastUnavailable(
            fetch.name, connector.kind, window.as_of, now, allowed_hours=reach.total_seconds() / 3600
        )


def _targets(
    fetch: _Fetch, connector: Connector, source: Source, stack: ExitStack
) -> list[tuple[Ask, Target]]:
    asks = connector.asks(source, fetch.window)
    url = None
    if any((ask.url or "").startswith(SIMULATION) for ask in asks):
        from pennant.simulation.provider import serve

        url = stack.enter_context(serve(fetch.use_case.name))
    shown = f"{SIMULATION}{fetch.use_case.name}/{fetch.source_name}"
    found = []
    for ask in asks:
        try:
            target = target_of(ask, fetch.place.settings.data_mirror, url, shown)
        except BadAddress as error:
            raise SourceMisdeclared(fetch.name, [str(error)]) from None
        if target is not None:
            found.append((ask, target))
        elif not ask.optional:
            where = "neither url nor a mirror for path"
            down = SourceDown(fetch.name, f"(no address for {ask.part})", found=where, attempts=0)
            health.not_asked(fetch.place.warehouse, fetch.use_case.name, fetch.source_name, str(down))
            raise down
    return found


def _access(
    fetch: _Fetch, connector: Connector, source: Source, asks: list[tuple[Ask, Target]]
) -> tuple[Access | None, Secrets]:
    """What the connection holds, where one is needed: looked up here, in the caller's own thread."""
    queries = any(target.sql is not None for _, target in asks)
    # A mirror holds copies, and wants no key of the provider.
    keyed = any(ask.key is not None and target.web == ask.url for ask, target in asks)
    if not (queries or keyed):
        return None, Secrets()
    name = source.connection or connector.connection
    if name is None:
        raise SourceMisdeclared(fetch.name, ["connection: found none; allowed is the one that holds the key"])
    access = fetch.place.access(name)
    if keyed and not access.secret:
        raise MissingConnection(name, "a connection without a password")
    return access, Secrets(access.secret, access.password)


def _key(
    source: Source, connector: Connector, asks: list[tuple[Ask, Target]], access: Access | None
) -> Key | None:
    keyed = [ask for ask, target in asks if ask.key is not None and target.web == ask.url]
    if not keyed or access is None or keyed[0].key is None:
        return None
    secret = access.secret.strip()
    if not secret.isprintable() or not secret.isascii():
        name = str(source.connection or connector.connection)
        raise MissingConnection(name, "a key of characters that no request can carry")
    origins = frozenset(origin_of(httpx.URL(ask.url or "")) for ask in keyed)
    return Key(keyed[0].key, origins, secret)


def _limits(fetch: _Fetch, source: Source, key: Key | None, *, fallback: bool) -> Limits:
    bucket = f"{fetch.name}.fallback" if fallback else fetch.name
    # Providers count by key, whichever source uses it; and a new key has a new quota.
    holder = bucket if key is None else f"key {sha256(key.secret.encode()).hexdigest()[:12]}"
    return Limits(fetch.place.warehouse, bucket, holder, None if fallback else source.rate)


def _run(ask: Callable[[], Coroutine[Any, Any, list[Answer]]]) -> list[Answer]:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(ask())
    with ThreadPoolExecutor(1) as beside:  # the caller has a loop of its own, which cannot run a second one
        return beside.submit(lambda: asyncio.run(ask())).result()
