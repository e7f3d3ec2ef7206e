"""A Dask cluster fits what one machine fits, and a training outlives its workers and its own process."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pennant.data.lake import Lake
from pennant.declaration.model import Cluster
from pennant.declaration.parameters import PARAMETERS
from pennant.platform.ports import unused_ports
from pennant.settings import Settings
from pennant.training import cluster, cluster_crew, cluster_deadline
from pennant.training.cluster_errors import ClusterLost, ClusterUnusable, DeadlinePassed, PackagesDiffer
from pennant.training.losses import Floats, expit
from pennant.training.members.kinds import KINDS
from pennant.training.problem import Problem, Task, row_losses

ROWS, ROUNDS, CHUNK = 20_000, 60, 10
MANY = 120_000
"""So many rows that a feature binned a little differently moves the loss by less than is allowed."""
NAMES = tuple("abcdef")
DECLARED = Cluster(from_rows=1_000, checkpoint_rounds=CHUNK, deadline_minutes=2)
SETTINGS = {"n_estimators": ROUNDS, "learning_rate": 0.1, "subsample": 1.0}


@dataclass
class Running:
    """Workers without a nanny: who is killed stays away."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]

    def stop(self) -> None:
        for each in [*self.workers, self.scheduler]:
            each.kill()
            each.wait()


def started(workers: int = 2) -> Running:
    from distributed import Client

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    port, of = unused_ports(1)[0], [sys.executable, "-m"]
    address = f"tcp://127.0.0.1:{port}"
    given = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    quick = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__LOCKS__LEASE_VALIDATION_INTERVAL": "1s"}
    scheduler = subprocess.Popen([*of, "distributed.cli.dask_scheduler", *given], env=quick, **quiet)
    each = ["distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    hired = [subprocess.Popen([*of, *each, "--name", str(number)], **quiet) for number in range(workers)]
    running = Running(address, scheduler, hired)
    try:
        with Client(address, timeout=60) as client:
            client.wait_for_workers(workers, timeout=60)
    except BaseException:
        running.stop()
        raise
    return running


@pytest.fixture(scope="module")
def steady() -> Iterator[str]:
    """Two workers that nobody harms; a nanny looks after each."""
    from distributed import LocalCluster

    given = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with LocalCluster(processes=True, **given) as running:
        yield running.scheduler_address


@pytest.fixture
def frail() -> Iterator[Running]:
    running = started()
    yield running
    running.stop()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENNANT_HOME", str(tmp_path))
    monkeypatch.delenv("PENNANT_DASK_ADDRESS", raising=False)
    return tmp_path


@dataclass(frozen=True)
class Planted:
    x: Floats
    y: Floats
    weight: Floats
    problem: Problem


def planted(task: Task = "binary", seed: int = 3, rows: int = ROWS) -> Planted:
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(rows, len(NAMES)))
    score = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] - 0.4 * np.abs(x[:, 3])
    y = {
        "binary": lambda: stream.random(rows) < expit(score),
        "multiclass": lambda: (score + stream.logistic(size=rows) > 0).astype(int) + (x[:, 1] > 0.5),
        "count": lambda: stream.poisson(np.exp(0.5 + 0.4 * np.tanh(score))),
    }[task]()
    x[stream.random(rows) < 0.1, 4] = np.nan
    sizes: dict[str, Any] = {"multiclass": {"classes": 3}, "count": {"most": 25}}.get(task, {})
    weight = np.exp2(-np.arange(rows)[::-1] / rows)
    return Planted(x, y.astype(float), weight, Problem(task, NAMES, **sizes, cluster=DECLARED))


def fitted(data: Planted, kind: str = "xgboost", **given: float) -> Any:
    settings = {name: each.default for name, each in PARAMETERS[kind].items()} | SETTINGS | given
    return KINDS[kind].fit(data.x, data.y, data.weight, settings, 1, data.problem)


def loss(member: Any, data: Planted) -> float:
    return float(row_losses(data.problem, data.y, member.predict(data.x)).mean())


def workers_of(member: Any) -> str | None:
    import xgboost

    return xgboost.Booster(model_file=bytearray(member.content())).attr("workers")


def checkpoints(home: Path) -> list[Path]:
    return list((home / "lake" / "checkpoints").glob("*.ubj"))


def at_checkpoint(home: Path, then: Callable[[], None], wanted: int = 1) -> threading.Thread:
    """Do something as soon as the checkpoint has been written so many times."""

    def watch() -> None:
        seen: set[int] = set()
        until = time.monotonic() + 60
        while len(seen) < wanted and time.monotonic() < until:
            for each in checkpoints(home):
                try:
                    seen.add(each.stat().st_ino)
                except FileNotFoundError:
                    continue
        then()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("xgboost", "binary"),
        ("xgboost", "multiclass"),
        ("trees_count", "count"),
    ],
)
def test_a_cluster_fits_as_well_as_one_machine(steady, home, monkeypatch, kind: str, task: Task) -> None:
    rows = MANY // 3 if task == "count" else MANY
    data, unseen = planted(task, rows=rows), planted(task, seed=4, rows=rows)
    alone = fitted(data, kind)
    assert workers_of(alone) is None
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", steady)
    together = fitted(data, kind)
    assert workers_of(together) == "2"
    assert abs(loss(together, unseen) - loss(alone, unseen)) < 0.001
    assert not checkpoints(home), "a finished training leaves no checkpoint to be taken for another"


def test_the_same_number_of_workers_gives_the_same_bytes_whatever_is_a_chunk(
    steady, home, monkeypatch
) -> None:
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", steady)
    data = planted()
    made = set()
    for rounds in (7, 1_000):
        declared = DECLARED.model_copy(update={"checkpoint_rounds": rounds})
        given = Planted(data.x, data.y, data.weight, Problem("binary", NAMES, cluster=declared))
        made.add(fitted(given, subsample=0.8, colsample_bytree=0.7).content())
    assert len(made) == 1


def test_few_rows_stay_on_one_machine_and_many_without_a_cluster_do_too_and_say_so(
    home, monkeypatch, caplog
) -> None:
    data = planted(rows=1_000)
    assert workers_of(fitted(data)) is None
    assert "names no cluster" in caplog.text
    assert cluster.warnings(DECLARED, 1_000) == [{"what": "no_cluster", "rows": 1_000, "from_rows": 1_000}]
    assert not cluster.warnings(DECLARED, 999)
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", "tcp://127.0.0.1:1")
    assert workers_of(fitted(planted(rows=999))) is None
    assert not cluster.warnings(DECLARED, 1_000)


def test_a_cluster_that_is_not_there_is_an_error_and_not_a_quiet_return(home, monkeypatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    address = f"tcp://127.0.0.1:{unused_ports(1)[0]}"
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", address)
    with pytest.raises(ClusterUnusable) as refused:
        fitted(planted())
    assert refused.value.address == address


def test_a_worker_with_another_xgboost_is_refused_by_name(steady, home, monkeypatch) -> None:
    import xgboost

    monkeypatch.setenv("PENNANT_DASK_ADDRESS", steady)
    monkeypatch.setattr(xgboost, "__version__", "0.1")
    with pytest.raises(PackagesDiffer) as refused:
        fitted(planted())
    assert refused.value.wanted == "0.1"
    assert refused.value.worker.startswith("tcp://")


def test_trainings_that_want_the_cluster_at_once_take_turns(steady, home, monkeypatch) -> None:
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", steady)
    made: list[Any] = []
    both = [
        threading.Thread(target=lambda seed=seed: made.append(fitted(planted(seed=seed)))) for seed in (5, 6)
    ]
    for each in both:
        each.start()
    for each in both:
        each.join(60)
    assert [workers_of(each) for each in made] == ["2", "2"]


def test_a_deadline_ends_the_training_and_frees_the_workers(steady, home, monkeypatch) -> None:
    from distributed import Client

    declared = DECLARED.model_copy(update={"deadline_minutes": 0.2})
    data = planted()
    given = Planted(data.x, data.y, data.weight, Problem("binary", NAMES, cluster=declared))
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", steady)
    with pytest.raises(DeadlinePassed) as ended:
        fitted(given, n_estimators=5_000)
    assert 0 < ended.value.rounds_done < ended.value.rounds == 5_000
    assert len(ended.value.seen) == 2
    with Client(steady, timeout=10) as client:
        assert not client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
    assert len(checkpoints(home)) == 1


def test_a_killed_worker_costs_no_more_than_the_rounds_since_the_checkpoint(
    frail, home, monkeypatch, caplog
) -> None:
    caplog.set_level(logging.INFO, logger="pennant")
    data, unseen = planted(rows=MANY), planted(seed=4, rows=MANY)
    alone = fitted(data)
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", frail.address)
    killer = at_checkpoint(home, frail.workers[0].kill, wanted=2)
    survived = fitted(data)
    killer.join()
    assert workers_of(survived) == "1"
    assert abs(loss(survived, unseen) - loss(alone, unseen)) < 0.001
    told = [each.getMessage() for each in caplog.records if each.name == "pennant.training.cluster"]
    lost = next(number for number, each in enumerate(told) if "lost tcp://" in each)
    reached = int(told[lost].split()[1])
    assert reached >= CHUNK
    assert told[lost + 1] == f"round {reached + CHUNK} of {ROUNDS}, 1 workers", "from the last checkpoint on"


def test_a_worker_that_falls_silent_is_left_behind(frail, home, monkeypatch) -> None:
    monkeypatch.setattr(cluster_crew, "SILENT_SECONDS", 3.0)
    monkeypatch.setattr(cluster_crew, "COLLECTIVE_SECONDS", 4)
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", frail.address)
    at_checkpoint(home, lambda: frail.workers[1].send_signal(signal.SIGSTOP))
    assert workers_of(fitted(planted())) == "1"


def test_with_the_last_worker_gone_the_error_says_what_is_kept_and_a_new_cluster_goes_on_from_it(
    frail, steady, home, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(cluster, "RETURN_SECONDS", 0.5)
    data = planted()
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", steady)
    whole = fitted(data).content()
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", frail.address)
    at_checkpoint(home, lambda: [each.kill() for each in frail.workers], wanted=2)
    with pytest.raises(ClusterLost) as ended:
        fitted(data)
    assert ended.value.address == frail.address
    assert len(ended.value.seen) == 2
    assert 2 * CHUNK <= ended.value.rounds_done < ended.value.rounds == ROUNDS
    caplog.set_level(logging.INFO, logger="pennant")
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", steady)
    assert fitted(data).content() == whole, "as if nothing had happened"
    assert f"from the checkpoint of round {ended.value.rounds_done} of" in caplog.text


def test_a_process_that_is_killed_while_it_trains_leaves_the_cluster_to_the_next(
    frail, home, monkeypatch, caplog
) -> None:
    program = (
        "from importlib.util import spec_from_file_location, module_from_spec\n"
        "from pennant.training import cluster\n"
        "cluster.LEASE_SECONDS = 3\n"
        f"spec = spec_from_file_location('planted', {str(Path(__file__))!r})\n"
        "import sys; module = sys.modules['planted'] = module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "module.fitted(module.planted(), n_estimators=150)\n"
    )
    here = os.environ | {"PENNANT_HOME": str(home), "PENNANT_DASK_ADDRESS": frail.address}
    driver = subprocess.Popen([sys.executable, "-c", program], env=here)
    at_checkpoint(home, driver.kill, wanted=2).join()
    assert driver.wait() == -signal.SIGKILL
    caplog.set_level(logging.INFO, logger="pennant")
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", frail.address)
    data = planted()
    member = fitted(data, n_estimators=150)
    assert "going on from the checkpoint of round" in caplog.text
    assert loss(member, data) < 0.6


def test_without_its_scheduler_a_training_ends_and_says_what_is_kept(frail, home, monkeypatch) -> None:
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", frail.address)
    at_checkpoint(home, frail.scheduler.kill, wanted=2)
    with pytest.raises(ClusterLost) as ended:
        fitted(planted(), n_estimators=3_000)
    assert ended.value.rounds_done >= 2 * CHUNK
    assert len(checkpoints(home)) == 1


def test_the_deadline_holds_where_the_scheduler_answers_no_more(frail, home, monkeypatch) -> None:
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", frail.address)
    monkeypatch.setattr(cluster_deadline, "GRACE_SECONDS", 1.0)
    data = planted()
    soon = DECLARED.model_copy(update={"deadline_minutes": 0.1})
    frozen = at_checkpoint(home, lambda: frail.scheduler.send_signal(signal.SIGSTOP))
    with pytest.raises(DeadlinePassed) as ended:  # and not the timeout of a test that hangs
        fitted(replace(data, problem=replace(data.problem, cluster=soon)), n_estimators=3_000)
    if not frozen.is_alive():  # a busy machine may reach the deadline before the first checkpoint
        assert ended.value.rounds_done >= CHUNK


def test_workers_that_a_nanny_brings_back_go_on(steady, home, monkeypatch) -> None:
    from distributed import Client

    with Client(steady) as client:
        workers = client.run(os.getpid).values()
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", steady)
    at_checkpoint(home, lambda: [os.kill(each, signal.SIGKILL) for each in workers])
    assert workers_of(fitted(planted())) in {"1", "2"}
    with Client(steady) as client:
        client.wait_for_workers(2, timeout=60)


def test_a_training_killed_when_all_rounds_are_kept_ends_with_the_same_bytes(
    steady, home, monkeypatch
) -> None:
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", steady)
    data = planted(rows=2_000)
    whole = fitted(data).content()

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as just_before_the_end:
        just_before_the_end.setattr(cluster.Checkpoint, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            fitted(data)
    assert len(checkpoints(home)) == 1
    assert fitted(data).content() == whole


def test_workers_without_a_row_stand_aside(steady, home, monkeypatch) -> None:
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", steady)
    data = planted(rows=1)
    alone = replace(data.problem, cluster=Cluster(from_rows=1, deadline_minutes=1))
    assert workers_of(fitted(replace(data, problem=alone))) == "1"


def test_half_a_checkpoint_counts_as_none(home) -> None:
    from pennant.training.cluster_checkpoint import Checkpoint

    lake = Lake(Settings.load().lake)
    kept = Checkpoint(lake, "a" * 64)
    assert kept.read() is None
    kept.keep(b"model")
    assert kept.read() == b"model"
    lake.replace(kept.path, lake.get(lake.uri(kept.path))[:-1])
    assert kept.read() is None
