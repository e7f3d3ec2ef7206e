"""How sources are: what the engine keeps in `source_health`, and which live sources lag."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select, text

from pennant.data.asking.tally import Tally
from pennant.declaration.model import DataUseCase
from pennant.warehouse.tables import source_health

_ANSWERED = text(
    """
    INSERT INTO source_health AS held (use_case, source, state, consecutive_failures, answered_by,
        last_success_at, requests, retries, bytes, latency_ms, quota_remaining, quota_resets_at)
    VALUES (:use_case, :source, :state, 0, :answered_by, clock_timestamp(), :requests, :retries, :bytes,
        :latency_ms, :remaining, clock_timestamp() + make_interval(secs => :reset))
    ON CONFLICT (use_case, source) DO UPDATE SET
        state = :state,
        last_error = CASE WHEN :state = 'ok' THEN NULL ELSE held.last_error END,
        answered_by = :answered_by, last_success_at = excluded.last_success_at,
        requests = held.requests + :requests, retries = held.retries + :retries,
        bytes = held.bytes + :bytes, latency_ms = coalesce(:latency_ms, held.latency_ms),
        quota_remaining = coalesce(:remaining, held.quota_remaining),
        quota_resets_at = coalesce(excluded.quota_resets_at, held.quota_resets_at),
        updated_at = clock_timestamp()
    """
)

_NOT_ASKED = text(
    """
    INSERT INTO source_health (use_case, source, state, consecutive_failures, last_error)
    VALUES (:use_case, :source, 'failing', 0, :error)
    ON CONFLICT (use_case, source) DO UPDATE SET
        state = 'failing', last_error = :error, updated_at = clock_timestamp()
    """
)


@dataclass(frozen=True)
class Lag:
    """A live source that has had nothing new for longer than it may.

    Attributes:
        minutes: how long.
        allowed: the declared `max_lag_minutes`.
        last_success: its last whole answer; None if there never was one.
        newest_known: when the newest item that landed became known; None if nothing landed.
        error: its last error, if it is failing.
    """

    use_case: str
    source: str
    minutes: float
    allowed: float
    last_success: datetime | None
    newest_known: datetime | None
    error: str | None


@dataclass(frozen=True)
class Health:
    """One row of `source_health`; moments are the database's."""

    use_case: str
    source: str
    state: str
    breaker: str
    opened_at: datetime | None
    consecutive_failures: int
    last_error: str | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    newest_known_at: datetime | None
    answered_by: str | None
    requests: int
    retries: int
    bytes: int
    latency_ms: float | None
    quota_remaining: int | None
    quota_resets_at: datetime | None
    first_asked_at: datetime


def healths(warehouse: Engine, use_case: str | None = None) -> list[Health]:
    """How every source that was ever asked is, by name."""
    columns = [source_health.c[name] for name in Health.__dataclass_fields__]
    wanted = select(*columns).order_by(source_health.c.use_case, source_health.c.source)
    if use_case is not None:
        wanted = wanted.where(source_health.c.use_case == use_case)
    with warehouse.connect() as connection:
        return [Health(**row) for row in connection.execute(wanted).mappings()]


def database_moment(warehouse: Engine) -> datetime:
    """Now, by the clock that the moments of `Health` are of."""
    with warehouse.connect() as connection:
        moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment


def answered(
    warehouse: Engine, use_case: str, source: str, provider: str, tally: Tally, *, fallback: bool
) -> None:
    """Note a whole answer: of the first provider, or of the one it failed over to."""
    given = {
        "use_case": use_case,
        "source": source,
        "state": "fallback" if fallback else "ok",
        "answered_by": provider,
        "requests": tally.requests,
        "retries": tally.retries,
        "bytes": tally.bytes,
        "latency_ms": tally.latency_ms,
        "remaining": tally.quota_remaining,
        "reset": tally.quota_reset_seconds,
    }
    with warehouse.begin() as connection:
        connection.execute(_ANSWERED, given)


def not_asked(warehouse: Engine, use_case: str, source: str, error: str) -> None:
    """Note that a source could not even be asked; its provider has nothing to do with it."""
    with warehouse.begin() as connection:
        connection.execute(_NOT_ASKED, {"use_case": use_case, "source": source, "error": error})


def lagging(declared: Sequence[DataUseCase], warehouse: Engine, at: datetime) -> list[Lag]:
    """The live sources (those with `max_lag_minutes`) that lag at the moment `at`, the worst first.

    What counts is the older of the last whole answer and the newest item that landed: a provider that
    repeats itself for ever is as late as one that is silent. A source that was asked and never answered lags
    since it was first asked; one that was never asked is not late, its Dag is not running.
    """
    known = {(each.use_case, each.source): each for each in healths(warehouse)}
    found = []
    for use_case in declared:
        for name, source in use_case.sources.items():
            held = known.get((use_case.name, name))
            if source.max_lag_minutes is None or held is None:
                continue
            lag = _lag(held, source.max_lag_minutes, at)
            if lag.minutes > lag.allowed:
                found.append(lag)
    return sorted(found, key=lambda lag: -lag.minutes)


def minutes_behind(held: Health, at: datetime) -> float:
    """How long before `at` something new was learned last."""
    learned = [each for each in (held.last_success_at, held.newest_known_at) if each is not None]
    since = min(learned) if held.last_success_at is not None else held.first_asked_at
    return max((at - since).total_seconds() / 60, 0.0)


def _lag(held: Health, allowed: float, at: datetime) -> Lag:
    return Lag(
        use_case=held.use_case,
        source=held.source,
        minutes=minutes_behind(held, at),
        allowed=allowed,
        last_success=held.last_success_at,
        newest_known=held.newest_known_at,
        error=held.last_error,
    )
