"""Which candidates to keep: by what they add on later rows, again and again, never by what they fit.

Candidates that say the same (rank correlation above `SAME`) form a cluster, and a cluster counts once. In
each fold of the walk forward the strongest member of each cluster goes into gradient boosted trees beside the
declared features and beside shadows, candidates dealt anew that can only fit by luck. What a column is worth
is how much the loss on the fold's later rows rises when that column is dealt anew (permutation importance:
Breiman, "Random forests", Machine Learning 45 (2001), p. 23; shadows: Kursa and Rudnicki, "Feature selection
with the Boruta package", Journal of Statistical Software 36 (2010), 11).

A cluster is kept if it beats the best shadow in at least two thirds of the folds, and if its mean rise over
all later rows is above zero at 95 %, divided by how many were tried (Bonferroni).

What it does *not* see: a column that says something only together with another one and nothing alone may be
left out by the first look (`SCREENED`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SAME = 0.85
SCREENED = 40
"""Clusters that a fold looks at closely, by rank correlation with the label on its training side."""
SHADOWS = 12
REPEATS = 3
ROUNDS = 80
"""Trees of each model."""
SHARE_OF_FOLDS = 2 / 3
ERROR_RATE = 0.05


@dataclass(frozen=True)
class Problem:
    """What is to be predicted from what, on training rows only.

    Attributes:
        task: binary, multiclass, count or regression.
        y: labels, shape (n,).
        declared: features that the use case has already, shape (n, d), NaN where missing.
        x: candidates, shape (n, m).
        folds: (training rows, later rows) of each fold.
    """

    task: str
    y: Floats
    declared: Floats
    x: Floats
    folds: Sequence[tuple[Indices, Indices]]


@dataclass
class Cluster:
    """Candidates that say the same, and what became of them.

    Attributes:
        members: columns of `x`.
        leaders: fold to the member that stood for the cluster there.
        rises: fold to the mean rise of the loss without it.
        passed: folds in which it beat every shadow.
        mean: of the rise over all later rows that it was looked at on.
        low: end of its interval, below which chance would put it.
    """

    members: list[int]
    leaders: dict[int, int] = field(default_factory=dict)
    rises: dict[int, float] = field(default_factory=dict)
    passed: list[int] = field(default_factory=list)
    mean: float = 0.0
    low: float = 0.0
    _sums: list[tuple[int, float, float]] = field(default_factory=list)

    def seen(self, fold: int, leader: int, rise: Floats, best_shadow: float) -> None:
        """Take in what a fold's later rows say, one rise of the loss per row."""
        self.leaders[fold], self.rises[fold] = leader, float(rise.mean())
        self._sums.append((len(rise), float(rise.sum()), float((rise**2).sum())))
        if rise.mean() > max(best_shadow, 0.0):
            self.passed.append(fold)

    def settle(self, tried: int) -> None:
        """Mean and lower end over all folds so far, for so many clusters tried."""
        if not self._sums:
            return
        rows, total, squares = (sum(each) for each in zip(*self._sums, strict=True))
        self.mean = total / rows
        spread = max(squares / rows - self.mean**2, 0.0) / rows
        self.low = self.mean - NormalDist().inv_cdf(1 - ERROR_RATE / max(tried, 1)) * float(np.sqrt(spread))

    def holds(self, folds: int) -> bool:
        """Whether it is kept after so many folds."""
        return len(self.passed) >= SHARE_OF_FOLDS * folds and self.low > 0.0

    @property
    def leader(self) -> int:
        """The member that led most often; of several, the one of the newest fold."""
        led = list(self.leaders.values())
        return max(reversed(led), key=led.count) if led else self.members[0]


@dataclass(frozen=True)
class Selection:
    """What came of it.

    Attributes:
        clusters: all of them; `kept` are the first ones to take, the best first.
        kept: clusters to keep.
        shadows: fold to the best shadow's rise.
        folds: how many were done before time ran out.
        gains: per fold after the first, the loss with the declared features alone less that with what the
            folds before it would have kept; one number per later row. Honest: no fold judges its own choice.
        declared_twice: candidate to the declared feature (its column) that says the same.
    """

    clusters: list[Cluster]
    kept: list[Cluster]
    shadows: dict[int, float]
    folds: int
    gains: dict[int, Floats]
    declared_twice: dict[int, int]


def select(problem: Problem, most_kept: int, seconds: float, seed: int = 0) -> Selection:
    """Look through the candidates; see the module.

    Args:
        problem: training rows.
        most_kept: at most so many are kept.
        seconds: no fold is begun after so long; the first one always is.
        seed: of shadows and permutations.
    """
    until = time.monotonic() + seconds
    ranks = _ranks(problem.x)
    twice = _said_by_declared(ranks, _ranks(problem.declared))
    clusters = _clusters(ranks, [at for at in range(problem.x.shape[1]) if at not in twice])
    shadows: dict[int, float] = {}
    gains: dict[int, Floats] = {}
    for fold in range(len(problem.folds)):
        if fold and time.monotonic() > until:
            break
        if fold:
            chosen = _kept(clusters, fold, most_kept)
            gains[fold] = _gain(problem, fold, [each.leader for each in chosen])
        shadows[fold] = _look(problem, clusters, fold, np.random.default_rng([seed, fold]))
        for each in clusters:
            each.settle(min(SCREENED, len(clusters)))
    return Selection(clusters, _kept(clusters, len(shadows), most_kept), shadows, len(shadows), gains, twice)


def _kept(clusters: list[Cluster], folds: int, most: int) -> list[Cluster]:
    return sorted((each for each in clusters if each.holds(folds)), key=lambda each: -each.mean)[:most]


def _look(problem: Problem, clusters: list[Cluster], fold: int, stream: np.random.Generator) -> float:
    """Measure the strongest clusters on one fold; gives the best shadow's rise."""
    train, later = problem.folds[fold]
    strength = strengths(problem.task, problem.x[train], problem.y[train])
    leaders = [(max(each.members, key=lambda at: (strength[at], -at)), each) for each in clusters]
    leaders = sorted(leaders, key=lambda each: (-strength[each[0]], each[0]))[:SCREENED]
    if not leaders:
        return 0.0
    columns = [at for at, _ in leaders]
    dealt = problem.x[:, stream.choice(columns, min(SHADOWS, len(columns)), replace=False)]
    shadows = np.column_stack([each[stream.permutation(len(each))] for each in dealt.T])
    whole = np.column_stack([problem.declared, problem.x[:, columns], shadows])
    begin = problem.declared.shape[1]
    model = _fitted(problem.task, whole[train], problem.y[train])
    rises = _rises(problem.task, model, whole[later], problem.y[later], begin, stream)
    best = float(rises[len(columns) :].mean(axis=1).max())
    for (leader, cluster), rise in zip(leaders, rises, strict=False):
        cluster.seen(fold, leader, rise, best)
    return best


def _rises(task: str, model: Any, x: Floats, y: Floats, begin: int, stream: np.random.Generator) -> Floats:
    """By column from `begin` on, by how much each row's loss rises without what the column says."""
    plain = losses(task, model, x, y)
    rises = np.zeros((x.shape[1] - begin, len(x)))
    for at in range(begin, x.shape[1]):
        orders = [stream.permutation(len(x)) for _ in range(REPEATS)]
        dealt = np.tile(x, (REPEATS, 1))
        dealt[:, at] = np.concatenate([x[order, at] for order in orders])
        lost = losses(task, model, dealt, np.tile(y, REPEATS)).reshape(REPEATS, -1)
        rises[at - begin] = lost.mean(axis=0) - plain
    return rises


def _gain(problem: Problem, fold: int, chosen: list[int]) -> Floats:
    """Per later row of a fold, what the chosen columns save beside the declared ones."""
    train, later = problem.folds[fold]
    if not chosen:
        return np.zeros(len(later))
    lost = []
    for x in (problem.declared, np.column_stack([problem.declared, problem.x[:, chosen]])):
        model = _fitted(problem.task, x[train], problem.y[train])
        lost.append(losses(problem.task, model, x[later], problem.y[later]))
    return np.asarray(lost[0] - lost[1])


_OBJECTIVES = {
    "binary": "binary:logistic",
    "multiclass": "multi:softprob",
    "count": "count:poisson",
    "regression": "reg:squarederror",
}


def _fitted(task: str, x: Floats, y: Floats) -> Any:
    """Small trees: what is looked for is whether a column says anything, not the last bit of it.

    One thread: several of them wait for each other a hundred times longer on a machine that is busy.
    """
    import xgboost

    given: dict[str, Any] = {
        "objective": _OBJECTIVES[task],
        "eta": 0.06,
        "max_depth": 3,
        "min_child_weight": 5,
        "lambda": 5.0,
        "tree_method": "hist",
        "seed": 0,
        "nthread": 1,
    }
    if task == "multiclass":
        given["num_class"] = int(y.max()) + 1
    return xgboost.train(given, xgboost.DMatrix(_wide(x), y, nthread=1), ROUNDS)


def losses(task: str, model: Any, x: Floats, y: Floats) -> Floats:
    """Each row's loss: log loss in nats, Poisson log loss without its constant, or the squared error."""
    said = np.asarray(model.inplace_predict(_wide(x)), dtype=np.float64)
    if task == "regression":
        return np.asarray((said - y) ** 2)
    if task == "count":
        mean = np.clip(said, 1e-6, None)
        return np.asarray(mean - y * np.log(mean))
    chances = np.column_stack([1.0 - said, said]) if task == "binary" else said
    at = y.astype(np.int64)
    seen = at < chances.shape[1]  # a class that training never saw has no chance
    hit = np.where(seen, chances[np.arange(len(y)), np.where(seen, at, 0)], 0.0)
    return np.asarray(-np.log(np.clip(hit, 1e-6, 1.0)))


def _wide(x: Floats) -> Floats:
    """The columns; one that says nothing where there is none."""
    return x if x.shape[1] else np.zeros((len(x), 1))


def strengths(task: str, x: Floats, y: Floats) -> Floats:
    """Absolute rank correlation of each column with the label; of classes, with the one it tells best."""
    ranks = _ranks(x)
    targets = [y] if task != "multiclass" else [(y == each).astype(np.float64) for each in np.unique(y)]
    by_target = [np.abs(ranks.T @ _ranks(each[:, None])[:, 0]) for each in targets]
    return np.asarray(np.max(by_target, axis=0))


def _ranks(x: Floats) -> Floats:
    """Ranks of each column, centred and of length one, so that products are correlations; missing is 0."""
    if not x.shape[1]:
        return x
    ranks = np.asarray(rankdata(x, axis=0, nan_policy="omit"), dtype=np.float64)
    given = np.maximum((~np.isnan(ranks)).sum(axis=0), 1)
    centred = np.nan_to_num(ranks - np.nansum(ranks, axis=0) / given)
    length = np.sqrt((centred**2).sum(axis=0))
    return np.asarray(centred / np.where(length > 0, length, 1.0))


def _said_by_declared(ranks: Floats, declared: Floats) -> dict[int, int]:
    if not declared.shape[1]:
        return {}
    alike = np.abs(ranks.T @ declared)
    nearest = alike.argmax(axis=1)
    return {at: int(nearest[at]) for at in range(len(alike)) if alike[at, nearest[at]] > 0.98}


def _clusters(ranks: Floats, columns: list[int]) -> list[Cluster]:
    """Columns that all say the same as each other; labels are not looked at."""
    if len(columns) < 2:
        return [Cluster([at]) for at in columns]
    apart = np.clip(1.0 - np.abs(ranks[:, columns].T @ ranks[:, columns]), 0.0, 1.0)
    np.fill_diagonal(apart, 0.0)
    tree = linkage(squareform((apart + apart.T) / 2, checks=False), "complete")
    found: dict[int, Cluster] = {}
    for at, number in zip(columns, fcluster(tree, 1.0 - SAME, "distance"), strict=True):
        found.setdefault(int(number), Cluster([])).members.append(at)
    return sorted(found.values(), key=lambda each: each.members[0])
