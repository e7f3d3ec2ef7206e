"""One study, several processes, a fixed budget: nothing lost, nothing twice, whatever is killed."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.reference import Reference
from pennant.training import search
from pennant.training.errors import BadParameter, StudyUnusable, UnknownName
from pennant.training.storage import opened
from pennant.warehouse.engine import WarehouseUrlError

# A shard in a process of its own. With a stop, the trial after so many says so and waits to be killed.
SHARD = """
import sys
from pathlib import Path
from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.reference import Reference
from pennant.training import search, trial

declaration, uri, sha256, lake, url, study, shard, stop = sys.argv[1:]
fits, original = [], trial.fold_by_fold

def counted(*given):
    if stop and len(fits) == int(stop):
        print("inside", flush=True)
        sys.stdin.read()
    fits.append(1)
    return original(*given)

trial.fold_by_fold = counted
use_case = UseCase.model_validate_json(Path(declaration).read_text())
print(search.run_shard(use_case, Reference(uri, sha256), Lake(lake), url, study, int(shard)), flush=True)
"""


class Shards:
    """A planted search: the same inputs for every process."""

    def __init__(self, folder: Path, use_case: UseCase, lake: Lake, snapshot: Reference, url: str) -> None:
        self.use_case, self.lake, self.snapshot, self.url = use_case, lake, snapshot, url
        self.declaration = folder / "use_case.json"
        self.declaration.write_text(use_case.model_dump_json(by_alias=True))
        self.plan = search.prepare(use_case, snapshot, lake, url)

    def start(self, shard: int, stop: str = "") -> subprocess.Popen[str]:
        snapshot, given = self.snapshot, [self.lake.url, self.url, self.plan.study, str(shard), stop]
        return subprocess.Popen(
            [sys.executable, "-c", SHARD, str(self.declaration), snapshot.uri, snapshot.sha256, *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, shard: int) -> dict[str, Any]:
        return search.run_shard(self.use_case, self.snapshot, self.lake, self.url, self.plan.study, shard)

    def trials(self) -> list[FrozenTrial]:
        with opened(self.url) as (storage, _):
            return optuna.load_study(study_name=self.plan.study, storage=storage).get_trials()

    def complete(self) -> dict[int, tuple[dict[str, Any], float]]:
        """Slot -> parameters and loss; a slot that is complete twice fails here."""
        found = [each for each in self.trials() if each.state is TrialState.COMPLETE]
        slots = [each.user_attrs["slot"] for each in found]
        assert len(set(slots)) == len(slots)
        return {slot: (each.params, each.values[0]) for slot, each in zip(slots, found, strict=True)}


@pytest.fixture(scope="module")
def shared_database(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def shards(
    tmp_path: Path,
    lake: Lake,
    planted: Any,
    declared: Any,
    shared_database: str,
    request: pytest.FixtureRequest,
) -> Any:
    """Makes searches over a snapshot that only this test has, so that its studies are its own."""
    snapshot = planted(rows=500, seed=crc32(request.node.name.encode())).put(lake)

    def make(url: str = shared_database, **training: object) -> Shards:
        return Shards(tmp_path, declared(**training), lake, snapshot, url)

    return make


def test_two_processes_share_one_study_and_spend_exactly_the_budget(
    shards: Any, new_database: Callable[[], str]
) -> None:
    together = shards()
    processes = [together.start(shard) for shard in together.plan.shards]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert sorted(together.complete()) == list(range(6))
    assert {each.state for each in together.trials()} == {TrialState.COMPLETE}
    one_by_one = shards(new_database())
    for shard in reversed(one_by_one.plan.shards):
        one_by_one.run(shard)
    assert one_by_one.complete() == together.complete(), "the order of shards must not change a trial"


def test_a_search_killed_in_a_trial_repeats_no_finished_one_and_ends_as_if_nothing_happened(
    shards: Any, new_database: Callable[[], str]
) -> None:
    killed = shards()
    process = killed.start(0, stop="2")
    assert process.stdout.readline() == "inside\n"
    process.kill()
    process.communicate()
    states = [each.state for each in killed.trials()]
    assert states == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING]
    before = killed.trials()[:2]
    assert killed.run(0)["trials"] == 3
    after = killed.trials()
    assert after[:2] == before, "finished trials stand as they were"
    assert [each.state for each in after[2:]] == [TrialState.FAIL, TrialState.COMPLETE]
    assert after[3].user_attrs == after[2].user_attrs, "the dead trial's slot is filled again"
    killed.run(1)
    quiet = shards(new_database())
    for shard in quiet.plan.shards:
        quiet.run(shard)
    assert killed.complete() == quiet.complete()


def test_a_finished_shard_does_nothing_when_it_runs_again(shards: Any) -> None:
    found = shards()
    first = found.run(1)
    trials = found.trials()
    assert found.run(1) == first
    assert found.trials() == trials


def test_one_shard_started_twice_at_once_runs_each_trial_once(shards: Any) -> None:
    found = shards()
    threads = [threading.Thread(target=found.run, args=(0,)) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found.complete()) == [0, 2, 4]
    assert len(found.trials()) == 3


def test_a_spent_time_budget_stops_after_the_first_trial_and_stays_spent(shards: Any) -> None:
    found = shards(search={"trials": 6, "workers": 2, "minutes": 1e-6, "seed": 7})
    assert found.run(0)["trials"] == 1
    assert found.run(0)["trials"] == 1


def test_a_shard_beyond_the_budget_has_nothing_to_do(shards: Any) -> None:
    found = shards(search={"trials": 1, "workers": 2, "minutes": 5, "seed": 7})
    assert found.run(1) == {"trials": 0, "best": None}
    assert found.run(0)["trials"] == 1


def test_the_study_has_one_name_per_snapshot_declaration_and_overrides(
    shards: Any, lake: Lake, planted: Any, declared: Any
) -> None:
    found = shards()

    def name(use_case: UseCase, snapshot: Reference, overrides: Any = None) -> str:
        return search.prepare(use_case, snapshot, lake, found.url, overrides).study

    assert name(found.use_case, found.snapshot) == found.plan.study
    others = {
        name(declared(min_rows=301), found.snapshot),
        name(found.use_case, planted(rows=501).put(lake)),
        name(found.use_case, found.snapshot, {"trees": {"max_depth": 2}}),
        name(found.use_case.model_copy(update={"task": "count"}), found.snapshot),
    }
    assert len(others | {found.plan.study}) == 5


def test_an_overridden_member_is_not_searched(shards: Any, lake: Lake) -> None:
    found = shards()
    given = {"trees": {"max_depth": 2, "n_estimators": 12}}
    plan = search.prepare(found.use_case, found.snapshot, lake, found.url, given)
    search.run_shard(found.use_case, found.snapshot, lake, found.url, plan.study, 0)
    chosen, study = search.best_parameters(found.use_case, found.snapshot, found.url, plan.study, given)
    assert (chosen["trees"]["max_depth"], chosen["trees"]["n_estimators"]) == (2, 12)
    assert chosen["trees"]["learning_rate"] == 0.05, "the kind's default, not a searched value"
    assert study["overrides"] == given
    with opened(found.url) as (storage, _):
        trials = optuna.load_study(study_name=plan.study, storage=storage).get_trials()
    assert {name for each in trials for name in each.params} == {"linear.c"}


class TestRefusals:
    def test_an_override_of_an_unknown_member_names_the_nearest(self, shards: Any, lake: Lake) -> None:
        found = shards()
        with pytest.raises(UnknownName) as caught:
            search.prepare(found.use_case, found.snapshot, lake, found.url, {"tree": {"max_depth": 2}})
        assert (caught.value.found, caught.value.nearest) == ("tree", "trees")

    def test_an_unknown_hyper_parameter_names_the_nearest(self, shards: Any, lake: Lake) -> None:
        found = shards()
        with pytest.raises(UnknownName) as caught:
            search.prepare(found.use_case, found.snapshot, lake, found.url, {"trees": {"maxdepth": 2}})
        assert (caught.value.where, caught.value.nearest) == ("overrides.trees", "max_depth")

    @pytest.mark.parametrize("value", [0, 2.5, "deep", True])
    def test_a_value_that_its_model_does_not_take_is_refused(
        self, shards: Any, lake: Lake, value: Any
    ) -> None:
        found = shards()
        with pytest.raises(BadParameter) as caught:
            search.prepare(found.use_case, found.snapshot, lake, found.url, {"trees": {"max_depth": value}})
        assert (caught.value.where, caught.value.found) == ("overrides.trees.max_depth", value)

    def test_a_study_without_a_trial_has_no_best(self, shards: Any) -> None:
        found = shards()
        with pytest.raises(StudyUnusable) as caught:
            search.best_parameters(found.use_case, found.snapshot, found.url, found.plan.study, None)
        assert caught.value.study == found.plan.study

    def test_an_unknown_study_and_a_study_of_another_snapshot_are_refused(
        self, shards: Any, lake: Lake, planted: Any
    ) -> None:
        found = shards()
        other = planted(rows=501).put(lake)
        for snapshot, study in ((found.snapshot, "nowhere"), (other, found.plan.study)):
            with pytest.raises(StudyUnusable):
                search.run_shard(found.use_case, snapshot, lake, found.url, study, 0)

    def test_another_database_than_postgresql_is_refused(self, shards: Any, lake: Lake) -> None:
        found = shards()
        with pytest.raises(WarehouseUrlError):
            search.prepare(found.use_case, found.snapshot, lake, "sqlite:///study.db")
