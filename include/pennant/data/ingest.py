"""The way into the lake: `fetch` lands a raw batch, `pending` lists what waits, `validate` judges it."""

from datetime import datetime

import polars as pl
from sqlalchemy import Engine, select

from pennant.data import records
from pennant.data.batches import BatchName, land, landed, landed_windows, stored_items
from pennant.data.errors import SourceDown, SourceMalformed
from pennant.data.items import items_of
from pennant.data.lake import Lake, sha256_of
from pennant.data.reading import read_table
from pennant.data.sources import remember, retrieve
from pennant.data.validation import BatchResult, validate
from pennant.data.windows import take
from pennant.declaration.model import UseCase
from pennant.reference import Reference, Window
from pennant.settings import Settings
from pennant.warehouse.tables import data_batches

__all__ = ["BatchResult", "fetch", "pending", "validate"]


def fetch(
    use_case: UseCase, source_name: str, window: Window, lake: Lake, warehouse: Engine, settings: Settings
) -> Reference:
    """Land the raw batch of one source and window; gives the reference of its manifest.

    A window that has landed stays as it is, whatever the provider says now: what changed there
    comes with the next window, as corrections. Fetching a window whose batch was stopped makes the
    batch pending again.

    Raises:
        SourceDown: the provider gave no complete answer; nothing was stored.
        SourceMalformed: it gave something else than the declared table; nothing was stored.
        LakeFull: the lake's disk is full; nothing was left half-written.
    """
    name = BatchName(use_case.name, source_name, window)
    lake.sweep()
    batch = landed(name, lake)
    if batch is None:
        try:
            items, request = _taken(use_case, source_name, window, lake, settings)
        except (SourceDown, SourceMalformed) as error:
            records.source_failed(warehouse, use_case.name, source_name, str(error))
            raise
        batch = land(name, items, request, lake)
        records.source_answered(warehouse, use_case.name, source_name)
    reference, manifest = batch
    records.batch_landed(warehouse, reference, manifest)
    return reference


def pending(use_case: UseCase, lake: Lake, warehouse: Engine, as_of: datetime) -> list[Reference]:
    """Manifests of the batches that wait for validation, oldest first, none newer than `as_of`."""
    wanted = (
        select(data_batches.c.source, data_batches.c.batch_id, data_batches.c.sha256)
        .where(data_batches.c.use_case == use_case.name, data_batches.c.state == "raw")
        .where(data_batches.c.as_of <= as_of)
        .order_by(data_batches.c.as_of, data_batches.c.window_start, data_batches.c.source)
    )
    with warehouse.connect() as connection:
        rows = connection.execute(wanted).all()
    # By name, not by the address of the day it landed: a lake that moved keeps its batches.
    names = [BatchName(use_case.name, row.source, Window.from_key(row.batch_id)) for row in rows]
    return [
        Reference(uri=lake.uri(name.manifest), sha256=row.sha256)
        for name, row in zip(names, rows, strict=True)
    ]


def _taken(
    use_case: UseCase, source_name: str, window: Window, lake: Lake, settings: Settings
) -> tuple[pl.DataFrame, dict[str, object]]:
    source = use_case.sources[source_name]
    retrieved = retrieve(use_case, source_name, window.as_of, lake, settings)
    table = read_table(retrieved, source)
    items = items_of(table, retrieved, source)
    remember(retrieved, lake)
    windows = landed_windows(use_case.name, source_name, lake, before=window.start)
    stored = stored_items(use_case.name, source_name, source, windows, lake)
    request: dict[str, object] = {
        "kind": source.kind,
        "address": retrieved.address,
        "etag": retrieved.etag,
        "last_modified": retrieved.last_modified,
        "retrieved_at": retrieved.retrieved_at,
        "sha256": sha256_of(retrieved.content),
        "bytes": len(retrieved.content),
        "rows": table.height,
    }
    return take(items, stored, source.key, window, windows), request
