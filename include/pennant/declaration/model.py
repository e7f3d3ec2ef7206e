"""The declaration of a use case: the parts of its model, and the whole.

No gate policy, no release plan, no healing budget: no model. The parts that come before a model are in
`pennant.declaration.model_data`, and are given from here too.
"""

from typing import Annotated, Literal

from pydantic import Field

from pennant.declaration.model_data import (
    Address,
    Alerts,
    Alias,
    Baseline,
    Breaker,
    ColumnGroup,
    Contract,
    Cron,
    DataUseCase,
    EventTime,
    Expectation,
    Feature,
    FuturePath,
    Hours,
    KnownAt,
    Label,
    Market,
    Moment,
    Name,
    Outlier,
    Owner,
    Part,
    Rate,
    Schedules,
    Share,
    Source,
    Spine,
    Split,
    Text,
    Validation,
)

__all__ = [
    "Address",
    "Alerts",
    "Alias",
    "Baseline",
    "Breaker",
    "Cluster",
    "ColumnGroup",
    "Condition",
    "Contract",
    "DataUseCase",
    "Drift",
    "EventTime",
    "Expectation",
    "Feature",
    "FuturePath",
    "Gate",
    "HealingAction",
    "KnownAt",
    "Label",
    "Market",
    "Member",
    "ModelSchedules",
    "Outlier",
    "Owner",
    "Part",
    "Performance",
    "Range",
    "Rate",
    "Release",
    "Replay",
    "Schedules",
    "Search",
    "Slice",
    "Source",
    "Spine",
    "Split",
    "TrainedUseCase",
    "Training",
    "UseCase",
    "Validation",
    "Variant",
    "Watch",
]


class Range(Part):
    low: float
    high: float
    log: bool = False
    kind: Literal["int", "float"] = "float"


class Member(Part):
    kind: Literal[
        "xgboost",
        "logistic",
        "ridge",
        "column",
        "poisson",
        "trees_count",
        "constant_velocity",
        "path_residual",
        "transformer",
    ]
    columns: list[Text] = Field(default_factory=list)
    """For kind `column`: the features that are the forecast, one per class or coordinate."""
    sequence: list[list[Text]] = Field(default_factory=list)
    """For kind `transformer`: the features of each earlier event, or point of a path, oldest first."""
    search: dict[str, Range] = Field(default_factory=dict)
    fixed: dict[str, float | int | str] = Field(default_factory=dict)


class Search(Part):
    trials: Annotated[int, Field(ge=1, le=10_000)]
    workers: Annotated[int, Field(ge=1, le=64)]
    """Mapped tasks that share one study."""
    minutes: Annotated[float, Field(gt=0)]
    seed: int
    pruning: Literal["median", "none"] = "median"
    """`median`: a trial ends early when its loss on the folds so far is above the median of the shard's."""


class Cluster(Part):
    """When, and how, XGBoost members are trained on the Dask cluster that `PENNANT_DASK_ADDRESS` names."""

    from_rows: Annotated[int, Field(ge=1)] = 2_000_000
    """Fewer training rows stay on one machine."""
    checkpoint_rounds: Annotated[int, Field(ge=1)] = 50
    """Boosting rounds between two checkpoints: so many at most are lost with a worker."""
    deadline_minutes: Annotated[float, Field(gt=0)] = 120
    """Then the training ends with an error, whatever the cluster does."""


class Condition(Part):
    """Rows that belong to a slice: one value, or one band, of a feature."""

    column: Text
    equals: float | str | None = None
    below: float | None = None
    at_least: float | None = None


Ensemble = Literal["weighted", "voting", "stacking", "selection", "best"]
Calibration = Literal["platt", "isotonic", "beta", "temperature", "best", "none"]


class Variant(Part):
    """The same events asked for at another moment, by other members: what later prices are worth, say.

    A backtest shows it; nothing of it is served. A function of its name in `features.py` gives its features.
    """

    title: Text
    lead_hours: Annotated[float, Field(ge=-24, le=24 * 3660)]
    """In place of the spine's. Below 0 where an event's time is only the start of its day; the moment lies
    before the label is known."""
    features: dict[Name, Feature] = Field(default_factory=dict)
    """What is known then beside the use case's features."""
    without: list[Text] = Field(default_factory=list)
    """Features of the use case that the variant does not have."""
    members: Annotated[dict[Name, Member], Field(min_length=1)]
    """In place of the use case's, as what follows."""
    ensemble: Ensemble = "weighted"
    calibration: Calibration = "none"


class Training(Part):
    members: Annotated[dict[Name, Member], Field(min_length=1)]
    search: Search
    ensemble: Ensemble = "weighted"
    """How members become one forecast; `best`: what has the least loss on the newer half of the folds."""
    slices: dict[Name, Condition] = Field(default_factory=dict)
    """Rows that `selection` gives weights of their own, and whose coverage is told on its own."""
    interval: Literal["spread", "split_conformal", "quantiles"] | None = None
    """None: `spread` for probabilities, `quantiles` for a count, `split_conformal` for a number or a path."""
    cluster: Cluster = Field(default_factory=Cluster)
    calibration: Calibration
    """Of the blend, on held-out folds. `best`: whichever has the least loss on the newer half of them.

    `platt`, `isotonic` and `beta` are for `binary`, `temperature` for `multiclass` and `count`.
    """
    interval_coverage: Share
    """Wanted coverage of the interval that comes with each prediction."""
    min_rows: Annotated[int, Field(ge=30)]
    recency_half_life_days: Annotated[float, Field(gt=0)]
    """A training row this old counts half as much as one of today."""
    variants: dict[Name, Variant] = Field(default_factory=dict)
    """What a backtest can show beside the model: `pennant backtest <use case> --variant <name>`."""


class Slice(Condition):
    max_loss_increase: Annotated[float, Field(ge=0)]
    """Largest mean loss increase over the champion that this slice may show."""
    max_loss: float | None = None
    """Largest mean loss that this slice may show, whatever the champion's is; None: no such floor."""


class Gate(Part):
    metric: Literal["log_loss", "brier", "rps", "crps", "squared_error", "absolute_error", "ade", "fde"]
    policy: Literal["superiority", "non_inferiority"]
    margin: Annotated[float, Field(ge=0)]
    """Superiority: gain the interval has to exceed. Non-inferiority: loss it must stay under."""
    alpha: Share
    min_rows: Annotated[int, Field(ge=10)]
    max_calibration_error: Share
    """Binary: expected calibration error. Multiclass: its mean over classes. Else: how far the share of
    labels inside the intervals may lie from `training.interval_coverage`."""
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    """Largest 99th percentile, over single rows, of the time that the bundle takes in the serving app."""
    max_bundle_megabytes: Annotated[float, Field(gt=0)] | None = None
    slices: dict[Name, Slice] = Field(default_factory=dict)
    approval: Literal["none", "person"]
    approvers: list[str] = Field(default_factory=list)
    approval_timeout_hours: Annotated[float, Field(gt=0)] = 24


class Release(Part):
    target: Literal["local", "kubernetes"]
    canary_share: Share
    min_canary_predictions: Annotated[int, Field(ge=1)]
    max_error_share: Share
    max_mean_shift: Annotated[float, Field(gt=0)]
    """Largest gap between mean predictions of canary and champion before it is turned back: in what is
    predicted, a probability (`multiclass`: of the likeliest class), a count, a number, or metres walked."""
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
    action: Literal["retrain", "none"]
    cooldown_hours: Hours
    weekly_budget: Annotated[int, Field(ge=0)]


class Replay(Part):
    """The span that the demo drives with its simulated clock.

    A backfill up to `live_from`, then step by step until `until`.
    """

    history_from: Moment
    live_from: Moment
    """End of the backfill; the first champion is trained as of here."""
    until: Moment


class ModelSchedules(Schedules):
    """The schedules of a use case with a model."""

    score: Cron
    watch: Cron
    train: Cron


class TrainedUseCase(DataUseCase):
    """A use case up to its model: trained and judged in a backtest, not served.

    It gets the Dags that ingest, that build features, and that walk forward; the schedule of its features is
    that of the backtest's periods, too.
    """

    training: Training


class UseCase(TrainedUseCase):
    """One use case, whole. Built by `pennant.declaration.loader.load`."""

    gate: Gate
    release: Release
    watch: Watch
    healing: dict[Literal["drift", "performance"], HealingAction]
    schedules: ModelSchedules
    replay: Replay
