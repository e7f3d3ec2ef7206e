"""Outcomes that are no single number: where a walker went.

Revision: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("outcomes", sa.Column("path", ARRAY(sa.Double()), nullable=True))
