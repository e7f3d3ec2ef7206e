"""The way into the lake: `fetch` lands a raw batch, `pending` lists what waits, `validate` judges it."""

from datetime import datetime

import polars as pl
from sqlalchemy import Engine, select

from pennant.data import records
from pennant.data.asking.access import Accesses
from pennant.data.asking.cache import forget
from pennant.data.asking.engine import Asking, retrieve
from pennant.data.batches import BatchName, land, landed, landed_windows, stored_items
from pennant.data.connectors.base import Answer
from pennant.data.errors import SourceMalformed
from pennant.data.items import items_of
from pennant.data.lake import Lake, sha256_of
from pennant.data.reading import read_parts
from pennant.data.validation import BatchResult, validate
from pennant.data.windows import take
from pennant.declaration.model import DataUseCase
from pennant.reference import Reference, Window
from pennant.settings import Settings
from pennant.warehouse.tables import data_batches

__all__ = ["BatchResult", "fetch", "pending", "validate"]


def fetch(
    use_case: DataUseCase,
    source_name: str,
    window: Window,
    lake: Lake,
    warehouse: Engine,
    settings: Settings,
    access: Accesses,
) -> Reference:
    """Land the raw batch of one source and window; gives the reference of its manifest.

    A window that has landed stays as it is, whatever the provider says now: what changed there
    comes with the next window, as corrections. Fetching a window whose batch was stopped makes the
    batch pending again.

    Raises:
        SourceDown: the provider gave no complete answer; nothing was stored.
        SourceMalformed: it gave something else than the declared table; nothing was stored.
        PastUnavailable: it only tells how things stand now, and the window is over.
        MissingConnection: its key or database is in an Airflow connection that is not there.
        LakeFull: the lake's disk is full; nothing was left half-written.
    """
    name = BatchName(use_case.name, source_name, window)
    lake.sweep()
    batch = landed(name, lake)
    if batch is None:
        place = Asking(lake, warehouse, settings, access)
        answers = retrieve(use_case, source_name, window, place)
        try:
            items, request = _taken(use_case, source_name, window, answers, lake)
        except SourceMalformed as error:
            records.source_failed(warehouse, use_case.name, source_name, str(error))
            forget(lake, use_case.name, source_name)  # what cannot be read is no reason not to ask again
            raise
        batch = land(name, items, request, lake)
        records.source_learned(warehouse, use_case.name, source_name, items["known_at"].max())
    reference, manifest = batch
    records.batch_landed(warehouse, reference, manifest)
    return reference


def pending(use_case: DataUseCase, lake: Lake, warehouse: Engine, as_of: datetime) -> list[Reference]:
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
    use_case: DataUseCase, source_name: str, window: Window, answers: list[Answer], lake: Lake
) -> tuple[pl.DataFrame, dict[str, object]]:
    source = use_case.sources[source_name]
    table, columns = read_parts(answers, source)
    address = answers[0].address if answers else "(no part of it is there yet)"
    items = items_of(table, f"{use_case.name}.{source_name}", address, source)
    windows = landed_windows(use_case.name, source_name, lake, before=window.start)
    stored = stored_items(use_case.name, source_name, source, windows, lake)
    taken, left_out = take(items, stored, source.key, window, windows)
    for group in source.groups:
        missing = table.height - items.filter(pl.col("group") == group).height
        if missing:
            left_out.setdefault(group, {})["not_known_yet"] = missing
    request: dict[str, object] = {
        "kind": source.kind,
        "parts": [_described(answer) for answer in answers],
        "retrieved_at": max((answer.retrieved_at for answer in answers), default=None),
        "columns": columns,
        "rows": table.height,
        # With the items that landed these are all: no row goes missing without a reason.
        "left_out": left_out,
    }
    return taken, request


def _described(answer: Answer) -> dict[str, object]:
    return {
        "part": answer.part,
        "page": answer.page,
        "address": answer.address,
        "provider": answer.provider,
        "etag": answer.etag,
        "last_modified": answer.last_modified,
        "sha256": sha256_of(answer.content),
        "bytes": len(answer.content),
    }
