"""Reading of a cron expression, just far enough to refuse one that is wrong or never fires.

Five fields (minute, hour, day of month, month, day of week), each `*`, a number, a range `a-b`, a step
`*/n` or `a-b/n`, or a list of these; month and day names in English. Not read: `@daily`, `L`, `#`, `?`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
WEEKDAYS = {name: number for number, name in enumerate(_WEEKDAY_NAMES)}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 7, WEEKDAYS),
)
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


class CronError(ValueError):
    """A cron expression that cannot be read or never fires.

    Attributes:
        found: the part that is wrong.
        allowed: what that part may be.
    """

    def __init__(self, found: str, allowed: str) -> None:
        self.found = found
        self.allowed = allowed
        super().__init__(f"found {found!r}; allowed: {allowed}")


@dataclass(frozen=True)
class Cron:
    """The values at which each field matches; a restricted day of month or of week matches by either."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def matches(self, moment: datetime) -> bool:
        """Whether the expression, read in UTC, fires at exactly this moment."""
        at = moment.astimezone(UTC)
        day = at.day in self.days
        weekday = at.isoweekday() % 7 in self.weekdays
        dated = day and weekday if self.any_day or self.any_weekday else day or weekday
        whole = at.second == 0 and at.microsecond == 0
        return (
            whole
            and at.minute in self.minutes
            and at.hour in self.hours
            and at.month in self.months
            and dated
        )


def parse(text: str) -> Cron:
    """Read a cron expression of five fields.

    Raises:
        CronError: it cannot be read, or names a day that no month has.
    """
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise CronError(text, "five fields: minute, hour, day of month, month, day of week")
    values = [_field(part, *given) for part, given in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = values
    weekdays = frozenset(day % 7 for day in weekdays)
    cron = Cron(minutes, hours, days, months, weekdays, parts[2].startswith("*"), parts[4].startswith("*"))
    if cron.any_weekday and not any(min(days) <= _LONGEST.get(month, 31) for month in months):
        raise CronError(text, "a day that one of its months has")
    return cron


def _field(text: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for item in text.split(","):
        span, slash, step = item.partition("/")
        if slash and (not step.isdecimal() or int(step) == 0):
            raise CronError(item, f"a step of 1 or more in the {name}")
        if span == "*":
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start, name, low, high, names)
            last = _number(end, name, low, high, names) if dash else high if slash else first
            # croniter, which Airflow asks, reads 1-1 as every value.
            if dash and last <= first:
                raise CronError(item, f"a range that goes up in the {name}")
        found.update(range(first, last + 1, int(step) if slash else 1))
    return frozenset(found)


def _number(text: str, name: str, low: int, high: int, names: dict[str, int]) -> int:
    value = names.get(text.lower())
    if value is None and text.isdecimal() and text.isascii():
        value = int(text)
    if value is None or not low <= value <= high:
        raise CronError(
            text, f"{low} to {high} in the {name}" + (f", or {', '.join(names)}" if names else "")
        )
    return value
