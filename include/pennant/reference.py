"""Two small values that every room passes around: a reference into the lake and a time window.

Both fit an XCom: they carry an address and a hash, or two moments, never data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_KEY_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Reference:
    """An object of the lake: its address and the SHA-256 of its bytes, in hex."""

    uri: str
    sha256: str

    def to_json(self) -> dict[str, str]:
        """The reference as a plain dictionary, for an XCom or a manifest."""
        return {"uri": self.uri, "sha256": self.sha256}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> "Reference":
        """Read what `to_json` wrote.

        Raises:
            ValueError: `uri` or `sha256` is missing or is not text.
        """
        match value:
            case {"uri": str(uri), "sha256": str(sha256)}:
                return cls(uri=uri, sha256=sha256)
        raise ValueError(f"a reference needs the texts 'uri' and 'sha256'; found the fields {sorted(value)}")


@dataclass(frozen=True)
class Window:
    """The span of knowledge `(start, as_of]` of one run, in UTC, whole seconds.

    Raises:
        ValueError: a moment without time zone or with a fraction of a second, or an empty span.
    """

    start: datetime
    as_of: datetime

    def __post_init__(self) -> None:
        for name in ("start", "as_of"):
            moment: datetime = getattr(self, name)
            if moment.tzinfo is None:
                raise ValueError(f"window {name}: found {moment.isoformat()}; it needs a time zone")
            if moment.microsecond:
                raise ValueError(f"window {name}: found {moment.isoformat()}; whole seconds are allowed")
            object.__setattr__(self, name, moment.astimezone(UTC))
        if self.start >= self.as_of:
            raise ValueError(
                f"window: start {self.start.isoformat()} is not before as_of {self.as_of.isoformat()}"
            )

    @property
    def key(self) -> str:
        """Name of the window in paths, for example `20240301T000000Z_20240401T000000Z`."""
        return f"{self.start:{_KEY_FORMAT}}_{self.as_of:{_KEY_FORMAT}}"

    @property
    def length(self) -> timedelta:
        return self.as_of - self.start

    @classmethod
    def from_key(cls, key: str) -> "Window":
        """Read a window back from its `key`.

        Raises:
            ValueError: `key` is not of the form that `key` gives.
        """
        try:
            parts = [datetime.strptime(part, _KEY_FORMAT).replace(tzinfo=UTC) for part in key.split("_")]
            start, as_of = parts
        except ValueError as error:
            raise ValueError(
                f"window key: found {key!r}; allowed is e.g. 20240301T000000Z_20240401T000000Z"
            ) from error
        return cls(start=start, as_of=as_of)
