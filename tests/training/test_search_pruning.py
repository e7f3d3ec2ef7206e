"""Trials that end early: only their own shard has a say, nothing is repeated, Optuna's tools show them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.reference import Reference
from pennant.training import crossfit, parameters, rows, search, trial
from pennant.training.storage import opened

BUDGET = {"trials": 12, "workers": 2, "minutes": 5, "seed": 7}
SPLIT = {"history_days": 400, "fresh_days": 14, "folds": 4, "embargo_hours": 3}

# A shard in a process of its own, that says so and waits to be killed when it has fitted so many folds.
SHARD = """
import sys
from pathlib import Path
from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.reference import Reference
from pennant.training import search, trial

declaration, uri, sha256, lake, url, study, stop = sys.argv[1:]
fitted, original = [], trial.fold_by_fold

def counted(*given):
    for each in original(*given):
        fitted.append(1)
        if len(fitted) == int(stop):
            print("inside", flush=True)
            sys.stdin.read()
        yield each

trial.fold_by_fold = counted
use_case = UseCase.model_validate_json(Path(declaration).read_text())
search.run_shard(use_case, Reference(uri, sha256), Lake(lake), url, study, 0)
"""


class Searched:
    """A planted search of four folds."""

    def __init__(self, use_case: UseCase, lake: Lake, snapshot: Reference, url: str) -> None:
        self.use_case, self.lake, self.snapshot, self.url = use_case, lake, snapshot, url
        self.plan = search.prepare(use_case, snapshot, lake, url)
        self.returned: list[dict[str, Any]] = []

    def run(self, shard: int) -> dict[str, Any]:
        return search.run_shard(self.use_case, self.snapshot, self.lake, self.url, self.plan.study, shard)

    def trials(self) -> list[FrozenTrial]:
        with opened(self.url) as (storage, _):
            trials: list[FrozenTrial] = optuna.load_study(
                study_name=self.plan.study, storage=storage
            ).get_trials()
        return trials

    def told(self) -> dict[int, Any]:
        """Slot -> all that a finished trial is; a slot that is finished twice fails here."""
        finished = [each for each in self.trials() if each.state in search.FINISHED]
        assert len({each.user_attrs["slot"] for each in finished}) == len(finished)
        return {
            each.user_attrs["slot"]: (each.state, each.params, each.values, each.intermediate_values)
            for each in finished
        }

    def best(self) -> Any:
        return search.best_parameters(self.use_case, self.snapshot, self.url, self.plan.study, None)


@pytest.fixture(scope="module")
def searching(
    tmp_path_factory: pytest.TempPathFactory, planted: Any, declared: Any, new_database: Callable[[], str]
) -> Callable[..., Searched]:
    """Makes searches over one snapshot, each in a database of its own."""
    lake = Lake((tmp_path_factory.mktemp("pruning") / "lake").as_uri())
    snapshot = planted(rows=500, seed=6).put(lake)

    def make(**budget: object) -> Searched:
        base = declared(search={**BUDGET, **budget})
        given = {**base.model_dump(mode="json", by_alias=True), "split": SPLIT}
        return Searched(UseCase.model_validate(given), lake, snapshot, new_database())

    return make


@pytest.fixture(scope="module")
def finished(searching: Callable[..., Searched]) -> Searched:
    """A search whose shards have run, one after the other."""
    found = searching()
    found.returned = [found.run(shard) for shard in found.plan.shards]
    return found


def test_hopeless_trials_end_early_and_count_for_the_budget(finished: Searched) -> None:
    states = [each.state for each in finished.trials()]
    assert len(states) == 12
    assert set(states) == {TrialState.COMPLETE, TrialState.PRUNED}
    assert [each["trials"] for each in finished.returned] == [6, 6]
    _, summary = finished.best()
    assert (summary["trials"], summary["pruned"]) == (12, states.count(TrialState.PRUNED))
    before = finished.trials()
    assert finished.run(0) == finished.returned[0]
    assert finished.trials() == before, "a pruned trial is finished"


def test_a_trial_is_pruned_exactly_where_its_loss_is_above_the_median_of_its_own_shard(
    finished: Searched,
) -> None:
    for shard in finished.plan.shards:
        complete: list[dict[int, float]] = []
        for slot in range(shard, 12, 2):
            state, _, _, losses = finished.told()[slot]
            over = [
                fold
                for fold, loss in losses.items()
                if fold >= 2 and len(complete) >= 4 and loss > median(each[fold] for each in complete)
            ]
            assert (state is TrialState.PRUNED) is bool(over)
            if over:
                assert max(losses) == over[0], "nothing is fitted after the verdict"
            else:
                complete.append(losses)
                assert sorted(losses) == [1, 2, 3]


def test_the_order_of_shards_changes_neither_a_trial_nor_what_is_pruned(
    searching: Any, finished: Searched
) -> None:
    backward = searching()
    for shard in reversed(backward.plan.shards):
        backward.run(shard)
    assert backward.told() == finished.told()
    assert TrialState.PRUNED in {each[0] for each in finished.told().values()}


def test_a_search_killed_between_two_folds_ends_as_if_nothing_happened(
    searching: Any, finished: Searched, tmp_path: Path
) -> None:
    killed = searching()
    declaration = tmp_path / "use_case.json"
    declaration.write_text(killed.use_case.model_dump_json(by_alias=True))
    given = [killed.snapshot.uri, killed.snapshot.sha256, killed.lake.url, killed.url, killed.plan.study]
    process = subprocess.Popen(
        [sys.executable, "-c", SHARD, str(declaration), *given, "15"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "inside\n"
    process.kill()
    process.communicate()
    dead = killed.trials()[-1]
    assert (dead.state, sorted(dead.intermediate_values)) == (TrialState.RUNNING, [1, 2])
    for shard in killed.plan.shards:
        killed.run(shard)
    assert killed.told() == finished.told()
    assert killed.best() == finished.best()


def test_a_search_without_a_study_prunes_the_same_and_finds_the_same(finished: Searched) -> None:
    data = rows.read(finished.use_case, finished.snapshot, finished.lake)
    assert search.search_alone(finished.use_case, data) == finished.best()[0]


def test_a_spent_time_budget_stops_a_search_without_a_study_after_the_first_trial(
    finished: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {**BUDGET, "workers": 1, "minutes": 1e-9}
    search_of = type(finished.use_case.training.search).model_validate(short)
    training = finished.use_case.training.model_copy(update={"search": search_of})
    use_case = finished.use_case.model_copy(update={"training": training})
    fitted: list[object] = []
    once = trial.attempt

    def counted(*given: Any) -> float | None:
        fitted.append(given)
        return once(*given)

    monkeypatch.setattr(trial, "attempt", counted)
    search.search_alone(use_case, rows.read(use_case, finished.snapshot, finished.lake))
    assert len(fitted) == 1


def test_without_pruning_every_trial_is_complete_and_the_study_is_another(
    searching: Any, finished: Searched
) -> None:
    found = searching(pruning="none")
    assert found.plan.study != finished.plan.study
    found.run(0)
    assert {each.state for each in found.trials()} == {TrialState.COMPLETE}


def test_folds_come_one_by_one_and_add_up_to_the_whole(finished: Searched) -> None:
    found = finished
    data = rows.read(found.use_case, found.snapshot, found.lake)
    chosen = parameters.space(found.use_case, {name: {} for name in found.use_case.training.members}).still
    whole = crossfit.out_of_fold(found.use_case, data, chosen)
    count = 0
    for done, part in enumerate(crossfit.fold_by_fold(found.use_case, data, chosen), start=1):
        count += len(data.folds[done - 1].validate)
        assert len(part.label) == count
        for name, made in part.members.items():
            assert np.array_equal(made, whole.members[name][:count])
    assert count == len(whole.label)
