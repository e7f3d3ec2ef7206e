"""The serving app as a process of its own: its keys, its environment, its command, its health."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx

from pennant.platform import credentials
from pennant.platform.ports import LOOPBACK
from pennant.security.signing import ensure_keys
from pennant.settings import Settings

CLIENTS = {"orchestrator": "admin", "demo": "predict"}
"""Callers that Pennant makes a key for, and the role of each."""
KEYS, KEY_HASHES = "serving.keys", "serving.keys.json"


def prepare_keys(secrets: Path) -> dict[str, str]:
    """Make what is missing: the signing keys, one API key per client, and the file of their hashes.

    Returns:
        The API keys by client name. The serving app reads only the hashes.
    """
    credentials.secret_folder(secrets)
    ensure_keys(secrets)
    path = secrets / KEYS
    keys: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    missing = {
        name: credentials.secret(secrets, f"serving.{name}", 48) for name in CLIENTS if name not in keys
    }
    if missing:
        keys |= missing
        credentials.keep(path, json.dumps(keys))
    keep_hashes(
        secrets / KEY_HASHES, {name: (key, CLIENTS[name]) for name, key in keys.items() if name in CLIENTS}
    )
    return keys


def keep_hashes(path: Path, keys: Mapping[str, tuple[str, str]]) -> None:
    """Let the serving app know keys: client -> (key, role). Keys that someone else added to `path` stay."""
    hashes = {
        name: {"sha256": hashlib.sha256(key.encode()).hexdigest(), "role": role}
        for name, (key, role) in keys.items()
    }
    others = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if others | hashes != others:
        credentials.keep(path, json.dumps(others | hashes, indent=1))


def environment(settings: Settings, warehouse_url: str) -> dict[str, str]:
    """The `PENNANT_SERVING_*` variables of the process."""
    given = {
        "HOST": LOOPBACK,
        "PORT": str(settings.serving_port),
        "DATABASE_URL": warehouse_url,
        "STATE": str(settings.home / "serving"),
        "PUBLIC_KEY": str(settings.secrets / "signing.pub"),
        "KEYS_FILE": str(settings.secrets / KEY_HASHES),
    }
    return {f"PENNANT_SERVING_{name}": value for name, value in given.items()}


def command() -> list[str]:
    """`pennant-serving run`; not through its script, whose path may hold a space."""
    return [sys.executable, "-c", "import sys; from pennant_serving.cli import main; sys.exit(main())", "run"]


def unhealthy(address: str, client: httpx.Client) -> str | None:
    """None when the app is up; with no model released yet it is up, and not yet ready to predict."""
    try:
        answer = client.get(f"{address}/health")
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    return None if answer.status_code == httpx.codes.OK else f"HTTP {answer.status_code}"
