"""What bets on a walk forward's forecasts would have brought, at prices that were on offer."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from pennant.decisions.bankroll import equity
from pennant.decisions.closing import closing, with_closing_value
from pennant.decisions.declared import forecasts_of, gradings_of, limits_of, prices_of
from pennant.decisions.opportunities import opportunities
from pennant.decisions.searching import candidates, searched_record
from pennant.decisions.settle import settled
from pennant.decisions.words import verdict
from pennant.declaration.model import TrainedUseCase
from pennant.gate.walk import Period

EDGES = (0.0, 0.02, 0.05, 0.1)
"""Least edges that a reader of the record may be tempted to choose from: the verdict pays for all of them."""


@dataclass(frozen=True)
class Betting:
    """A betting record.

    Attributes:
        settled: the bets, see `pennant.decisions.settle.settled`.
        curve: the bankroll day by day.
        text: the verdict in words.
        numbers: the verdict's figures.
    """

    settled: pl.DataFrame
    curve: pl.DataFrame
    text: str
    numbers: dict[str, Any]


def bets_on(use_case: TrainedUseCase, periods: list[Period]) -> Betting | None:
    """Bet on the model's forecasts by the declared limits; None without declared prices or any on offer."""
    market = use_case.market
    if market is None or not market.price_columns:
        return None
    forecasts = pl.concat(
        [forecasts_of(use_case, _about(each), each.forecasts["model"].p, each.line) for each in periods]
    )
    prices = pl.concat(
        [prices_of(use_case, _about(each), each.prices, "as_of", each.line) for each in periods]
    )
    if prices.is_empty():
        return None
    limits = limits_of(market)
    asked = forecasts.join(prices.select("entity").unique(), on="entity", how="semi", maintain_order="left")
    found = opportunities(asked, prices, limits)
    delay = timedelta(hours=use_case.label.delay_hours)
    results = pl.concat([_results(each, delay) for each in periods])
    done = settled(found.rows, results, gradings_of(use_case), datetime(9999, 1, 1, tzinfo=UTC))
    if market.closing_columns:
        close = pl.concat(
            [prices_of(use_case, _about(each), each.closing, "event_time", each.line) for each in periods]
        )
        events = results.select("entity", "event_time")
        done = with_closing_value(done, closing(close, events, limits.devig))
    if done.is_empty():
        return Betting(done, equity(done), "No bet had an edge.", {"bets": 0})
    search = searched_record(done, candidates(done, ["outcome"], {"edge": EDGES}))
    judged = verdict(done, search)
    return Betting(done, equity(done), judged.text, judged.numbers())


def _about(period: Period) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "entity": period.entity,
            "event_time": pl.Series(period.event_time).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "as_of": pl.Series(period.moment).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "version": [period.name] * len(period.entity),
        }
    )


def _results(period: Period, delay: timedelta) -> pl.DataFrame:
    return _about(period).select(
        "entity",
        "event_time",
        (pl.col("event_time") + delay).alias("known_at"),
        pl.Series("value", period.y),
    )
