"""How one worker behaves towards a provider: waits for its turn, keeps to its time, does as it is told."""

import asyncio
import random
import time
from collections.abc import Awaitable
from dataclasses import dataclass

from pennant.data.asking.http import Again, Reply
from pennant.data.asking.limits import Limits
from pennant.data.asking.moments import retrieved_now
from pennant.data.asking.tally import Tally
from pennant.data.asking.threads import in_thread
from pennant.data.asking.wishes import wishes_of

_BUSY = {429, 503}


@dataclass
class Manners:
    """The limits of a provider, as one fetch keeps to them.

    Attributes:
        limits: shared by all workers.
        tally: what the fetch has cost.
        timeout_seconds: for one attempt.
        end: when the fetch has to be done, by the monotonic clock.
    """

    limits: Limits
    tally: Tally
    timeout_seconds: float
    end: float

    @property
    def left(self) -> float:
        """Seconds until the fetch has to be done."""
        return max(self.end - time.monotonic(), 0.0)

    async def timed[T](self, attempt: Awaitable[T]) -> T:
        """Give an attempt its time, however slowly its bytes drip.

        Raises:
            Again: it took longer.
        """
        try:
            async with asyncio.timeout(self.timeout_seconds) as limit:
                return await attempt
        except TimeoutError:
            if not limit.expired():
                raise
            raise Again(f"no whole answer within timeout_seconds = {self.timeout_seconds:g}") from None

    async def turn(self, patience: float) -> None:
        """Wait for the next request's turn, at most so long.

        Raises:
            Blocked: it comes later.
        """
        until = time.monotonic() + min(patience, self.left)
        seconds = await in_thread(self.limits.take, until - time.monotonic())
        while seconds > 0:
            # Those who were blocked together do not all start at the same moment.
            await asyncio.sleep(seconds + random.uniform(0, min(0.05 * seconds, 1)))  # noqa: S311
            blocked = await in_thread(self.limits.blocked)
            seconds = blocked.seconds if blocked else 0.0
            if blocked and seconds > until - time.monotonic():
                raise blocked
        self.tally.requests += 1

    async def heed(self, reply: Reply) -> None:
        """Do as the provider wishes, for all workers."""
        wishes = wishes_of(reply.headers, retrieved_now())
        if wishes.remaining is not None:
            self.tally.quota_remaining = wishes.remaining
            self.tally.quota_reset_seconds = wishes.reset_seconds
        if wishes.wait_seconds and reply.status in _BUSY:
            why = f"status {reply.status} with Retry-After {reply.headers['retry-after']}"
            await in_thread(self.limits.block, wishes.wait_seconds, why)
        if wishes.spent:
            why = f"a quota that is used up ({wishes.remaining} requests left)"
            await in_thread(self.limits.block_quota, wishes.reset_seconds, why)
