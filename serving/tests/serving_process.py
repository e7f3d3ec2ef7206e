"""Runs the serving app as its own process, the way an operator does, and talks to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def until(condition: Callable[[], Any], seconds: float = 20.0, pause: float = 0.01) -> Any:
    """Poll until `condition` gives something true."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "the awaited thing did not happen"
        time.sleep(pause)


class Client:
    """One connection; every answer as (status, headers, JSON)."""

    def __init__(self, port: int, key: str | None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Content-Type": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        return answer.status, dict(answer.getheaders()), json.loads(content) if content else None

    def close(self) -> None:
        self._connection.close()


@dataclass
class Process:
    """A running `pennant-serving run`."""

    environment: dict[str, str]
    arguments: list[str] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    port: int = 0

    def start(self) -> "Process":
        command = [sys.executable, "-c", "import sys; from pennant_serving.cli import main; sys.exit(main())"]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENNANT_")}
        self.child = subprocess.Popen(
            [*command, "run", "--port", str(self.port), *self.arguments],
            env={**inherited, **self.environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.port = int(until(self._listening))
        return self

    def client(self, key: str | None = "admin-key") -> Client:
        return Client(self.port, key)

    def send(self, method: str, path: str, body: Any = None, key: str | None = "admin-key") -> Any:
        client = self.client(key)
        try:
            return client.send(method, path, body)
        except OSError:  # not listening yet
            assert self.child.poll() is None, self.raw
            return 0, {}, {}
        finally:
            client.close()

    def wait_ready(self) -> "Process":
        until(lambda: self.send("GET", "/ready")[0] == 200)
        return self

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self._ended()

    def terminate(self) -> int:
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        code = self.child.wait(30)
        self._reading.join()
        assert self.child.stderr is not None
        self.child.stderr.close()
        return code

    def _listening(self) -> int | None:
        assert self.child.poll() is None or self.lines, self.raw
        return next((line["port"] for line in list(self.lines) if line["event"] == "listening"), None)

    def _read(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            self.raw.append(line)
            if line.startswith("{"):
                self.lines.append(json.loads(line))


def environment(folder: Path, public_key: bytes, database_url: str) -> dict[str, str]:
    """Settings and keys of one installation in `folder`."""
    import hashlib

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "signing.pub").write_bytes(public_key)
    keys = {
        name: {"sha256": hashlib.sha256(f"{name}-key".encode()).hexdigest(), "role": name}
        for name in ("read", "predict", "admin")
    }
    (folder / "keys.json").write_text(json.dumps(keys))
    return {
        "PENNANT_SERVING_STATE": str(folder / "state"),
        "PENNANT_SERVING_PUBLIC_KEY": str(folder / "signing.pub"),
        "PENNANT_SERVING_KEYS_FILE": str(folder / "keys.json"),
        "PENNANT_SERVING_DATABASE_URL": database_url,
        "PENNANT_SERVING_POLL_SECONDS": "0.2",
        "PENNANT_SERVING_DRAIN_SECONDS": "10",
    }
