"""The interval around a probability: one half width, in logit units, for all rows and classes.

It speaks of the probability given the features, not of the outcome, which is there or not, and not of what
the features do not tell. With f the calibrated logit of the shipped ensemble (of more than two classes, the
logit of each class's probability, one class after the other, and the mean over them):

    half_width = z * sqrt(fold_spread + member_disagreement + calibration_spread)

z is the normal quantile of (1 + coverage) / 2. All three are variances in squared logit units.

fold_spread: variance of f from the sample it was fitted on. Fold k's models, blended and calibrated
the same way, give f_k. For estimates that are weighted means over rows, with row weights a (shipped) and
a_k (fold), each summing to 1, Var(f) / Var(f_k - f) = sum(a^2) / sum((a_k - a)^2): the share of rows that
both have is accounted for. So fold_spread is the mean over folds of
mean((f_k - f)^2) * sum(a^2) / sum((a_k - a)^2).

member_disagreement: what no refit on the same kind of rows shows, namely that a kind of model cannot
follow the truth. It is the spread of the members' logits f_m around the blend, sum_m w_m * mean((f_m - f)^2).

calibration_spread: what the out-of-fold labels leave open about level and slope: the mean of d' H^-1 d with
d = (f, 1) and H the Fisher information of a logistic line in d on the out-of-fold rows. It is what remains
where nothing can be learned from the features and every refit says the same.

It does not cover a bias that all members share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from pennant.training.calibration import Calibration
from pennant.training.crossfit import OutOfFold
from pennant.training.ensemble import Combination
from pennant.training.losses import Floats, expit, logit
from pennant.training.members.base import FittedMember
from pennant.training.rows import TrainingRows


@dataclass(frozen=True)
class Spread:
    """The half width in logit units and its parts, variances in squared logit units."""

    coverage: float
    half_width_logit: float
    fold_spread: float
    member_disagreement: float
    calibration_spread: float

    def to_json(self) -> dict[str, object]:
        """The `intervals` of bundle.json."""
        return {
            "coverage": self.coverage,
            "method": "member_and_fold_spread",
            "half_width_logit": self.half_width_logit,
        }

    def files(self) -> dict[str, bytes]:
        """None: one number is all there is."""
        return {}

    def described(self) -> dict[str, float]:
        """The three variances."""
        return {
            "fold_spread": self.fold_spread,
            "member_disagreement": self.member_disagreement,
            "calibration_spread": self.calibration_spread,
        }


def fit_spread(
    rows: TrainingRows,
    oof: OutOfFold,
    shipped: Mapping[str, FittedMember],
    combination: Combination,
    calibration: Calibration,
    coverage: float,
    half_life_days: float,
) -> Spread:
    """Measure both spreads on the newest fold's block, which is the most like what comes.

    Args:
        rows: the training rows.
        oof: the models of each fold.
        shipped: the models fitted on all rows, in the order of `combination.weights`.
        combination: of the members.
        calibration: of the blend.
        coverage: wanted share of true probabilities inside.
        half_life_days: of the recency weights.
    """
    x = rows.x[rows.folds[-1].validate]

    def seen(predictions: list[Floats], at: Floats) -> Floats:
        return _logits(calibration.apply(combination.apply(predictions, at)))

    members = _predict(shipped, x)
    center = seen(members, x)
    share = rows.weight / rows.weight.sum()
    spreads = []
    for number, fold in enumerate(rows.folds):
        moved = seen(_predict({name: oof.models[name][number] for name in shipped}, x), x) - center
        fold_share = np.zeros_like(share)
        fold_share[fold.train] = rows.fold_weight(fold, half_life_days)
        fold_share /= fold_share.sum()
        ratio = float(np.square(share).sum() / np.square(fold_share - share).sum())
        spreads.append(float(np.square(moved).mean()) * ratio)
    weights = np.array(list(combination.weights.values()))
    apart = [float(np.square(_logits(calibration.apply(each)) - center).mean()) for each in members]
    disagreement = float(np.array(apart) @ weights)
    held_out = seen(oof.predictions(shipped), rows.x[oof.index])
    lines = [_calibration_spread(*each) for each in zip(held_out.T, center.T, strict=True)]
    line = float(np.mean(lines))
    fold_spread = float(np.mean(spreads))
    quantile = NormalDist().inv_cdf((1.0 + coverage) / 2.0)
    half_width = quantile * float(np.sqrt(fold_spread + disagreement + line))
    return Spread(coverage, half_width, fold_spread, disagreement, line)


def _logits(p: Floats) -> Floats:
    """Of probabilities (n,) or (n, classes), as columns."""
    return logit(p[:, None] if p.ndim == 1 else p)


def _calibration_spread(seen: Floats, center: Floats) -> float:
    p = expit(seen)
    design = np.column_stack([seen, np.ones_like(seen)])
    # The pseudo-inverse drops the slope where all rows have one logit.
    covariance = np.linalg.pinv((design * (p * (1.0 - p))[:, None]).T @ design)
    at = np.column_stack([center, np.ones_like(center)])
    return float(np.einsum("ni,ij,nj->n", at, covariance, at).mean())


def _predict(models: Mapping[str, FittedMember], x: Floats) -> list[Floats]:
    return [model.predict(x) for model in models.values()]
