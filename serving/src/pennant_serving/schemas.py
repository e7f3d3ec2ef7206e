"""Bodies of requests and answers. What a feature value may be is the bundle's to say: see `contract.py`."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""Printable and short: it becomes a key of the log."""
Moment = Annotated[AwareDatetime, AfterValidator(lambda value: value.astimezone(UTC))]

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


class PredictRequest(Row):
    use_case: Name


class BatchRequest(_Body):
    use_case: Name
    rows: Annotated[list[Row], Field(min_length=1)]


class ExplainRequest(_Body):
    use_case: Name
    entity: Name
    features: Annotated[dict[str, Any], _FEATURES]


class Prediction(BaseModel):
    """A probability with its interval, and exactly who answered."""

    prediction_id: str
    use_case: str
    entity: str
    prediction: float
    low: float
    high: float
    version: str
    arm: str
    policy_id: int


class BatchAnswer(BaseModel):
    predictions: list[Prediction]


class Contribution(BaseModel):
    feature: str
    value: float | None
    contribution: float


class ExplanationAnswer(BaseModel):
    """`baseline` plus all contributions is the logit of `prediction`."""

    use_case: str
    entity: str
    version: str
    arm: str
    policy_id: int
    prediction: float
    low: float
    high: float
    unit: str
    baseline: float
    contributions: list[Contribution]


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


class ModelDetail(Model):
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
