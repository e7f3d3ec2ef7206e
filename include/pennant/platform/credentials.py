"""Passwords and keys that Pennant makes for itself: files only the owner can read, made once."""

import os
import secrets
from pathlib import Path


def secret_folder(folder: Path) -> Path:
    """Make `folder` with mode 0700 (also when it was there with a wider mode) and return it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def secret(folder: Path, name: str, characters: int = 32) -> str:
    """The secret `name`: read from its file, or made (hex, `characters` long) and kept for the next time."""
    path = folder / name
    if not path.exists():
        secret_folder(folder)
        keep(path, secrets.token_hex(characters // 2))
    return path.read_text(encoding="ascii").strip()


def keep(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 0600, whole or not at all. Its folder is there and stays as it is."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
