"""The circuit breaker of a source's first provider, in `source_health`, shared by all workers.

closed -> (failed fetches in a row) -> open -> (open_seconds) -> half_open: one worker tries, the others are
refused; its success closes the circuit, its failure opens it again. A probe that never comes back (its worker
was killed) gives its place to another after `probe_seconds`. All moments are the database's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, text

from pennant.data.asking.tally import Tally
from pennant.data.errors import BreakerOpen
from pennant.declaration.model import Breaker

_ROW = text(
    "INSERT INTO source_health (use_case, source, state, consecutive_failures)"
    " VALUES (:use_case, :source, 'unknown', 0) ON CONFLICT DO NOTHING"
)
_HELD = text(
    "SELECT breaker, opened_at, probe_until, last_error FROM source_health"
    " WHERE use_case = :use_case AND source = :source FOR UPDATE"
)
_CLOCK = text("SELECT clock_timestamp()")
_PROBE = text(
    "UPDATE source_health SET breaker = 'half_open', probe_until = :until"
    " WHERE use_case = :use_case AND source = :source"
)
_CLOSE = text(
    """
    UPDATE source_health SET
        breaker = 'closed', consecutive_failures = 0, opened_at = NULL, probe_until = NULL
    WHERE use_case = :use_case AND source = :source
    """
)
_RELEASE = text(
    """
    UPDATE source_health SET breaker = 'open', probe_until = NULL
    WHERE use_case = :use_case AND source = :source AND probe_until = :probe
    """
)
_HELD_OFF = text(
    """
    UPDATE source_health SET state = 'failing', last_error = :error, updated_at = clock_timestamp(),
        requests = requests + :requests, retries = retries + :retries, bytes = bytes + :bytes,
        quota_remaining = coalesce(:remaining, quota_remaining)
    WHERE use_case = :use_case AND source = :source
    """
)
# Of failures while the circuit is not closed only the probe's own matters: the others began before it opened.
_FAILURE = text(
    """
    UPDATE source_health SET state = 'failing', consecutive_failures = consecutive_failures + 1,
        last_error = :error, last_failure_at = clock_timestamp(), updated_at = clock_timestamp(),
        breaker = CASE
            WHEN probe_until = :probe THEN 'open'
            WHEN breaker = 'closed' AND consecutive_failures + 1 >= :failures THEN 'open' ELSE breaker END,
        opened_at = CASE
            WHEN probe_until = :probe THEN clock_timestamp()
            WHEN breaker = 'closed' AND consecutive_failures + 1 >= :failures THEN clock_timestamp()
            ELSE opened_at END,
        probe_until = CASE WHEN probe_until = :probe THEN NULL ELSE probe_until END,
        requests = requests + :requests, retries = retries + :retries, bytes = bytes + :bytes
    WHERE use_case = :use_case AND source = :source
    """
)


@dataclass
class Circuit:
    """One worker's view of a source's breaker.

    Attributes:
        rule: when it opens, and for how long.
        probe_seconds: how long the one that tries may take.
        probe: set while this worker is the one that tries.
    """

    warehouse: Engine
    use_case: str
    source: str
    rule: Breaker
    probe_seconds: float
    probe: datetime | None = None

    @property
    def _name(self) -> dict[str, object]:
        return {"use_case": self.use_case, "source": self.source}

    def enter(self) -> None:
        """Ask to be let through; `probe` says whether as the one that tries.

        Raises:
            BreakerOpen: the provider is left alone for now, or another worker is trying it.
        """
        with self.warehouse.begin() as connection:
            connection.execute(_ROW, self._name)
            held = connection.execute(_HELD, self._name).one()
            if held.breaker == "closed":
                return
            now: datetime = connection.execute(_CLOCK).scalar_one()
            until = held.probe_until
            if held.breaker == "open":
                until = (held.opened_at or now) + timedelta(seconds=self.rule.open_seconds)
            if until is None or until <= now:
                self.probe = now + timedelta(seconds=self.probe_seconds)
                connection.execute(_PROBE, {**self._name, "until": self.probe})
                return
        seconds = (until - now).total_seconds()
        name = f"{self.use_case}.{self.source}"
        raise BreakerOpen(name, name, state=held.breaker, seconds=seconds, last_error=held.last_error)

    def close(self) -> None:
        """The provider answered: everybody may ask again."""
        self._note(_CLOSE)
        self.probe = None

    def fail(self, error: str, tally: Tally) -> None:
        """Note a failed fetch; enough of them in a row open the circuit, and so does a probe's failure."""
        given = {"error": error, "failures": self.rule.failures, "probe": self.probe}
        counts = {"requests": tally.requests, "retries": tally.retries, "bytes": tally.bytes}
        self._note(_FAILURE, **given, **counts)
        self.probe = None

    def hold_off(self, error: str, tally: Tally) -> None:
        """Note that the provider wants to be left alone: it is not down, so the circuit stays as it is."""
        counts = {"requests": tally.requests, "retries": tally.retries, "bytes": tally.bytes}
        self._note(_HELD_OFF, error=error, remaining=tally.quota_remaining, **counts)

    def release(self) -> None:
        """Give the probe's place back unused, if this worker has it: what ended it was not the provider."""
        if self.probe is not None:
            self._note(_RELEASE, probe=self.probe)
            self.probe = None

    def _note(self, statement: object, **given: object) -> None:
        with self.warehouse.begin() as connection:
            connection.execute(statement, {**self._name, **given})  # type: ignore[call-overload]
