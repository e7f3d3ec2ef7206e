"""Raw batches in the lake: one Parquet file of items and one manifest per source and window.

The manifest is written last: a batch without one has not landed. All that the manifest says of the
batch is read from the Parquet file, so a run that was killed between the two is finished by the
next one, with the rows that the first one took.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from pennant.data.digests import fingerprint
from pennant.data.errors import LakeConflict
from pennant.data.gathered import BATCH, gathered
from pennant.data.items import digest_of, item_of
from pennant.data.kept import fingerprint_of
from pennant.data.lake import Lake, sha256_of
from pennant.data.reading import TEXT, UTC_MOMENT, declared_columns
from pennant.data.windows import ARRIVALS
from pennant.declaration.model import Source
from pennant.reference import Reference, Window

FORMAT = 1
_REQUEST = "pennant.request"
_HELD = {"item": pl.UInt64(), "digest": pl.UInt64(), "batch_as_of": UTC_MOMENT, BATCH: pl.String()}


@dataclass(frozen=True)
class BatchName:
    """Which batch: use case, source and window; `batch_id` is the window's key."""

    use_case: str
    source: str
    window: Window

    @property
    def batch_id(self) -> str:
        return self.window.key

    def path(self, area: str) -> str:
        """Path without ending, for example `raw/<use case>/<source>/<batch_id>`."""
        return f"{area}/{self.use_case}/{self.source}/{self.batch_id}"

    @property
    def manifest(self) -> str:
        return f"{self.path('raw')}.json"


@dataclass(frozen=True)
class Manifest:
    """What a landed batch says of itself."""

    name: BatchName
    rows: int
    groups: dict[str, dict[str, int]]
    """Items by group and arrival."""
    faults: int
    """Items that could not be read and will be quarantined."""
    request: dict[str, Any]
    sha256: str
    """Hash of the Parquet file."""

    def to_bytes(self) -> bytes:
        window = self.name.window
        body = {
            "format": FORMAT,
            "use_case": self.name.use_case,
            "source": self.name.source,
            "batch_id": self.name.batch_id,
            "window": {"start": window.start.isoformat(), "as_of": window.as_of.isoformat()},
            "request": {k: v for k, v in self.request.items() if k != "retrieved_at"},
            "retrieved_at": self.request.get("retrieved_at"),
            "rows": self.rows,
            "groups": self.groups,
            "faults": self.faults,
            "data": f"{self.name.path('raw')}.parquet",
            "sha256": self.sha256,
        }
        return json.dumps(body, indent=1, sort_keys=True).encode()


def parse_manifest(content: bytes) -> Manifest:
    """Read what `Manifest.to_bytes` wrote."""
    body = json.loads(content)
    return Manifest(
        name=BatchName(body["use_case"], body["source"], Window.from_key(body["batch_id"])),
        rows=body["rows"],
        groups=body["groups"],
        faults=body["faults"],
        request={**body["request"], "retrieved_at": body["retrieved_at"]},
        sha256=body["sha256"],
    )


def landed(name: BatchName, lake: Lake) -> tuple[Reference, Manifest] | None:
    """The batch's manifest, if it has landed."""
    if not lake.exists(name.manifest):
        return None
    uri = lake.uri(name.manifest)
    content = lake.get(uri)
    return Reference(uri=uri, sha256=sha256_of(content)), parse_manifest(content)


def landed_windows(use_case: str, source: str, lake: Lake, before: datetime) -> list[Window]:
    """Windows that have landed and ended at `before` or earlier, oldest first."""
    paths = lake.list(f"raw/{use_case}/{source}")
    keys = [path.rsplit("/", 1)[1].removesuffix(".json") for path in paths if path.endswith(".json")]
    windows = [Window.from_key(key) for key in keys]
    return sorted((w for w in windows if w.as_of <= before), key=lambda w: (w.as_of, w.start))


def land(
    name: BatchName, items: pl.DataFrame, request: Mapping[str, object], lake: Lake
) -> tuple[Reference, Manifest]:
    """Store a batch: data first, manifest last. Whoever was first has decided what it holds."""
    path = f"{name.path('raw')}.parquet"
    body = io.BytesIO()
    items.drop("item", "digest").write_parquet(
        body, metadata={_REQUEST: json.dumps(dict(request), sort_keys=True, default=str)}
    )
    try:
        data = lake.put(path, body.getvalue())
    except LakeConflict as conflict:
        # A run that was killed, or one beside this one, took the provider's table of its moment.
        data = Reference(uri=conflict.uri, sha256=conflict.held)
    manifest = _describe(name, lake.get(data), data.sha256)
    content = manifest.to_bytes()
    return lake.put(name.manifest, content), manifest


def read_items(name: BatchName, manifest: Manifest, lake: Lake) -> pl.DataFrame:
    """Items of a landed batch, its hash verified."""
    uri = lake.uri(f"{name.path('raw')}.parquet")
    return pl.read_parquet(io.BytesIO(lake.get(Reference(uri=uri, sha256=manifest.sha256))))


def stored_items(
    use_case: str, source_name: str, source: Source, windows: list[Window], lake: Lake
) -> pl.DataFrame:
    """What landed batches hold, as far as comparing needs it: `item`, `digest`, `batch_as_of`."""
    by_key = {window.key: window for window in windows}

    def load(keys: Sequence[str]) -> pl.DataFrame:
        frames = []
        for key in keys:
            found = landed(BatchName(use_case, source_name, by_key[key]), lake)
            if found is not None and found[1].rows:
                batch = pl.lit(key).alias(BATCH), pl.lit(by_key[key].as_of).cast(UTC_MOMENT)
                items = read_items(found[1].name, found[1], lake)
                frames.append(items.with_columns(batch[0], batch[1].alias("batch_as_of")))
        return _marked(pl.concat(frames, how="diagonal"), source) if frames else pl.DataFrame(schema=_HELD)

    made_by = fingerprint_of(FORMAT, fingerprint(), source.key, source.event_time, source.groups)
    place = f"landed/{use_case}/{source_name}"
    return gathered(lake, place, made_by, sorted(by_key), load).drop(BATCH)


def _marked(items: pl.DataFrame, source: Source) -> pl.DataFrame:
    missing = [TEXT + name for name in declared_columns(source) if TEXT + name not in items.columns]
    items = items.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    marks = [
        items.filter(pl.col("group") == group).select(
            item_of(source, group).alias("item"),
            digest_of(source, group).alias("digest"),
            "batch_as_of",
            BATCH,
        )
        for group in source.groups
    ]
    return pl.concat(marks)


def _describe(name: BatchName, parquet: bytes, sha256: str) -> Manifest:
    items = pl.read_parquet(io.BytesIO(parquet), columns=["group", "arrival", "faults"])
    request = json.loads(pl.read_parquet_metadata(io.BytesIO(parquet))[_REQUEST])
    counts = {group: dict.fromkeys(ARRIVALS, 0) for group in sorted(items["group"].unique())}
    for group, arrival, count in items.group_by("group", "arrival").len().rows():
        counts[group][arrival] = count
    faults = items.filter(pl.col("faults").list.len() > 0).height
    return Manifest(name, rows=items.height, groups=counts, faults=faults, request=request, sha256=sha256)
