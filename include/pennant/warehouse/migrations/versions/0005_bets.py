"""Bets: what each was on, at which price, of whom; and what the closing price said of it.

Revision: 0005
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_MOMENT = sa.DateTime(timezone=True)
_OPPORTUNITY: dict[str, Any] = {
    **dict.fromkeys(("event_time", "quoted_at"), _MOMENT),
    **dict.fromkeys(("market", "outcome", "group", "bookmaker", "risk"), sa.Text()),
    **dict.fromkeys(
        ("line", "low", "high", "decided", "overround", "price", "edge_low", "edge_high", "kelly"),
        sa.Double(),
    ),
    "books": sa.Integer(),
}
_BET: dict[str, Any] = {
    **dict.fromkeys(("event_time", "as_of"), _MOMENT),
    **dict.fromkeys(("version", "market", "outcome", "bookmaker", "risk"), sa.Text()),
    **dict.fromkeys(
        ("line", "price", "probability", "returned_share", "close_probability", "clv_log", "clv_percent"),
        sa.Double(),
    ),
}


def upgrade() -> None:
    for table, columns in (("betting_opportunities", _OPPORTUNITY), ("bet_history", _BET)):
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind, nullable=True))
