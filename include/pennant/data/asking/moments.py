"""The machine's clock, for the bookkeeping of answers only: what a window holds never depends on it."""

import time
from datetime import UTC, datetime


def retrieved_now() -> datetime:
    """This moment in UTC, to the microsecond: when an answer was complete."""
    return datetime.fromtimestamp(time.time_ns() / 1e9, tz=UTC)
