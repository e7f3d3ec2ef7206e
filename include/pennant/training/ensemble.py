"""How the members' predictions become one: fitted on out-of-fold predictions, written into the bundle.

| `training.ensemble` | what it is |
| --- | --- |
| weighted | the convex mean with the least out-of-fold loss (`mixture`) |
| voting | the plain mean |
| stacking | a small model of the predictions (`stacking`) |
| selection | weights by declared slice (`selection`), if they win out of sample; else weighted |
| best | whichever of weighted, stacking and selection has the least loss out of sample; ties: weighted |

Out of sample is nested in time: fitted on the older folds' held-out rows whose labels were known when the
newer half of the folds was predicted, judged on that half; then fitted on all held-out rows. A selection
wins if the interval of its paired gain on the weighted mean lies above zero: slices are many, and some would
always look better. Nothing but held-out rows of the training set is looked at.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pennant.declaration.model import TrainedUseCase
from pennant.training.clustered import Clusters, clustered_mean
from pennant.training.crossfit import OutOfFold, recency
from pennant.training.losses import Floats, Indices
from pennant.training.mixture import SMALLEST_WEIGHT, mixture_weights
from pennant.training.problem import blend, row_losses
from pennant.training.rows import TrainingRows
from pennant.training.selection import Selected, cuts, fit_selection
from pennant.training.stacking import Stacked, fit_stacking

__all__ = ["SMALLEST_WEIGHT", "Combination", "combine", "mixture_weights"]

MIN_JUDGED_ROWS = 40
"""With fewer held-out rows on either side nothing is compared, and the members are weighted."""
ERROR = 0.025
"""Chance, at most, that a selection which gains nothing is kept."""


@dataclass(frozen=True)
class Combination:
    """A fitted way to make one prediction of the members'.

    Attributes:
        weights: member -> weight, those that ship only: each above 0, summing to 1.
        described: what was fitted and why, finite numbers and words, for the metrics of a bundle.
        rule: what is done with the predictions; None is the mean by weight.
    """

    weights: dict[str, float]
    described: Mapping[str, Any] = field(default_factory=dict)
    rule: Stacked | Selected | None = None

    def apply(self, predictions: list[Floats], x: Floats) -> Floats:
        """One prediction of the shipped members' predictions.

        Args:
            predictions: of each member of `weights`, in that order; see `problem` for their shape.
            x: the rows they are of, shape (n, features).
        """
        if self.rule is None:
            return blend(predictions, np.array(list(self.weights.values())))
        return self.rule.apply(predictions, x)

    def to_json(self) -> dict[str, Any]:
        """The `ensemble` of bundle.json."""
        return {"method": "weighted"} if self.rule is None else self.rule.to_json()


@dataclass(frozen=True)
class _Mean:
    """The convex mean, told like the other rules."""

    given: Floats

    def apply(self, predictions: list[Floats], x: Floats) -> Floats:
        del x
        return blend(predictions, self.given)

    def weights(self) -> Floats:
        return self.given


Rule = _Mean | Stacked | Selected


def combine(use_case: TrainedUseCase, data: TrainingRows, oof: OutOfFold) -> Combination:
    """Fit what `training.ensemble` declares, on predictions that no model had seen the row of.

    Args:
        use_case: the declaration.
        data: the training rows.
        oof: predictions of all members, out of fold.
    """
    asked: str = use_case.training.ensemble
    work = _Held(use_case, data, oof)
    described: dict[str, Any] = {"asked": asked}
    if len(oof.members) == 1 or asked == "weighted":
        method = "weighted"
    elif asked in {"voting", "stacking"}:
        method = asked
    else:
        method, judged = _judged(use_case, data, work, asked)
        described["judged"] = judged
    return _combination(oof, work.fit(method, work.everything()), {**described, "method": method})


def _combination(oof: OutOfFold, rule: Rule, described: Mapping[str, Any]) -> Combination:
    weights = rule.weights()
    kept = weights > 0.0
    shipped = {name: float(each) for name, each in zip(oof.members, weights, strict=True) if each > 0.0}
    return Combination(shipped, described, None if isinstance(rule, _Mean) else rule.only(kept))


@dataclass(frozen=True)
class _Held:
    """Held-out rows, to fit rules on some of them and to judge them on others."""

    use_case: TrainedUseCase
    data: TrainingRows
    oof: OutOfFold

    def everything(self) -> Indices:
        return np.arange(len(self.oof.label), dtype=np.int64)

    def predictions(self, at: Indices) -> list[Floats]:
        return [each[at] for each in self.oof.predictions()]

    def x(self, at: Indices) -> Floats:
        return np.asarray(self.data.x[self.oof.index[at]], dtype=np.float64)

    def fit(self, method: str, at: Indices) -> Rule:
        """Fit a rule on the held-out rows `at`."""
        problem, predictions, y = self.data.problem, self.predictions(at), self.oof.label[at]
        weight = recency(self.use_case, self.data, self.oof)[at]
        fits: dict[str, Callable[[], Rule]] = {
            "weighted": lambda: _Mean(mixture_weights(problem, predictions, y, weight)),
            "voting": lambda: _Mean(np.full(len(predictions), 1.0 / len(predictions))),
            "stacking": lambda: fit_stacking(problem, predictions, y, weight),
            "selection": lambda: fit_selection(
                problem, predictions, self.x(at), y, cuts(self.use_case), weight
            ),
        }
        return fits[method]()

    def losses(self, rule: Rule, at: Indices) -> Floats:
        """The loss of a rule on each of the held-out rows `at`."""
        return row_losses(self.data.problem, self.oof.label[at], rule.apply(self.predictions(at), self.x(at)))


def _judged(
    use_case: TrainedUseCase, data: TrainingRows, work: _Held, asked: str
) -> tuple[str, dict[str, Any]]:
    """The method that wins on the newer half of the held-out rows, and the numbers it won by."""
    older, newer = halves(data, work.oof)
    if min(len(older), len(newer)) < MIN_JUDGED_ROWS:
        return "weighted", {"why": "too few held-out rows to compare", "rows": len(newer)}
    methods = ["weighted", *(["stacking"] if asked == "best" else [])]
    methods += ["selection"] if use_case.training.slices else []
    losses = {method: work.losses(work.fit(method, older), newer) for method in methods}
    judged: dict[str, Any] = {
        "rows": len(newer),
        "loss": {method: float(each.mean()) for method, each in losses.items()},
    }
    able = [method for method in methods if method != "selection"]
    if "selection" in losses:
        gain = losses["weighted"] - losses["selection"]
        found = clustered_mean(gain, _clusters(data, work.oof.index[newer]), ERROR)
        won = found.low is not None and found.low > 0.0
        judged["selection"] = {"gain": found.mean, "low": found.low, "high": found.high, "won": won}
        if won:
            able.append("selection")
    if asked == "selection":
        return able[-1], judged
    return min(able, key=lambda method: judged["loss"][method]), judged


def halves(data: TrainingRows, oof: OutOfFold) -> tuple[Indices, Indices]:
    """Positions in `oof` of the held-out rows to fit on, and of the newer ones to judge on.

    The cut lies between two folds, as near to the middle as they allow. Older rows count only if the first
    of the newer folds could have been trained on them: their labels were known by then. A single fold is all
    newer.
    """
    if len(data.folds) == 1:
        return np.empty(0, dtype=np.int64), np.arange(len(oof.label), dtype=np.int64)
    ends = np.cumsum([len(fold.validate) for fold in data.folds])
    first = int(np.argmin(np.abs(ends[:-1] - ends[-1] / 2.0)))
    older = np.arange(ends[first], dtype=np.int64)
    known = np.isin(oof.index[older], data.folds[first + 1].train)
    return older[known], np.arange(ends[first], ends[-1], dtype=np.int64)


def _clusters(data: TrainingRows, rows: Indices) -> Clusters:
    """What rows count together with; where all do, each row is its own: nothing else could be told."""
    together = data.clusters[rows]
    return together if len(np.unique(together)) > 1 else rows.astype(np.str_)
