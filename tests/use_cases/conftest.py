"""The real way of a use case that ships: fetch, validate, versions, snapshot; on the public data sets."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine

from pennant.data.ingest import BatchResult, fetch, validate
from pennant.data.lake import Lake
from pennant.data.validated import versions
from pennant.declaration.loader import load
from pennant.declaration.model import DataUseCase, TrainedUseCase
from pennant.declaration.variants import as_variant
from pennant.features import reuse
from pennant.features.build import feature_rows, requests_of
from pennant.features.leaks import Leak, leaks_of
from pennant.features.module import code_hash, features_module, variant_module
from pennant.features.snapshot import build_snapshot
from pennant.features.tables import Tables, load_tables
from pennant.reference import Window
from pennant.settings import REPOSITORY, Settings
from pennant.warehouse.engine import connect

USE_CASES = REPOSITORY / "include" / "use_cases"


@dataclass(frozen=True)
class Ingested:
    """A use case whose windows have all been fetched and validated.

    `results` holds what validation said, by source and then in the order of the windows.
    """

    use_case: DataUseCase
    lake: Lake
    settings: Settings
    warehouse: Engine
    windows: list[Window]
    results: dict[str, list[BatchResult]]

    def versions(self, source: str, group: str) -> pl.DataFrame:
        return versions(self.use_case, source, group, self.lake, self.windows[-1].as_of)


def year_windows(*years: int, month: int = 1) -> list[Window]:
    """Windows from one year to the next one named, each on the first of the month."""
    edges = [datetime(year, month, 1, tzinfo=UTC) for year in years]
    return [Window(start, end) for start, end in pairwise(edges)]


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of public data sets."""
    given = os.environ.get("PENNANT_DATA_MIRROR", "")
    if not given or not Path(given).is_dir():
        pytest.skip("needs the public data sets: set PENNANT_DATA_MIRROR to their folder")
    return Path(given)


@pytest.fixture(scope="session")
def ingest(
    mirror: Path, new_warehouse: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Ingested]]:
    """Fetches and validates the windows of a use case that ships, into a lake and warehouse of its own.

    `copies` is a folder to read in place of the mirror, for tests that plant faults.
    """
    from pennant.data.asking.access import from_environment

    engines: list[Engine] = []

    def go(name: str, windows: Sequence[Window], copies: Path = mirror) -> Ingested:
        use_case = load(USE_CASES / name)
        settings = Settings(home=tmp_path_factory.mktemp(name), data_mirror=str(copies))
        lake, warehouse = Lake(settings.lake), connect(new_warehouse())
        engines.append(warehouse)
        results: dict[str, list[BatchResult]] = {source: [] for source in use_case.sources}
        for window in windows:
            for source, found in results.items():
                landed = fetch(use_case, source, window, lake, warehouse, settings, from_environment)
                found.append(validate(use_case, landed, lake, warehouse, settings))
        return Ingested(use_case, lake, settings, warehouse, list(windows), results)

    yield go
    for engine in engines:
        engine.dispose()


@pytest.fixture
def leaks_of_variant() -> Callable[..., list[Leak]]:
    """Examines a variant of an ingested use case on given tables, between two moments."""

    def go(ingested: Ingested, name: str, tables: Tables, start: datetime, until: datetime) -> list[Leak]:
        use_case = ingested.use_case
        assert isinstance(use_case, TrainedUseCase)
        made, variant = as_variant(use_case, name), use_case.training.variants[name]
        module = variant_module(ingested.settings.use_cases / use_case.name, name, variant)
        requests = requests_of(made, tables, start, until, until)
        told = feature_rows(made, module, tables, requests).select(*variant.features)
        assert all(each.is_not_null().any() for each in told)
        return leaks_of(made, module, tables, requests, moments=3)

    return go


@pytest.fixture
def built_on() -> Callable[[Ingested, datetime, datetime], int]:
    """Takes a snapshot, a later one built on it, and the later one anew; says how many rows were taken over.

    The later two have the same bytes, or the test has failed.
    """

    def go(ingested: Ingested, early: datetime, late: datetime) -> int:
        use_case, lake, settings = ingested.use_case, ingested.lake, ingested.settings
        folder = settings.use_cases / use_case.name
        build_snapshot(use_case, lake, settings, early, anew=True)
        tables = load_tables(use_case, lake, late)
        past = reuse.find(lake, use_case, code_hash(folder), tables, late)
        assert past is not None
        assert past.until == early
        later = build_snapshot(use_case, lake, settings, late)
        assert later == build_snapshot(use_case, lake, settings, late, anew=True)
        module = features_module(folder)
        start = late - timedelta(days=use_case.split.history_days + use_case.split.fresh_days)
        requests = requests_of(use_case, tables, start, late, late)
        whole = feature_rows(use_case, module, tables, requests)
        for at in range(
            0, requests.height, max(requests.height // 5, 1)
        ):  # alone, as online, to the last bit
            alone = feature_rows(use_case, module, tables, requests[at : at + 1])
            assert alone.equals(whole.filter(entity=requests["entity"][at]))
        return reuse.rows_on(use_case, module, tables, requests, past)[1]

    return go
