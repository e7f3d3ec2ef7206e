"""What Pennant's way to fit costs beside the bare library: 1,000,000 rows of 60 features, 300 rounds.

All ways run in processes of their own, interleaved, with the same settings and threads. With `--cluster` a
smaller table is fitted on two worker processes on this machine, too, which share its cores: by Pennant, with
its checkpoints, and by the bare `xgboost.dask.train`. What that costs beside one process is the price of the
cluster; it pays where the table is too large for one machine. Figures are JSON lines.

    python benchmarks/training.py
    python benchmarks/training.py --rows 200000 --rounds 1
    python benchmarks/training.py --cluster --rows 300000
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

FEATURES = 60
WORKERS = 2
CLUSTERED = ("pennant_cluster", "bare_dask")
PARAMETERS: dict[str, float] = {"max_depth": 6, "learning_rate": 0.1}


def table(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels with something to learn."""
    stream = np.random.default_rng(11)
    x = stream.normal(size=(rows, FEATURES))
    score = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] - 0.3 * x[:, 3]
    return x, (stream.random(rows) < 1.0 / (1.0 + np.exp(-score))).astype(np.float64)


def bare(x: np.ndarray, y: np.ndarray, trees: int) -> None:
    import xgboost

    xgboost.train(settings(os.cpu_count()), xgboost.QuantileDMatrix(x, label=y), num_boost_round=trees)


def settings(threads: int | None) -> dict[str, Any]:
    """What Pennant's defaults and `PARAMETERS` come to."""
    given = {"objective": "binary:logistic", "tree_method": "hist", "nthread": threads, **PARAMETERS}
    return {**given, "min_child_weight": 5.0, "subsample": 0.8, "max_bin": 256}


def pennant(x: np.ndarray, y: np.ndarray, trees: int) -> None:
    from pennant.declaration.model import Cluster
    from pennant.declaration.parameters import PARAMETERS as KNOWN
    from pennant.training.members.kinds import KINDS
    from pennant.training.problem import Problem

    chosen = {name: each.default for name, each in KNOWN["xgboost"].items()}
    chosen |= PARAMETERS | {"n_estimators": trees}
    names = tuple(f"f{number}" for number in range(FEATURES))
    cluster = Cluster(from_rows=1) if os.environ.get("PENNANT_DASK_ADDRESS") else None
    problem = Problem("binary", names, cluster=cluster)
    KINDS["xgboost"].fit(x, y, np.ones(len(y)), chosen, 1, problem)


def bare_dask(x: np.ndarray, y: np.ndarray, trees: int) -> None:
    import dask.array as da
    from distributed import Client
    from xgboost import dask as dxgb

    with Client(os.environ["PENNANT_DASK_ADDRESS"]) as client:
        half = -(-len(y) // WORKERS)
        single = x.astype(np.float32)
        blocks = da.from_array(single, chunks=(half, FEATURES)), da.from_array(y, chunks=half)
        matrix = dxgb.DaskQuantileDMatrix(client, *blocks)
        dxgb.train(client, settings(None), matrix, num_boost_round=trees)


def on_cluster(way: str, rows: int, trees: int) -> dict[str, float]:
    """Fit once, on workers that have fitted a small table before."""
    from distributed import Client, LocalCluster

    threads = max(1, (os.cpu_count() or 1) // WORKERS)
    given = {"n_workers": WORKERS, "threads_per_worker": threads, "dashboard_address": None}
    x, y = table(rows)
    fit = {"pennant_cluster": pennant, "bare_dask": bare_dask}[way]
    with tempfile.TemporaryDirectory() as home, LocalCluster(host="127.0.0.1", **given) as running:
        os.environ |= {"PENNANT_HOME": home, "PENNANT_DASK_ADDRESS": running.scheduler_address}
        fit(x[:10_000], y[:10_000], 1)
        began = time.perf_counter()
        fit(x, y, trees)
        seconds = time.perf_counter() - began
        with Client(running.scheduler_address) as client:
            worker = max(client.run(peak_mb).values())
    return {"seconds": seconds, "peak_mb": peak_mb(), "worker_mb": worker, "frame_mb": x.nbytes / 2**20}


def peak_mb() -> float:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(way: str, rows: int, trees: int) -> dict[str, float]:
    """Fit once, in this process or on a cluster that it starts."""
    if way in CLUSTERED:
        return on_cluster(way, rows, trees)
    os.environ.pop("PENNANT_DASK_ADDRESS", None)
    x, y = table(rows)
    began = time.perf_counter()
    {"bare": bare, "pennant": pennant}[way](x, y, trees)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_mb": peak_mb(), "frame_mb": x.nbytes / 2**20}


def tell(figure: str, value: float, unit: str, n: int) -> None:
    print(json.dumps({"figure": figure, "value": round(value, 4), "unit": unit, "n": n}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trees", type=int, default=300)
    parser.add_argument("--cluster", action="store_true", help="also on two workers on this machine")
    parser.add_argument("--measure", choices=("bare", "pennant", *CLUSTERED), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, given.rows, given.trees)))
        return
    ways = ("bare", "pennant", *(CLUSTERED if given.cluster else ()))
    found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(given.rounds):
        for way, runs in found.items():
            size = ["--rows", str(given.rows), "--trees", str(given.trees)]
            command = [sys.executable, __file__, "--measure", way, *size]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs.append(json.loads(done.stdout.splitlines()[-1]))
    middle = {
        way: {name: statistics.median(each[name] for each in runs) for name in runs[0]}
        for way, runs in found.items()
    }
    for way, each in middle.items():
        tell(f"{way}, {given.rows} rows", each["seconds"], "s", given.rounds)
        tell(f"{way}, peak memory to the frame's", each["peak_mb"] / each["frame_mb"], "ratio", given.rounds)
        if "worker_mb" in each:
            share = each["worker_mb"] / (each["frame_mb"] / WORKERS)
            tell(f"{way}, a worker's peak memory to its share of the frame", share, "ratio", given.rounds)
    for one, other in (("pennant", "bare"), ("pennant_cluster", "pennant"), ("pennant_cluster", "bare_dask")):
        if one in middle:
            share = middle[one]["seconds"] / middle[other]["seconds"]
            tell(f"{one} to {other}, time", share, "ratio", given.rounds)


if __name__ == "__main__":
    main()
