"""A deadline that holds whatever a cluster does.

A scheduler that hangs answers no call, and most calls of Dask wait for an answer as long as it takes. So the
work is done in a thread of its own, and who waits for it looks at the clock.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass

GRACE_SECONDS = 15.0
"""So much longer than the deadline may it take to clear up: work that sees the deadline itself says more."""
_LOOK_SECONDS = 0.5


class OutOfTime(Exception):
    """The deadline passed while a step was under way."""


@dataclass
class Limit:
    """Until when there is time.

    Attributes:
        until: on this machine's monotonic clock.
        left_alone: nobody waits for the work any more.
    """

    until: float
    left_alone: bool = False

    def left(self) -> float:
        """Seconds until then.

        Raises:
            OutOfTime: there are none, or nobody waits.
        """
        seconds = self.until - time.monotonic()
        if seconds <= 0 or self.left_alone:
            raise OutOfTime
        return seconds


def within(limit: Limit, work: Callable[[], None]) -> None:
    """Do `work`, which asks `limit.left()` between its steps.

    Raises:
        OutOfTime: it is not done `GRACE_SECONDS` after the limit; what hangs is left behind.
        Exception: that of `work`.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="cluster training", daemon=True).start()
    try:
        while not wait([done], timeout=_LOOK_SECONDS).done:
            if time.monotonic() > limit.until + GRACE_SECONDS:
                raise OutOfTime
        done.result()
    finally:
        limit.left_alone = True
