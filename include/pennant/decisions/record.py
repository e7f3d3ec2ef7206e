"""Opportunities and settled bets in the warehouse: writing twice adds nothing, and no order matters."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from sqlalchemy import Column, Engine, Table
from sqlalchemy.dialects.postgresql import insert

from pennant.warehouse.tables import bet_history, betting_opportunities

_CHUNK = 2000


def record_opportunities(use_case: str, rows: pl.DataFrame, warehouse: Engine) -> int:
    """Write `Opportunities.rows` to `betting_opportunities`; one that is there already stays as it is.

    Columns that the table does not have are not written.

    Returns:
        How many are new.
    """
    added = 0
    with warehouse.begin() as connection:
        for chunk in _chunks(use_case, rows, betting_opportunities):
            statement = insert(betting_opportunities).values(chunk).on_conflict_do_nothing()
            added += len(connection.execute(statement.returning(betting_opportunities.c.id)).all())
    return added


def record_settled(use_case: str, settled: pl.DataFrame, warehouse: Engine) -> int:
    """Write settled bets to `bet_history`; one settled anew by later news takes the place of the earlier one.

    Returns:
        How many are new or have changed.
    """
    changed = 0
    with warehouse.begin() as connection:
        for chunk in _chunks(use_case, settled, bet_history):
            statement = insert(bet_history).values(chunk)
            key = [bet_history.c.use_case, bet_history.c.entity, bet_history.c.side]
            names = [name for name in chunk[0] if name not in ("use_case", "entity", "side")]
            new = {name: statement.excluded[name] for name in names}
            later = statement.excluded.settled_at > bet_history.c.settled_at
            upsert = statement.on_conflict_do_update(index_elements=key, set_=new, where=later)
            changed += len(connection.execute(upsert.returning(bet_history.c.id)).all())
    return changed


def _chunks(use_case: str, rows: pl.DataFrame, table: Table) -> Sequence[list[dict[str, Any]]]:
    kept = [_name(column) for column in table.columns if _name(column) in rows.columns]
    made = [{"use_case": use_case, **row} for row in rows.select(kept).iter_rows(named=True)]
    return [made[first : first + _CHUNK] for first in range(0, len(made), _CHUNK)]


def _name(column: Column[Any]) -> str:
    return str(column.name)
