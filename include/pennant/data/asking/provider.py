"""One provider of a source during one fetch: asks for every part and page, within limits and deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from pennant.data.asking import database, files
from pennant.data.asking.access import Access
from pennant.data.asking.archives import MAX_BYTES, BadArchive, unpacked
from pennant.data.asking.breaker import Circuit
from pennant.data.asking.cache import Held, Slot
from pennant.data.asking.http import CONCURRENT, Again, Client, Refused, Reply
from pennant.data.asking.limits import Blocked
from pennant.data.asking.manners import Manners
from pennant.data.asking.masking import MASK, Secrets
from pennant.data.asking.moments import retrieved_now
from pennant.data.asking.targets import Target
from pennant.data.asking.threads import in_thread
from pennant.data.connectors.base import Answer, Ask
from pennant.data.errors import SourceDown, SourceMalformed, Throttled
from pennant.data.lake import Lake
from pennant.declaration.model import Source
from pennant.reference import Window

MAX_PAGES = 10_000
MAX_FETCH_BYTES = 2**30
"""All parts of one fetch together, unpacked: they are in memory at once."""
# Full jitter (Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015): many windows of one
# backfill do not ask again at the same moment.
_BACKOFF = wait_random_exponential(multiplier=0.5, max=30)


@dataclass
class Provider:
    """Who is asked, what about, and what it has cost so far.

    Attributes:
        use_case, source_name: whose source it is.
        label: `Answer.provider`.
        slots: prefix of the cache's slots; the fallback has slots of its own.
        key_name: the query parameter of the key, which no page of an answer may set.
        circuit: None for a fallback.
    """

    use_case: str
    source_name: str
    label: str
    slots: str
    source: Source
    window: Window
    lake: Lake
    manners: Manners
    secrets: Secrets
    access: Access | None
    key_name: str | None
    circuit: Circuit | None
    held_bytes: int = 0

    @property
    def name(self) -> str:
        """`<use case>.<source>`."""
        return f"{self.use_case}.{self.source_name}"

    @property
    def _probing(self) -> bool:
        return self.circuit is not None and self.circuit.probe is not None

    async def answers(self, asks: list[tuple[Ask, Target]], client: Client) -> list[Answer]:
        """Ask for everything, several parts at once, and give the answers in the order of the asks.

        Raises:
            SourceDown: something did not come whole; the rest is given up.
            SourceMalformed: something came that is no table.
        """
        try:
            async with asyncio.timeout(self.manners.left):
                # A provider that was down is asked one question before all the others.
                first = 1 if self._probing else 0
                before = [answer for ask in asks[:first] for answer in await self._pages(*ask, client)]
                return before + await self._together(asks[first:], client)
        except TimeoutError:
            allowed = f"deadline_seconds = {self.source.deadline_seconds:g}"
            found = f"only {self.manners.tally.parts} whole answers within {allowed}"
            raise SourceDown(self.name, self.label, found, self.manners.tally.requests) from None

    async def _together(self, asks: list[tuple[Ask, Target]], client: Client) -> list[Answer]:
        gate = asyncio.Semaphore(CONCURRENT)

        async def one(ask: Ask, target: Target) -> list[Answer]:
            async with gate:
                return await self._pages(ask, target, client)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(*each)) for each in asks]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return [answer for task in tasks for answer in task.result()]

    async def _pages(self, ask: Ask, target: Target, client: Client) -> list[Answer]:
        answers: list[Answer] = []
        params = dict(ask.params)
        seen: list[dict[str, str]] = []
        while True:
            answer = await self._page(ask, target, params, len(answers), client)
            if answer is None:
                return answers
            answers.append(answer)
            seen.append(params)
            more = ask.next_page(answer.content) if ask.next_page else None
            if not more:
                return answers
            params = {**params, **{name: value for name, value in more.items() if name != self.key_name}}
            if params in seen or len(answers) >= MAX_PAGES:
                found = f"{len(answers)} pages, and the next is one of them again"
                raise self._malformed(
                    answer.address, BadArchive("endless", found, "pages that come to an end")
                )

    async def _page(
        self, ask: Ask, target: Target, params: dict[str, str], page: int, client: Client
    ) -> Answer | None:
        address = self._address(target, params)
        attempts = 0

        async def attempt() -> Answer:
            nonlocal attempts
            attempts += 1
            self.manners.tally.retries += attempts > 1
            return await self._attempt(ask, target, params, page, client)

        try:
            answer = await self._retried(attempt)
        except Again as error:
            raise SourceDown(self.name, address, self.secrets.masked(error.found), attempts) from None
        except Refused as error:
            if error.gone and ask.optional and page == 0:
                await self._answered()
                return None
            raise SourceDown(self.name, address, self.secrets.masked(error.found), attempts) from None
        except Blocked as blocked:
            raise Throttled(self.name, address, blocked.seconds, blocked.why, attempts - 1) from None
        except BadArchive as bad:
            raise self._malformed(address, bad) from None
        await self._answered()
        self.manners.tally.parts += 1
        self.held_bytes += len(answer.content)
        if self.held_bytes > MAX_FETCH_BYTES:
            found = f"more than {self.held_bytes} bytes in {self.manners.tally.parts} answers"
            raise self._malformed(address, BadArchive("too_large", found, f"at most {MAX_FETCH_BYTES} bytes"))
        return answer

    async def _retried(self, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(1 if self._probing else self.source.max_attempts),
            wait=_BACKOFF,
            retry=retry_if_exception_type(Again),
            reraise=True,
        )
        answer: Answer = await retrying(attempt)
        return answer

    async def _attempt(
        self, ask: Ask, target: Target, params: dict[str, str], page: int, client: Client
    ) -> Answer:
        address = self._address(target, params)
        if target.file is not None:
            content = await self.manners.timed(in_thread(files.content_of, target.file))
            if len(content) > MAX_BYTES:
                raise BadArchive("too_large", f"more than {MAX_BYTES} bytes", f"at most {MAX_BYTES} bytes")
            return await self._whole(ask, page, address, content)
        if target.sql is not None and self.access is not None:
            await self._turn()
            seconds = min(self.source.timeout_seconds, self.manners.left)
            given = (target.sql, self.window, str(self.source.connection), self.access, seconds)
            content = await self.manners.timed(in_thread(database.rows_of, *given))
            self.manners.tally.bytes += len(content)
            return await self._whole(ask, page, address, content, "text/csv; charset=utf-8")
        return await self._over_http(ask, target, params, page, client)

    async def _over_http(
        self, ask: Ask, target: Target, params: dict[str, str], page: int, client: Client
    ) -> Answer:
        address = self._address(target, params)
        slot = Slot(self.lake, self.use_case, self.source_name, self.slots + ask.part, page)
        held = await in_thread(slot.held, address)
        if held is not None and self._young(held) and not self._probing:
            return self._from(held, ask, page)
        url = _with_params(httpx.URL(target.web or ""), params)
        conditions = held.conditions if held is not None else {}
        reply = await self._exchange(url, {**ask.headers, **conditions}, client)
        if reply.content is None:
            if held is None:
                raise Refused("status 304 to an unconditional request")
            if self.source.cache_seconds:
                await in_thread(slot.keep, replace(held, checked_at=retrieved_now()))
            return self._from(held, ask, page)
        content_type = self.secrets.masked(reply.headers.get("content-type", ""))
        answer = await self._whole(ask, page, address, reply.content, content_type)
        answer = replace(answer, content=self.secrets.masked_content(answer.content))
        etag, modified = reply.headers.get("etag"), reply.headers.get("last-modified")
        if etag or modified or self.source.cache_seconds:
            moment = answer.retrieved_at
            kept = Held(address, content_type, etag, modified, moment, moment, answer.content)
            await in_thread(slot.keep, kept)
        return replace(answer, etag=etag, last_modified=modified)

    async def _exchange(self, url: httpx.URL, headers: dict[str, str], client: Client) -> Reply:
        await self._turn()
        reply, begun = Reply(0, httpx.Headers()), time.monotonic()
        tally = self.manners.tally
        try:
            tally.bytes += await self.manners.timed(client.get(url, headers, reply))
        except (Again, Refused, BadArchive):
            await self.manners.heed(reply)
            raise
        tally.seconds.append(time.monotonic() - begun)
        await self.manners.heed(reply)
        return reply

    async def _turn(self) -> None:
        # Who tries a provider that was down must not keep the others waiting.
        await self.manners.turn(self.source.timeout_seconds if self._probing else self.manners.left)

    async def _answered(self) -> None:
        if self.circuit is not None and self.circuit.probe is not None:
            await in_thread(self.circuit.close)  # the others may ask again

    async def _whole(
        self, ask: Ask, page: int, address: str, content: bytes, content_type: str = ""
    ) -> Answer:
        content = await in_thread(unpacked, content)
        return Answer(
            source=self.name,
            address=address,
            part=ask.part,
            page=page,
            content=content,
            content_type=content_type,
            provider=self.label,
            retrieved_at=retrieved_now(),
        )

    def _from(self, held: Held, ask: Ask, page: int) -> Answer:
        return Answer(
            source=self.name,
            address=held.address,
            part=ask.part,
            page=page,
            content=held.content,
            content_type=held.content_type,
            provider=self.label,
            retrieved_at=held.retrieved_at,
            etag=held.etag,
            last_modified=held.last_modified,
        )

    def _young(self, held: Held) -> bool:
        age = (retrieved_now() - held.checked_at).total_seconds()
        return 0 <= age < self.source.cache_seconds

    def _address(self, target: Target, params: dict[str, str]) -> str:
        if target.sql is not None and self.access is not None:
            return database.shown(self.access, str(self.source.connection))
        if target.shown is not None or target.web is None:
            return target.shown or target.file or ""
        url = _with_params(httpx.URL(target.web), params)
        if self.key_name is not None and self.key_name in url.params:
            url = url.copy_set_param(self.key_name, MASK)
        return self.secrets.masked(str(url))

    def _malformed(self, address: str, bad: BadArchive) -> SourceMalformed:
        return SourceMalformed(self.name, address, bad.problem, found=bad.found, allowed=bad.allowed)


def _with_params(url: httpx.URL, params: dict[str, str]) -> httpx.URL:
    return url.copy_merge_params(params) if params else url
