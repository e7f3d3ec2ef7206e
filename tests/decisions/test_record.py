"""The warehouse holds each opportunity and each bet once, by the newest news."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from sqlalchemy import Engine, select

from pennant.decisions.record import record_opportunities, record_settled
from pennant.warehouse.engine import connect
from pennant.warehouse.tables import bet_history, betting_opportunities

START = datetime(2031, 3, 1, 20, tzinfo=UTC)


@pytest.fixture
def warehouse(new_warehouse: Callable[[], str]) -> Iterator[Engine]:
    engine = connect(new_warehouse())
    yield engine
    engine.dispose()


def settled_as(result: str, hours: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "entity": "g1",
            "side": "h2h home",
            "stake_share": 0.01,
            "market_probability": 0.5,
            "result": result,
            "profit_share": {"won": 0.01, "lost": -0.01}.get(result, 0.0),
            "settled_at": START + timedelta(hours=hours),
            "price": 2.0,
        }
    )


def history(engine: Engine) -> list[tuple[str, float]]:
    with engine.connect() as connection:
        query = select(bet_history.c.result, bet_history.c.profit_share)
        return [(each.result, each.profit_share) for each in connection.execute(query)]


def test_an_opportunity_is_written_once(warehouse: Engine, played: Callable[..., pl.DataFrame]) -> None:
    rows = played(1, 0.5, days=4)
    assert record_opportunities("games", rows, warehouse) == rows.height > 0
    assert record_opportunities("games", rows, warehouse) == 0
    assert record_opportunities("other games", rows, warehouse) == rows.height
    with warehouse.connect() as connection:
        query = select(betting_opportunities).where(betting_opportunities.c.use_case == "games")
        kept = {each.entity: each.edge for each in connection.execute(query)}
    assert kept == dict(rows.select("entity", "edge").iter_rows())


def test_settled_bets_are_written_once(warehouse: Engine, played: Callable[..., pl.DataFrame]) -> None:
    bets = played(1, 0.5, days=4)
    assert record_settled("games", bets, warehouse) == bets.height > 0
    assert record_settled("games", bets, warehouse) == 0
    assert sum(profit for _, profit in history(warehouse)) == pytest.approx(bets["profit_share"].sum())


def test_later_news_replaces_earlier_and_never_the_other_way_round(warehouse: Engine) -> None:
    assert record_settled("games", settled_as("postponed", 1), warehouse) == 1
    assert record_settled("games", settled_as("lost", 24), warehouse) == 1
    assert record_settled("games", settled_as("postponed", 1), warehouse) == 0
    assert history(warehouse) == [("lost", -0.01)]
    assert record_settled("games", settled_as("won", 30), warehouse) == 1
    assert history(warehouse) == [("won", 0.01)]


def test_nothing_to_write_writes_nothing(warehouse: Engine) -> None:
    assert record_settled("games", settled_as("won", 3)[:0], warehouse) == 0
