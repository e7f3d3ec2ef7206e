"""The parts of a declaration that the data and features rooms read: frozen, strict, one class per part.

Numbers carry their unit in their name. There is no default where a default would be a decision
that belongs to the team: no baseline, no owner, no label delay, no declaration.
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
    moment from the row itself; `retrieved` is when the provider's answer was complete, for
    providers that only tell how things stand now.
    """

    rule: Literal["after_event", "before_event", "column", "retrieved"]
    hours: Hours = 0
    column: str | None = None


class ColumnGroup(Part):
    """Columns of one row that become known together."""

    columns: Annotated[dict[Text, Literal["str", "int", "float", "bool", "datetime"]], Field(min_length=1)]
    known_at: KnownAt


class EventTime(Part):
    """How a row says when its event happens, in one of three ways.

    `columns` and `format`: a column, or a date column and a time column, in the named zone.
    `start` and `unit_seconds`: one column counts units since a moment (frames of a video).
    `fixed`: a table without dates, all of which happens at one moment.
    """

    columns: Annotated[list[Text], Field(max_length=2)] = []
    format: Text | Annotated[list[Text], Field(min_length=1)] | None = None
    """strptime codes; of several the first that reads a row."""
    time_zone: Text = "UTC"
    default_time: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    """HH:MM, where the time is empty."""
    start: Moment | None = None
    unit_seconds: Annotated[float, Field(gt=0)] | None = None
    fixed: Moment | None = None

    @property
    def formats(self) -> list[str]:
        """The formats to try, in their order."""
        return [self.format] if isinstance(self.format, str) else list(self.format or [])


class Rate(Part):
    """At most `requests` in any `per_seconds`, by all workers together."""

    requests: Annotated[int, Field(ge=1)]
    per_seconds: Annotated[float, Field(gt=0)]


class Breaker(Part):
    """After `failures` in a row nothing is asked for `open_seconds`; then one request tries."""

    failures: Annotated[int, Field(ge=1)] = 5
    open_seconds: Annotated[float, Field(gt=0)] = 60


Kind = Literal[
    "csv",
    "json",
    "parquet",
    "sql",
    "simulation",
    "nflverse",
    "fivethirtyeight",
    "football_data",
    "retrosheet",
    "mlb",
    "telco",
    "eth_ucy",
    "the_odds_api",
    "espn_scoreboard",
    "sportradar",
    "prizepicks",
]
Option = str | int | float | bool | list[str]


class Address(Part):
    """Where a table is and who reads it.

    `path` is a file below the mirror (`PENNANT_DATA_MIRROR`) when one is set, `url` the public
    address. `connection` is the Airflow connection that holds a key or a database; `sql` the query
    of a database. `options` are the connector's own; see docs/sources.md.
    """

    kind: Kind
    url: str | None = None
    path: str | None = None
    connection: Text | None = None
    sql: Text | None = None
    options: dict[Text, Option] = {}


class Source(Address):
    """One provider's table: where it is, how to read it, and how to ask for it politely."""

    key: Annotated[list[Text], Field(min_length=1)]
    event_time: EventTime
    groups: Annotated[dict[Name, ColumnGroup], Field(min_length=1)]
    optional_columns: list[Text] = []
    """Columns that some parts of the table do not have; they are missing there."""
    identities: dict[Text, Name] = {}
    """Columns whose names are resolved, and the table of `identities` that does it."""
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30
    """For one attempt."""
    deadline_seconds: Annotated[float, Field(gt=0, le=3600)] = 300
    """For everything that one window needs."""
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 4
    rate: Rate | None = None
    cache_seconds: Annotated[float, Field(ge=0)] = 0
    """An answer this young is not asked for again."""
    breaker: Breaker = Breaker()
    fallback: Address | None = None
    """A second provider of the same columns, asked when the first is down; its rows say so."""
    max_lag_minutes: Annotated[float, Field(gt=0)] | None = None
    """Makes it a live source: an alert when nothing new was learned for this long."""
    ahead_days: Annotated[int, Field(ge=0, le=400)]
    """How far beyond the present the provider lists coming events, in days."""


class Alias(Part):
    """Another name of one identity, perhaps only for a time (a club that moved)."""

    name: Text
    since: Moment | None = None
    until: Moment | None = None


def _alias(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


Identities = dict[Text, list[Annotated[Alias, BeforeValidator(_alias)]]]
"""Canonical name to its other names; a plain text is an alias for all time."""


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


class Contract(Part):
    """What happens when the provider's table gains a column that nobody declared."""

    added: Literal["ignore", "warn", "stop"] = "warn"


class Outlier(Part):
    """A number of a batch far from those of the last ones, by the robust z-score (median and MAD)."""

    threshold: Annotated[float, Field(gt=0)] = 6
    batches: Annotated[int, Field(ge=2)] = 12
    min_batches: Annotated[int, Field(ge=2)] = 4
    on_failure: Literal["warn", "stop"] = "warn"


class Validation(Part):
    expectations: list[Expectation]
    max_quarantined_share: Share
    """A batch with a larger share of quarantined rows stops the run."""
    contract: Contract = Contract()
    volume: Outlier | None = None
    """Rows per day of a batch against the last batches."""
    distribution: Outlier | None = None
    """Mean, spread and missing share of each column against the last batches."""
    freshness_hours: Annotated[float, Field(gt=0)] | None = None
    """A batch whose newest event is older than this at the window's end is reported."""


class Spine(Part):
    """Which rows are predicted: one row of this source and group is one prediction."""

    source: Name
    group: Name
    entity: Text
    """Column that names the predicted entity, for example the game."""
    lead_hours: Hours
    """Features are taken this long before the event."""


class FuturePath(Part):
    """The label of a trajectory: where a walker is in each of the next steps."""

    columns: Annotated[list[Text], Field(min_length=2, max_length=2)]
    """The two coordinates, in metres."""
    walker: Annotated[list[Text], Field(min_length=1)]
    """Columns that together name who walks."""
    steps: Annotated[int, Field(ge=1, le=100)]
    step_seconds: Annotated[float, Field(gt=0)]


class Label(Part):
    """What is predicted, and when it can be known."""

    source: Name
    group: Name
    expression: Text | None = None
    """A column, or a comparison such as `a > b` or `a >= 3`, giving 1.0 or 0.0."""
    classes: list[Text] = []
    """For `multiclass`: the values of the expression's column, in the order of the classes."""
    path: FuturePath | None = None
    """For `trajectory`, in place of an expression."""
    drop_when: str | None = None
    """A comparison: rows left out of training and settled as void (a tie, a reliever)."""
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
    groups: Text | None = None
    """For data whose order in time says nothing: folds are made of the values of this column of the spine.

    `entity` parts entities with all their rows, evenly by class. Without it all folds follow time.
    """
    train_only: list[Text] = []
    """Groups that are trained on and never judged."""
    clusters: Text | None = None
    """Rows that come out alike share a value of this column of the spine, and count together wherever an
    interval is made; `entity` makes every row its own. Without it rows of one UTC day count together."""
    fresh_share: Share | None = None
    """With `groups: entity`: the gate judges by this share of the entities, which are never trained on, in
    place of the newest days."""


class Baseline(Part):
    """A forecast that needs no model, which the first champion has to beat.

    `base_rate` is the mean label of the training rows; `column` is a probability that
    `features.py` gives (the market, a rating).
    """

    kind: Literal["base_rate", "column"]
    column: str | None = None
    columns: list[Text] = []
    """For `multiclass`: one probability per class, in the order of the label's classes."""
    required: bool = True
    """False: shown beside the model, not a condition (a closing line nobody beats for long)."""


class Alerts(Part):
    routes: dict[Literal["info", "warning", "critical"], list[Literal["slack", "console"]]]
    cooldown_hours: Hours


class Schedules(Part):
    """Cron expressions in UTC. The past is ingested in coarse steps, the present in fine ones."""

    start: Moment
    """Earliest moment that a backfill can reach."""
    ingest_history: Cron
    history_until: Moment
    ingest: Cron
    features: Cron
    """When a snapshot is taken and examined for leaks."""


class Staking(Part):
    """How much of the bankroll a bet may take; shares of it."""

    kelly_fraction: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Of the full Kelly stake."""
    per_bet: Annotated[float, Field(gt=0, le=1)] = 0.02
    per_group: Annotated[float, Field(gt=0, le=1)] = 0.03
    """On all bets on one event."""
    per_day: Annotated[float, Field(gt=0, le=1)] = 0.1
    min_edge: Annotated[float, Field(ge=0)] = 0.0
    """Expected profit per unit staked that a bet has to promise."""


class Market(Part):
    """The market among the columns of `baselines()`, for use cases that have one."""

    probability_column: Text
    """Its probability that the label is 1; with a line, that the count is over it."""
    line_column: Text | None = None
    """For `count`: the line that the probability is about."""
    price_columns: list[Text] = []
    """Decimal prices on offer at the moment: of 1 and 0, of each class, of over and under."""
    closing_columns: list[Text] = []
    """The same at the event's start: what a bet's price is measured by."""
    staking: Staking = Staking()


class DataUseCase(Part):
    """A use case up to its features: what there is to know, and what is to be predicted.

    One without the parts of a model gets the Dags that ingest and that build features, no others.
    """

    name: Name
    title: Text
    description: Text
    owner: Owner
    task: Literal["binary", "multiclass", "count", "regression", "trajectory"]
    tags: list[str] = []
    identities: dict[Name, Identities] = {}
    """Tables that bring the names of teams and players together."""
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    validation: Validation
    spine: Spine
    label: Label
    features: Annotated[dict[Name, Feature], Field(min_length=1)]
    split: Split
    baselines: Annotated[dict[Name, Baseline], Field(min_length=1)]
    market: Market | None = None
    alerts: Alerts
    schedules: Schedules
    cluster_from_rows: Annotated[int, Field(ge=1)] = 5_000_000
    """From so many rows on, work goes to the Dask cluster of `PENNANT_DASK_ADDRESS`, if one is named."""
