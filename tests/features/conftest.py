"""A short simulated league as versions on two clocks, in memory or as validated batches in a lake."""

import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from pennant.data.lake import Lake
from pennant.declaration.loader import load
from pennant.declaration.model import UseCase
from pennant.features.tables import Tables, in_order
from pennant.reference import Window
from pennant.settings import REPOSITORY, Settings
from pennant.simulation.league import simulate

USE_CASES = REPOSITORY / "include" / "use_cases"
MakeTables = Callable[[UseCase, pl.DataFrame], Tables]
Corrections = dict[str, dict[str, object]]


def group_versions(use_case: UseCase, source: str, group: str, rows: pl.DataFrame) -> pl.DataFrame:
    """First versions of a group: known when its rule says so."""
    declared = use_case.sources[source]
    rule = declared.groups[group].known_at
    hours = timedelta(hours=rule.hours if rule.rule == "after_event" else -rule.hours)
    known = (pl.col("event_time") + hours).alias("known_at")
    own = [name for name in declared.groups[group].columns if name not in declared.key]
    return rows.select(*declared.key, "event_time", known, known.alias("batch_as_of"), *own)


@pytest.fixture(scope="session")
def league_demo() -> UseCase:
    return load(USE_CASES / "league_demo")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake((tmp_path / "a lake").as_uri())


@pytest.fixture(scope="session")
def short_league() -> pl.DataFrame:
    """The games of 1 to 25 January 2025, about 23 a day, with `event_time`."""
    league = simulate(5, first_day=date(2025, 1, 1), last_day=date(2025, 1, 25))
    return league.games.rename({"kickoff": "event_time"})


@pytest.fixture(scope="session")
def make_tables() -> MakeTables:
    def make(use_case: UseCase, rows: pl.DataFrame) -> Tables:
        frames = {
            (source, group): in_order(group_versions(use_case, source, group, rows), declared.key)
            for source, declared in use_case.sources.items()
            for group in declared.groups
        }
        return Tables(frames, {source: declared.key for source, declared in use_case.sources.items()})

    return make


@pytest.fixture
def land(lake: Lake) -> Callable[..., None]:
    """Writes one validated batch: what a window made known, and corrections with the known_at of its end."""

    def write(
        use_case: UseCase, rows: pl.DataFrame, window: Window, corrections: Corrections | None = None
    ) -> None:
        source, declared = next(iter(use_case.sources.items()))
        folder = f"validated/{use_case.name}/{source}/{window.key}"
        held: dict[str, dict[str, object]] = {}
        for group in declared.groups:
            made = group_versions(use_case, source, group, rows).drop("batch_as_of")
            first = made.filter(pl.col("known_at") > window.start, pl.col("known_at") <= window.as_of)
            parts = [first]
            for entity, values in (corrections or {}).items():
                if set(values) & set(declared.groups[group].columns):
                    wrong = made.filter(pl.col(declared.key[0]) == entity)
                    right = wrong.with_columns(pl.lit(value).alias(name) for name, value in values.items())
                    at = pl.lit(window.as_of).dt.cast_time_unit("us").alias("known_at")
                    parts.append(right.with_columns(at).select(first.columns).cast(dict(first.schema)))
            found = pl.concat(parts).sort("known_at", "event_time", *declared.key)
            if found.height:
                body = io.BytesIO()
                found.with_columns(provider=pl.lit(declared.kind)).write_parquet(body)
                lake.put(f"{folder}/{group}.parquet", body.getvalue())
                sha256 = hashlib.sha256(body.getvalue()).hexdigest()
                held[group] = {"rows": found.height, "sha256": sha256}
        lake.put(f"{folder}/batch.json", json.dumps({"groups": held}).encode())

    return write


@pytest.fixture
def windows() -> list[Window]:
    """Three windows that cover the short league and what was known before it."""
    edges = [datetime(2024, 12, 1, tzinfo=UTC)]
    edges += [datetime(2025, 1, day, tzinfo=UTC) for day in (10, 18)] + [datetime(2025, 1, 27, tzinfo=UTC)]
    return [Window(start, end) for start, end in pairwise(edges)]
