"""A cluster gives bit for bit what one machine gives; one that is not there is an error."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pennant.features import partition
from pennant.features.errors import ClusterMissing
from pennant.features.windows import Windows
from pennant.platform.ports import unused_ports

SPEC = Windows(("x", "y"), (5, 10), ("mean", "std"), ("mean",))


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    given = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with LocalCluster(processes=True, **given) as running:
        yield running


def table(rows: int = 5_000) -> pl.DataFrame:
    stream = np.random.default_rng(11)
    at = pl.Series([datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=each) for each in range(rows)])
    values = {"x": stream.normal(1e6, 3.0, rows), "y": stream.normal(0.0, 1.0, rows)}
    names = pl.Series([f"player {number}" for number in stream.integers(0, 60, rows)])
    made = pl.DataFrame({"entity": names, "known_at": at, "event_time": at, **values})
    return made.with_columns(pl.when(pl.col("x") > 1e6).then("x").alias("x"))


def test_every_column_of_the_cluster_has_the_hash_of_one_machine(cluster) -> None:
    rows = table()
    alone, together = SPEC.of(rows), partition.spread(SPEC, rows, cluster.scheduler_address)
    for name in alone.columns:
        hashes = [each[name].hash(seed=1).to_list() for each in (alone, together)]
        assert hashes[0] == hashes[1], name


def test_a_named_cluster_is_used_for_many_rows_and_not_for_few(cluster, monkeypatch) -> None:
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", "tcp://127.0.0.1:1")
    rows = table(200)
    assert partition.windows(rows, ["x"], last=(5,)).height == 200
    monkeypatch.setattr(partition, "FROM_ROWS", 100)
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", cluster.scheduler_address)
    assert partition.windows(rows, ["x"], last=(5,)).equals(Windows(("x",), (5,)).of(rows))


def test_a_cluster_that_is_not_there_is_an_error_and_not_a_quiet_return(monkeypatch) -> None:
    monkeypatch.setattr(partition, "CONNECT_SECONDS", 1)
    address = f"tcp://127.0.0.1:{unused_ports(1)[0]}"
    with pytest.raises(ClusterMissing) as refused:
        partition.spread(SPEC, table(10), address)
    assert refused.value.address == address
