"""Betting on what was served, on real prices: written once, settled by the score, measured by the close."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import Engine, text

from pennant.declaration.model import UseCase
from pennant.features.build import request_rows
from pennant.reference import Window
from pennant.warehouse.engine import connect
from pennant.watch import bets

from .conftest import Ingested, year_windows

START, MOMENT = datetime(2023, 8, 31, tzinfo=UTC), datetime(2023, 9, 3, tzinfo=UTC)
LATER = datetime(2023, 9, 10, tzinfo=UTC)
OUTCOMES = ("H", "D", "A")


@pytest.fixture(scope="module")
def epl(ingest: Callable[[str, Sequence[Window]], Ingested]) -> Ingested:
    """Two seasons, fetched twice a week about the weekend that is bet on."""
    edges = [datetime(2023, 7, 1, tzinfo=UTC), START, MOMENT, LATER]
    return ingest(
        "epl_matches",
        [*year_windows(2022, 2023, month=7), *(Window(*pair) for pair in pairwise(edges))],
    )


@pytest.fixture(scope="module")
def rows(epl: Ingested) -> pl.DataFrame:
    """The matches of one weekend as they were asked for."""
    return request_rows(epl.use_case, epl.lake, epl.settings, Window(START, MOMENT))


@pytest.fixture
def warehouse(new_warehouse: Callable[[], str]) -> Iterator[Engine]:
    engine = connect(new_warehouse())
    yield engine
    engine.dispose()


def answers(rows: pl.DataFrame, favourite: str, by: float) -> list[dict[str, Any]]:
    """What the market thinks, with `by` more for one outcome."""
    said = []
    for row in rows.iter_rows(named=True):
        p = np.array([1.0 / row[f"baseline__price_{name}"] for name in ("home", "draw", "away")])
        p = p / p.sum() + np.where(np.array(OUTCOMES) == favourite, by, 0.0)
        p /= p.sum()
        ends = {"probabilities": p, "low": p - 0.02, "high": p + 0.02}
        told = {name: dict(zip(OUTCOMES, values, strict=True)) for name, values in ends.items()}
        said.append({"version": "3", **told})
    return said


def table(warehouse: Engine, name: str) -> list[dict[str, Any]]:
    with warehouse.connect() as connection:
        return [dict(row) for row in connection.execute(text(f"SELECT * FROM {name} ORDER BY id")).mappings()]


def test_a_model_that_thinks_what_the_market_thinks_finds_nothing(
    epl: Ingested, rows: pl.DataFrame, warehouse: Engine
) -> None:
    found = bets.place(whole(epl), rows, answers(rows, "H", 0.0), warehouse)
    assert found is not None
    assert found.priced == rows.height
    assert found.rows.is_empty()
    assert found.reasons == {"no edge": 3 * rows.height}
    assert table(warehouse, "betting_opportunities") == []


def whole(epl: Ingested) -> UseCase:
    return epl.use_case  # type: ignore[return-value]  # what bets read of it is all there


def test_what_is_worth_a_bet_is_written_once_and_settled_by_the_score(
    epl: Ingested, rows: pl.DataFrame, warehouse: Engine
) -> None:
    said = answers(rows, "H", 0.15)
    found = bets.place(whole(epl), rows, said, warehouse)
    assert found is not None
    assert found.new == found.rows.height > 5
    assert set(found.rows["outcome"]) == {"H"}
    assert (found.rows["high"] - found.rows["low"]).to_list() == pytest.approx([0.04] * found.rows.height)
    written = table(warehouse, "betting_opportunities")
    again = bets.place(whole(epl), rows, said, warehouse)
    assert again is not None
    assert again.new == 0
    assert table(warehouse, "betting_opportunities") == written
    staked = sum(each["stake_share"] for each in written)
    assert staked <= 3 * whole(epl).market.staking.per_day + 1e-9  # three days of matches

    assert bets.settle_bets(whole(epl), epl.lake, epl.settings, warehouse, START) == 0  # nothing is known
    settled = bets.settle_bets(whole(epl), epl.lake, epl.settings, warehouse, LATER)
    assert settled == found.rows.height
    assert bets.settle_bets(whole(epl), epl.lake, epl.settings, warehouse, LATER) == 0
    results = {row["match_id"]: row["FTR"] for row in _results(epl).iter_rows(named=True)}
    prices = {row["entity"]: row["baseline__price_home"] for row in rows.iter_rows(named=True)}
    for bet in table(warehouse, "bet_history"):
        won = results[bet["entity"]] == "H"
        assert bet["result"] == ("won" if won else "lost")
        gain = prices[bet["entity"]] - 1.0 if won else -1.0
        assert bet["profit_share"] == pytest.approx(bet["stake_share"] * gain)
        assert bet["clv_percent"] is not None
    record = bets.record_of("epl_matches", warehouse)
    assert record.bets == settled
    assert record.code == "too_few_bets"


def _results(epl: Ingested) -> pl.DataFrame:
    return epl.versions("matches", "result").unique("match_id", keep="last", maintain_order=True)
