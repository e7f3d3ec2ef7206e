"""Bets on what was served: asked twice it is written once; two versions may answer one window."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine, func, select

from pennant.declaration.loader import load
from pennant.declaration.model import Market, UseCase
from pennant.settings import REPOSITORY
from pennant.training.members.distributions import poisson
from pennant.warehouse.tables import betting_opportunities
from pennant.watch import bets

EVENT = datetime(2024, 5, 1, 20, tzinfo=UTC)
MOMENT = pl.Datetime("us", "UTC")


def declared(name: str, **market: str) -> UseCase:
    priced = Market(probability_column="said", price_columns=["first", "second"], **market)
    return load(REPOSITORY / "include" / "use_cases" / name).model_copy(update={"market": priced})


@pytest.fixture(scope="module")
def strikeouts() -> UseCase:
    return declared("mlb_strikeouts", line_column="line")


@pytest.fixture(scope="module")
def games() -> UseCase:
    return declared("league_demo")


def requests(entities: list[str], hours_ahead: float = 1.0) -> pl.DataFrame:
    moment = EVENT - timedelta(hours=hours_ahead)
    columns: dict[str, Any] = {"entity": entities, "event_time": EVENT, "moment": moment}
    prices = {"baseline__line": 4.5, "baseline__first": 2.2, "baseline__second": 1.75}
    return pl.DataFrame({**columns, **prices}).cast({"event_time": MOMENT, "moment": MOMENT})


def counted(version: str, most: int) -> dict[str, Any]:
    said = poisson(np.array([6.0]), most)[0].tolist()
    return {"version": version, "prediction": 6.0, "low": 2.0, "high": 10.0, "distribution": said}


def likely(version: str = "7") -> dict[str, Any]:
    return {"version": version, "prediction": 0.6, "low": 0.5, "high": 0.7}


def written(warehouse: Engine) -> int:
    with warehouse.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(betting_opportunities)).scalar_one())


def test_a_run_that_is_repeated_says_the_same_and_writes_nothing_more(
    games: UseCase, warehouse: Engine
) -> None:
    """The first run may have died between the writing and the telling."""
    rows, answers = requests(["a", "b"]), [likely(), likely()]
    first = bets.place(games, rows, answers, warehouse)
    again = bets.place(games, rows, answers, warehouse)
    assert first is not None
    assert again is not None
    assert first.rows.height == 2
    assert again.rows.equals(first.rows)
    assert (first.new, again.new, written(warehouse)) == (2, 0, 2)


def test_a_side_that_was_bet_on_earlier_is_not_bet_on_again(games: UseCase, warehouse: Engine) -> None:
    bets.place(games, requests(["a"], hours_ahead=5), [likely()], warehouse)
    later = bets.place(games, requests(["a"]), [likely()], warehouse)
    assert later is not None
    assert (later.rows.height, later.reasons["already placed"], written(warehouse)) == (0, 1, 1)


def test_a_canary_whose_counts_end_elsewhere_is_priced_beside_the_champion(
    strikeouts: UseCase, warehouse: Engine
) -> None:
    rows = requests(["a", "b", "c"])
    together = bets.place(strikeouts, rows, [counted("1", 24), counted("2", 30), counted("1", 24)], warehouse)
    assert together is not None
    assert together.priced == 3
    over = together.rows.filter(pl.col("side") == "over 4.5").sort("entity")["probability"].to_list()
    assert over == pytest.approx([1 - poisson(np.array([6.0]), 30)[0][:5].sum()] * 3, abs=1e-6)
