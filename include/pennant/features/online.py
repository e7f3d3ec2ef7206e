"""The online store: the newest features of each entity, for programs that only know its name."""

from math import isnan

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from pennant.declaration.model import DataUseCase
from pennant.warehouse.tables import feature_store

CHUNK = 1_000


def publish(use_case: DataUseCase, rows: pl.DataFrame, warehouse: Engine) -> int:
    """Put rows of `request_rows` into `feature_store`; what is newer there already stays.

    Args:
        use_case: its features are stored, nothing else.
        rows: `entity`, `event_time`, `moment` (stored as `as_of`) and the features.
        warehouse: a migrated warehouse.

    Returns:
        How many rows were new or newer.
    """
    records = [
        {
            "use_case": use_case.name,
            "entity": row["entity"],
            "event_time": row["event_time"],
            "as_of": row["moment"],
            "values": {name: _plain(row[name]) for name in use_case.features},
        }
        for row in rows.select("entity", "event_time", "moment", *use_case.features).iter_rows(named=True)
    ]
    statement = insert(feature_store)
    new = statement.excluded
    upsert = statement.on_conflict_do_update(
        index_elements=["use_case", "entity"],
        set_={"event_time": new.event_time, "as_of": new.as_of, "values": new["values"]},
        where=feature_store.c.as_of <= new.as_of,
    ).returning(feature_store.c.entity)
    written = 0
    with warehouse.begin() as connection:
        for start in range(0, len(records), CHUNK):
            written += len(connection.execute(upsert, records[start : start + CHUNK]).all())
    return written


def _plain(value: float | None) -> float | None:
    return None if value is None or isnan(value) else float(value)
