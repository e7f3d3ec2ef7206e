"""Outcomes of predicted events, written down once they are known."""

from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.warehouse.tables import outcomes

_CHUNK = 5000


def settle(use_case: UseCase, lake: Lake, warehouse: Engine, as_of: datetime) -> int:
    """Write every outcome known by `as_of`; a corrected one is a new row under its own `known_at`.

    Returns:
        How many outcomes are new. Settling twice adds nothing.
    """
    from pennant.features.labels import labels

    rows = [
        {
            "use_case": use_case.name,
            "entity": each["entity"],
            "event_time": each["event_time"],
            "known_at": each["known_at"],
            **_came(each["label"]),
            "void": each["void"],
        }
        for each in labels(use_case, lake, as_of).iter_rows(named=True)
    ]
    added = 0
    with warehouse.begin() as connection:
        for first in range(0, len(rows), _CHUNK):
            statement = insert(outcomes).values(rows[first : first + _CHUNK]).on_conflict_do_nothing()
            added += connection.execute(statement).rowcount
    return added


def _came(label: float | list[float] | None) -> dict[str, float | list[float] | None]:
    """A path has no single number."""
    return {"label": None, "path": label} if isinstance(label, list) else {"label": label, "path": None}
