"""Workers that boost together: each holds a block of the rows, binned, and they add up their histograms.

The collective is that of `xgboost.dask`: its `CommunicatorContext` on the workers, a tracker beside the
scheduler. Its `train` is not used (see docs/decisions): who calls it and dies leaves a lock behind that
nobody gets again, a worker that leaves takes all rounds along, and which rows go where is left to chance.
Here block k belongs to rank k, so that as many workers fit the same model again.
"""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import numpy as np

from pennant.errors import PennantError
from pennant.training.cluster_deadline import Limit
from pennant.training.cluster_errors import PackagesDiffer
from pennant.training.losses import Floats

LOOK_SECONDS = 1.0
"""Between two looks at who is still there."""
SILENT_SECONDS = 60.0
"""A worker whose heartbeat the scheduler has not heard for so long is lost; XGBoost leaves room for it."""
COLLECTIVE_SECONDS = 120
"""Workers wait so long for another one in a sum before they give up."""
PART_BYTES = 64 * 2**20
SLOWEST_BYTES_PER_SECOND = 5e6

Part = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Table:
    """What to fit: features (n, features), labels (n,), weights (n,)."""

    x: Floats
    y: Floats
    weight: Floats


class CrewBroken(Exception):
    """A step was not done: workers are lost, or one of them failed.

    Attributes:
        lost: workers that are gone or silent.
        why: in words.
    """

    def __init__(self, lost: Sequence[str], why: str) -> None:
        self.lost, self.why = list(lost), why
        super().__init__(why)


@dataclass
class Watch:
    """Looks after steps that a cluster takes."""

    client: Any
    limit: Limit
    _heard: dict[str, tuple[float, float]] = field(default_factory=dict)

    def left(self) -> float:
        """Seconds until the deadline.

        Raises:
            OutOfTime: there are none.
        """
        return self.limit.left()

    def workers(self) -> dict[str, str]:
        """Workers that are there and heard: address -> the name by which XGBoost ranks them."""
        told = self.client.scheduler_info(n_workers=-1)["workers"]
        now = time.monotonic()
        for address, each in told.items():
            last, _ = self._heard.get(address, (None, now))
            if last != each["last_seen"]:
                self._heard[address] = (each["last_seen"], now)
        return {
            address: f"[xgboost.dask-{each['name']}]:{address}"
            for address, each in told.items()
            if now - self._heard[address][1] < SILENT_SECONDS and each["status"] == "running"
        }

    def done(self, futures: list[Any], crew: Sequence[str]) -> list[Any]:
        """Results of `futures`, which `crew` works on.

        Raises:
            CrewBroken: a worker of the crew is lost, or a step failed.
            OutOfTime: the deadline passed.
            PennantError: a worker refused, with its reason.
        """
        from distributed import wait

        while True:
            seconds = min(LOOK_SECONDS, self.left())
            with suppress(TimeoutError, CancelledError):  # which of them, and why, is looked at below
                wait(futures, timeout=seconds)
            states = {each.status for each in futures}
            if states == {"finished"}:
                try:
                    return list(self.client.gather(futures))
                except (OSError, CancelledError, KeyError) as error:
                    raise CrewBroken(self._gone(crew), f"a result was lost: {error}") from error
            if gone := self._gone(crew):
                raise CrewBroken(gone, f"lost {', '.join(gone)}")
            if states & {"error", "cancelled", "lost"}:
                raise self._failure(futures, crew)

    def _gone(self, crew: Sequence[str]) -> list[str]:
        there = self.workers()
        return [each for each in crew if each not in there]

    def _failure(self, futures: list[Any], crew: Sequence[str]) -> Exception:
        errors = [each.exception() for each in futures if each.status == "error"]
        for each in errors:
            if isinstance(each, PennantError):
                return each
        # The one whose partner died fails at once; that the partner is gone shows a moment later.
        threading.Event().wait(LOOK_SECONDS)
        gone = self._gone(crew)
        said = str(errors[0]).strip().splitlines() if errors else []
        return CrewBroken(
            gone, f"lost {', '.join(gone)}" if gone else f"a worker failed: {' '.join(said)[:400]}"
        )


@dataclass(frozen=True)
class Crew:
    """Workers in the order of their ranks, each with its block as a matrix in its memory."""

    watch: Watch
    workers: list[str]
    matrices: list[Any]

    @classmethod
    def of(cls, watch: Watch, workers: Mapping[str, str], table: Table, max_bin: int) -> "Crew":
        """Give each worker its block of the rows, and let them bin it together."""
        import xgboost

        ranked = sorted(workers, key=lambda each: workers[each])[: len(table.y)]  # a block has a row
        blocks = np.array_split(np.arange(len(table.y)), len(ranked))
        parts = [
            _sent(watch, table, slice(int(rows[0]), int(rows[-1]) + 1), address)
            for rows, address in zip(blocks, ranked, strict=True)
        ]
        with _tracked(watch, len(ranked)) as tracker:
            given = (tracker, max_bin, xgboost.__version__)
            made = [
                watch.client.submit(_matrix, each, *given, workers=[address], pure=False)
                for each, address in zip(parts, ranked, strict=True)
            ]
            sizes = [
                watch.client.submit(_size, each, workers=[address], pure=False)  # a matrix cannot travel
                for each, address in zip(made, ranked, strict=True)
            ]
            watch.done(sizes, ranked)
        return cls(watch, ranked, made)

    def boosted(self, parameters: Mapping[str, Any], rounds: int, model: bytes | None) -> bytes:
        """Boost `rounds` more trees after `model`; the whole model as UBJSON.

        Raises:
            CrewBroken, OutOfTime, PennantError: see `Watch.done`.
        """
        with _tracked(self.watch, len(self.workers)) as tracker:
            given = (tracker, dict(parameters), rounds, model)
            futures = [
                self.watch.client.submit(_chunk, matrix, *given, workers=[address], pure=False)
                for matrix, address in zip(self.matrices, self.workers, strict=True)
            ]
            made = [each for each in self.watch.done(futures, self.workers) if each is not None]
        return bytes(made[0])


def _sent(watch: Watch, table: Table, rows: slice, address: str) -> list[Any]:
    """A worker's block in its memory, in parts that pass through the scheduler one by one."""
    x = table.x[rows]
    pieces = max(1, -(-x.size * 4 // PART_BYTES))
    sent = []
    for at in np.array_split(np.arange(rows.start, rows.stop), pieces):
        part = slice(int(at[0]), int(at[-1]) + 1)
        # XGBoost takes single precision of everything it is given: so it is sent at half the size.
        chosen = (table.x[part], table.y[part], table.weight[part])
        given: Part = tuple(np.ascontiguousarray(each, dtype=np.float32) for each in chosen)  # type: ignore[assignment]

        async def send(given: Part = given) -> Any:
            return await watch.client.scatter([given], workers=[address], hash=False, asynchronous=True)

        seconds = min(watch.left(), SILENT_SECONDS + given[0].nbytes / SLOWEST_BYTES_PER_SECOND)
        try:
            sent += watch.client.sync(send, callback_timeout=seconds)
        except (OSError, TimeoutError, KeyError, ValueError) as error:
            raise CrewBroken(watch._gone([address]), f"{address} took no rows: {error!r}") from error
    return sent


@contextmanager
def _tracked(watch: Watch, workers: int) -> Iterator[dict[str, Any]]:
    """A tracker for one step, beside the scheduler; gives what workers need to find each other.

    It ends with the step: who waits there for a worker that will not come is told at once.
    """
    name = uuid4().hex
    found: dict[str, Any] = watch.client.run_on_scheduler(_track, name, workers, COLLECTIVE_SECONDS)
    try:
        yield {**found, "dmlc_timeout": COLLECTIVE_SECONDS}
    finally:
        watch.client.run_on_scheduler(_untrack, name)


_trackers: dict[str, Any] = {}


def _track(name: str, workers: int, seconds: int, dask_scheduler: Any = None) -> dict[str, Any]:
    """Runs on the scheduler: all workers reach it there."""
    from distributed.comm import get_address_host
    from xgboost.tracker import RabitTracker

    host = get_address_host(dask_scheduler.address)
    tracker = RabitTracker(n_workers=workers, host_ip=host, sortby="task", timeout=seconds)
    tracker.start()
    _trackers[name] = tracker
    return dict(tracker.worker_args())


def _untrack(name: str) -> None:
    """Runs on the scheduler."""
    from xgboost.core import XGBoostError

    with suppress(XGBoostError):  # it says which workers it had waited for; that is known already
        _trackers.pop(name).free()


def _matrix(parts: list[Part], tracker: dict[str, Any], max_bin: int, version: str) -> Any:
    """Runs on a worker: its rows, binned at quantiles of the rows of all."""
    import xgboost
    from distributed import get_worker
    from xgboost.dask import CommunicatorContext

    worker = get_worker()
    if xgboost.__version__ != version:
        raise PackagesDiffer(worker.address, xgboost.__version__, version)
    x, y, weight = (np.concatenate(each) if len(each) > 1 else each[0] for each in zip(*parts, strict=True))
    with CommunicatorContext(**tracker):
        return xgboost.QuantileDMatrix(
            x, label=y, weight=weight, nthread=worker.state.nthreads, max_bin=max_bin
        )


def _size(matrix: Any) -> int:
    return int(matrix.num_row())


def _chunk(
    matrix: Any, tracker: dict[str, Any], parameters: dict[str, Any], rounds: int, model: bytes | None
) -> bytes | None:
    """Runs on a worker: some rounds more, in step with the others. The first of them gives the model."""
    import xgboost
    from distributed import get_worker
    from xgboost import collective
    from xgboost.dask import CommunicatorContext

    given = {**parameters, "nthread": get_worker().state.nthreads}
    before = bytearray(model) if model else None
    with CommunicatorContext(**tracker):
        booster = xgboost.train(given, matrix, num_boost_round=rounds, xgb_model=before)
        first = collective.get_rank() == 0
    return bytes(booster.save_raw(raw_format="ubj")) if first else None
