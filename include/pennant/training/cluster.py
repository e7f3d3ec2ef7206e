"""Boosting on a Dask cluster: for tables of `training.cluster.from_rows` rows and more, if one is named.

Rounds come in chunks of `checkpoint_rounds`. After each chunk the model is kept; a chunk in which a worker is
lost is done again by the workers that remain, from the last checkpoint. As many workers, with as many threads
each, fit the same model again, wherever it is interrupted; other numbers of workers bin the features a little
differently. A cluster that is named and not there is an error. If none is named the table stays on one
machine, which is logged and stands in the bundle as the warning `no_cluster`.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pennant.data.lake import Lake
from pennant.declaration.model import Cluster
from pennant.settings import Settings
from pennant.training.cluster_checkpoint import Checkpoint, name_of
from pennant.training.cluster_crew import Crew, CrewBroken, Table, Watch
from pennant.training.cluster_deadline import Limit, OutOfTime, within
from pennant.training.cluster_errors import ClusterLost, ClusterUnusable, DeadlinePassed

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10
RETURN_SECONDS = 20.0
"""So long may the last worker be gone: a nanny starts it again in less."""
FRUITLESS = 3
"""A chunk that fails so often without anybody lost fails for a reason of its own."""
LEASE = "pennant training"
LEASE_SECONDS = 30
"""One training at a time has the workers; one whose machine died has them no longer than this."""


@dataclass(frozen=True)
class Place:
    """A cluster to train on, and what the declaration says of it."""

    address: str
    declared: Cluster
    lake: str


def place(declared: Cluster | None, rows: int) -> Place | None:
    """Where to fit a table of so many rows: a cluster, or None for this machine."""
    if declared is None or rows < declared.from_rows:
        return None
    settings = Settings.load()
    if not settings.dask_address:
        log.warning("%s rows: trained on one machine, as PENNANT_DASK_ADDRESS names no cluster", rows)
        return None
    return Place(settings.dask_address, declared, settings.lake)


def warnings(declared: Cluster, rows: int) -> list[dict[str, object]]:
    """What a bundle should say: that so many rows were for a cluster, and that none was named."""
    if rows < declared.from_rows or Settings.load().dask_address:
        return []
    return [{"what": "no_cluster", "rows": rows, "from_rows": declared.from_rows}]


def boost(where: Place, table: Table, parameters: Mapping[str, Any], rounds: int, max_bin: int) -> Any:
    """Boost `rounds` trees on the cluster; see the module.

    Args:
        where: the cluster.
        table: what to fit.
        parameters: XGBoost's, the number of rounds left out.
        rounds: at least 1.
        max_bin: bins of a feature.

    Returns:
        A booster, with the attribute `workers`: how many finished it.

    Raises:
        ClusterUnusable: Dask is not installed here, nobody answers at the address, it has no workers, or
            other trainings hold them until the deadline.
        PackagesDiffer: a worker has another XGBoost.
        DeadlinePassed: `deadline_minutes` are over; the last checkpoint is kept.
        ClusterLost: no worker is left, the scheduler is gone, or a chunk fails again and again; the last
            checkpoint is kept.
    """
    import xgboost

    settings = {**parameters, "rounds": rounds, "max_bin": max_bin, "xgboost": xgboost.__version__}
    checkpoint = Checkpoint(Lake(where.lake), name_of((table.x, table.y, table.weight), settings))
    training = _Training(where, checkpoint, rounds)
    # Continued or not, round k draws the same rows and columns.
    given = {**parameters, "max_bin": max_bin, "seed_per_iteration": True}
    seconds = where.declared.deadline_minutes * 60
    limit = Limit(time.monotonic() + CONNECT_SECONDS + seconds)  # to get the workers

    def work() -> None:
        with _joined(where.address) as client, _leased(client, where):
            limit.until = time.monotonic() + seconds
            training.run(Watch(client, limit), table, given)

    try:
        within(limit, work)
    except OutOfTime:
        raise training.late("the scheduler does not answer") from None
    checkpoint.forget()
    return xgboost.Booster(model_file=bytearray(training.model))


class _Training:
    """One training: what it has reached, and who took part."""

    def __init__(self, where: Place, checkpoint: Checkpoint, rounds: int) -> None:
        self._where, self._checkpoint, self._rounds = where, checkpoint, rounds
        self._seen: list[str] = []
        self._lost: set[str] = set()
        self.model, self.done = b"", 0

    def run(self, watch: Watch, table: Table, parameters: Mapping[str, Any]) -> None:
        fruitless, why = 0, ""
        self.model = self._checkpoint.read() or b""
        self.done = _rounds_of(self.model)
        if self.done:
            log.info("going on from the checkpoint of round %s of %s", self.done, self._rounds)
        try:
            while self.done < self._rounds:
                before = self.done
                try:
                    self._together(watch, table, parameters)
                except CrewBroken as broken:
                    why = broken.why
                    log.warning("round %s of %s: %s; going on with the others", self.done, self._rounds, why)
                    self._lost.update(broken.lost)
                    fruitless = 0 if broken.lost or self.done > before else fruitless + 1
                if fruitless == FRUITLESS:
                    raise self._end(ClusterLost, f"{FRUITLESS} attempts in turn failed: {why}")
        except OutOfTime:
            raise self.late(why) from None
        except OSError as error:
            if not _cut_off(watch, error):
                raise
            raise self._end(ClusterLost, f"its scheduler is gone: {error}") from error

    def late(self, why: str) -> ClusterLost:
        """The error of a training whose deadline has passed."""
        minutes = self._where.declared.deadline_minutes
        found = f"not done after training.cluster.deadline_minutes = {minutes:g}"
        return self._end(DeadlinePassed, found + (f"; last: {why}" if why else ""))

    def _together(self, watch: Watch, table: Table, parameters: Mapping[str, Any]) -> None:
        """Go on with all workers there are until the end, or until one is lost."""
        workers = self._present(watch)
        self._seen += [each for each in workers if each not in self._seen]
        crew = Crew.of(watch, workers, table, int(parameters["max_bin"]))
        while self.done < self._rounds:
            chunk = min(self._where.declared.checkpoint_rounds, self._rounds - self.done)
            self.model = _told(crew.boosted(parameters, chunk, self.model or None), len(crew.workers))
            self.done = _rounds_of(self.model)
            self._checkpoint.keep(self.model)
            log.info("round %s of %s, %s workers", self.done, self._rounds, len(crew.workers))

    def _present(self, watch: Watch) -> dict[str, str]:
        until = time.monotonic() + RETURN_SECONDS
        while True:
            found = {address: name for address, name in watch.workers().items() if address not in self._lost}
            if found:
                return found
            if time.monotonic() > until:
                raise self._end(ClusterLost, "no worker is left" if self._seen else "it has no workers")
            threading.Event().wait(min(0.5, watch.left()))

    def _end(self, error: type[ClusterLost], found: str) -> ClusterLost:
        return error(self._where.address, self._seen, self.done, self._rounds, found)


def _cut_off(watch: Watch, error: OSError) -> bool:
    """Whether an error is of the way to the scheduler, and not of the lake."""
    from distributed.comm import CommClosedError

    return isinstance(error, CommClosedError) or watch.client.status != "running"


def _rounds_of(model: bytes) -> int:
    import xgboost

    return int(xgboost.Booster(model_file=bytearray(model)).num_boosted_rounds()) if model else 0


def _told(model: bytes, workers: int) -> bytes:
    """The model with its attribute, so that one that is taken from a checkpoint has it, too."""
    import xgboost

    booster = xgboost.Booster(model_file=bytearray(model))
    booster.set_attr(workers=str(workers))
    return bytes(booster.save_raw(raw_format="ubj"))


@contextmanager
def _joined(address: str) -> Iterator[Any]:
    """A client of the cluster; closing it takes back every step that is not done."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterUnusable(address, "the extra `cluster` (dask, distributed) is not installed") from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ClusterUnusable(address, f"{type(error).__name__}: {error}") from error
    try:
        with client.as_current():
            yield client
    finally:
        client.close(timeout=CONNECT_SECONDS)


@contextmanager
def _leased(client: Any, where: Place) -> Iterator[None]:
    """Have the workers to oneself: two trainings that each hold half of them would wait for ever."""
    import dask
    from distributed import Semaphore

    with dask.config.set({"distributed.scheduler.locks.lease-timeout": f"{LEASE_SECONDS}s"}):
        lease = Semaphore(max_leases=1, name=LEASE, scheduler_rpc=client.scheduler, loop=client.loop)
        lease.register()
    try:
        if not lease.acquire(timeout=where.declared.deadline_minutes * 60):
            raise ClusterUnusable(
                where.address,
                f"other trainings held it for {where.declared.deadline_minutes:g} minutes "
                "(training.cluster.deadline_minutes)",
            )
        try:
            yield
        finally:
            lease.release()
    finally:
        client.loop.add_callback(lease.refresh_callback.stop)
