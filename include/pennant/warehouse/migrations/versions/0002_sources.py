"""Sources: the breaker, its metrics and freshness beside a source's health; the limits of its provider.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0002"
down_revision = "0001"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    for column in (
        sa.Column("breaker", sa.Text(), nullable=False, server_default="closed"),
        sa.Column("opened_at", MOMENT, nullable=True),
        sa.Column("probe_until", MOMENT, nullable=True),
        sa.Column("first_asked_at", MOMENT, nullable=False, server_default=sa.text("now()")),
        sa.Column("last_success_at", MOMENT, nullable=True),
        sa.Column("last_failure_at", MOMENT, nullable=True),
        sa.Column("newest_known_at", MOMENT, nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("requests", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("retries", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.Column("quota_remaining", sa.BigInteger(), nullable=True),
        sa.Column("quota_resets_at", MOMENT, nullable=True),
    ):
        op.add_column("source_health", column)
    op.create_table(
        "source_limits",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("taken", ARRAY(MOMENT), nullable=False, server_default="{}"),
        sa.Column("blocked_until", MOMENT, nullable=True),
        sa.Column("blocked_why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
