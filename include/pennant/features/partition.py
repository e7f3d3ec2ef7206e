"""Windows over more rows than one machine should hold: the same code, by entities, on a Dask cluster.

Every number follows from its own entity's rows alone, so parts by entity give bit for bit what one machine
gives. The cluster is named by `PENNANT_DASK_ADDRESS`; without one, or below the declared `cluster_from_rows`,
nothing leaves this machine: moving rows to a cluster and back costs seconds. A cluster that is named and not
there is an error, never a quiet return to one machine.
"""

import io

import polars as pl

from pennant.features.errors import ClusterMissing
from pennant.features.windows import CLOCKS, Windows
from pennant.settings import Settings

PARTS_PER_WORKER = 4
CONNECT_SECONDS = 10
DEADLINE_SECONDS = 1800


def windowed(spec: Windows, rows: pl.DataFrame, from_rows: int) -> pl.DataFrame:
    """The timeline of `rows`; made by the cluster where one is named and there are `from_rows` or more.

    Raises:
        ClusterMissing: a cluster is named and cannot be used.
    """
    address = Settings.load().dask_address
    return spread(spec, rows, address) if address and rows.height >= from_rows else spec.of(rows)


def spread(spec: Windows, rows: pl.DataFrame, address: str) -> pl.DataFrame:
    """The timeline of `rows`, made by the cluster at `address`; equal to `spec.of(rows)` bit for bit.

    Raises:
        ClusterMissing: Dask is not installed, nobody answers at the address, or a part was not made in time.
    """
    try:
        from distributed import Client
        from distributed.client import FutureCancelledError
    except ImportError as error:
        raise ClusterMissing(address, "the extra `cluster` (dask, distributed) is not installed") from error
    chosen = rows.select(*CLOCKS, *spec.columns)
    try:
        with Client(address, timeout=CONNECT_SECONDS) as client:
            workers = len(client.scheduler_info()["workers"])
            if not workers:
                raise ClusterMissing(address, "it has no workers")
            parts = _parts(chosen, PARTS_PER_WORKER * workers)
            futures = [client.submit(_made, spec, part, pure=False) for part in parts]
            found = client.gather(futures, asynchronous=False) if futures else []
    except (OSError, TimeoutError, FutureCancelledError) as error:
        raise ClusterMissing(address, f"{type(error).__name__}: {error}") from error
    made = [pl.read_ipc(io.BytesIO(each)) for each in found]
    if not made:
        return spec.of(chosen)
    return pl.concat(made).sort("entity", "known_at", maintain_order=True)


def _parts(rows: pl.DataFrame, count: int) -> list[bytes]:
    """The rows in at most `count` parts, every entity whole in one; Arrow, as the workers read it."""
    part = (pl.col("entity").hash(seed=7) % count).alias("_part")
    split = rows.with_columns(part).partition_by("_part", maintain_order=True, include_key=False)
    return [_ipc(each) for each in split]


def _made(spec: Windows, part: bytes) -> bytes:
    return _ipc(spec.of(pl.read_ipc(io.BytesIO(part))))


def _ipc(rows: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    rows.write_ipc(body, compression="lz4")
    return body.getvalue()
