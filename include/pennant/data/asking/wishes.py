"""What a provider says about being asked: `Retry-After` and the headers of its quota."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

_EPOCH = 1_000_000_000
"""A larger reset is a moment in seconds since 1970, a smaller one a number of seconds."""
_LONGEST = 31 * 86_400.0
"""Nobody's wish to be left alone is taken for longer than the longest month."""


@dataclass(frozen=True)
class Wishes:
    """Seconds count from the answer.

    Attributes:
        wait_seconds: what `Retry-After` asks for.
        remaining: requests left of the quota, if it was told.
        reset_seconds: until the quota is full again, if it was told.
    """

    wait_seconds: float | None = None
    remaining: int | None = None
    reset_seconds: float | None = None

    @property
    def spent(self) -> bool:
        """Whether the quota is used up."""
        return self.remaining is not None and self.remaining <= 0


def wishes_of(headers: Mapping[str, str], now: datetime) -> Wishes:
    """Read the headers of an answer. Moments are compared with the provider's own `Date`, else with `now`.

    Understood are RFC 9110's `Retry-After` (seconds or a date), `X-RateLimit-Remaining` and `-Reset` (GitHub
    and others, also without `X-`), and `X-Requests-Remaining` (The Odds API, whose quota ends with the
    month).
    """
    clock = _moment(headers.get("date")) or now
    after = headers.get("retry-after", "").strip()
    wait = _number(after)
    if wait is None and (moment := _moment(after)) is not None:
        wait = (moment - clock).total_seconds()
    remaining = _first(headers, "x-requests-remaining", "x-ratelimit-remaining", "ratelimit-remaining")
    reset = _first(headers, "x-ratelimit-reset", "ratelimit-reset")
    if reset is not None and reset > _EPOCH:
        reset -= clock.timestamp()
    return Wishes(
        wait_seconds=None if wait is None else min(max(wait, 0.0), _LONGEST),
        remaining=None if remaining is None else int(remaining),
        reset_seconds=None if reset is None else min(max(reset, 0.0), _LONGEST),
    )


def _first(headers: Mapping[str, str], *names: str) -> float | None:
    return next((found for name in names if (found := _number(headers.get(name, ""))) is not None), None)


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if abs(found) < 1e12 else None  # neither infinite nor NaN


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None
