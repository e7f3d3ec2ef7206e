"""The online store: the newest known values, for programs that only know a name.

It holds the newest row of every declared view per entity, and under the view `request` the finished feature
row of each event to predict. A row has both clocks: the event it is about, and when it was known.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan

import polars as pl
from sqlalchemy import Connection, Delete, Engine, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase
from pennant.features import continued
from pennant.features.build import feature_rows, requests_of
from pennant.features.module import code_hash, features_module
from pennant.features.tables import load_tables
from pennant.features.views import CLOCKS, Known, views_of
from pennant.settings import Settings
from pennant.warehouse.tables import feature_store

REQUEST = "request"
"""Name under which finished feature rows are stored."""
CHUNK = 1_000

_STORE = insert(feature_store)
_NEWER = _STORE.on_conflict_do_update(
    index_elements=["use_case", "view", "entity"],
    set_={name: _STORE.excluded[name] for name in ("event_time", "known_at", "as_of", "values")},
    # By the moment of knowing everything: a correction may take a newest row away.
    where=feature_store.c.as_of <= _STORE.excluded.as_of,
).returning(feature_store.c.entity)
_LOOKUP = select(feature_store).where(
    feature_store.c.use_case == bindparam("use_case"),
    feature_store.c.view == bindparam("view"),
    feature_store.c.entity.in_(bindparam("entities", expanding=True)),
)


@dataclass(frozen=True)
class Held:
    """What the store holds of one entity.

    Attributes:
        entity: whom it is about.
        event_time: the event of the newest value.
        known_at: when it became known.
        values: column to value; None where it is missing.
        stale: it became known longer ago than its view allows.
    """

    entity: str
    event_time: datetime
    known_at: datetime
    values: dict[str, float | str | None]
    stale: bool


def publish(use_case: DataUseCase, rows: pl.DataFrame, as_of: datetime, warehouse: Engine) -> int:
    """Put rows of `request_rows` into the store as view `request`; what a later run has put there stays.

    Args:
        use_case: its features are stored, nothing else.
        rows: `entity`, `event_time`, `moment` (when they were known) and the features.
        as_of: until when everything was known.
        warehouse: a migrated warehouse.

    Returns:
        How many rows were new or newer.
    """
    chosen = rows.select("entity", pl.col("moment").alias("known_at"), "event_time", *use_case.features)
    with warehouse.begin() as connection:
        return _store(connection, use_case.name, REQUEST, chosen, as_of)


def publish_views(
    use_case: DataUseCase,
    made: dict[str, pl.DataFrame],
    as_of: datetime,
    warehouse: Engine,
    parts: Collection[str] = (),
) -> int:
    """Put the newest row of each entity of each timeline into the store, all of them or none.

    Args:
        use_case: whose views.
        made: timelines by view, as known at `as_of`.
        as_of: the moment; an older one than the stored changes nothing.
        warehouse: a migrated warehouse.
        parts: views whose timeline is only what is new; of the others, entities that are not there any more
            (a correction took them away) leave the store.

    Returns:
        How many rows were new or newer.
    """
    with warehouse.begin() as connection:
        written = sum(
            _store(connection, use_case.name, view, newest_of(timeline), as_of)
            for view, timeline in made.items()
        )
        for view in made.keys() - set(parts):
            connection.execute(_older(use_case.name, view, as_of))
    return written


def _older(use_case: str, view: str, as_of: datetime) -> Delete:
    """Rows of earlier runs that this one has not written again."""
    return delete(feature_store).where(
        feature_store.c.use_case == use_case, feature_store.c.view == view, feature_store.c.as_of < as_of
    )


def newest_of(timeline: pl.DataFrame) -> pl.DataFrame:
    """The last known row of each entity; at equal `known_at` the last one."""
    named = timeline.filter(pl.col("entity").is_not_null())
    ordered = named.sort("known_at", maintain_order=True)
    return ordered.unique(subset=["entity"], keep="last", maintain_order=True)


def publish_known(
    use_case: DataUseCase, lake: Lake, settings: Settings, warehouse: Engine, as_of: datetime
) -> int:
    """Publish what is known at `as_of`: every view, and the features of the events that are listed ahead.

    Returns:
        How many rows were new or newer.
    """
    tables = load_tables(use_case, lake, as_of)
    folder = settings.use_cases / use_case.name
    module, code = features_module(folder), code_hash(folder)
    made, ends, continuing = {}, {}, {}
    for name, declared in views_of(module).items():
        if declared.windows is None:
            made[name] = declared.timeline(Known(tables, as_of))
            continue
        found = continued.newer(use_case, lake, code, declared, declared.windows, tables, as_of)
        lost = found.before is not None and _lost(warehouse, use_case.name, name, found.before)
        continuing[name] = found.before is not None and not lost
        made[name] = declared.timeline(Known(tables, as_of)) if lost else found.timeline
        ends[name] = (declared, found.end)
    parts = [name for name in ends if continuing[name]]
    written = publish_views(use_case, made, as_of, warehouse, parts)
    for declared, end in ends.values():
        if end is not None:  # only now: what is not in the store has to come again
            continued.keep_end(use_case, lake, code, declared, tables, end)
    ahead = use_case.sources[use_case.spine.source].ahead_days
    since = as_of - timedelta(hours=use_case.label.delay_hours)
    coming = requests_of(use_case, tables, since, as_of + timedelta(days=ahead), as_of)
    if coming.height:
        written += publish(use_case, feature_rows(use_case, module, tables, coming), as_of, warehouse)
    ghosts = _older(use_case.name, REQUEST, as_of).where(feature_store.c.event_time > since)
    with warehouse.begin() as connection:
        connection.execute(ghosts)  # events that are not listed any more
    return written


def _lost(warehouse: Engine, use_case: str, view: str, end: continued.End) -> bool:
    """Whether the store has less of a view than was published: it was emptied, or restored from a backup."""
    held = select(func.count(), func.max(feature_store.c.as_of))
    held = held.where(feature_store.c.use_case == use_case, feature_store.c.view == view)
    with warehouse.connect() as connection:
        entities, newest = connection.execute(held).one()
    named = end.state.entities["entity"].drop_nulls().len()
    return bool(entities < named or newest is None or newest < end.published)


def lookup(
    warehouse: Engine, use_case: str, view: str, entities: Sequence[str], at: datetime, fresh_hours: float
) -> dict[str, Held]:
    """The newest values of some entities; one that was never published is not in the answer.

    Args:
        warehouse: where the store is.
        use_case: whose view.
        view: the view's name, or `request`.
        entities: whose values.
        at: the moment of asking.
        fresh_hours: older than that at `at` is stale.
    """
    given = {"use_case": use_case, "view": view, "entities": list(entities)}
    limit = at - timedelta(hours=fresh_hours)
    with warehouse.connect() as connection:
        return {
            row.entity: Held(
                row.entity, row.event_time, row.known_at, row._mapping["values"], stale=row.known_at < limit
            )
            for row in connection.execute(_LOOKUP, given)
        }


def _store(connection: Connection, use_case: str, view: str, rows: pl.DataFrame, as_of: datetime) -> int:
    written = 0
    for chunk in _records(use_case, view, rows, as_of):
        written += len(connection.execute(_NEWER, chunk).all())
    return written


def _records(
    use_case: str, view: str, rows: pl.DataFrame, as_of: datetime
) -> Iterator[list[dict[str, object]]]:
    values = [name for name in rows.columns if name not in CLOCKS]
    for start in range(0, rows.height, CHUNK):
        yield [
            {
                "use_case": use_case,
                "view": view,
                "entity": row["entity"],
                "event_time": row["event_time"],
                "known_at": row["known_at"],
                "as_of": as_of,
                "values": {name: _plain(row[name]) for name in values},
            }
            for row in rows.slice(start, CHUNK).iter_rows(named=True)
        ]


def _plain(value: object) -> object:
    if isinstance(value, float):
        return None if isnan(value) else value
    if value is None or isinstance(value, str | int):
        return value
    return json.loads(json.dumps(value, default=str))
