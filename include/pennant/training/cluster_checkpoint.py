"""The last checkpoint of a training, in the lake, under a name that follows from all that is trained on.

So a task that is started again, on whichever machine, finds what it had. It is removed when the training is
done: the same training asked for again is done again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pennant.data.errors import LakeMissing
from pennant.data.lake import Lake
from pennant.training.losses import Floats

FOLDER = "checkpoints"
_HEX = 64


def name_of(arrays: tuple[Floats, ...], settings: Mapping[str, object]) -> str:
    """SHA-256 of arrays and settings."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for each in arrays:
        digest.update(str((each.shape, each.dtype.str)).encode())
        digest.update(np.ascontiguousarray(each).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint; there is none, or a whole one."""

    lake: Lake
    name: str

    @property
    def path(self) -> str:
        """Where in the lake."""
        return f"{FOLDER}/{self.name}.ubj"

    def read(self) -> bytes | None:
        """The booster that was kept, None without one; half of one counts as none."""
        try:
            held = self.lake.get(self.lake.uri(self.path))
        except LakeMissing:
            return None
        model = held[_HEX:]
        return model if hashlib.sha256(model).hexdigest().encode() == held[:_HEX] else None

    def keep(self, model: bytes) -> None:
        """Replace what was kept, in one step."""
        self.lake.replace(self.path, hashlib.sha256(model).hexdigest().encode() + model)

    def forget(self) -> None:
        """Remove it."""
        self.lake.remove(self.path)
