"""How fast a provider's table lands and is validated: one window of many rows, and the last of many windows.

Each figure is a JSON line. The real way: a CSV file in a mirror, the engine, the lake, PostgreSQL, Great
Expectations. Importing Great Expectations is told apart: a process pays for it once.

    python benchmarks/landing.py
    python benchmarks/landing.py --rows 200000 --windows 400
"""

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from pennant.data.asking.access import from_environment
from pennant.data.ingest import fetch, validate
from pennant.data.lake import Lake
from pennant.data.validated import versions
from pennant.declaration.model import DataUseCase
from pennant.platform.ports import unused_ports
from pennant.platform.postgres import Postgres, create_databases
from pennant.reference import Window
from pennant.settings import REPOSITORY, Settings
from pennant.warehouse.engine import connect, migrate

START = datetime(2020, 1, 1, tzinfo=UTC)


def table(rows: int, days: int) -> pl.DataFrame:
    """A CSV's rows in the order of time, with a few faults."""
    stream = np.random.default_rng(5)
    at = np.sort(stream.integers(0, days * 86_400, rows))
    moment = pl.Series(np.datetime64("2020-01-01", "us") + at.astype("timedelta64[s]"))
    points = stream.poisson(20, rows)
    return pl.DataFrame(
        {
            "game": pl.Series([f"g{number}" for number in range(rows)]),
            "at": moment.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "home": stream.integers(0, 40, rows),
            "away": stream.integers(0, 40, rows),
            "points": points,
            "against": stream.poisson(20, rows),
            "crowd": stream.normal(30_000, 8_000, rows).round(1),
        }
    )


def declared(path: str) -> DataUseCase:
    body = yaml.safe_load((REPOSITORY / "include/use_cases/league_demo/use_case.yaml").read_text())
    kept = {name: body[name] for name in DataUseCase.model_fields if name in body}
    kept["schedules"] = {
        name: each for name, each in body["schedules"].items() if name not in {"score", "watch", "train"}
    }
    rules = [
        {
            "source": "games",
            "group": "result",
            "expect": "ExpectColumnValuesToBeBetween",
            "with": {"column": name, "min_value": 0, "max_value": most},
            "on_failure": "quarantine",
        }
        for name, most in (("points", 42), ("against", 45), ("crowd", 65_000))
    ]
    rules += [
        {
            "source": "games",
            "group": group,
            "expect": "ExpectColumnValuesToNotBeNull",
            "with": {"column": name},
            "on_failure": "quarantine",
        }
        for group, name in (
            ("schedule", "home"),
            ("schedule", "away"),
            ("result", "points"),
            ("result", "crowd"),
        )
    ]
    kept |= {
        "name": "landing",
        "sources": {
            "games": {
                "kind": "csv",
                "path": path,
                "key": ["game"],
                "event_time": {"columns": ["at"], "format": "%Y-%m-%dT%H:%M:%SZ", "time_zone": "UTC"},
                "ahead_days": 10,
                "groups": {
                    "schedule": {
                        "known_at": {"rule": "before_event", "hours": 24},
                        "columns": {"home": "int", "away": "int"},
                    },
                    "result": {
                        "known_at": {"rule": "after_event", "hours": 4},
                        "columns": {"points": "int", "against": "int", "crowd": "float"},
                    },
                },
            }
        },
        "validation": {"max_quarantined_share": 0.1, "expectations": rules},
    }
    return DataUseCase.model_validate(kept)


def tell(figure: str, value: float, unit: str) -> None:
    print(json.dumps({"figure": figure, "value": round(value, 3), "unit": unit, "n": 1}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--windows", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pennant-landing-") as folder:
        home = Path(folder)
        server = Postgres(
            home / "postgres", unused_ports(1)[0], home / "secrets", home / "logs", {"fsync": "off"}
        )
        server.start()
        try:
            create_databases(server.url(), ["pennant"])
            migrate(server.url("pennant"))
            measure(home, server.url("pennant"), given.rows, given.windows)
        finally:
            server.stop()


def measure(home: Path, url: str, rows: int, windows: int) -> None:
    began = time.perf_counter()
    import great_expectations  # noqa: F401

    tell("import of Great Expectations", time.perf_counter() - began, "s")
    settings = Settings(home=home, data_mirror=str(home), use_cases=home / "use_cases")
    warehouse, lake = connect(url), Lake(settings.lake)
    days = 360
    table(rows, days).write_csv(home / "many.csv")
    use_case = declared("many.csv")
    whole = Window(START - timedelta(days=2), START + timedelta(days=days + 2))
    began = time.perf_counter()
    landed = fetch(use_case, "games", whole, lake, warehouse, settings, from_environment)
    middle = time.perf_counter()
    result = validate(use_case, landed, lake, warehouse, settings)
    end = time.perf_counter()
    tell(f"landing {rows} rows, two groups", middle - began, "s")
    tell(f"validating them by {len(use_case.validation.expectations)} rules", end - middle, "s")
    tell("rows set aside", result.quarantined, "rows")
    began = time.perf_counter()
    known = versions(use_case, "games", "result", lake, whole.as_of)
    tell(f"reading {known.height} validated rows", time.perf_counter() - began, "s")
    table(20 * windows, windows).write_csv(home / "daily.csv")
    daily = declared("daily.csv").model_copy(update={"name": "daily"})
    seconds = []
    for day in range(windows):
        window = Window(START + timedelta(days=day), START + timedelta(days=day + 1))
        began = time.perf_counter()
        batch = fetch(daily, "games", window, lake, warehouse, settings, from_environment)
        seconds.append(time.perf_counter() - began)
        if day % 50 == 0:
            validate(daily, batch, lake, warehouse, settings)
    tell("fetch of one of the first ten daily windows", float(np.median(seconds[:10])), "s")
    tell(f"fetch of one of the last ten of {windows} daily windows", float(np.median(seconds[-10:])), "s")


if __name__ == "__main__":
    main()
