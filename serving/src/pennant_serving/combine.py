"""One prediction out of the members': weighted, stacked, or weighted by the slice that a row lies in.

| task | weighted | stacking |
| --- | --- | --- |
| binary | mean of probabilities | `sigmoid(intercept + sum(c * logit(p)))` |
| multiclass, count | mean of distributions | `softmax(intercept + sum(c * ln p))`, by outcome |
| regression | mean | `intercept + sum(c * p)` |
| trajectory | mean | `sum(c * p)` |

Slopes say how much the combined link (see `explanation.py`) moves with each member's own link.
"""

import numpy as np

from pennant_serving.arrays import (
    CLIP,
    Floats,
    count_variance,
    logit,
    mean_count,
    sigmoid,
    softmax,
)
from pennant_serving.manifest import Manifest, Selection, SliceWeights, Stacking

LEAST = 1e-12
"""Probabilities of an outcome are kept above this before their logarithm is taken; training does the same."""


class Combination:
    """The `ensemble` of a manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._task, self._ensemble = manifest.task, manifest.ensemble
        self._weights = np.array([each.weight for each in manifest.members])
        self._stacking = self._ensemble if isinstance(self._ensemble, Stacking) else None
        self._intercept = np.zeros(manifest.outcome.columns(manifest.task))
        if self._stacking is not None and self._stacking.intercept:
            self._intercept = np.array(self._stacking.intercept)

    def weights(self, rows: Floats) -> Floats:
        """How much each member counts, shape (n, members), each row summing to 1."""
        found = np.tile(self._weights, (len(rows), 1))
        if isinstance(self._ensemble, Selection):
            for each in reversed(self._ensemble.slices):  # the first slice has the last word
                found[_inside(each, rows)] = each.weights
        return found

    def combine(self, predictions: list[Floats], weights: Floats) -> Floats:
        """The members' predictions as one, of their shape; `weights` as from `weights`."""
        if self._stacking is not None:
            return self._stacked(predictions, self._stacking.coefficients)
        # One member after the other, so that a row alone gives the bits it gives inside a batch.
        mixed = np.zeros_like(predictions[0])
        for at, each in enumerate(predictions):
            weight = weights[:, at]
            mixed += (weight if each.ndim == 1 else weight[:, None]) * each
        return mixed

    def linear_slopes(self, weights: Floats) -> Floats | None:
        """`slopes` where they are the same everywhere: of numbers and of a path's x and y; else None."""
        if self._task not in {"regression", "trajectory"}:
            return None
        outputs = 2 if self._task == "trajectory" else 1
        return self._factors(weights)[:, :, None, None] * np.eye(outputs)

    def slopes(self, predictions: list[Floats], weights: Floats) -> Floats:
        """Of the combined link in each member's link, shape (n, members, outputs, outputs of the member).

        Of probabilities; see `linear_slopes` for the rest.
        """
        combined, weights = self.combine(predictions, weights), self._factors(weights)
        if self._task == "binary":
            parts = self._of_logits(np.stack(predictions, axis=1), combined, weights)
            return parts[:, :, None, None]
        if self._task == "multiclass":
            return self._of_classes(np.stack(predictions, axis=1), combined, weights)
        return self._of_means(predictions, combined, weights)[:, :, None, None]

    def _factors(self, weights: Floats) -> Floats:
        if self._stacking is None:
            return weights
        return np.tile(self._stacking.coefficients, (len(weights), 1))

    def _stacked(self, predictions: list[Floats], coefficients: list[float]) -> Floats:
        total = np.zeros_like(predictions[0])
        for coefficient, each in zip(coefficients, predictions, strict=True):
            total += coefficient * self._stackable(each)
        if self._task == "binary":
            return np.clip(sigmoid(total + self._intercept[0]), CLIP, 1.0 - CLIP)
        if self._task in {"multiclass", "count"}:
            return softmax(total + self._intercept)
        return total if self._task == "trajectory" else total + self._intercept[0]

    def _stackable(self, prediction: Floats) -> Floats:
        if self._task == "binary":
            return logit(prediction)
        if self._task in {"multiclass", "count"}:
            return np.asarray(np.log(np.maximum(prediction, LEAST)), dtype=np.float64)
        return prediction

    def _of_logits(self, p: Floats, mixed: Floats, weights: Floats) -> Floats:
        if self._stacking is not None:
            return weights
        inside = np.clip(mixed, CLIP, 1.0 - CLIP)[:, None]
        return np.asarray(weights * p * (1.0 - p) / (inside * (1.0 - inside)), dtype=np.float64)

    def _of_classes(self, p: Floats, mixed: Floats, weights: Floats) -> Floats:
        """The logit of each class's probability in each class score of each member."""
        classes = p.shape[2]
        inside = np.clip(mixed, CLIP, 1.0 - CLIP)
        if self._stacking is not None:
            odds = -inside[:, None, :] / (1.0 - inside)[:, :, None]
            own = np.eye(classes, dtype=bool)
            return weights[:, :, None, None] * np.where(own, 1.0, odds)[:, None]
        moved = p[..., :, None] * (np.eye(classes) - p[..., None, :])
        steep = (inside * (1.0 - inside))[:, None, :, None]
        return np.asarray(weights[:, :, None, None] * moved / steep, dtype=np.float64)

    def _of_means(self, predictions: list[Floats], mixed: Floats, weights: Floats) -> Floats:
        """The log of the combined mean in the log of each member's mean.

        For stacking: a law of these families has d ln p_k / d mean = (k - mean) / variance.
        """
        means = np.column_stack([mean_count(each) for each in predictions])
        middle = mean_count(mixed)[:, None]
        if self._stacking is None:
            return np.asarray(weights * means / middle, dtype=np.float64)
        spread = np.column_stack([count_variance(each) for each in predictions])
        return np.asarray(
            weights * count_variance(mixed)[:, None] / middle * means / np.maximum(spread, LEAST),
            dtype=np.float64,
        )


def _inside(each: SliceWeights, rows: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows lie in the slice; a missing value lies in none."""
    values = rows[:, each.column]
    if each.equals is not None:
        return np.asarray(values == each.equals)
    low = -np.inf if each.low is None else each.low
    high = np.inf if each.high is None else each.high
    return np.asarray((values >= low) & (values < high))
