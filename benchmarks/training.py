"""What Pennant's way to fit costs beside the bare library: 1,000,000 rows of 60 features, 300 rounds.

Both ways run in processes of their own, interleaved, with the same settings and threads. Figures are JSON
lines.

    python benchmarks/training.py
    python benchmarks/training.py --rows 200000 --rounds 1
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

FEATURES = 60
TREES = 300
PARAMETERS = {"max_depth": 6, "learning_rate": 0.1, "n_estimators": TREES}


def table(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels with something to learn."""
    stream = np.random.default_rng(11)
    x = stream.normal(size=(rows, FEATURES))
    score = x[:, 0] + 0.5 * x[:, 1] * x[:, 2] - 0.3 * x[:, 3]
    return x, (stream.random(rows) < 1.0 / (1.0 + np.exp(-score))).astype(np.float64)


def bare(x: np.ndarray, y: np.ndarray) -> None:
    import xgboost

    chosen = {name: value for name, value in PARAMETERS.items() if name != "n_estimators"}
    given = {"objective": "binary:logistic", "tree_method": "hist", "nthread": os.cpu_count(), **chosen}
    more = {"min_child_weight": 5.0, "subsample": 0.8, "max_bin": 256}
    xgboost.train({**given, **more}, xgboost.QuantileDMatrix(x, label=y), num_boost_round=TREES)


def pennant(x: np.ndarray, y: np.ndarray) -> None:
    from pennant.declaration.parameters import PARAMETERS as KNOWN
    from pennant.training.members.kinds import KINDS
    from pennant.training.problem import Problem

    chosen = {name: each.default for name, each in KNOWN["xgboost"].items()} | PARAMETERS
    problem = Problem("binary", tuple(f"f{number}" for number in range(FEATURES)))
    KINDS["xgboost"].fit(x, y, np.ones(len(y)), chosen, 1, problem)


def measure(way: str, rows: int) -> dict[str, float]:
    """Fit once, in this process."""
    x, y = table(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    {"bare": bare, "pennant": pennant}[way](x, y)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": seconds,
        "peak_mb": peak / 1024,
        "frame_mb": x.nbytes / 2**20,
        "before_mb": before / 1024,
    }


def tell(figure: str, value: float, unit: str, n: int) -> None:
    print(json.dumps({"figure": figure, "value": round(value, 4), "unit": unit, "n": n}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", choices=("bare", "pennant"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, given.rows)))
        return
    found: dict[str, list[dict[str, float]]] = {"bare": [], "pennant": []}
    for _ in range(given.rounds):
        for way, runs in found.items():
            command = [sys.executable, __file__, "--measure", way, "--rows", str(given.rows)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            runs.append(json.loads(done.stdout.splitlines()[-1]))
    middle = {
        way: {name: statistics.median(each[name] for each in runs) for name in runs[0]}
        for way, runs in found.items()
    }
    for way, each in middle.items():
        tell(f"{way}, {given.rows} rows", each["seconds"], "s", given.rounds)
        tell(f"{way}, peak memory to the frame's", each["peak_mb"] / each["frame_mb"], "ratio", given.rounds)
    tell(
        "pennant to bare, time",
        middle["pennant"]["seconds"] / middle["bare"]["seconds"],
        "ratio",
        given.rounds,
    )


if __name__ == "__main__":
    main()
