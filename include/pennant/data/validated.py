"""What the later rooms read: every version of every value, with the moment it was known."""

import io
import json
from collections.abc import Sequence
from datetime import datetime

import polars as pl

from pennant.data.digests import mark_of
from pennant.data.gathered import BATCH, gathered
from pennant.data.identities import resolve
from pennant.data.items import group_columns
from pennant.data.kept import fingerprint_of
from pennant.data.lake import Lake
from pennant.data.reading import POLARS_TYPES, UTC_MOMENT
from pennant.declaration.model import DataUseCase, Source
from pennant.reference import Reference, Window

FORMAT = 1
"""Of what is kept together; another one is read anew."""


def versions(use_case: DataUseCase, source: str, group: str, lake: Lake, as_of: datetime) -> pl.DataFrame:
    """All versions of a group's rows from validated batches that end at `as_of` or earlier.

    A later version of a key is a correction. One that says the same as the version before it is
    left out, so the order in which windows were ingested leaves no trace.

    Returns:
        Columns: the key (text), `event_time`, `known_at`, `batch_as_of` (Datetime us UTC), the group's
        declared columns in canonical names, and `provider` (who said it); sorted by `known_at`,
        `event_time`, key. No row has a `known_at` after `as_of`.

    Raises:
        LakeCorrupt: a validated batch is not the one that was written.
    """
    declared = use_case.sources[source]
    own = group_columns(declared, group)
    schema = _schema(declared, group)
    folder = f"validated/{use_case.name}/{source}"
    paths = {path.split("/")[-2]: path for path in lake.list(folder) if path.endswith("/batch.json")}
    keys = [key for key in sorted(paths) if Window.from_key(key).as_of <= as_of]

    def load(keys: Sequence[str]) -> pl.DataFrame:
        frames = [pl.DataFrame(schema={**schema, BATCH: pl.String()})]
        for key in keys:
            if (rows := _rows(paths[key], group, lake)) is not None:
                batch = pl.lit(Window.from_key(key).as_of).cast(UTC_MOMENT)
                made = rows.with_columns(batch.alias("batch_as_of"), pl.lit(key).alias(BATCH))
                frames.append(made.select(frames[0].columns))
        return pl.concat(frames)

    place = f"versions/{use_case.name}/{source}/{group}"
    found = gathered(lake, place, fingerprint_of(FORMAT, schema), keys, load)
    found = found.filter(pl.col("known_at") <= as_of)
    found = resolve(_without_repeats(found, declared.key, own), declared, use_case.identities)
    # Windows may end at one moment: their names tell which is which, never the order they were read in.
    return found.sort("known_at", "event_time", *declared.key, "batch_as_of", BATCH).drop(BATCH)


def _without_repeats(rows: pl.DataFrame, key: Sequence[str], own: Sequence[str]) -> pl.DataFrame:
    """The rows without versions that say the same as their key's one before, or that were never to be seen.

    Of versions known at one moment the newest batch's is the one.
    """
    many = rows.select(mark_of(pl.col(name) for name in key).is_duplicated()).to_series()
    if not many.any():
        return rows
    # Only keys of several rows (by their marks, and perhaps a few more) have versions to compare.
    ordered = (
        rows.with_row_index("row").filter(many).sort(*key, "known_at", "batch_as_of", BATCH, "event_time")
    )
    unseen = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(-1)) for name in (*key, "known_at"))
    seen = ordered.filter(~unseen.fill_null(value=False))
    hidden = ordered.join(seen, on="row", how="anti")["row"]
    ordered = seen
    same = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(name).shift()) for name in (*key, "event_time", *own)
    )
    first = pl.int_range(pl.len()) == 0
    repeats = pl.concat([ordered.filter(same & ~first)["row"], hidden])
    return rows.filter(~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(repeats.implode()))


def _schema(source: Source, group: str) -> dict[str, pl.DataType]:
    kinds = source.groups[group].columns
    schema: dict[str, pl.DataType] = {name: pl.String() for name in source.key}
    schema |= dict.fromkeys(("event_time", "known_at", "batch_as_of"), UTC_MOMENT)
    schema |= {name: POLARS_TYPES[kinds[name]] for name in group_columns(source, group)}
    return schema | {"provider": pl.String()}


def _rows(path: str, group: str, lake: Lake) -> pl.DataFrame | None:
    batch = json.loads(lake.get(lake.uri(path)))
    held = batch["groups"].get(group)
    if held is None:
        return None
    uri = lake.uri(f"{path.removesuffix('batch.json')}{group}.parquet")
    content = lake.get(Reference(uri=uri, sha256=held["sha256"]))
    return pl.read_parquet(io.BytesIO(content))
