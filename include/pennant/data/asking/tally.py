"""What one fetch cost: requests, retries, bytes, time."""

from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counted while a source is asked; kept in `source_health`.

    Attributes:
        requests: sent, retries among them.
        retries: requests beyond the first of their page.
        bytes: received, as they came over the line.
        seconds: each answered request's time.
        quota_remaining: as the provider said last.
        quota_reset_seconds: the same.
        parts: pages that are complete.
    """

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    seconds: list[float] = field(default_factory=list)
    quota_remaining: int | None = None
    quota_reset_seconds: float | None = None
    parts: int = 0

    @property
    def latency_ms(self) -> float | None:
        """Mean time of an answered request; None if none was."""
        return 1000 * sum(self.seconds) / len(self.seconds) if self.seconds else None
