"""One trial of a search: what it tries, what that costs out of fold, and whether it ends early.

All of it follows from the seed, the trial's number and the earlier trials of its own shard. Optuna's sampler
and pruner are asked about a study of a moment that holds these only: the shared one also holds what other
shards happened to finish, which is a question of their speed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from pennant.declaration.model import Range, TrainedUseCase
from pennant.training import ensemble, parameters, rows
from pennant.training.crossfit import OutOfFold, fold_by_fold, recency
from pennant.training.mixture import mixture_weights
from pennant.training.problem import blend, row_losses

PRUNE_AFTER_TRIALS = 4
"""No trial of a shard ends early before so many of it are complete."""
PRUNE_AFTER_FOLDS = 2
"""No trial ends early before so many folds: one period may be unlike the others."""

Report = Callable[[int, float], None]
"""Takes how many folds are done, and the loss on them."""


def attempt(
    use_case: TrainedUseCase,
    data: rows.TrainingRows,
    chosen: parameters.Chosen,
    earlier: Iterable[FrozenTrial],
    report: Report,
) -> float | None:
    """Out-of-fold loss of the ensemble that would be shipped with these hyper-parameters.

    None if the trial was ended early: its loss on the folds so far, of the members weighted on these folds,
    was above the median of that loss over the complete ones among `earlier`. Each such loss is reported.
    """
    pruned = use_case.training.search.pruning == "median"
    finished = list(earlier)
    for fitted in fold_by_fold(use_case, data, chosen):
        done = len(next(iter(fitted.models.values())))
        if done == len(data.folds):
            combined = ensemble.combine(use_case, data, fitted)
            made = combined.apply(fitted.predictions(combined.weights), data.x[fitted.index])
            return float(row_losses(data.problem, fitted.label, made).mean())
        if pruned:
            loss = _weighted_loss(use_case, data, fitted)
            report(done, loss)
            if _hopeless(finished, done, loss):
                return None
    raise AssertionError("a split has folds")


def suggest(
    searched: Mapping[str, Range], earlier: Iterable[FrozenTrial], seed: int, slot: int, slots: int
) -> dict[str, Any]:
    """What a tree-structured Parzen estimator with the shard's earlier trials would try in this slot."""
    spaces = distributions(searched)
    sampler = optuna.samplers.TPESampler(
        seed=seed * 100_003 + slot, n_startup_trials=max(3, min(10, slots // 3))
    )
    alone = _of_a_moment(sampler=sampler)
    alone.add_trials([_copy(each, each.params, spaces) for each in earlier])
    return dict(alone.ask(fixed_distributions=spaces).params)


def distributions(searched: Mapping[str, Range]) -> dict[str, BaseDistribution]:
    """The declared ranges, as Optuna has them."""
    return {name: _distribution(each) for name, each in searched.items()}


def _weighted_loss(use_case: TrainedUseCase, data: rows.TrainingRows, fitted: OutOfFold) -> float:
    made, weight = fitted.predictions(), recency(use_case, data, fitted)
    weights = mixture_weights(data.problem, made, fitted.label, weight)
    return float(row_losses(data.problem, fitted.label, blend(made, weights)).mean())


def _hopeless(earlier: list[FrozenTrial], done: int, loss: float) -> bool:
    """What Optuna's median pruner says of a trial with this loss after `done` folds."""
    pruner = optuna.pruners.MedianPruner(
        n_startup_trials=PRUNE_AFTER_TRIALS, n_warmup_steps=PRUNE_AFTER_FOLDS
    )
    alone = _of_a_moment()
    alone.add_trials([_copy(each, {}, {}) for each in earlier if each.state is TrialState.COMPLETE])
    # The pruner takes the least of a trial's losses for its own, and one fold may be easier than all others:
    # only the loss on the folds that the earlier trials are asked about, too, is told.
    trial = create_trial(state=TrialState.RUNNING, intermediate_values={done: loss})
    return bool(pruner.prune(alone, trial))


def _of_a_moment(sampler: optuna.samplers.BaseSampler | None = None) -> optuna.Study:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a study of a moment is no news
    made = optuna.create_study(sampler=sampler, direction="minimize")
    optuna.logging.set_verbosity(verbosity)
    return made


def _copy(trial: FrozenTrial, params: dict[str, Any], spaces: dict[str, BaseDistribution]) -> FrozenTrial:
    return create_trial(
        state=trial.state,
        params=params,
        distributions=spaces,
        value=float(trial.values[0]),
        intermediate_values=dict(trial.intermediate_values),
    )


def _distribution(declared: Range) -> BaseDistribution:
    if declared.kind == "int":
        return IntDistribution(int(declared.low), int(declared.high), log=declared.log)
    return FloatDistribution(declared.low, declared.high, log=declared.log)
