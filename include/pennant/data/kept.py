"""Rows that can be had again, kept so that they need not be: a cache in the lake, verified by its hash.

What is kept says what it was made by and what it holds; whoever finds it missing, damaged or of other making
does the work again. Two processes may keep at once: the last one's stays.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import polars as pl

from pennant.data.errors import LakeCorrupt, LakeFull, LakeMissing
from pennant.data.lake import Lake
from pennant.reference import Reference

_TOLD = "pennant.kept"


def fingerprint_of(*parts: object) -> str:
    """A hash of everything that is given, by its text."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def kept(lake: Lake, place: str, fingerprint: str) -> tuple[pl.DataFrame, dict[str, Any]] | None:
    """The rows that were kept at a place under this fingerprint, and what was told with them; or None."""
    try:
        said = json.loads(lake.get(lake.uri(_pointer(place))))
        uri = lake.uri(f"cache/{place}/{said['sha256']}.parquet")
        # All that is believed stands in the file whose hash is verified.
        content = lake.get(Reference(uri=uri, sha256=said["sha256"]))
        told = json.loads(pl.read_parquet_metadata(io.BytesIO(content))[_TOLD])
        if told["fingerprint"] != fingerprint:
            return None
        return pl.read_parquet(io.BytesIO(content)), told["told"]
    except (LakeMissing, LakeCorrupt, ValueError, KeyError, TypeError):
        return None


def keep(lake: Lake, place: str, fingerprint: str, rows: pl.DataFrame, told: Mapping[str, Any]) -> None:
    """Keep rows at a place (below `cache/`) in the stead of what is there.

    A lake that is full, or may not be written to, or another who is faster, costs nothing but time.
    """
    body = io.BytesIO()
    said = json.dumps({"fingerprint": fingerprint, "told": dict(told)})
    rows.write_parquet(body, metadata={_TOLD: said})
    sha256 = hashlib.sha256(body.getvalue()).hexdigest()
    with suppress(LakeFull, LakeMissing, PermissionError):
        lake.replace(f"cache/{place}/{sha256}.parquet", body.getvalue())
        lake.replace(_pointer(place), json.dumps({"sha256": sha256}).encode())
        for path in lake.list(f"cache/{place}"):
            if path.endswith(".parquet") and not path.endswith(f"/{sha256}.parquet"):
                lake.remove(path)


def _pointer(place: str) -> str:
    return f"cache/{place}/latest.json"
