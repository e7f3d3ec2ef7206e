"""Windows of equal length that do not depend on when somebody looks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# A Monday: windows of seven days are calendar weeks.
EPOCH = datetime(2000, 1, 3, tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """Events with `start <= event_time < end`."""

    start: datetime
    end: datetime


def complete_spans(days: int, first: datetime, known_until: datetime) -> list[Span]:
    """All spans of `days` days that hold `first` or come after it and have ended by `known_until`."""
    length = timedelta(days=days)
    start = EPOCH + ((first - EPOCH) // length) * length
    spans = []
    while start + length <= known_until:
        spans.append(Span(start, start + length))
        start += length
    return spans


def persistent(violations: Sequence[bool], windows: int, needed: int) -> bool:
    """True if the newest window violates and at least `needed` of the last `windows` do.

    Args:
        violations: one flag per measured window, oldest first.
        windows: how many of the newest are looked at.
        needed: how many of them have to violate.
    """
    recent = violations[-windows:]
    return bool(recent) and recent[-1] and sum(recent) >= needed
