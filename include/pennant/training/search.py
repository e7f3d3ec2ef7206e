"""The hyper-parameter search: one Optuna study in PostgreSQL, shared by mapped tasks, each with its shard.

The budget is cut into numbered slots, dealt to the shards in turn. What a slot tries follows from the seed,
its number and the finished slots of its own shard before it, never from how fast another shard is. So does
whether it is pruned (`trial`). A search gives the same trials whether its shards run at once, one by one, or
are killed and resumed.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from pennant.data.lake import Lake
from pennant.declaration.model import Range, TrainedUseCase
from pennant.reference import Reference
from pennant.training import parameters, rows, trial
from pennant.training.errors import StudyUnusable
from pennant.training.provenance import packages
from pennant.training.storage import opened
from pennant.warehouse.lock import held

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class SearchPlan:
    """A study and the shards that fill it."""

    study: str
    shards: list[int]


def prepare(
    use_case: TrainedUseCase,
    snapshot: Reference,
    lake: Lake,
    storage_url: str,
    overrides: parameters.Overrides | None = None,
) -> SearchPlan:
    """Create the study, or find the one these inputs already have.

    Its name follows from the snapshot, what the declaration says of training, the overrides and the package
    versions.

    Raises:
        UnknownName, BadParameter: overrides or search spaces that no model takes.
        TooFewRows, OneClass, LabelNotBinary, InfiniteValues, ColumnsMissing: see `rows.read`.
    """
    given = {member: dict(values) for member, values in (overrides or {}).items()}
    parameters.space(use_case, given)
    rows.read(use_case, snapshot, lake)  # what cannot be trained on is refused before anything is created
    study = _name(use_case, snapshot, given)
    with opened(storage_url) as (storage, engine), held(engine, f"optuna {study}"):
        made = optuna.create_study(
            storage=storage, study_name=study, direction="minimize", load_if_exists=True
        )
        if "overrides" not in made.user_attrs:
            made.set_user_attr("use_case", use_case.name)
            made.set_user_attr("snapshot", snapshot.sha256)
            made.set_user_attr("overrides", given)
    return SearchPlan(study, list(range(use_case.training.search.workers)))


def _name(use_case: TrainedUseCase, snapshot: Reference, overrides: Mapping[str, Any]) -> str:
    basis: dict[str, Any] = {
        "snapshot": snapshot.sha256,
        "task": use_case.task,
        "classes": use_case.label.classes,
        "features": list(use_case.features),
        "split": use_case.split.model_dump(mode="json"),
        "training": use_case.training.model_dump(mode="json"),
        "overrides": overrides,
        "packages": packages(each.kind for each in use_case.training.members.values()),
    }
    digest = hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()
    return f"{use_case.name}-{digest[:16]}"


def run_shard(
    use_case: TrainedUseCase, snapshot: Reference, lake: Lake, storage_url: str, study: str, shard: int
) -> dict[str, float | int | None]:
    """Finish the trials of one shard; trials that are finished, complete or pruned, are not repeated.

    A lock makes two runs of one shard take turns. Whoever holds it finds only dead trials in state RUNNING:
    those are marked failed, and their slots are filled again. The shard stops after `search.minutes`
    of trials, counted over all its runs, but never before its first trial.

    Returns:
        `trials`: finished trials of this shard; `best`: the least loss of those that are complete, None
        without any.

    Raises:
        StudyUnusable: `prepare` did not make this study for this snapshot and declaration.
    """
    budget = use_case.training.search
    slots = _slots(use_case, shard)
    with opened(storage_url) as (storage, engine), held(engine, f"optuna {study} shard {shard}"):
        found = _load(storage, study)
        space = parameters.space(use_case, _overrides_of(use_case, found, snapshot))
        _fail_dead(storage, found, shard)
        done = _finished(found, shard)
        data = rows.read(use_case, snapshot, lake) if len(done) < len(slots) else None
        for slot in slots:
            if data is None or (done and _spent(done) >= budget.minutes * 60):
                break
            if slot in done:
                continue
            values = trial.suggest(space.searched, done.values(), budget.seed, slot, len(slots))
            begun = _begin(storage, found, space.searched, values, shard, slot)
            chosen = space.complete(values)
            try:
                loss = trial.attempt(use_case, data, chosen, done.values(), begun.report)
            except BaseException:
                found.tell(begun.number, state=TrialState.FAIL)
                raise
            if loss is None:
                found.tell(begun.number, state=TrialState.PRUNED)
            else:
                found.tell(begun.number, loss)
            done = _finished(found, shard)
    losses = [_value(each) for each in done.values() if each.state is TrialState.COMPLETE]
    return {"trials": len(done), "best": min(losses, default=None)}


def search_alone(use_case: TrainedUseCase, data: rows.TrainingRows) -> parameters.Chosen:
    """The hyper-parameters of the best trial, searched here and now, kept nowhere.

    The same slots, seed and shards as a study's, so the same trials, as long as `search.minutes` do not end
    one of the two: here they are of all shards together. The first trial is always run.
    """
    budget, space = use_case.training.search, parameters.space(use_case, None)
    if not space.searched:
        return space.complete({})  # every trial would be the same
    tried: list[FrozenTrial] = []
    began = time.monotonic()
    for shard in range(budget.workers):
        slots = _slots(use_case, shard)
        done: list[FrozenTrial] = []
        for slot in slots:
            if (tried or done) and time.monotonic() - began > budget.minutes * 60:
                break
            values = trial.suggest(space.searched, done, budget.seed, slot, len(slots))
            done.append(_tried(use_case, data, space, values, done, slot))
        tried += done
    complete = [each for each in tried if each.state is TrialState.COMPLETE]
    best = min(complete, key=lambda each: (_value(each), each.user_attrs["slot"]))
    return space.complete(best.params)


def _tried(
    use_case: TrainedUseCase,
    data: rows.TrainingRows,
    space: parameters.Space,
    values: dict[str, Any],
    earlier: list[FrozenTrial],
    slot: int,
) -> FrozenTrial:
    """A trial that was run here and now."""
    losses: dict[int, float] = {}
    loss = trial.attempt(use_case, data, space.complete(values), earlier, losses.__setitem__)
    return create_trial(
        state=TrialState.PRUNED if loss is None else TrialState.COMPLETE,
        params=values,
        distributions=trial.distributions(space.searched),
        value=losses[max(losses)] if loss is None else loss,
        intermediate_values=losses,
        user_attrs={"slot": slot},
    )


def best_parameters(
    use_case: TrainedUseCase,
    snapshot: Reference,
    storage_url: str,
    study: str,
    overrides: parameters.Overrides | None,
) -> tuple[parameters.Chosen, dict[str, Any]]:
    """The hyper-parameters of the best complete trial (ties: the lowest slot), and what the study was.

    Args:
        use_case: the declaration.
        snapshot: must be the one the study was prepared for.
        storage_url: of the warehouse.
        study: its name.
        overrides: as given to `prepare`; None takes the study's.

    Raises:
        StudyUnusable: no such study, no complete trial, or another snapshot, declaration or overrides.
    """
    with opened(storage_url) as (storage, _):
        found = _load(storage, study)
        stored = _overrides_of(use_case, found, snapshot)
        trials = found.get_trials(deepcopy=False)
    complete = [each for each in trials if each.state is TrialState.COMPLETE]
    pruned = sum(each.state is TrialState.PRUNED for each in trials)
    if overrides is not None and {k: dict(v) for k, v in overrides.items()} != stored:
        raise StudyUnusable(study, f"it was prepared with overrides {stored}, now asked with {overrides}")
    if not complete:
        raise StudyUnusable(study, "it has no complete trial")
    best = min(complete, key=lambda each: (_value(each), each.user_attrs["slot"]))
    tried = {"trials": len(complete) + pruned, "pruned": pruned, "best_slot": best.user_attrs["slot"]}
    chosen = parameters.space(use_case, stored).complete(best.params)
    return chosen, {"study": study, **tried, "best_loss": _value(best), "overrides": stored}


def _slots(use_case: TrainedUseCase, shard: int) -> list[int]:
    budget = use_case.training.search
    return list(range(shard, budget.trials, budget.workers))


def _load(storage: optuna.storages.RDBStorage, study: str) -> optuna.Study:
    try:
        return optuna.load_study(study_name=study, storage=storage)
    except KeyError:
        raise StudyUnusable(study, "it does not exist") from None


def _overrides_of(use_case: TrainedUseCase, study: optuna.Study, snapshot: Reference) -> dict[str, Any]:
    attributes, name = study.user_attrs, study.study_name
    if attributes.get("snapshot") != snapshot.sha256:
        raise StudyUnusable(
            name, f"it belongs to snapshot {attributes.get('snapshot')}, not {snapshot.sha256}"
        )
    overrides = dict(attributes["overrides"])
    if name != (wanted := _name(use_case, snapshot, overrides)):
        raise StudyUnusable(
            name, f"another declaration or other packages wrote it; the study of these inputs is {wanted}"
        )
    return overrides


def _fail_dead(storage: optuna.storages.RDBStorage, study: optuna.Study, shard: int) -> None:
    for each in study.get_trials(deepcopy=False):
        if each.state is TrialState.RUNNING and each.user_attrs.get("shard") == shard:
            storage.set_trial_state_values(each._trial_id, TrialState.FAIL)


def _finished(study: optuna.Study, shard: int) -> dict[int, FrozenTrial]:
    """Complete and pruned trials of the shard by slot, in the order of the slots."""
    finished = [
        each
        for each in study.get_trials(deepcopy=False)
        if each.state in FINISHED and each.user_attrs.get("shard") == shard
    ]
    return {
        each.user_attrs["slot"]: each for each in sorted(finished, key=lambda each: each.user_attrs["slot"])
    }


def _value(trial: FrozenTrial) -> float:
    return float(trial.values[0])


def _spent(done: Mapping[int, FrozenTrial]) -> float:
    """Seconds that the complete trials took."""
    durations = [each.duration for each in done.values()]
    return float(sum(each.total_seconds() for each in durations if each is not None))


@dataclass(frozen=True)
class _Begun:
    """A trial in state RUNNING."""

    storage: optuna.storages.RDBStorage
    identity: int
    number: int

    def report(self, done: int, loss: float) -> None:
        """Write the loss after so many folds."""
        self.storage.set_trial_intermediate_value(self.identity, done, loss)


def _begin(
    storage: optuna.storages.RDBStorage,
    study: optuna.Study,
    searched: Mapping[str, Range],
    values: dict[str, Any],
    shard: int,
    slot: int,
) -> _Begun:
    """Write the trial in state RUNNING with all it is, in one transaction."""
    template = create_trial(
        state=TrialState.RUNNING,
        params=values,
        distributions=trial.distributions(searched),
        user_attrs={"shard": shard, "slot": slot},
    )
    identity = storage.create_new_trial(storage.get_study_id_from_name(study.study_name), template)
    return _Begun(storage, identity, int(storage.get_trial(identity).number))
