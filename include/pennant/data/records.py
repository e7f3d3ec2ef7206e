"""What the data room tells the warehouse: the state of batches and the health of sources."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pennant.data.batches import BatchName, Manifest
from pennant.reference import Reference
from pennant.warehouse.tables import data_batches, source_health


def batch_landed(warehouse: Engine, reference: Reference, manifest: Manifest) -> None:
    """Record a landed batch as `raw`. A validated one stays validated; a stopped one waits again."""
    name = manifest.name
    row = insert(data_batches).values(
        use_case=name.use_case,
        source=name.source,
        batch_id=name.batch_id,
        window_start=name.window.start,
        as_of=name.window.as_of,
        state="raw",
        rows=manifest.rows,
        manifest_uri=reference.uri,
        sha256=reference.sha256,
    )
    again = row.on_conflict_do_update(
        index_elements=[data_batches.c.use_case, data_batches.c.source, data_batches.c.batch_id],
        set_={"state": "raw"},
        where=data_batches.c.state == "stopped",
    )
    with warehouse.begin() as connection:
        connection.execute(again)


def batch_judged(
    connection: Connection, name: BatchName, state: str, quarantined: int, reasons: Mapping[str, int]
) -> None:
    """Record the outcome of a validation: `validated` or `stopped`."""
    connection.execute(
        update(data_batches)
        .where(data_batches.c.use_case == name.use_case, data_batches.c.source == name.source)
        .where(data_batches.c.batch_id == name.batch_id)
        .values(state=state, quarantined=quarantined, reasons=dict(reasons))
    )


def batch_described(
    connection: Connection, name: BatchName, statistics: Mapping[str, object], report_uri: str
) -> None:
    """Record the numbers of a batch, which later ones are compared with, and where its page is."""
    connection.execute(
        update(data_batches)
        .where(data_batches.c.use_case == name.use_case, data_batches.c.source == name.source)
        .where(data_batches.c.batch_id == name.batch_id)
        .values(statistics=dict(statistics), report_uri=report_uri)
    )


def hold_batch(connection: Connection, name: BatchName) -> None:
    """Let one transaction at a time write what a batch's validation gives."""
    lock = func.pg_advisory_xact_lock(func.hashtextextended(name.path("validated"), 0))
    connection.execute(select(lock))


def source_learned(warehouse: Engine, use_case: str, source: str, newest: object) -> None:
    """Record the moment of the newest value that landed; an older window's says nothing new."""
    if not isinstance(newest, datetime):
        return
    later = func.greatest(source_health.c.newest_known_at, newest)
    with warehouse.begin() as connection:
        connection.execute(
            update(source_health)
            .where(source_health.c.use_case == use_case, source_health.c.source == source)
            .values(newest_known_at=later)
        )


def source_failed(warehouse: Engine, use_case: str, source: str, error: str) -> None:
    """Record that a source failed, and how; failures in a row are counted."""
    row = insert(source_health).values(
        use_case=use_case, source=source, state="failing", consecutive_failures=1, last_error=error
    )
    row = row.on_conflict_do_update(
        index_elements=[source_health.c.use_case, source_health.c.source],
        set_={
            "state": "failing",
            "consecutive_failures": source_health.c.consecutive_failures + 1,
            "last_error": error,
            "updated_at": func.now(),
        },
    )
    with warehouse.begin() as connection:
        connection.execute(row)
