"""Bodies of requests and answers. What a feature value may be is the bundle's to say: see `contract.py`."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""Printable and short: it becomes a key of the log."""
Moment = Annotated[AwareDatetime, AfterValidator(lambda value: value.astimezone(UTC))]

Share = Annotated[float, Field(ge=0.0, le=1.0)]

_FEATURES_NOTE = (
    "Every input of the contract by name (GET /api/v2/models/{name} lists them); null says that a value is "
    "missing, where the contract allows it."
)
_FEATURES: Any = Field(
    description=_FEATURES_NOTE, json_schema_extra={"additionalProperties": {"type": ["number", "null"]}}
)


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Row(_Body):
    """One entity to score."""

    entity: Name
    features: Annotated[dict[str, Any], _FEATURES]
    event_time: Moment | None = None
    as_of: Moment | None = None
    prediction_id: Annotated[
        Name | None, Field(description="Idempotency key: sent again, it gets the first answer.")
    ] = None
    line: Annotated[
        Annotated[float, Field(strict=True, allow_inf_nan=False)] | None,
        Field(description="Of a count: the line to price, a multiple of a quarter, under the largest count."),
    ] = None


class PredictRequest(Row):
    use_case: Name


class BatchRequest(_Body):
    use_case: Name
    rows: Annotated[list[Row], Field(min_length=1)]


class ExplainRequest(_Body):
    use_case: Name
    entity: Name
    features: Annotated[dict[str, Any], _FEATURES]


class Answer(BaseModel):
    """Exactly who answered, and how sure the answer is among the reference rows."""

    prediction_id: str
    use_case: str
    entity: str
    version: str
    arm: str
    policy_id: int
    confidence: Annotated[
        Share | None, Field(description="1 is the surest; there where the model's bundle tells it.")
    ] = None
    disagreement: Annotated[float | None, Field(description="Of the members; likewise.")] = None


class Number(BaseModel):
    """Of a binary model a probability, of a regression a number in `unit`, with the interval."""

    prediction: float
    low: float
    high: float
    unit: str | None = None


class Classes(BaseModel):
    """Of a multiclass model: probabilities by class, and the ends of each one's interval."""

    probabilities: dict[str, Share]
    low: dict[str, Share]
    high: dict[str, Share]
    most_likely: str


class AtLine(BaseModel):
    """Shares of a stake: won by an over, won by an under, given back."""

    line: float
    over: Share
    under: Share
    push: Share


class Count(BaseModel):
    """Of a count: chances of 0, 1, 2, ..., the last one of so many and more; interval ends are counts."""

    distribution: list[Share]
    mean: float
    low: float
    high: float
    at_line: AtLine | None = None


class WalkedPath(BaseModel):
    """Of a trajectory: points in metres, and the radius in metres around each that the truth lies in."""

    path: list[tuple[float, float]]
    radius: list[float]


class NumberPrediction(Number, Answer):
    """A probability or a number."""


class ClassesPrediction(Classes, Answer):
    """Probabilities of classes."""


class CountPrediction(Count, Answer):
    """A distribution of a count."""


class PathPrediction(WalkedPath, Answer):
    """A path."""


Prediction = NumberPrediction | ClassesPrediction | CountPrediction | PathPrediction


class BatchAnswer(BaseModel):
    predictions: list[Prediction]


class Contribution(BaseModel):
    feature: str
    value: float | None
    contribution: float


class Explained(BaseModel):
    """Who explained."""

    use_case: str
    entity: str
    version: str
    arm: str
    policy_id: int


class BinaryExplanation(Number, Explained):
    """`baseline` plus all contributions is the logit of `prediction`."""

    unit: str
    baseline: float
    contributions: list[Contribution]


class Output(BaseModel):
    """`baseline` plus all contributions: a class's logit, the log of the mean, the number, or x or y."""

    output: str
    baseline: float
    contributions: list[Contribution]


class Outputs(Explained):
    terms_unit: str
    outputs: list[Output]


class NumberExplanation(Number, Outputs):
    """Of a regression."""


class ClassesExplanation(Classes, Outputs):
    """Of a multiclass model, for each class."""


class CountExplanation(Count, Outputs):
    """Of a count, in the log of its mean."""


class PathExplanation(WalkedPath, Outputs):
    """Of a trajectory: x and y of the last step, in metres."""


ExplanationAnswer = (
    BinaryExplanation | NumberExplanation | ClassesExplanation | CountExplanation | PathExplanation
)


class GoldenCheck(BaseModel):
    rows: int
    max_error: float


class ArmDetail(BaseModel):
    arm: str
    version: str
    weight: float
    bundle_sha256: str
    loaded_at: datetime
    trained_until: datetime
    golden: GoldenCheck


class ContractInput(BaseModel):
    name: str
    dtype: str
    unit: str
    low: float
    high: float
    missing: str


class PolicyFailure(BaseModel):
    policy_id: int | None
    reason: str
    detail: str


class Model(BaseModel):
    """One use case as it is served; `failure` says why a newer policy is not in force."""

    name: str
    policy_id: int
    arms: list[ArmDetail]
    failure: PolicyFailure | None


class OutcomeSizes(BaseModel):
    """What is foretold: classes, the largest count with a chance of its own, steps of a path, the unit."""

    classes: list[str]
    most: int
    steps: int
    unit: str


class ModelDetail(Model):
    """With the task, and what of the arm with the most traffic."""

    task: str
    outcome: OutcomeSizes
    contract: list[ContractInput]


class ModelList(BaseModel):
    models: list[Model]
    failures: dict[str, PolicyFailure]


class FieldError(BaseModel):
    row: int | None = None
    field: str
    found: str
    allowed: str


class ProblemDocument(BaseModel):
    """RFC 9457. `errors` is there when the request itself is wrong."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldError] | None = None
