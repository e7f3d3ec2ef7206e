"""The declaration of a use case: a frozen, strict model, one class per part of the YAML file.

Numbers carry their unit in their name. There is no default where a default would be a decision
that belongs to the team: no gate policy, no baseline, no owner, no label delay, no declaration.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _not_a_number(value: object) -> object:
    """Refuse 1999 where a moment belongs: it would be read as seconds since 1970."""
    if isinstance(value, str | datetime):
        return value
    raise PydanticCustomError("moment", "not a moment")


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Text = Annotated[str, Field(min_length=1)]
Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_not_a_number), AfterValidator(_utc)]
"""A moment with its time zone, kept in UTC."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]
Share = Annotated[float, Field(gt=0, lt=1)]
Hours = Annotated[float, Field(ge=0, le=24 * 3660)]
Cron = Annotated[str, Field(pattern=r"^\S+ \S+ \S+ \S+ \S+$")]


class Part(BaseModel):
    """Base of every part: frozen; an unknown field, a number in quotes, NaN and infinity are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Owner(Part):
    team: Text
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    slack_channel: Annotated[str, Field(pattern=r"^(#[a-z0-9_-]{1,80}|[CDG][A-Z0-9]{8,})$")]
    """A channel such as `#nfl-games`, or its Slack id."""


class KnownAt(Part):
    """When the values of a column group can be known.

    `after_event` and `before_event` count hours from the row's event time; `column` reads the
    moment from the row itself.
    """

    rule: Literal["after_event", "before_event", "column"]
    hours: Hours = 0
    column: str | None = None


class ColumnGroup(Part):
    """Columns of one row that become known together."""

    columns: Annotated[dict[Text, Literal["str", "int", "float", "bool", "datetime"]], Field(min_length=1)]
    known_at: KnownAt


class EventTime(Part):
    """How a row says when its event happens.

    One column, or a date column and a time column, in the named zone. `default_time` (HH:MM)
    stands in where the time is empty.
    """

    columns: Annotated[list[Text], Field(min_length=1, max_length=2)]
    format: Text
    time_zone: Text
    default_time: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None


class Source(Part):
    """One provider's table: where it is and how to read it.

    `path` is a file below the mirror (`PENNANT_DATA_MIRROR`) when one is set, `url` the public
    address. A `simulation` source names a simulated provider served over HTTP.
    """

    kind: Literal["csv", "simulation"]
    url: str | None = None
    path: str | None = None
    key: Annotated[list[Text], Field(min_length=1)]
    event_time: EventTime
    groups: Annotated[dict[Name, ColumnGroup], Field(min_length=1)]
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 4
    ahead_days: Annotated[int, Field(ge=0, le=400)]
    """How far beyond the present the provider lists coming events, in days."""


class Expectation(Part):
    """One Great Expectations rule on a column group.

    `on_failure`: `quarantine` sets the failing rows aside, `stop` fails the batch, `warn` reports.
    """

    source: Name
    group: Name
    expect: str
    """Name of the expectation in Great Expectations, for example `ExpectColumnValuesToBeBetween`."""
    with_: Annotated[dict[str, object], Field(alias="with")]
    on_failure: Literal["stop", "quarantine", "warn"]


class Validation(Part):
    expectations: list[Expectation]
    max_quarantined_share: Share
    """A batch with a larger share of quarantined rows stops the run."""


class Spine(Part):
    """Which rows are predicted: one row of this source and group is one prediction."""

    source: Name
    group: Name
    entity: Text
    """Column that names the predicted entity, for example the game."""
    lead_hours: Hours
    """Features are taken this long before the event."""


class Label(Part):
    source: Name
    group: Name
    expression: Text
    """Column of the label, or `a > b` between two columns of the group, giving 1.0 or 0.0."""
    drop_when: str | None = None
    """`a == b` between two columns: rows left out of training and settled as void (a tie)."""
    delay_hours: Hours
    """From the event to the moment its label is known."""


class Feature(Part):
    """One column that `features.py` gives, as the serving contract states it."""

    unit: Text
    low: float
    high: float
    missing: Literal["allow", "refuse"]


class Split(Part):
    """Time-ordered split: the newest `fresh_days` are never trained on and judge the models."""

    history_days: Annotated[int, Field(ge=1)]
    """How far back training rows go."""
    fresh_days: Annotated[int, Field(ge=1)]
    folds: Annotated[int, Field(ge=2, le=20)]
    embargo_hours: Hours


class Range(Part):
    low: float
    high: float
    log: bool = False
    kind: Literal["int", "float"] = "float"


class Member(Part):
    kind: Literal["xgboost", "logistic"]
    search: dict[str, Range] = {}
    fixed: dict[str, float | int | str] = {}


class Search(Part):
    trials: Annotated[int, Field(ge=1, le=10_000)]
    workers: Annotated[int, Field(ge=1, le=64)]
    """Mapped tasks that share one study."""
    minutes: Annotated[float, Field(gt=0)]
    seed: int


class Training(Part):
    members: Annotated[dict[Name, Member], Field(min_length=1)]
    search: Search
    calibration: Literal["platt", "isotonic", "none"]
    interval_coverage: Share
    """Wanted coverage of the interval that comes with each prediction."""
    min_rows: Annotated[int, Field(ge=30)]
    recency_half_life_days: Annotated[float, Field(gt=0)]
    """A training row this old counts half as much as one of today."""


class Baseline(Part):
    """A forecast that needs no model, which the first champion has to beat.

    `base_rate` is the mean label of the training rows; `column` is a probability that
    `features.py` gives (the market, a rating).
    """

    kind: Literal["base_rate", "column"]
    column: str | None = None
    required: bool = True
    """False: shown beside the model, not a condition (a closing line nobody beats for long)."""


class Slice(Part):
    column: Text
    equals: float | str | None = None
    below: float | None = None
    at_least: float | None = None
    max_loss_increase: Annotated[float, Field(ge=0)]
    """Largest mean loss increase over the champion that this slice may show."""


class Gate(Part):
    metric: Literal["log_loss", "brier"]
    policy: Literal["superiority", "non_inferiority"]
    margin: Annotated[float, Field(ge=0)]
    """Superiority: gain the interval has to exceed. Non-inferiority: loss it must stay under."""
    alpha: Share
    min_rows: Annotated[int, Field(ge=10)]
    max_calibration_error: Share
    slices: dict[Name, Slice] = {}
    approval: Literal["none", "person"]
    approvers: list[str] = []
    approval_timeout_hours: Annotated[float, Field(gt=0)] = 24


class Release(Part):
    target: Literal["local", "kubernetes"]
    canary_share: Share
    min_canary_predictions: Annotated[int, Field(ge=1)]
    max_error_share: Share
    max_mean_shift: Share
    """Largest gap between mean predictions of canary and champion before it is turned back."""
    canary_deadline_hours: Annotated[float, Field(gt=0)]


class Drift(Part):
    method: Literal["psi", "wasserstein", "jensenshannon"]
    threshold: Annotated[float, Field(gt=0)]
    min_drifted_share: Share
    min_rows: Annotated[int, Field(ge=10)]
    windows: Annotated[int, Field(ge=1)]
    violations: Annotated[int, Field(ge=1)]
    """Alert only if this many of the last `windows` violate, the newest among them."""


class Performance(Part):
    max_loss_increase: Annotated[float, Field(gt=0)]
    """Loss above the one promised at promotion that counts as a violation."""
    min_rows: Annotated[int, Field(ge=10)]
    windows: Annotated[int, Field(ge=1)]
    violations: Annotated[int, Field(ge=1)]


class Watch(Part):
    window_days: Annotated[int, Field(ge=1)]
    """Length of one window that drift and performance are measured over."""
    drift: Drift
    performance: Performance


class HealingAction(Part):
    action: Literal["retrain", "rollback", "none"]
    cooldown_hours: Hours
    weekly_budget: Annotated[int, Field(ge=0)]


class Alerts(Part):
    routes: dict[Literal["info", "warning", "critical"], list[Literal["slack", "console"]]]
    cooldown_hours: Hours


class Schedules(Part):
    """Cron expressions in UTC. The past is ingested in coarse steps, the present in fine ones."""

    ingest: Cron
    ingest_history: Cron
    history_until: Moment
    score: Cron
    watch: Cron
    train: Cron
    start: Moment
    """Earliest moment that a backfill can reach."""


class Replay(Part):
    """The span that the demo drives with its simulated clock.

    A backfill up to `live_from`, then step by step until `until`.
    """

    history_from: Moment
    live_from: Moment
    """End of the backfill; the first champion is trained as of here."""
    until: Moment


class Market(Part):
    """The market's probability among the columns of `features.py`, for use cases that have a market."""

    probability_column: Text


class UseCase(Part):
    """One use case, whole. Built by `pennant.declaration.loader.load`."""

    name: Name
    title: Text
    description: Text
    owner: Owner
    task: Literal["binary"]
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    validation: Validation
    spine: Spine
    label: Label
    features: Annotated[dict[Name, Feature], Field(min_length=1)]
    split: Split
    training: Training
    baselines: Annotated[dict[Name, Baseline], Field(min_length=1)]
    gate: Gate
    release: Release
    watch: Watch
    healing: dict[Literal["drift", "performance", "serving_error"], HealingAction]
    alerts: Alerts
    schedules: Schedules
    replay: Replay
    market: Market | None = None
    tags: list[str] = []
