"""Walk-forward fits: each fold's model predicts the block after the rows it was trained on."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from pennant.declaration.model import Member, TrainedUseCase
from pennant.training.losses import Floats, Indices
from pennant.training.members.base import FittedMember, Parameters
from pennant.training.members.kinds import KINDS
from pennant.training.problem import Problem
from pennant.training.rows import TrainingRows
from pennant.training.split import recency_weights


@dataclass(frozen=True)
class OutOfFold:
    """Predictions by models that had not seen the row, and those models.

    Attributes:
        index: rows of the training set that were predicted, ascending, shape (k,).
        label: of these rows.
        members: member -> its predictions.
        models: member -> the model of each fold.
    """

    index: Indices
    label: Floats
    members: dict[str, Floats]
    models: dict[str, list[FittedMember]]

    def predictions(self, names: Iterable[str] | None = None) -> list[Floats]:
        """Predictions of the members `names`, in that order; of all of them without names."""
        return [self.members[name] for name in (self.members if names is None else names)]


def problem_for(member: Member, problem: Problem) -> Problem:
    """The problem with what only this member is told: its columns, its sequence."""
    sequence = tuple(tuple(event) for event in member.sequence)
    return replace(problem, columns=tuple(member.columns), sequence=sequence)


def member_seed(use_case: TrainedUseCase, member: str) -> int:
    """The seed of a member's own randomness: the declared seed, parted by the member's name."""
    return (use_case.training.search.seed * 1_000_003 + crc32(member.encode())) % 2**31


def fold_by_fold(
    use_case: TrainedUseCase, rows: TrainingRows, chosen: Mapping[str, Parameters]
) -> Iterator[OutOfFold]:
    """Fit every member on one fold after the other; gives after each fold what was predicted so far."""
    members: dict[str, list[Floats]] = {name: [] for name in use_case.training.members}
    models: dict[str, list[FittedMember]] = {name: [] for name in members}
    half_life = use_case.training.recency_half_life_days
    for done, fold in enumerate(rows.folds, start=1):
        for name, member in use_case.training.members.items():
            fitted = KINDS[member.kind].fit(
                rows.x[fold.train],
                rows.y[fold.train],
                rows.fold_weight(fold, half_life),
                chosen[name],
                member_seed(use_case, name),
                problem_for(member, rows.problem),
            )
            models[name].append(fitted)
            members[name].append(fitted.predict(rows.x[fold.validate]))
        index = np.concatenate([each.validate for each in rows.folds[:done]])
        predicted = {name: np.concatenate(each) for name, each in members.items()}
        yield OutOfFold(index, rows.y[index], predicted, {name: list(each) for name, each in models.items()})


def out_of_fold(use_case: TrainedUseCase, rows: TrainingRows, chosen: Mapping[str, Parameters]) -> OutOfFold:
    """Fit every member on every fold with the hyper-parameters `chosen`."""
    *_, last = fold_by_fold(use_case, rows, chosen)
    return last


def recency(use_case: TrainedUseCase, rows: TrainingRows, oof: OutOfFold) -> Floats:
    """Recency weights of the rows that were predicted out of fold: what is near counts for the blend, too."""
    return recency_weights(rows.label_known_at[oof.index], use_case.training.recency_half_life_days)


def fit_all(
    use_case: TrainedUseCase, rows: TrainingRows, chosen: Mapping[str, Parameters]
) -> dict[str, FittedMember]:
    """Fit every member on all training rows: the models that are shipped."""
    return {
        name: KINDS[member.kind].fit(
            rows.x,
            rows.y,
            rows.weight,
            chosen[name],
            member_seed(use_case, name),
            problem_for(member, rows.problem),
        )
        for name, member in use_case.training.members.items()
    }
