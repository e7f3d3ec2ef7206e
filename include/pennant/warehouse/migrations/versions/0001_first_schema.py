"""The first schema: every table, the default partition of `predictions`, the append-only ledger.

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _serving()
    _data()
    _betting()
    _judgement()
    _reaction()
    op.execute("CREATE TABLE predictions_default PARTITION OF predictions DEFAULT")
    op.execute(
        """
        CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the ledger is append-only: % refused', TG_OP
                USING ERRCODE = 'restrict_violation', HINT = 'append an entry that says what is different';
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()
        """
    )
    # ALWAYS: a session that plays a replica does not get around it.
    op.execute("ALTER TABLE ledger ENABLE ALWAYS TRIGGER ledger_is_append_only")


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False)


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, MOMENT, server_default=sa.text("now()"), nullable=False)


def _serving() -> None:
    op.create_table(
        "predictions",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("prediction_id", sa.Text(), nullable=False),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("event_time", MOMENT, nullable=True),
        sa.Column("as_of", MOMENT, nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.BigInteger(), nullable=False),
        sa.Column("features", JSONB(), nullable=False),
        sa.Column("prediction", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("extra", JSONB(), nullable=False, server_default="{}"),
        sa.Column("answered_at", MOMENT, nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("day", "prediction_id"),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index("predictions_by_event", "predictions", ["use_case", "event_time"])
    op.create_table(
        "traffic_policies",
        _id(),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=False),
        sa.Column("arms", JSONB(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("use_case", "request_key"),
    )
    op.create_table(
        "deployments",
        _id(),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("details", JSONB(), nullable=False, server_default="{}"),
        _now("created_at"),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("use_case", "version", "as_of"),
    )
    op.create_table(
        "feature_store",
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("event_time", MOMENT, nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("values", JSONB(), nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("use_case", "entity"),
    )


def _data() -> None:
    op.create_table(
        "data_batches",
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("window_start", MOMENT, nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("quarantined", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("reasons", JSONB(), nullable=False, server_default="{}"),
        sa.Column("manifest_uri", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("use_case", "source", "batch_id"),
    )
    op.create_table(
        "source_health",
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        _now("updated_at"),
        sa.PrimaryKeyConstraint("use_case", "source"),
    )
    op.create_table(
        "outcomes",
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("event_time", MOMENT, nullable=False),
        sa.Column("known_at", MOMENT, nullable=False),
        sa.Column("label", sa.Double(), nullable=True),
        sa.Column("void", sa.Boolean(), nullable=False, server_default="false"),
        _now("created_at"),
        sa.PrimaryKeyConstraint("use_case", "entity", "known_at"),
    )


def _betting() -> None:
    op.create_table(
        "betting_opportunities",
        _id(),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("market_probability", sa.Double(), nullable=False),
        sa.Column("edge", sa.Double(), nullable=False),
        sa.Column("stake_share", sa.Double(), nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("use_case", "entity", "as_of", "side"),
    )
    op.create_table(
        "bet_history",
        _id(),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("stake_share", sa.Double(), nullable=False),
        sa.Column("market_probability", sa.Double(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("profit_share", sa.Double(), nullable=False),
        sa.Column("settled_at", MOMENT, nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("use_case", "entity", "side"),
    )


def _judgement() -> None:
    op.create_table(
        "model_performance",
        _id(),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("window_start", MOMENT, nullable=False),
        sa.Column("window_end", MOMENT, nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("details", JSONB(), nullable=False, server_default="{}"),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("use_case", "version", "source", "window_start", "window_end", "metric"),
    )
    op.create_table(
        "experiments",
        _id(),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("champion", sa.Text(), nullable=False),
        sa.Column("challenger", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("details", JSONB(), nullable=False, server_default="{}"),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("use_case", "name"),
    )
    op.create_table(
        "drift_reports",
        _id(),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("window_start", MOMENT, nullable=False),
        sa.Column("window_end", MOMENT, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("share", sa.Double(), nullable=True),
        sa.Column("violates", sa.Boolean(), nullable=False),
        sa.Column("scores", JSONB(), nullable=False, server_default="{}"),
        sa.Column("report_uri", sa.Text(), nullable=True),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("use_case", "version", "window_start", "window_end"),
    )
    op.create_table(
        "ledger",
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("entry", JSONB(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("hash"),
    )


def _reaction() -> None:
    op.create_table(
        "system_alerts",
        _id(),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("dedup_key", sa.Text(), nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("evidence", JSONB(), nullable=False, server_default="{}"),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("links", JSONB(), nullable=False, server_default="{}"),
        sa.Column("deliveries", JSONB(), nullable=False, server_default="{}"),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("use_case", "dedup_key", "as_of"),
    )
    op.create_table(
        "healing_actions",
        _id(),
        sa.Column("use_case", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("reason", JSONB(), nullable=False, server_default="{}"),
        sa.Column("result", JSONB(), nullable=False, server_default="{}"),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("use_case", "class", "action", "as_of"),
    )
