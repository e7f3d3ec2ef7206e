"""Conformal intervals: as wide as models were wrong about rows that they had not seen.

Every row out of fold has a score: how far an interval would have to reach to hold its label. The interval
of a new row reaches as far as the ceil((n + 1) * coverage)-th smallest of the n scores. If rows are
exchangeable it then holds the label with a chance of `coverage` or more, whatever the model is.

- Split conformal: the score is the distance to the prediction. Lei, G'Sell, Rinaldo, Tibshirani and Wasserman
  2018, "Distribution-free predictive inference for regression", Journal of the American Statistical
  Association 113, algorithm 2 (page 1097). One width for all rows.
- Conformalised quantiles: the score is how far the label is outside of two fitted quantiles, below 0 inside.
  Romano, Patterson and Candes 2019, "Conformalized quantile regression", NeurIPS 32, algorithm 1 and
  formula 6 (page 5). The width follows the row.

Rows weigh as they do in training, by recency: where the spread drifts, old scores promise what no longer is.
Weighted quantiles of scores: Tibshirani, Barber, Candes and Ramdas 2019, "Conformal prediction under
covariate shift", NeurIPS 32, lemma 1; weights that fall with age: Barber, Candes, Ramdas and Tibshirani 2023,
"Conformal prediction beyond exchangeability", Annals of Statistics 51, section 3. The new row weighs as the
newest.

Not promised: coverage for each single row or slice (`pennant.training.coverage` measures slices), and of a
path that all its steps lie inside at once: each step is covered on its own. Scores are of models that were
fitted to fewer rows than the shipped one, which is a little on the safe side. How the members are combined
was fitted to the rows of the scores themselves, which is a little on the other: of 60 rows out of fold and 4
members 0.88 to 0.89 were held where 0.9 was wanted, of 500 rows 0.895.
"""

from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from pennant.training.errors import TooFewRows
from pennant.training.losses import Floats
from pennant.training.problem import Problem

QUANTILES_FILE = "members/quantiles.ubj"
ROUNDS = 150
TREES = {"max_depth": 3, "learning_rate": 0.1, "subsample": 0.8, "reg_lambda": 1.0, "max_bin": 256}
"""Of the quantile trees. The offset mends what they get wrong, so nothing is searched."""
ROUNDING = 1e-12
"""A sum of chances this close under a quantile has reached it; the scorer in serving says the same."""
TAIL_ROWS = 2.0
"""A leaf holds so many rows beyond each quantile, or it could not tell where the quantile is."""


@dataclass(frozen=True)
class SplitConformal:
    """Prediction less and plus a half width.

    Attributes:
        half_widths: in the label's unit: one number, or of a path one radius in metres per step.
    """

    coverage: float
    half_widths: tuple[float, ...]

    def to_json(self) -> dict[str, object]:
        """The `intervals` of bundle.json."""
        widths = list(self.half_widths)
        return {"method": "split_conformal", "coverage": self.coverage, "half_widths": widths}

    def files(self) -> dict[str, bytes]:
        """None: numbers are all there is."""
        return {}

    def described(self) -> dict[str, float]:
        """The mean half width."""
        return {"half_width": float(np.mean(self.half_widths))}


@dataclass(frozen=True)
class ConformalisedQuantiles:
    """Two quantiles, moved apart by an offset, or together if it is below 0.

    Attributes:
        offset: in the label's unit; of a count a whole number.
        booster: gives both quantiles of a number; None for a count, whose distribution has them.
    """

    coverage: float
    offset: float
    booster: Any = field(default=None, compare=False)

    def to_json(self) -> dict[str, object]:
        """The `intervals` of bundle.json."""
        known: dict[str, object] = {"method": "conformalised_quantiles", "coverage": self.coverage}
        if self.booster is None:
            return {**known, "offset": int(self.offset)}
        return {**known, "offset": self.offset, "file": QUANTILES_FILE}

    def files(self) -> dict[str, bytes]:
        """The booster in XGBoost's UBJSON, if there is one."""
        if self.booster is None:
            return {}
        return {QUANTILES_FILE: bytes(self.booster.save_raw(raw_format="ubj"))}

    def described(self) -> dict[str, float]:
        """The offset."""
        return {"offset": float(self.offset)}


def reach(scores: Floats, weight: Floats, coverage: float) -> float:
    """The smallest score that rows worth `coverage` of all, a new one counted in, do not exceed.

    With equal weights the ceil((n + 1) * coverage)-th smallest of n.

    Args:
        scores: shape (n,).
        weight: of the rows, shape (n,); a new row weighs as the heaviest.
        coverage: wanted.

    Raises:
        TooFewRows: even the largest score does not reach so far.
    """
    order = np.argsort(scores, kind="stable")
    total = float(weight.sum() + weight.max(initial=0.0))
    enough = np.cumsum(weight[order]) >= coverage * total * (1.0 - 1e-12)
    if not enough.any():
        worth = int(weight.sum() / weight.max()) if len(weight) else 0
        needed = ceil(coverage / (1.0 - coverage))
        raise TooFewRows(f"rows out of fold for an interval of coverage {coverage:g}", worth, needed)
    return float(scores[order[int(np.argmax(enough))]])


def distances(problem: Problem, y: Floats, p: Floats) -> Floats:
    """Scores of split conformal, (n, 1): |y - p|; of paths (n, steps), metres between the points."""
    apart = y - p
    if problem.task == "trajectory":
        return np.asarray(np.hypot(apart[:, 0::2], apart[:, 1::2]), dtype=np.float64)
    return np.asarray(np.abs(apart)[:, None], dtype=np.float64)


def outside(y: Floats, low: Floats, high: Floats) -> Floats:
    """Scores of conformalised quantiles, (n, 1): how far the label is beyond the nearer end."""
    return np.asarray(np.maximum(low - y, y - high)[:, None], dtype=np.float64)


def count_quantiles(p: Floats, coverage: float) -> tuple[Floats, Floats]:
    """The counts at which distributions (n, most + 1) reach (1 - coverage) / 2 and (1 + coverage) / 2."""
    rises = np.cumsum(p, axis=1)[:, :-1]
    edges = ((1.0 - coverage) / 2.0, (1.0 + coverage) / 2.0)
    low, high = ((rises < edge - ROUNDING).sum(axis=1).astype(np.float64) for edge in edges)
    return low, high


def fit_quantiles(x: Floats, y: Floats, weight: Floats, coverage: float, seed: int) -> Any:
    """Trees for the quantiles (1 - coverage) / 2 and (1 + coverage) / 2 of a number."""
    import xgboost  # seconds that an ensemble without trees need not pay

    tail = (1.0 - coverage) / 2.0
    settings = {
        "objective": "reg:quantileerror",
        "quantile_alpha": [tail, 1.0 - tail],
        "tree_method": "hist",
        "nthread": 1,  # the same bytes on every machine of one kind
        "seed": seed,
        "verbosity": 0,
        "min_child_weight": TAIL_ROWS / tail,
        **TREES,
    }
    # A leaf's weight is its rows' weight, which recency parts around a mean of 1.
    data = xgboost.QuantileDMatrix(x, label=y, weight=weight, nthread=1, max_bin=int(TREES["max_bin"]))
    return xgboost.train(settings, data, num_boost_round=ROUNDS)


def quantiles(booster: Any, x: Floats) -> tuple[Floats, Floats]:
    """Both quantiles, each (n,); where trees cross them, the lesser is the lower."""
    both = np.asarray(booster.inplace_predict(x), dtype=np.float64).reshape(len(x), 2)
    return both.min(axis=1), both.max(axis=1)
