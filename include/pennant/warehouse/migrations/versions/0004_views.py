"""The online store by view, on both clocks. What it held is published anew with the next ingest.

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("DELETE FROM feature_store")
    op.add_column("feature_store", sa.Column("view", sa.Text(), nullable=False))
    op.add_column("feature_store", sa.Column("known_at", sa.DateTime(timezone=True), nullable=False))
    op.drop_constraint("feature_store_pkey", "feature_store")
    op.create_primary_key("feature_store_pkey", "feature_store", ["use_case", "view", "entity"])
