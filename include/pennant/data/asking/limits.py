"""How often a provider may be asked: one bucket per source in PostgreSQL, shared by all workers.

The bucket holds `requests` tokens, and each comes back `per_seconds` after it was taken. So no span of
`per_seconds` sees more than `requests` (a bucket that is refilled drop by drop lets nearly twice as many
through). A token may be taken ahead: its taker waits for the moment it comes back. The provider's own wishes
(`Retry-After`, a quota that is used up) block everybody until a moment. All moments are the database's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text

from pennant.declaration.model import Rate

_BUCKET = text("INSERT INTO source_limits (name) VALUES (:name) ON CONFLICT DO NOTHING")
_HELD = text("SELECT taken FROM source_limits WHERE name = :name FOR UPDATE")
_TAKEN = text("UPDATE source_limits SET taken = :taken WHERE name = :name")
_CLOCK = text("SELECT clock_timestamp()")
_BLOCKED = text(
    "SELECT blocked_until, blocked_why FROM source_limits"
    " WHERE name = ANY(:names) AND blocked_until > clock_timestamp() ORDER BY blocked_until DESC LIMIT 1"
)
_BLOCK = text(
    """
    INSERT INTO source_limits AS held (name, blocked_until, blocked_why)
    VALUES (:name, coalesce(
        clock_timestamp() + make_interval(secs => :seconds),
        (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'
    ), :why)
    ON CONFLICT (name) DO UPDATE SET
        blocked_why = CASE
            WHEN held.blocked_until > excluded.blocked_until THEN held.blocked_why ELSE :why END,
        blocked_until = greatest(held.blocked_until, excluded.blocked_until)
    """
)


@dataclass
class Blocked(Exception):
    """The next turn is further away than the asker can wait.

    Attributes:
        seconds: until it.
        why: the provider's wish, or the declared rate.
    """

    seconds: float
    why: str


@dataclass(frozen=True)
class Limits:
    """The limits of one provider of one source.

    Attributes:
        name: of the bucket.
        holder: of the quota; providers count by key, whichever source uses it.
        rate: as declared.
    """

    warehouse: Engine
    name: str
    holder: str
    rate: Rate | None

    def take(self, patience: float) -> float:
        """Take a turn; gives the seconds until it.

        Raises:
            Blocked: they are more than `patience`; no turn was taken.
        """
        with self.warehouse.begin() as connection:
            taken = self._bucket(connection) if self.rate else []
            now: datetime = connection.execute(_CLOCK).scalar_one()
            ready, why = now, ""
            if self.rate and len(taken) >= self.rate.requests:
                ready = max(now, taken[-self.rate.requests] + timedelta(seconds=self.rate.per_seconds))
                why = f"the declared rate of {self.rate.requests} in {self.rate.per_seconds:g} s"
            blocked = connection.execute(_BLOCKED, {"names": [self.name, self.holder]}).first()
            if blocked and blocked.blocked_until > ready:
                ready, why = blocked.blocked_until, blocked.blocked_why
            seconds = (ready - now).total_seconds()
            if seconds > patience:
                raise Blocked(seconds, why)
            if self.rate:
                kept = [*taken, ready][-self.rate.requests :]
                connection.execute(_TAKEN, {"name": self.name, "taken": kept})
        return seconds

    def blocked(self) -> Blocked | None:
        """For how long the provider wants to be left alone, and why; None if it does not."""
        with self.warehouse.connect() as connection:
            found = connection.execute(_BLOCKED, {"names": [self.name, self.holder]}).first()
            now: datetime = connection.execute(_CLOCK).scalar_one()
        if found is None or found.blocked_until <= now:
            return None
        return Blocked((found.blocked_until - now).total_seconds(), found.blocked_why)

    def block(self, seconds: float, why: str) -> None:
        """Let nobody ask this source for so long; a longer block stays."""
        self._block(self.name, seconds, why)

    def block_quota(self, seconds: float | None, why: str) -> None:
        """Let nobody ask with this quota for so long; None: until the next month begins (UTC)."""
        self._block(self.holder, seconds, why)

    def _block(self, name: str, seconds: float | None, why: str) -> None:
        with self.warehouse.begin() as connection:
            connection.execute(_BLOCK, {"name": name, "seconds": seconds, "why": why})

    def _bucket(self, connection: Connection) -> list[datetime]:
        connection.execute(_BUCKET, {"name": self.name})
        taken: list[datetime] = connection.execute(_HELD, {"name": self.name}).scalar_one()
        return taken
