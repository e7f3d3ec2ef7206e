"""Quality: each rule's outcome, and the numbers and the page of a batch.

Revision: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("data_batches", sa.Column("statistics", JSONB(), nullable=False, server_default="{}"))
    op.add_column("data_batches", sa.Column("report_uri", sa.Text(), nullable=True))
    op.create_table(
        "data_checks",
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("on_failure", sa.Text(), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("failing", sa.Integer(), nullable=False),
        sa.Column("observed", JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("use_case", "source", "batch_id", "number"),
    )
