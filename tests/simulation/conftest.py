"""The demo's declaration, and a warehouse for the engine that asks a simulated provider."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from pennant.declaration.loader import load
from pennant.declaration.model import DataUseCase
from pennant.settings import REPOSITORY


@pytest.fixture(scope="session")
def league_demo() -> DataUseCase:
    return load(REPOSITORY / "include/use_cases/league_demo")


@pytest.fixture(scope="module")
def warehouse(warehouse_url: str) -> Iterator[Engine]:
    from pennant.warehouse.engine import connect

    engine = connect(warehouse_url)
    yield engine
    engine.dispose()
