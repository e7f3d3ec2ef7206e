"""A champion of an earlier declaration is served by inputs of its own."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.features.build import request_rows
from pennant.features.errors import FeaturesMismatch
from pennant.gate.retired import as_taken
from pennant.reference import Window
from pennant.settings import REPOSITORY, Settings
from pennant_serving.contract import matrix
from pennant_serving.manifest import Input

AS_OF = datetime(2025, 1, 20, tzinfo=UTC)
DAY = Window(AS_OF - timedelta(days=1), AS_OF)
GONE = {"name": "weekday", "unit": "day", "low": 1, "high": 7, "missing": "refuse", "dtype": "float64"}
GIVING = """

def retired(view):
    return view.requests.select("entity", weekday=pl.col("event_time").dt.weekday().cast(pl.Float64))
"""


@pytest.fixture
def moved(tmp_path: Path) -> Settings:
    """An installation whose use cases can be changed."""
    shutil.copytree(REPOSITORY / "include" / "use_cases" / "league_demo", tmp_path / "cases" / "league_demo")
    return Settings(home=tmp_path, use_cases=tmp_path / "cases")


@pytest.fixture
def rows(
    land: Callable[..., None], short_league: pl.DataFrame, league_demo: UseCase, lake: Lake, moved: Settings
) -> pl.DataFrame:
    land(league_demo, short_league, Window(datetime(2024, 12, 1, tzinfo=UTC), AS_OF))
    return request_rows(league_demo, lake, moved, DAY)


def contract_of(use_case: UseCase, *without: str) -> list[dict[str, Any]]:
    """What a serving app says that its models take."""
    inputs = [
        Input(name=name, dtype="float64", **each.model_dump())
        for name, each in use_case.features.items()
        if name not in without
    ]
    return [each.model_dump() for each in inputs]


def findings(rows: pl.DataFrame, names: list[str], contract: list[dict[str, Any]]) -> list[str]:
    """What the serving app says of such requests."""
    inputs = [Input.model_validate(each) for each in contract]
    asked = [(at, row) for at, row in enumerate(rows.select(names).iter_rows(named=True))]
    return [each.field for each in matrix(asked, inputs, {each.name: each for each in inputs})[1]]


def test_inputs_that_only_the_champion_takes_are_sent_as_it_knows_them(
    rows: pl.DataFrame, league_demo: UseCase, lake: Lake, moved: Settings
) -> None:
    module = moved.use_cases / "league_demo" / "features.py"
    module.write_text(module.read_text() + GIVING)
    contract = [*contract_of(league_demo), GONE]
    made, names = as_taken(league_demo, rows, contract, lake, moved, AS_OF)
    assert made["weekday"].to_list() == made["event_time"].dt.weekday().to_list()
    assert made.drop("weekday").equals(rows)
    assert findings(made, names, contract) == []
    assert set(findings(rows, list(league_demo.features), contract)) == {"features.weekday"}


def test_a_feature_that_no_served_model_knows_yet_is_not_sent(
    rows: pl.DataFrame, league_demo: UseCase, lake: Lake, moved: Settings
) -> None:
    newest = list(league_demo.features)[-1]
    contract = contract_of(league_demo, newest)
    made, names = as_taken(league_demo, rows, contract, lake, moved, AS_OF)
    assert findings(made, names, contract) == []
    assert set(findings(rows, list(league_demo.features), contract)) == {f"features.{newest}"}


def test_inputs_that_nobody_gives_are_named(
    rows: pl.DataFrame, league_demo: UseCase, lake: Lake, moved: Settings
) -> None:
    with pytest.raises(FeaturesMismatch) as caught:
        as_taken(league_demo, rows, [*contract_of(league_demo), GONE], lake, moved, AS_OF)
    assert (caught.value.function, caught.value.expected) == ("retired", ["weekday"])
