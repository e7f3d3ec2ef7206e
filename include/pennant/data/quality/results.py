"""What validation writes down in the warehouse: each rule's outcome, and the numbers of the batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select

from pennant.data.batches import BatchName
from pennant.warehouse.tables import data_batches, data_checks


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `failing` counts rows; it is zero for a check of the batch as a whole."""

    rule: str
    on_failure: str
    success: bool
    failing: int
    observed: Any = None


def write(connection: Connection, name: BatchName, checks: Sequence[Check]) -> None:
    """Replace what is written of a batch's checks."""
    mine = (
        (data_checks.c.use_case == name.use_case)
        & (data_checks.c.source == name.source)
        & (data_checks.c.batch_id == name.batch_id)
    )
    connection.execute(delete(data_checks).where(mine))
    rows = [
        {
            "use_case": name.use_case,
            "source": name.source,
            "batch_id": name.batch_id,
            "number": number,
            "rule": each.rule,
            "on_failure": each.on_failure,
            "success": each.success,
            "failing": each.failing,
            "observed": each.observed,
        }
        for number, each in enumerate(checks)
    ]
    if rows:
        connection.execute(insert(data_checks), rows)


def earlier(warehouse: Engine, name: BatchName, limit: int) -> list[Mapping[str, Any]]:
    """Statistics of the source's last validated batches whose windows end before this one begins.

    Newest first. The order in which a backfill ingests decides which of them are there; the comparison only
    ever warns or stops, and never changes what a batch holds.
    """
    query = (
        select(data_batches.c.statistics)
        .where(data_batches.c.use_case == name.use_case, data_batches.c.source == name.source)
        .where(data_batches.c.as_of <= name.window.start, data_batches.c.state == "validated")
        .order_by(data_batches.c.as_of.desc())
        .limit(limit)
    )
    with warehouse.connect() as connection:
        return [row.statistics or {} for row in connection.execute(query)]
