"""How fast a value is looked up in the online store, on the embedded PostgreSQL: one JSON line per figure.

python benchmarks/online.py
"""

import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from pennant.declaration.loader import load
from pennant.features.online import lookup, publish_views
from pennant.platform.ports import unused_ports
from pennant.platform.postgres import Postgres, create_databases
from pennant.settings import REPOSITORY
from pennant.warehouse.engine import connect, migrate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENTITIES = 50_000
VALUES = 60
LOOKUPS = 3_000


def main() -> None:
    stream = np.random.default_rng(1)
    rows = pl.DataFrame({"entity": [f"player {number}" for number in range(ENTITIES)]}).with_columns(
        known_at=pl.lit(NOW).cast(pl.Datetime("us", "UTC")),
        event_time=pl.lit(NOW).cast(pl.Datetime("us", "UTC")),
    )
    values = {f"feature_{number}": stream.normal(size=ENTITIES) for number in range(VALUES)}
    rows = rows.with_columns(pl.Series(name, each) for name, each in values.items())
    with tempfile.TemporaryDirectory(prefix="pennant-online-") as folder:
        home = Path(folder)
        server = Postgres(home / "postgres", unused_ports(1)[0], home / "secrets", home / "logs", {})
        server.start()
        try:
            create_databases(server.url(), ["pennant"])
            migrate(server.url("pennant"))
            warehouse = connect(server.url("pennant"))
            use_case = load(REPOSITORY / "include" / "use_cases" / "league_demo")
            began = time.perf_counter()
            publish_views(use_case, {"form": rows}, NOW, warehouse)
            tell(f"publishing {ENTITIES} entities of {VALUES} values", time.perf_counter() - began, "s", 1)
            taken = []
            for number in stream.integers(0, ENTITIES, LOOKUPS):
                began = time.perf_counter()
                lookup(warehouse, use_case.name, "form", [f"player {number}"], NOW, 24.0)
                taken.append(1000 * (time.perf_counter() - began))
            tell("lookup of one entity, median", float(np.median(taken)), "ms", LOOKUPS)
            tell("lookup of one entity, p99", float(np.quantile(taken, 0.99)), "ms", LOOKUPS)
        finally:
            server.stop()


def tell(figure: str, value: float, unit: str, n: int) -> None:
    print(json.dumps({"figure": figure, "value": round(value, 3), "unit": unit, "n": n}), flush=True)


if __name__ == "__main__":
    main()
