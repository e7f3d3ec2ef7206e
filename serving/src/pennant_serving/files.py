"""What a member file of JSON must say, as strict models; XGBoost's own files speak for themselves."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Part(BaseModel):
    """Frozen, and an unknown key is an error: a misspelt key must not silently change a score."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PreparedFile(Part):
    """Features as linear members see them: the columns `(made - mean) / scale`.

    Made are the features, `impute` where one is missing, and after them the curved part of each
    feature with knots: for K knots t_1 < ... < t_K, scaled to [0, 1], the K - 2 columns d_k - d_(K-1) with
    d_k = (max(z - t_k, 0)**3 - max(z - t_K, 0)**3) / (t_K - t_k).
    """

    impute: list[Finite]
    mean: list[Finite]
    scale: list[Positive]
    knots: list[list[Finite]] = []

    @property
    def columns(self) -> int:
        """How many columns are made."""
        return len(self.impute) + sum(len(each) - 2 for each in self.knots if each)

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        curved = [each for each in self.knots if each]
        if self.knots and len(self.knots) != len(self.impute):
            raise ValueError(f"knots: {len(self.knots)} lists for {len(self.impute)} features")
        if any(len(each) < 3 or any(b <= a for a, b in pairwise(each)) for each in curved):
            raise ValueError("knots: a feature has none, or three or more that rise")
        sizes = {"mean": len(self.mean), "scale": len(self.scale), "coef": len(getattr(self, "coef", []))}
        if set(sizes.values()) != {self.columns}:
            raise ValueError(f"lengths {sizes}; {self.columns} columns are made")
        return self


class LineFile(PreparedFile):
    """`intercept + columns @ coef`: a number (ridge), or a logit (logistic, binary)."""

    coef: list[Finite]
    intercept: Finite


class MultinomialFile(PreparedFile):
    """`softmax(intercept + columns @ coef)`; `coef` holds a list of one number per class for each column."""

    coef: list[list[Finite]]
    intercept: list[Finite]

    @model_validator(mode="after")
    def _classes(self) -> Self:
        sizes = {len(each) for each in self.coef}
        if sizes != {len(self.intercept)}:
            raise ValueError(f"coef: lists of lengths {sorted(sizes)} for {len(self.intercept)} intercepts")
        return self


class PoissonFile(LineFile):
    """A law of counts around the mean `exp(intercept + columns @ coef)`; see `members/laws.py`."""

    law: Literal["poisson", "negative_binomial", "conway_maxwell"]
    spread: NotNegative
    most: Annotated[int, Field(ge=1)]


class ColumnFile(Part):
    """A forecast that stands in features already; `instead` where one of the columns is missing.

    Binary: `sigmoid(sharpness * logit(x))`; multiclass: `x ** sharpness`, summing to 1 again; count: the mean
    of a Poisson; regression and trajectory: as it is.
    """

    columns: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    instead: Annotated[list[Finite], Field(min_length=1)]
    sharpness: Positive
    most: int = 0

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.columns) != len(self.instead):
            raise ValueError(f"columns, instead: lengths {len(self.columns)} and {len(self.instead)}")
        return self


class StraightFile(Part):
    """Constant velocity: nothing is fitted; `names` are the inputs in order."""

    kind: Literal["constant_velocity"]
    names: list[str]
    steps: Annotated[int, Field(ge=1)]


class ResidualFile(Part):
    """Constant velocity, corrected by trees.

    Attributes:
        modes: typical residuals that the trees leave, in spreads, (modes, steps, 2).
        trees: XGBoost's JSON: residuals at the knots, in paces.
        spread: XGBoost's JSON: log of how far off the path is, in metres by the root of the pace.
    """

    kind: Literal["path_residual"]
    names: list[str]
    steps: Annotated[int, Field(ge=1)]
    modes: Annotated[list[list[tuple[Finite, Finite]]], Field(min_length=1)]
    trees: dict[str, Any]
    spread: dict[str, Any]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        sizes = {len(each) for each in self.modes}
        if sizes != {self.steps}:
            raise ValueError(f"modes: paths of {sorted(sizes)} steps; allowed: {self.steps}")
        return self
