"""The warehouse schema, as SQLAlchemy tables; Alembic migrations under `migrations/` create it.

The serving app writes `predictions` and reads `traffic_policies` by SQL of its own: those two
tables are a contract with it.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()


def _moment(name: str, **given: bool) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=given.get("nullable", False))


def _created() -> Column[object]:
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now())


def _id() -> Column[int]:
    return Column("id", BigInteger, Identity(), primary_key=True)


# One row per answered prediction. Partitioned by range on `day` (the UTC day of `answered_at`),
# with a default partition; (day, prediction_id) makes a replayed spool harmless.
predictions = Table(
    "predictions",
    metadata,
    Column("day", Date, nullable=False),
    Column("prediction_id", Text, nullable=False),
    Column("use_case", Text, nullable=False),
    Column("entity", Text, nullable=False),
    _moment("event_time", nullable=True),
    _moment("as_of", nullable=True),
    Column("version", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("policy_id", BigInteger, nullable=False),
    Column("features", JSONB, nullable=False),
    Column("prediction", Double, nullable=False),
    Column("low", Double),
    Column("high", Double),
    Column("extra", JSONB, nullable=False, server_default="{}"),
    _moment("answered_at"),
    _created(),
    PrimaryKeyConstraint("day", "prediction_id"),
    Index("predictions_by_event", "use_case", "event_time"),
    postgresql_partition_by="RANGE (day)",
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("use_case", Text, nullable=False),
    Column("entity", Text, nullable=False),
    _moment("event_time"),
    _moment("known_at"),
    Column("label", Double),
    Column("path", ARRAY(Double)),  # of a trajectory: x and y of each step, in metres; it has no `label`
    Column("void", Boolean, nullable=False, server_default="false"),
    _created(),
    PrimaryKeyConstraint("use_case", "entity", "known_at"),
)

betting_opportunities = Table(
    "betting_opportunities",
    metadata,
    _id(),
    Column("use_case", Text, nullable=False),
    Column("entity", Text, nullable=False),
    _moment("as_of"),
    Column("version", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("probability", Double, nullable=False),
    Column("market_probability", Double, nullable=False),
    Column("edge", Double, nullable=False),
    Column("stake_share", Double, nullable=False),
    *(Column(name, DateTime(timezone=True)) for name in ("event_time", "quoted_at")),
    *(Column(name, Text) for name in ("market", "outcome", "group", "bookmaker", "risk")),
    *(Column(name, Double) for name in ("line", "low", "high", "decided", "overround", "price")),
    *(Column(name, Double) for name in ("edge_low", "edge_high", "kelly")),
    Column("books", Integer),
    _created(),
    UniqueConstraint("use_case", "entity", "as_of", "side"),
)

bet_history = Table(
    "bet_history",
    metadata,
    _id(),
    Column("use_case", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("stake_share", Double, nullable=False),
    Column("market_probability", Double, nullable=False),
    Column("result", Text, nullable=False),
    Column("profit_share", Double, nullable=False),
    _moment("settled_at"),
    *(Column(name, DateTime(timezone=True)) for name in ("event_time", "as_of")),
    *(Column(name, Text) for name in ("version", "market", "outcome", "bookmaker", "risk")),
    *(Column(name, Double) for name in ("line", "price", "probability", "returned_share")),
    *(Column(name, Double) for name in ("close_probability", "clv_log", "clv_percent")),
    _created(),
    UniqueConstraint("use_case", "entity", "side"),
)

# Metrics of one version over one window; `source` is `live` (settled predictions), `gate` or `backtest`.
model_performance = Table(
    "model_performance",
    metadata,
    _id(),
    Column("use_case", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("source", Text, nullable=False),
    _moment("window_start"),
    _moment("window_end"),
    Column("metric", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("value", Double, nullable=False),
    Column("low", Double),
    Column("high", Double),
    Column("details", JSONB, nullable=False, server_default="{}"),
    _created(),
    UniqueConstraint("use_case", "version", "source", "window_start", "window_end", "metric"),
)

feature_store = Table(
    "feature_store",
    metadata,
    Column("use_case", Text, nullable=False),
    Column("view", Text, nullable=False),
    Column("entity", Text, nullable=False),
    _moment("event_time"),
    _moment("known_at"),
    _moment("as_of"),
    Column("values", JSONB, nullable=False),
    _created(),
    PrimaryKeyConstraint("use_case", "view", "entity"),
)

system_alerts = Table(
    "system_alerts",
    metadata,
    _id(),
    Column("use_case", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("dedup_key", Text, nullable=False),
    _moment("as_of"),
    Column("what", Text, nullable=False),
    Column("evidence", JSONB, nullable=False, server_default="{}"),
    Column("action", Text, nullable=False),
    Column("links", JSONB, nullable=False, server_default="{}"),
    Column("deliveries", JSONB, nullable=False, server_default="{}"),
    _created(),
    UniqueConstraint("use_case", "dedup_key", "as_of"),
)

experiments = Table(
    "experiments",
    metadata,
    _id(),
    Column("use_case", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("champion", Text, nullable=False),
    Column("challenger", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default="{}"),
    _created(),
    UniqueConstraint("use_case", "name"),
)

# Append-only; the newest row of a use case is the policy in force. `arms` is a list of
# {"arm", "version", "bundle_uri", "bundle_sha256", "weight"}; weights of champion and challenger sum to 1.
traffic_policies = Table(
    "traffic_policies",
    metadata,
    _id(),
    Column("use_case", Text, nullable=False),
    Column("salt", Text, nullable=False),
    Column("arms", JSONB, nullable=False),
    Column("why", Text, nullable=False),
    Column("request_key", Text, nullable=False),
    _created(),
    UniqueConstraint("use_case", "request_key"),
)

# State of one release; `state`: requested, canary, promoted, turned_back, failed.
deployments = Table(
    "deployments",
    metadata,
    _id(),
    Column("use_case", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("state", Text, nullable=False),
    _moment("as_of"),
    Column("details", JSONB, nullable=False, server_default="{}"),
    _created(),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("use_case", "version", "as_of"),
)

data_batches = Table(
    "data_batches",
    metadata,
    Column("use_case", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("batch_id", Text, nullable=False),
    _moment("window_start"),
    _moment("as_of"),
    Column("state", Text, nullable=False),  # raw, validated, stopped
    Column("rows", Integer, nullable=False),
    Column("quarantined", Integer, nullable=False, server_default="0"),
    Column("reasons", JSONB, nullable=False, server_default="{}"),
    Column("statistics", JSONB, nullable=False, server_default="{}"),
    Column("report_uri", Text),
    Column("manifest_uri", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    _created(),
    PrimaryKeyConstraint("use_case", "source", "batch_id"),
)

# What was looked at in a batch, one row per rule; `number` keeps their order.
data_checks = Table(
    "data_checks",
    metadata,
    Column("use_case", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("batch_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("rule", Text, nullable=False),
    Column("on_failure", Text, nullable=False),  # stop, quarantine, warn
    Column("success", Boolean, nullable=False),
    Column("failing", Integer, nullable=False),
    Column("observed", JSONB),
    _created(),
    PrimaryKeyConstraint("use_case", "source", "batch_id", "number"),
)

source_health = Table(
    "source_health",
    metadata,
    Column("use_case", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),  # ok, fallback (the second provider answers), failing, unknown
    Column("consecutive_failures", Integer, nullable=False),  # of the first provider
    Column("last_error", Text),
    Column("breaker", Text, nullable=False, server_default="closed"),  # closed, open, half_open
    _moment("opened_at", nullable=True),
    _moment("probe_until", nullable=True),  # the one that tries has to be back by then
    Column("first_asked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    _moment("last_success_at", nullable=True),
    _moment("last_failure_at", nullable=True),
    _moment("newest_known_at", nullable=True),  # of the newest item that landed
    Column("answered_by", Text),  # kind of the provider that answered last
    Column("requests", BigInteger, nullable=False, server_default="0"),
    Column("retries", BigInteger, nullable=False, server_default="0"),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("latency_ms", Double),  # mean of the last fetch's requests
    Column("quota_remaining", BigInteger),  # as the provider said last
    _moment("quota_resets_at", nullable=True),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("use_case", "source"),
)

# How often a provider may be asked, by all workers together: `<use case>.<source>`, or the holder of a quota.
source_limits = Table(
    "source_limits",
    metadata,
    Column("name", Text, primary_key=True),
    Column("taken", ARRAY(DateTime(timezone=True)), nullable=False, server_default="{}"),
    _moment("blocked_until", nullable=True),  # the provider said so
    Column("blocked_why", Text),
)

drift_reports = Table(
    "drift_reports",
    metadata,
    _id(),
    Column("use_case", Text, nullable=False),
    Column("version", Text, nullable=False),
    _moment("window_start"),
    _moment("window_end"),
    Column("rows", Integer, nullable=False),
    Column("share", Double),
    Column("violates", Boolean, nullable=False),
    Column("scores", JSONB, nullable=False, server_default="{}"),
    Column("report_uri", Text),
    _created(),
    UniqueConstraint("use_case", "version", "window_start", "window_end"),
)

# A retrain request is a row with action `retrain` and state `pending`; the training run takes it.
healing_actions = Table(
    "healing_actions",
    metadata,
    _id(),
    Column("use_case", Text, nullable=False),
    Column("class", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("state", Text, nullable=False),  # pending, done, refused_cooldown, refused_budget
    _moment("as_of"),
    Column("reason", JSONB, nullable=False, server_default="{}"),
    Column("result", JSONB, nullable=False, server_default="{}"),
    _created(),
    UniqueConstraint("use_case", "class", "action", "as_of"),
)

# Append-only, chained by hash; a trigger refuses UPDATE and DELETE.
ledger = Table(
    "ledger",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("use_case", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("entry", JSONB, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("recorded_at", Text, nullable=False),
    UniqueConstraint("hash"),
)
