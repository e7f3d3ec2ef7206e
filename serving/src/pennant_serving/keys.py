"""API keys with roles. Only hashes are stored; without a readable keys file nobody gets in."""

import hashlib
import hmac
import json
import threading
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pennant_serving import logs
from pennant_serving.problems import Problem

Role = Literal["read", "predict", "admin"]
_RANK: dict[Role, int] = {"read": 0, "predict": 1, "admin": 2}


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    role: Role


_FILE = TypeAdapter(dict[str, _Entry])


class Keys:
    """The keys file, read again whenever it changes, so that a key is added or withdrawn live."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._entries: dict[str, _Entry] = {}

    def present(self) -> bool:
        """Whether there is a keys file that can be used; if not, nothing but /health answers."""
        return bool(self._current())

    def require(self, authorization: str | None, role: Role) -> str:
        """Name of the caller whose key came as `Authorization: Bearer <key>`.

        Raises:
            Problem: 503 without a keys file, 401 without a valid key, 403 with too low a role.
        """
        entries = self._current()
        if not entries:
            raise Problem(
                "no-keys-file",
                "The keys file is absent, empty or broken, so every request is refused. Set "
                "PENNANT_SERVING_KEYS_FILE, or make a key with 'pennant-serving add-key'.",
            )
        scheme, _, key = (authorization or "").partition(" ")
        digest = hashlib.sha256(key.strip().encode()).hexdigest()
        caller: tuple[str, _Entry] | None = None
        for name, entry in entries.items():  # no early exit: time must not tell which key came close
            if hmac.compare_digest(entry.sha256, digest):
                caller = name, entry
        if scheme.lower() != "bearer" or not key or caller is None:
            raise Problem(
                "no-key",
                "Send a valid key as 'Authorization: Bearer <key>'.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if _RANK[caller[1].role] < _RANK[role]:
            raise Problem(
                "role-too-low", f"The key {caller[0]!r} has the role {caller[1].role!r}; this needs {role!r}."
            )
        return caller[0]

    def _current(self) -> dict[str, _Entry]:
        if self._path is None:
            return {}
        try:
            stat = self._path.stat()
        except OSError:
            return {}
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        with self._lock:
            if seen != self._seen:
                self._entries = self._read(self._path)
                self._seen = seen
            return self._entries

    def _read(self, path: Path) -> dict[str, _Entry]:
        try:
            return _FILE.validate_json(path.read_bytes())
        except OSError as error:
            logs.error("keys file unreadable", path=str(path), why=error.strerror)
        except ValidationError as error:
            places = [".".join(str(part) for part in each["loc"]) for each in error.errors()[:3]]
            logs.error("keys file broken", path=str(path), places=places)
        return {}


def add(path: Path, name: str, role: Role, key: str) -> None:
    """Add or replace the key of `name` in the keys file; only its hash is written.

    Raises:
        ValueError: the file exists and is not a keys file.
    """
    entries = _FILE.validate_json(path.read_bytes()) if path.exists() else {}
    entries[name] = _Entry(sha256=hashlib.sha256(key.encode()).hexdigest(), role=role)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps({each: entries[each].model_dump() for each in sorted(entries)}, indent=1))
    partial.replace(path)
