"""The last good answer of each page, in the lake's `downloads/`.

It makes the next request conditional, and stands for it while it is young. What is kept outlives the process.
A part of it that is lost or damaged is asked for again.
"""

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime

from pennant.data.errors import LakeCorrupt, LakeMissing
from pennant.data.lake import Lake, sha256_of
from pennant.reference import Reference

_STRANGE = re.compile(r"[^A-Za-z0-9_=+-]+")
_LONGEST = 60


@dataclass(frozen=True)
class Held:
    """An answer that was kept.

    Attributes:
        address: what was asked; another address is another answer.
        retrieved_at: when it was first given.
        checked_at: when the provider last said that it still holds.
    """

    address: str
    content_type: str
    etag: str | None
    last_modified: str | None
    retrieved_at: datetime
    checked_at: datetime
    content: bytes = field(repr=False)

    @property
    def conditions(self) -> dict[str, str]:
        """Headers that make a request conditional on this answer."""
        found = {}
        if self.etag:
            found["If-None-Match"] = self.etag
        if self.last_modified:
            found["If-Modified-Since"] = self.last_modified
        return found


class Slot:
    """The place of one page of one part of a source."""

    def __init__(self, lake: Lake, use_case: str, source: str, part: str, page: int) -> None:
        self._lake = lake
        name = _STRANGE.sub("_", part)
        if name != part or len(name) > _LONGEST:
            # Two parts must not share a slot because their names were made alike.
            name = f"{name[:_LONGEST]}-{hashlib.sha256(part.encode()).hexdigest()[:8]}"
        self._folder = f"{folder_of(use_case, source)}/{name}-{page}"
        self._pointer = f"{self._folder}/latest.json"

    def held(self, address: str) -> Held | None:
        """What was kept of this address; None if nothing whole was."""
        kept = self._kept()
        if kept is None or kept.get("address") != address:
            return None
        try:
            uri = self._lake.uri(f"{self._folder}/{kept['sha256']}")
            return Held(
                address=address,
                content_type=kept["content_type"],
                etag=kept["etag"],
                last_modified=kept["last_modified"],
                retrieved_at=datetime.fromisoformat(kept["retrieved_at"]),
                checked_at=datetime.fromisoformat(kept["checked_at"]),
                content=self._lake.get(Reference(uri=uri, sha256=kept["sha256"])),
            )
        except (LakeMissing, LakeCorrupt, KeyError, TypeError, ValueError):
            return None  # another worker just replaced it, or it is damaged: ask for the whole page

    def keep(self, answer: Held) -> None:
        """Keep an answer in the place of the one before."""
        before = self._kept()
        sha256 = sha256_of(answer.content)
        self._lake.replace(f"{self._folder}/{sha256}", answer.content)
        pointer = asdict(answer) | {"sha256": sha256}
        del pointer["content"]
        body = json.dumps(pointer, indent=1, sort_keys=True, default=datetime.isoformat)
        self._lake.replace(self._pointer, body.encode())
        if before and before.get("sha256") not in {None, sha256}:
            self._lake.remove(f"{self._folder}/{before['sha256']}")

    def _kept(self) -> dict[str, str] | None:
        with suppress(LakeMissing, ValueError):
            kept = json.loads(self._lake.get(self._lake.uri(self._pointer)))
            return kept if isinstance(kept, dict) else None
        return None


def forget(lake: Lake, use_case: str, source: str) -> None:
    """Drop what was kept of a source: answers that could not be read are no reason not to ask again."""
    for path in lake.list(folder_of(use_case, source)):
        lake.remove(path)


def folder_of(use_case: str, source: str) -> str:
    """Where the answers of a source are kept."""
    return f"downloads/{use_case}/{source}"
