"""What `bundle.json` must say, as strict models; the member files are in `files.py`."""

import math
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from pennant_serving.files import Finite, NotNegative, Part, Positive, Share

Task = Literal["binary", "multiclass", "count", "regression", "trajectory"]
_SUM_TOLERANCE = 1e-6


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


class Outcome(Part):
    """The sizes of what is foretold.

    Attributes:
        classes: of a multiclass label, in the order of the probabilities.
        most: the last column of a count's distribution says how likely this many and more are.
        steps: of a path.
        unit: of a regression's or a count's number.
    """

    classes: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    most: Annotated[int, Field(ge=0, le=10_000)] = 0
    steps: Annotated[int, Field(ge=0, le=1_000)] = 0
    unit: str = ""

    def columns(self, task: Task) -> int:
        """Numbers that a prediction of one row consists of."""
        return {"multiclass": len(self.classes), "count": self.most + 1, "trajectory": 2 * self.steps}.get(
            task, 1
        )

    def check(self, task: Task) -> None:
        """Raise a ValueError where a size is not what the task needs."""
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"outcome: a class stands twice in {self.classes}")
        for name, found, least, owner in (
            ("classes", len(self.classes), 2, "multiclass"),
            ("most", self.most, 1, "count"),
            ("steps", self.steps, 1, "trajectory"),
        ):
            if found < least and task == owner:
                raise ValueError(f"outcome: {name}: {found}; a {task} bundle needs {least} or more")
            if found and task != owner:
                raise ValueError(f"outcome: {name}: {found}; a {task} bundle has none")


class Member(Part):
    """One model file of the ensemble and its weight in the mean of predictions."""

    name: str
    kind: Literal[
        "xgboost", "logistic", "ridge", "column", "poisson", "trees_count", "constant_velocity",
        "path_residual", "transformer",
    ]  # fmt: skip
    file: Annotated[str, Field(pattern=r"^members/[A-Za-z0-9][A-Za-z0-9._-]*$")]
    weight: Share


class Weighted(Part):
    """The mean of predictions by `members[].weight`."""

    method: Literal["weighted"] = "weighted"


class Stacking(Part):
    """Coefficients of the members' logits, logs of probabilities, numbers or paths; see `combine.py`."""

    method: Literal["stacking"]
    coefficients: list[NotNegative]
    intercept: list[Finite] = Field(default_factory=list)


class SliceWeights(Part):
    """Weights for the rows whose input `column` equals a value, or lies in [low, high)."""

    name: str
    column: Annotated[int, Field(ge=0)]
    equals: Finite | None = None
    low: Finite | None = None
    high: Finite | None = None
    weights: list[Share]

    @model_validator(mode="after")
    def _stated(self) -> Self:
        between = self.low is not None or self.high is not None
        if between == (self.equals is not None):
            raise ValueError(f"slice {self.name}: either equals, or low, high or both")
        return self


class Selection(Part):
    """A row takes the weights of the first slice it lies in, else `members[].weight`."""

    method: Literal["selection"]
    slices: list[SliceWeights]


Ensemble = Annotated[Weighted | Stacking | Selection, Field(discriminator="method")]


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
    a: NotNegative
    b: NotNegative
    c: Finite


class Temperature(Part):
    """`p ** (1 / temperature)`, summing to 1 again: above 1 the probabilities get less sure."""

    method: Literal["temperature"]
    temperature: Positive


Calibration = Annotated[NoCalibration | Platt | Isotonic | Beta | Temperature, Field(discriminator="method")]

Coverage = Annotated[float, Field(gt=0.0, lt=1.0)]


class LogitSpread(Part):
    """`sigmoid(logit(p) -+ half_width_logit)` covers the share `coverage`; of each class alike."""

    method: Literal["member_and_fold_spread"]
    coverage: Coverage
    half_width_logit: NotNegative


class SplitConformal(Part):
    """Half widths around a number (one), or radii in metres around the steps of a path (one each)."""

    method: Literal["split_conformal"]
    coverage: Coverage
    half_widths: Annotated[list[NotNegative], Field(min_length=1)]


class ConformalisedQuantiles(Part):
    """Quantiles (1 - coverage) / 2 and (1 + coverage) / 2, moved out by `offset`.

    Of a count: those of its distribution, `offset` a whole number. Of a number: those that the trees in
    `file` foretell.
    """

    method: Literal["conformalised_quantiles"]
    coverage: Coverage
    offset: Finite
    file: Annotated[str, Field(pattern=r"^members/[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None


Intervals = Annotated[LogitSpread | SplitConformal | ConformalisedQuantiles, Field(discriminator="method")]


class Confidence(Part):
    """Percentiles 0 to 100 over the reference rows."""

    width: Annotated[list[Finite], Field(min_length=101, max_length=101)]
    disagreement: Annotated[list[Finite], Field(min_length=101, max_length=101)]

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for name, values in (("width", self.width), ("disagreement", self.disagreement)):
            if any(later < earlier for earlier, later in pairwise(values)):
                raise ValueError(f"confidence: {name} falls somewhere; percentiles never do")
        return self


class Manifest(BaseModel):
    """`bundle.json`. Keys that do not touch the score (metrics, seeds, ...) may grow."""

    model_config = ConfigDict(frozen=True, extra="allow")

    format: Literal[1]
    use_case: Annotated[str, Field(min_length=1)]
    task: Task
    outcome: Outcome = Outcome()
    as_of: AwareDatetime
    trained_until: AwareDatetime
    inputs: Annotated[list[Input], Field(min_length=1)]
    members: Annotated[list[Member], Field(min_length=1)]
    ensemble: Ensemble = Weighted()
    calibration: Calibration
    intervals: Intervals
    confidence: Confidence | None = None
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
        _sum_to_1("members", [each.weight for each in self.members])
        self.outcome.check(self.task)
        self._check_ensemble()
        self._check_calibration()
        self._check_intervals()
        return self

    def _check_ensemble(self) -> None:
        count, ensemble = len(self.members), self.ensemble
        if isinstance(ensemble, Stacking):
            if len(ensemble.coefficients) != count:
                raise ValueError(f"stacking: {len(ensemble.coefficients)} coefficients for {count} members")
            allowed = 0 if self.task == "trajectory" else self.outcome.columns(self.task)
            if len(ensemble.intercept) not in {0, allowed}:
                raise ValueError(f"stacking: intercept of {len(ensemble.intercept)}; allowed: 0 or {allowed}")
        if isinstance(ensemble, Selection):
            for each in ensemble.slices:
                if len(each.weights) != count or each.column >= len(self.inputs):
                    raise ValueError(
                        f"slice {each.name}: {len(each.weights)} weights and column {each.column} for "
                        f"{count} members and {len(self.inputs)} inputs"
                    )
                _sum_to_1(f"slice {each.name}", each.weights)

    def _check_calibration(self) -> None:
        allowed = {
            "binary": {"none", "platt", "isotonic", "beta"},
            "multiclass": {"none", "temperature"},
            "count": {"none", "temperature"},
        }.get(self.task, {"none"})
        if self.calibration.method not in allowed:
            raise ValueError(f"calibration {self.calibration.method}: a {self.task} has {sorted(allowed)}")

    def _check_intervals(self) -> None:
        found = self.intervals
        allowed = {
            "binary": {"member_and_fold_spread"},
            "multiclass": {"member_and_fold_spread"},
            "count": {"conformalised_quantiles"},
            "regression": {"split_conformal", "conformalised_quantiles"},
            "trajectory": {"split_conformal"},
        }[self.task]
        if found.method not in allowed:
            raise ValueError(f"intervals {found.method}: a {self.task} has {sorted(allowed)}")
        if isinstance(found, SplitConformal):
            wanted = self.outcome.steps if self.task == "trajectory" else 1
            if len(found.half_widths) != wanted:
                raise ValueError(f"intervals: {len(found.half_widths)} half widths; allowed: {wanted}")
        if isinstance(found, ConformalisedQuantiles):
            if (found.file is None) == (self.task == "regression"):
                raise ValueError(f"intervals: file {found.file!r}; a regression has one, a count none")
            if self.task == "count" and not found.offset.is_integer():
                raise ValueError(f"intervals: offset {found.offset}; a count's is a whole number")


def _sum_to_1(what: str, weights: list[float]) -> None:
    total = math.fsum(weights)
    if abs(total - 1.0) > _SUM_TOLERANCE:
        raise ValueError(f"{what}: the weights sum to {total!r}; they must sum to 1")
