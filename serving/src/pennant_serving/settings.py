"""Every setting of the serving app, each with its type, default and reason, read from `PENNANT_SERVING_*`."""

import os
from dataclasses import dataclass, field, fields
from pathlib import Path


class SettingsError(ValueError):
    """A setting that cannot be used; says which variable, what it held and what is allowed."""

    def __init__(self, variable: str, found: str, allowed: str) -> None:
        self.variable, self.found, self.allowed = variable, found, allowed
        super().__init__(f"{variable}: found {found}; allowed is {allowed}")


@dataclass(frozen=True)
class Settings:
    """One installation. Each field is set by the variable `PENNANT_SERVING_<FIELD IN CAPITALS>`."""

    host: str = "127.0.0.1"
    """Loopback, so that a first start is not open to the network."""
    port: int = 8001
    """0 takes a free port and says which."""
    database_url: str = field(default="", repr=False)
    """The warehouse, `postgresql://user:password@host:port/pennant`. Holds a password: never printed."""
    state: Path = Path("var/serving")
    """Folder of the spool, the bundle cache and the last known policies. Must outlive a restart."""
    public_key: Path | None = None
    """Ed25519 public key that every bundle must be signed with."""
    keys_file: Path | None = None
    """Hashed API keys; without it only /health answers."""
    poll_seconds: float = 2.0
    """How often the newest traffic policies are read."""
    max_rows: int = 5000
    """Rows of one batch; more is several requests."""
    max_body_bytes: int = 8_000_000
    """Bytes of one request body: 5,000 rows of 60 features fit."""
    max_in_flight: int = 256
    """Requests worked on at once; one more is told to come back."""
    spool_megabytes: int = 2048
    """Size at which the spool takes no more predictions, so that it never fills the whole disk."""
    backlog_limit: int = 200_000
    """Predictions waiting for the warehouse above which the app calls itself not ready."""
    ids_kept_days: int = 30
    """For so long a repeated prediction_id gets its first answer."""
    drain_seconds: float = 5.0
    """How long a shutdown waits for the warehouse; what is left stays in the spool."""

    @classmethod
    def load(cls, environ: dict[str, str] | None = None) -> "Settings":
        """Read the settings from `environ` (default: this process's environment).

        Raises:
            SettingsError: a value that cannot be read or is out of range.
        """
        env = dict(os.environ) if environ is None else environ
        given: dict[str, object] = {}
        for each in fields(cls):
            name = f"PENNANT_SERVING_{each.name.upper()}"
            text = env.get(name, "").strip()
            if text:
                given[each.name] = _parse(name, text, each.name, each.default)
        return cls(**given)  # type: ignore[arg-type]


def _parse(variable: str, text: str, name: str, default: object) -> object:
    if name == "port":
        return _number(variable, text, int, 0, 65535)
    if isinstance(default, int):
        return _number(variable, text, int, 1, 10**12)
    if isinstance(default, float):
        return _number(variable, text, float, 0.05, 86_400.0)
    if name in {"state", "public_key", "keys_file"}:
        return Path(text).expanduser().resolve()
    return text


def _number[N: (int, float)](variable: str, text: str, kind: type[N], low: N, high: N) -> N:
    try:
        number = kind(text)
    except ValueError:
        number = kind(-1)
    if not low <= number <= high:
        raise SettingsError(variable, repr(text), f"a number from {low} to {high}")
    return number
