"""Blocking calls beside the event loop, that can be left behind when their time is up."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress


async def in_thread[T](function: Callable[..., T], *given: object) -> T:
    """Run `function` in a thread of its own and wait for what it gives.

    The thread is a daemon: a file system or a database that never answers holds up neither the deadline
    nor the end of the process, as the loop's own pool of threads would.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = function(*given)
        except BaseException as raised:  # noqa: BLE001  # handed to the one who waits
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True, name=f"asking-{function.__name__}").start()
    return await future
