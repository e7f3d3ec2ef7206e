"""Many small files read as one: what was read before is kept together, and only what is new is opened.

Batches never change, so what was gathered of one stays right. What is kept is a cache: its hash is verified,
its fingerprint says what it was made by, and whoever finds it missing, damaged or of other making reads the
batches themselves. Two processes may gather at once; the last one's is kept, and both have the same rows.
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from contextlib import suppress

import polars as pl

from pennant.data.errors import LakeCorrupt, LakeFull, LakeMissing
from pennant.data.lake import Lake
from pennant.reference import Reference

BATCH = "_batch"
_TOLD = "pennant.gathered"
KEPT_FROM = 32
"""So many batches are read one by one before they are kept together: rewriting costs as much as reading."""


def gathered(
    lake: Lake,
    place: str,
    fingerprint: str,
    keys: Sequence[str],
    load: Callable[[Sequence[str]], pl.DataFrame],
) -> pl.DataFrame:
    """The rows of some batches, in no order, with `BATCH`, the key of each row's batch.

    Args:
        lake: where the batches and the cache are.
        place: the cache's folder below `cache/`, for example `versions/<use case>/<source>/<group>`.
        fingerprint: what the rows depend on beside the batches; another one starts anew.
        keys: the batches.
        load: the rows of several batches, with `BATCH`; of one schema, also where there are none.
    """
    kept, held = _kept(lake, place, fingerprint)
    missing = [key for key in keys if key not in held]
    loaded = load(missing)
    together = loaded if kept is None else pl.concat([kept, loaded.select(kept.columns)])
    if len(missing) >= KEPT_FROM:
        # Whoever reads a full lake, or may not write to it, or is overtaken by another, reads all the same.
        with suppress(LakeFull, LakeMissing, PermissionError):
            _keep(lake, place, fingerprint, together, sorted({*held, *missing}))
    if held <= set(keys):
        return together
    return together.filter(pl.col(BATCH).is_in(list(keys)))


def fingerprint_of(*parts: object) -> str:
    """A hash of everything that is given, by its text."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


def _pointer(place: str) -> str:
    return f"cache/{place}/latest.json"


def _kept(lake: Lake, place: str, fingerprint: str) -> tuple[pl.DataFrame | None, set[str]]:
    try:
        said = json.loads(lake.get(lake.uri(_pointer(place))))
        uri = lake.uri(f"cache/{place}/{said['sha256']}.parquet")
        # All that is believed stands in the file whose hash is verified, also which batches it holds.
        content = lake.get(Reference(uri=uri, sha256=said["sha256"]))
        told = json.loads(pl.read_parquet_metadata(io.BytesIO(content))[_TOLD])
        if told["fingerprint"] != fingerprint:
            return None, set()
        return pl.read_parquet(io.BytesIO(content)), set(told["batches"])
    except (LakeMissing, LakeCorrupt, ValueError, KeyError, TypeError):
        return None, set()


def _keep(lake: Lake, place: str, fingerprint: str, rows: pl.DataFrame, batches: Sequence[str]) -> None:
    body = io.BytesIO()
    told = json.dumps({"fingerprint": fingerprint, "batches": list(batches)})
    rows.write_parquet(body, metadata={_TOLD: told})
    sha256 = hashlib.sha256(body.getvalue()).hexdigest()
    lake.replace(f"cache/{place}/{sha256}.parquet", body.getvalue())
    lake.replace(_pointer(place), json.dumps({"sha256": sha256}).encode())
    for path in lake.list(f"cache/{place}"):
        if path.endswith(".parquet") and not path.endswith(f"/{sha256}.parquet"):
            lake.remove(path)
