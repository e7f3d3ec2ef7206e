"""A warehouse of its own per test, and the simulated league's declaration."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pennant.declaration.loader import load
from pennant.declaration.model import UseCase
from pennant.warehouse.engine import connect

USE_CASES = Path(__file__).parents[2] / "include" / "use_cases"


@pytest.fixture
def warehouse(new_warehouse: Callable[[], str]) -> Iterator[Engine]:
    engine = connect(new_warehouse())
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def league() -> UseCase:
    return load(USE_CASES / "league_demo")
