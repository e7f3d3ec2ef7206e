"""How the members' predictions become one: fitted on out-of-fold predictions, written into the bundle.

| `training.ensemble` | what it is |
| --- | --- |
| weighted | the convex mean with the least out-of-fold loss |
| voting | the plain mean |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pennant.declaration.model import TrainedUseCase
from pennant.training.crossfit import OutOfFold, recency
from pennant.training.losses import Floats
from pennant.training.mixture import SMALLEST_WEIGHT, mixture_weights
from pennant.training.problem import blend
from pennant.training.rows import TrainingRows

__all__ = ["SMALLEST_WEIGHT", "Combination", "combine", "mixture_weights"]


@dataclass(frozen=True)
class Combination:
    """A fitted way to make one prediction of the members'.

    Attributes:
        weights: member -> weight, those that ship only: each above 0, summing to 1.
        described: what was fitted and why, finite numbers and words, for the metrics of a bundle.
    """

    weights: dict[str, float]
    described: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, predictions: list[Floats], x: Floats) -> Floats:
        """One prediction of the shipped members' predictions.

        Args:
            predictions: of each member of `weights`, in that order; see `problem` for their shape.
            x: the rows they are of, shape (n, features).
        """
        return blend(predictions, np.array(list(self.weights.values())))

    def to_json(self) -> dict[str, Any]:
        """The `ensemble` of bundle.json."""
        return {"method": "weighted"}


def combine(use_case: TrainedUseCase, data: TrainingRows, oof: OutOfFold) -> Combination:
    """Fit what `training.ensemble` declares, on predictions that no model had seen the row of.

    Args:
        use_case: the declaration.
        data: the training rows.
        oof: predictions of all members, out of fold.
    """
    weights = mixture_weights(data.problem, oof.predictions(), oof.label, recency(use_case, data, oof))
    return Combination(_shipped(oof, weights), {"method": "weighted"})


def _shipped(oof: OutOfFold, weights: Floats) -> dict[str, float]:
    return {name: float(each) for name, each in zip(oof.members, weights, strict=True) if each > 0}
