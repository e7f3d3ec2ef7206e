"""How fast a provider's table lands and is validated, and what the next window costs after thousands of them.

Rows are measured in a process of their own per round, Great Expectations' import included, as a task would
pay it. `peak memory` is of the whole process. Tables lie in a folder; asking over a network comes on top.

    python benchmarks/landing.py                    # 1,000,000 rows as CSV, quoted CSV and Parquet, 3 rounds
    python benchmarks/landing.py --rows 200000 --rounds 5
    python benchmarks/landing.py --windows 100 1000 3600 10000
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from sqlalchemy import Engine

from pennant.data.asking.access import from_environment
from pennant.data.ingest import fetch, validate
from pennant.data.lake import Lake
from pennant.data.validated import versions
from pennant.declaration.model import DataUseCase, UseCase
from pennant.platform.ports import unused_ports
from pennant.platform.postgres import Postgres, create_databases
from pennant.reference import Window
from pennant.settings import REPOSITORY, Settings
from pennant.warehouse.engine import connect, migrate

START = datetime(2010, 1, 1, tzinfo=UTC)
COUNTS = [f"s{number}" for number in range(6)]
SHARES = ["pace", "share"]
FORMS = ("csv", "quoted", "parquet")
SOURCE: dict[str, Any] = {
    "key": ["game", "player"],
    "event_time": {"columns": ["day", "time"], "format": "%Y-%m-%d %H:%M", "time_zone": "America/New_York"},
    "ahead_days": 2,
    "groups": {
        "schedule": {
            "known_at": {"rule": "before_event", "hours": 24},
            "columns": {"team": "str", "opponent": "str"},
        },
        "result": {
            "known_at": {"rule": "after_event", "hours": 4},
            "columns": dict.fromkeys(COUNTS, "int") | dict.fromkeys(SHARES, "float"),
        },
    },
}


def _rule(group: str, expect: str, **given: Any) -> dict[str, Any]:
    return {"source": "games", "group": group, "expect": expect, "with": given, "on_failure": "quarantine"}


RULES = [
    _rule("schedule", "ExpectColumnValuesToNotBeNull", column="team"),
    _rule("result", "ExpectColumnValuesToBeBetween", column="s0", min_value=0, max_value=60),
    _rule("result", "ExpectColumnValuesToBeBetween", column="s1", min_value=0, max_value=21),
    _rule("result", "ExpectColumnValuesToNotBeNull", column="share"),
]


def table(rows: int, *, per_day: int = 600) -> pl.DataFrame:
    """Player-game rows as text and numbers, a day after the other from `START`."""
    stream = np.random.default_rng(11)
    number = np.arange(rows)
    day = pl.Series(np.datetime64("2010-01-01") + number // per_day)
    return pl.DataFrame(
        {
            "game": pl.Series(number // 20).cast(pl.String),
            "player": pl.Series(number % 5_000).cast(pl.String),
            "day": day.dt.to_string("%Y-%m-%d"),
            "time": pl.Series(stream.choice(["13:05", "19:10", "20:40"], rows)),
            "team": pl.Series(stream.choice([f"T{each:02}" for each in range(30)], rows)),
            "opponent": pl.Series(stream.choice([f"T{each:02}" for each in range(30)], rows)),
            **{name: stream.integers(0, 20, rows) for name in COUNTS},
            **{name: stream.random(rows).round(6) for name in SHARES},
        }
    )


def declared(path: Path, kind: str) -> UseCase:
    """The demo's declaration with the measured table in the place of its own."""
    body = yaml.safe_load((REPOSITORY / "include/use_cases/league_demo/use_case.yaml").read_text())
    body |= {
        "name": "landing",
        "sources": {"games": {"kind": kind, "path": path.name, **SOURCE}},
        "validation": {"max_quarantined_share": 0.1, "expectations": RULES},
    }
    return UseCase.model_validate(body)


class Bench:
    """A use case whose table lies in a folder, with an empty lake and warehouse."""

    def __init__(self, folder: Path, path: Path, kind: str, warehouse: Engine) -> None:
        self.use_case: DataUseCase = declared(path, kind)
        self.lake = Lake(str(folder / "lake"))
        self.warehouse = warehouse
        self.settings = Settings(home=folder, data_mirror=str(path.parent))

    def land(self, window: Window) -> Any:
        return fetch(
            self.use_case, "games", window, self.lake, self.warehouse, self.settings, from_environment
        )

    def validate(self, batch: Any) -> Any:
        return validate(self.use_case, batch, self.lake, self.warehouse, self.settings)

    def versions(self, as_of: datetime) -> pl.DataFrame:
        return versions(self.use_case, "games", "result", self.lake, as_of)


@contextmanager
def postgres() -> Iterator[Callable[[], str]]:
    """A PostgreSQL of its own; gives a function that makes migrated warehouses."""
    with tempfile.TemporaryDirectory() as name:
        home, made = Path(name), 0
        server = Postgres(home / "postgres", unused_ports(1)[0], home / "secrets", home / "logs")
        server.start()

        def warehouse() -> str:
            nonlocal made
            made += 1
            create_databases(server.url(), [f"landing_{made}"])
            migrate(server.url(f"landing_{made}"))
            return server.url(f"landing_{made}")

        try:
            yield warehouse
        finally:
            server.stop()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def measure(rows: int, form: str, warehouse: str) -> dict[str, float]:
    """Land, validate and read one table once, in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / f"table.{'parquet' if form == 'parquet' else 'csv'}"
        given = table(rows)
        if form == "parquet":
            given.write_parquet(path)
        else:
            given.write_csv(path, quote_style="always" if form == "quoted" else "necessary")
        engine = connect(warehouse)
        bench = Bench(folder, path, "parquet" if form == "parquet" else "csv", engine)
        window = Window(START - timedelta(days=5), START + timedelta(days=365 * 30))
        del given
        landing, batch = timed(lambda: bench.land(window))
        judging, result = timed(lambda: bench.validate(batch))
        reading, known = timed(lambda: bench.versions(window.as_of))
        again, _ = timed(lambda: bench.land(Window(window.as_of, window.as_of + timedelta(days=1))))
        engine.dispose()
    assert result.rows == 2 * rows
    assert known.height == rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"landing": landing, "validation": judging, "reading": reading, "next": again, "peak": peak}


def of_rows(rows: int, rounds: int) -> None:
    found: dict[str, list[dict[str, float]]] = {form: [] for form in FORMS}
    with postgres() as new:
        for _ in range(rounds):
            for form in FORMS:
                command = [sys.executable, __file__, "--measure", form, new(), "--rows", str(rows)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found[form].append(json.loads(done.stdout.splitlines()[-1]))
    for form, runs in found.items():
        middle = {name: statistics.median(each[name] for each in runs) for name in runs[0]}
        said = f"{form}, {rows} rows"
        tell(f"{said}: landed and validated", middle["landing"] + middle["validation"], "s", rounds)
        tell(f"{said}: landed", middle["landing"], "s", rounds)
        tell(f"{said}: validated", middle["validation"], "s", rounds)
        tell(f"{said}: versions read", middle["reading"], "s", rounds)
        tell(f"{said}: the next window, without news", middle["next"], "s", rounds)
        tell(f"{said}: peak memory", middle["peak"], "MB", rounds)


def of_windows(counts: list[int], rounds: int) -> None:
    """The next day's cost, and that of reading all versions, after this many days have landed."""
    with postgres() as new, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "table.csv"
        table(max(counts) * 2 + 100, per_day=2).write_csv(path)
        engine = connect(new())
        bench = Bench(folder, path, "csv", engine)
        day, done = START, 0
        for count in sorted(counts):
            begun = time.perf_counter()
            for _ in range(count - done - rounds):
                bench.validate(bench.land(Window(day, day + timedelta(days=1))))
                day += timedelta(days=1)
            each = (time.perf_counter() - begun) / max(count - done - rounds, 1)
            landings = []
            for _ in range(rounds):
                seconds, batch = timed(lambda: bench.land(Window(day, day + timedelta(days=1))))  # noqa: B023
                bench.validate(batch)
                landings.append(seconds)
                day += timedelta(days=1)
            tell(f"{count} windows: landing the next", statistics.median(landings), "s", rounds)
            tell(f"{count} windows: each landed and validated before", each, "s", 1)
            first, known = timed(lambda: bench.versions(day))  # noqa: B023
            readings = [timed(lambda: bench.versions(day))[0] for _ in range(rounds)]  # noqa: B023
            tell(f"{count} windows: versions read for the first time", first, "s", 1)
            tell(f"{count} windows: versions read again", statistics.median(readings), "s", rounds)
            assert known.height > count
            done = count
        engine.dispose()


def tell(figure: str, value: float, unit: str, n: int) -> None:
    print(json.dumps({"figure": figure, "value": round(value, 4), "unit": unit, "n": n}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", type=int, nargs="+", help="numbers of landed windows, in place of rows")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.rows, *given.measure)))
    elif given.windows:
        of_windows(given.windows, given.rounds)
    else:
        of_rows(given.rows, given.rounds)


if __name__ == "__main__":
    main()
