"""Training snapshots: immutable Parquet files named by the SHA-256 of their bytes.

The same declaration, code and `as_of` give the same bytes, also after later batches and corrections have
arrived: only what was known at `as_of` goes in, in a fixed order, written with fixed options.
"""

import hashlib
import io
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase
from pennant.features import reuse
from pennant.features.build import BASELINE, baseline_columns, feature_rows, requests_of
from pennant.features.errors import NoSnapshotRows
from pennant.features.labels import labels_of
from pennant.features.module import code_hash, features_module
from pennant.features.tables import Tables, load_tables
from pennant.reference import Reference
from pennant.settings import Settings

log = logging.getLogger(__name__)

GROUPS = ("group", "cluster")
"""Columns that say which rows belong together: in a fold, and in an interval."""


@dataclass(frozen=True)
class SnapshotManifest:
    """What `snapshot.json` says about the data beside it."""

    use_case: str
    as_of: datetime
    rows: int
    columns: list[str]
    code: str


def build_snapshot(
    use_case: DataUseCase, lake: Lake, settings: Settings, as_of: datetime, *, anew: bool = False
) -> Reference:
    """Build the snapshot of everything trainable at `as_of` and put it in the lake.

    Rows: `entity`, `event_time`, `moment`, `label` (void rows are left out), `label_known_at` (when the
    label was first known; a later correction of it changes the value and not its age), the features and
    `baseline__<column>`. History reaches back `history_days` + `fresh_days`. Feature rows that an earlier
    snapshot has and that still hold are taken from it (see `reuse`): the bytes are the same.

    Args:
        use_case: the declaration.
        lake: the validated batches.
        settings: where the use cases lie.
        as_of: the end of knowledge.
        anew: build every row, also those that an earlier snapshot has.

    Raises:
        NoSnapshotRows: nothing trainable was known by then.
    """
    code = code_hash(settings.use_cases / use_case.name)
    tables = load_tables(use_case, lake, as_of)
    past = None if anew else reuse.find(lake, use_case, code, tables, as_of)
    frame = _rows(use_case, settings, tables, as_of, past)
    identity = {"use_case": use_case.name, "as_of": _text(as_of), "code": code}
    content = _parquet(frame, identity)
    sha256 = hashlib.sha256(content).hexdigest()
    manifest = {**identity, "rows": frame.height, "columns": frame.columns}
    described = json.dumps(manifest, sort_keys=True, indent=1).encode()
    lake.put(f"snapshots/{sha256}/snapshot.json", described)  # first: who finds the data finds this
    taken = lake.put(f"snapshots/{sha256}/data.parquet", content)
    reuse.remember(lake, use_case, code, tables, as_of, taken)
    return taken


def snapshot_frame(use_case: DataUseCase, lake: Lake, settings: Settings, as_of: datetime) -> pl.DataFrame:
    """Return the rows of the snapshot as of a moment, all built anew, sorted by event_time and entity."""
    return _rows(use_case, settings, load_tables(use_case, lake, as_of), as_of, None)


def _rows(
    use_case: DataUseCase,
    settings: Settings,
    tables: Tables,
    as_of: datetime,
    past: reuse.Past | None,
) -> pl.DataFrame:
    start = as_of - timedelta(days=use_case.split.history_days + use_case.split.fresh_days)
    requests = requests_of(use_case, tables, start, as_of, as_of)
    known = labels_of(use_case, tables).filter(~pl.col("void"))
    known = known.select("entity", "label", pl.col("first_known_at").alias("label_known_at"))
    asked = requests.join(known.select("entity"), on="entity", how="semi", maintain_order="left")
    if asked.is_empty():
        raise NoSnapshotRows(use_case.name, as_of, requests.height, known.height)
    module = features_module(settings.use_cases / use_case.name)
    if past is None:
        rows = feature_rows(use_case, module, tables, asked)
    else:
        rows, held = reuse.rows_on(use_case, module, tables, asked, past)
        log.info(
            "%s: %s of %s rows taken from the snapshot of %s", use_case.name, held, rows.height, past.until
        )
    rows = rows.join(known, on="entity", how="inner")
    told = with_groups(use_case, rows, asked)
    order = ["entity", "event_time", "moment", "label", "label_known_at"]
    order += [name for name in GROUPS if name in told.columns]
    order += list(use_case.features)
    order += [BASELINE + name for name in baseline_columns(use_case)]
    return told.select(order).sort("event_time", "entity")


def with_groups(use_case: DataUseCase, rows: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """Rows with `group` and `cluster`, as far as the split declares them, from the requests they answer."""
    declared = dict(zip(GROUPS, (use_case.split.groups, use_case.split.clusters), strict=True))
    named = {name: pl.col(column).cast(pl.String) for name, column in declared.items() if column}
    if not named:
        return rows
    told = asked.select("entity", **named)
    return rows.join(told, on="entity", how="left", maintain_order="left")


def load_snapshot(lake: Lake, reference: Reference) -> pl.DataFrame:
    """Read a snapshot's rows; its hash is verified."""
    return pl.read_parquet(io.BytesIO(lake.get(reference)))


def snapshot_manifest(lake: Lake, reference: Reference) -> SnapshotManifest:
    """Read what a snapshot says about itself (from its own verified bytes)."""
    found = pq.ParquetFile(io.BytesIO(lake.get(reference)))
    said = {key.decode(): value.decode() for key, value in (found.metadata.metadata or {}).items()}
    return SnapshotManifest(
        use_case=said["use_case"],
        as_of=datetime.fromisoformat(said["as_of"]),
        rows=found.metadata.num_rows,
        columns=list(found.schema_arrow.names),
        code=said["code"],
    )


def _parquet(frame: pl.DataFrame, identity: dict[str, str]) -> bytes:
    """Write Parquet with every option that touches the bytes fixed here.

    The identity goes into the file, so that equal rows of different moments are different snapshots.
    """
    fields = [pa.field(name, _ARROW[dtype.base_type()]) for name, dtype in frame.schema.items()]
    table = frame.to_arrow().cast(pa.schema(fields))
    sink = io.BytesIO()
    with pq.ParquetWriter(
        sink,
        table.schema,
        version="2.6",
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    ) as writer:
        writer.write_table(table, row_group_size=1 << 20)
        writer.add_key_value_metadata(identity)
    return sink.getvalue()


_ARROW = {
    pl.String: pa.string(),
    pl.Float64: pa.float64(),
    pl.Datetime: pa.timestamp("us", tz="UTC"),
    pl.List: pa.list_(pa.float64()),
}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
