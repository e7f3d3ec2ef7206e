"""The last policies that were served, on disk: a restart serves them while the warehouse is down."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pennant_serving import logs
from pennant_serving.policy import Policy


def write(path: Path, policies: Sequence[Policy]) -> None:
    """Replace the file, whole or not at all."""
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump([each.model_dump(mode="json") for each in policies], file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read(path: Path) -> list[dict[str, Any]]:
    """The remembered policies; a file that cannot be read is said in the log and gives none."""
    try:
        rows = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        logs.error("last known policies unreadable", path=str(path), why=type(error).__name__)
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
