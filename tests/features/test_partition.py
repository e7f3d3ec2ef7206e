"""A cluster gives bit for bit what one machine gives; one that is not there is an error."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pennant.features import partition
from pennant.features.errors import ClusterMissing
from pennant.features.tables import Tables
from pennant.features.views import Known, feature_view
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
    assert partition.windowed(SPEC, rows, from_rows=201).height == 200
    with pytest.raises(ClusterMissing):
        partition.windowed(SPEC, rows, from_rows=200)
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", cluster.scheduler_address)
    assert partition.windowed(SPEC, rows, from_rows=200).equals(SPEC.of(rows))


def test_a_declared_view_is_built_by_the_cluster_from_the_declared_size_on(cluster, monkeypatch) -> None:
    used = []
    spread = partition.spread
    monkeypatch.setattr(partition, "spread", lambda *given: used.append(given[2]) or spread(*given))
    monkeypatch.setenv("PENNANT_DASK_ADDRESS", cluster.scheduler_address)
    rows = table().rename({"entity": "player"}).with_row_index("row").with_columns(batch_as_of="known_at")
    made = {}
    for size in (rows.height, rows.height + 1):
        tables = Tables({("games", "result"): rows}, {"games": ["row"]}, size)

        @feature_view(entity="player", reads=["games.result"], fresh_hours=24.0, windows=SPEC)
        def form(known: Known) -> pl.DataFrame:
            return known.events("games", "result").with_columns(entity="player")

        made[size] = form.timeline(Known(tables, rows["known_at"].max()))
    assert used == [cluster.scheduler_address]
    assert made[rows.height].equals(made[rows.height + 1])


def test_a_cluster_that_is_not_there_is_an_error_and_not_a_quiet_return(monkeypatch) -> None:
    monkeypatch.setattr(partition, "CONNECT_SECONDS", 1)
    address = f"tcp://127.0.0.1:{unused_ports(1)[0]}"
    with pytest.raises(ClusterMissing) as refused:
        partition.spread(SPEC, table(10), address)
    assert refused.value.address == address
