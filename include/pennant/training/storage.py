"""Optuna's studies in PostgreSQL, in a schema of their own beside the warehouse's tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from sqlalchemy import Engine, text
from sqlalchemy.schema import CreateSchema

from pennant.warehouse.engine import connect
from pennant.warehouse.lock import held

SCHEMA = "optuna"


@contextmanager
def opened(url: str) -> Iterator[tuple[optuna.storages.RDBStorage, Engine]]:
    """Open the trial storage of the warehouse at `url`; its tables are made the first time.

    Gives the storage and an engine on the same database for locks; both are closed at the end.

    Raises:
        WarehouseUrlError: not a PostgreSQL URL.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    engine = connect(url)
    storage = None
    try:
        with held(engine, "optuna tables") as connection:
            connection.execute(CreateSchema(SCHEMA, if_not_exists=True))
            connection.commit()
            ready = connection.execute(text(f"SELECT to_regclass('{SCHEMA}.alembic_version')")).scalar()
            connection.commit()
            storage = optuna.storages.RDBStorage(
                engine.url.render_as_string(hide_password=False),
                engine_kwargs=_engine_kwargs(engine),
                skip_table_creation=ready is not None,
            )
        yield storage, engine
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()
        engine.dispose()


def _engine_kwargs(engine: Engine) -> dict[str, Any]:
    given = engine.url.query.get("options", ())
    options = " ".join([*([given] if isinstance(given, str) else given), f"-c search_path={SCHEMA}"])
    return {
        "pool_size": 1,
        "max_overflow": 2,
        "pool_pre_ping": True,
        "connect_args": {"connect_timeout": 10, "options": options},
    }
