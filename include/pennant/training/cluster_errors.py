"""What can go wrong while a Dask cluster trains."""

from pennant.errors import PennantError


class ClusterUnusable(PennantError):
    """The Dask cluster that is named cannot train: it is not there, or cannot do what this machine can.

    Attributes:
        address: `PENNANT_DASK_ADDRESS`.
        found: what is wrong.
    """

    def __init__(self, address: str, found: str) -> None:
        self.address, self.found = address, found
        super().__init__(
            f"Dask cluster {address}: {found}. Start its scheduler and workers with this machine's packages, "
            "raise training.cluster.from_rows, or unset PENNANT_DASK_ADDRESS to train on one machine."
        )


class PackagesDiffer(PennantError):
    """A worker has another XGBoost than the machine that asks it, and might fit another model.

    Attributes:
        worker: its address.
        found: its version.
        wanted: the version on the machine that asks.
    """

    def __init__(self, worker: str, found: str, wanted: str) -> None:
        self.worker, self.found, self.wanted = worker, found, wanted
        super().__init__(
            f"worker {worker} has XGBoost {found}; {wanted} is needed, as on the machine that asks"
        )

    def __reduce__(self) -> tuple[type["PackagesDiffer"], tuple[str, str, str]]:
        return PackagesDiffer, (self.worker, self.found, self.wanted)


class ClusterLost(PennantError):
    """The cluster could not finish a training that it had begun.

    Attributes:
        address: `PENNANT_DASK_ADDRESS`.
        seen: every worker that took part.
        rounds_done: boosting rounds of the last checkpoint; a repeated training goes on from there.
        rounds: that were asked for.
        found: what is wrong.
    """

    def __init__(self, address: str, seen: list[str], rounds_done: int, rounds: int, found: str) -> None:
        self.address, self.seen, self.found = address, seen, found
        self.rounds_done, self.rounds = rounds_done, rounds
        super().__init__(
            f"Dask cluster {address}: {found}. Workers seen: {', '.join(seen) or 'none'}. {rounds_done} of "
            f"{rounds} boosting rounds are kept: start workers and run the task again, it goes on from there."
        )


class DeadlinePassed(ClusterLost):
    """The declared `training.cluster.deadline_minutes` are over."""
