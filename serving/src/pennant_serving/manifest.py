"""What `bundle.json` and a logistic member file must say, as strict models."""

import math
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Part(BaseModel):
    """Frozen, and an unknown key is an error: a misspelt key must not silently change a score."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Input(Part):
    """One feature of the contract, with its unit and the range in which a value is believable."""

    name: Annotated[str, Field(min_length=1)]
    dtype: Literal["float64"]
    unit: str
    low: Finite
    high: Finite
    missing: Literal["allow", "refuse"]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"input {self.name}: low {self.low} is above high {self.high}")
        return self


class Member(Part):
    """One model file of the ensemble and its weight in the mean of probabilities."""

    name: str
    kind: Literal["xgboost", "logistic", "column"]
    file: Annotated[str, Field(pattern=r"^members/[A-Za-z0-9][A-Za-z0-9._-]*$")]
    weight: Share


class NoCalibration(Part):
    method: Literal["none"]


class Platt(Part):
    """`sigmoid(slope * logit(p) + intercept)`."""

    method: Literal["platt"]
    slope: Finite
    intercept: Finite


class Isotonic(Part):
    """Straight lines through the points (x, y); x and y in [0, 1], neither ever falling."""

    method: Literal["isotonic"]
    x: Annotated[list[Share], Field(min_length=1)]
    y: Annotated[list[Share], Field(min_length=1)]

    @model_validator(mode="after")
    def _monotone(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError(f"isotonic: {len(self.x)} x and {len(self.y)} y; they pair up")
        for name, values in (("x", self.x), ("y", self.y)):
            if any(later < earlier for earlier, later in pairwise(values)):
                raise ValueError(f"isotonic: {name} falls somewhere; it never may")
        return self


class Beta(Part):
    """`sigmoid(a ln p - b ln(1 - p) + c)`; neither a nor b below 0, so that no ranking turns round."""

    method: Literal["beta"]
    a: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    b: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    c: Finite


Calibration = Annotated[NoCalibration | Platt | Isotonic | Beta, Field(discriminator="method")]


class Intervals(Part):
    """`sigmoid(logit(p) -+ half_width_logit)` covers the share `coverage`."""

    coverage: Annotated[float, Field(gt=0.0, lt=1.0)]
    method: str
    half_width_logit: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Manifest(BaseModel):
    """`bundle.json`. Keys that do not touch the score (metrics, seeds, ...) may grow."""

    model_config = ConfigDict(frozen=True, extra="allow")

    format: Literal[1]
    use_case: Annotated[str, Field(min_length=1)]
    task: Literal["binary"]
    as_of: AwareDatetime
    trained_until: AwareDatetime
    inputs: Annotated[list[Input], Field(min_length=1)]
    members: Annotated[list[Member], Field(min_length=1)]
    calibration: Calibration
    intervals: Intervals
    snapshot: str
    code_commit: str
    packages: dict[str, str] = {}
    seeds: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    author: str

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for what, names in (
            ("inputs", [each.name for each in self.inputs]),
            ("members", [each.name for each in self.members]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"{what}: a name stands twice in {names}")
        total = math.fsum(each.weight for each in self.members)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"members: the weights sum to {total!r}; they must sum to 1")
        return self


class LogisticFile(Part):
    """One logistic member: `sigmoid(intercept + sum(coef * (column - mean) / scale))`.

    The columns are the features, `impute` where one is missing, and after them the curved part of each
    feature with knots: for K knots t_1 < ... < t_K, scaled to [0, 1], the K - 2 columns d_k - d_(K-1) with
    d_k = (max(z - t_k, 0)**3 - max(z - t_K, 0)**3) / (t_K - t_k).
    """

    impute: list[Finite]
    mean: list[Finite]
    scale: list[Annotated[float, Field(gt=0.0, allow_inf_nan=False)]]
    coef: list[Finite]
    intercept: Finite
    knots: list[list[Finite]] = []

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        curved = [each for each in self.knots if each]
        if self.knots and len(self.knots) != len(self.impute):
            raise ValueError(f"knots: {len(self.knots)} lists for {len(self.impute)} features")
        if any(len(each) < 3 or any(b <= a for a, b in pairwise(each)) for each in curved):
            raise ValueError("knots: a feature has none, or three or more that rise")
        columns = len(self.impute) + sum(len(each) - 2 for each in curved)
        sizes = {len(each) for each in (self.mean, self.scale, self.coef)}
        if sizes != {columns}:
            raise ValueError(f"mean, scale, coef: lengths {sorted(sizes)}; {columns} columns are made")
        return self


class ColumnFile(Part):
    """One member that takes a feature for its forecast: `sigmoid(sharpness * logit(x or instead))`."""

    columns: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=1)]
    instead: Annotated[list[Share], Field(min_length=1, max_length=1)]
    sharpness: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    most: int = 0
