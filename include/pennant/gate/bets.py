"""What bets on a walk forward's forecasts would have brought, at prices that were on offer."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from pennant.decisions.bankroll import equity
from pennant.decisions.closing import closing, with_closing_value
from pennant.decisions.forecasts import of_classes, of_counts, of_two
from pennant.decisions.limits import Limits
from pennant.decisions.opportunities import opportunities
from pennant.decisions.searching import candidates, searched_record
from pennant.decisions.settle import Total, Winner, settled
from pennant.decisions.words import verdict
from pennant.declaration.model import TrainedUseCase
from pennant.gate.walk import Period

_MOMENT = pl.Datetime("us", "UTC")
_BOOKMAKER = "declared"
_SCHEMA = pl.Schema(
    {
        "entity": pl.String(),
        "bookmaker": pl.String(),
        "outcome": pl.String(),
        "price": pl.Float64(),
        "quoted_at": _MOMENT,
        "line": pl.Float64(),
    }
)
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
    outcomes = _outcomes(use_case)
    forecasts = pl.concat([_forecasts(use_case, each, outcomes) for each in periods], how="vertical")
    prices = pl.concat([_prices(each, each.prices, outcomes, "as_of") for each in periods])
    if prices.is_empty():
        return None
    staking = market.staking
    limits = Limits(
        kelly_fraction=staking.kelly_fraction,
        per_bet=staking.per_bet,
        per_group=staking.per_group,
        per_day=staking.per_day,
        min_edge=staking.min_edge,
        max_price_age=timedelta(days=30),  # the declared column says what is on offer at the moment
    )
    asked = forecasts.join(prices.select("entity").unique(), on="entity", how="semi", maintain_order="left")
    found = opportunities(asked, prices, limits)
    delay = timedelta(hours=use_case.label.delay_hours)
    results = pl.concat([_results(each, delay) for each in periods])
    gradings = {"": Total()} if use_case.task == "count" else {"": Winner(_labels(outcomes, use_case))}
    done = settled(found.rows, results, gradings, datetime(9999, 1, 1, tzinfo=UTC))
    if market.closing_columns:
        close = pl.concat([_prices(each, each.closing, outcomes, "event_time") for each in periods])
        events = results.select("entity", "event_time")
        done = with_closing_value(done, closing(close, events, limits.devig))
    if done.is_empty():
        return Betting(done, equity(done), "No bet had an edge.", {"bets": 0})
    search = searched_record(done, candidates(done, ["outcome"], {"edge": EDGES}))
    judged = verdict(done, search)
    return Betting(done, equity(done), judged.text, judged.numbers())


def _outcomes(use_case: TrainedUseCase) -> list[str]:
    if use_case.task == "multiclass":
        return list(use_case.label.classes)
    return ["over", "under"] if use_case.task == "count" else ["yes", "no"]


def _labels(outcomes: list[str], use_case: TrainedUseCase) -> dict[str, float]:
    numbers = range(len(outcomes)) if use_case.task == "multiclass" else (1, 0)
    return {name: float(number) for name, number in zip(outcomes, numbers, strict=True)}


def _about(period: Period) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "entity": period.entity,
            "event_time": pl.Series(period.event_time).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "as_of": pl.Series(period.moment).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "version": [period.name] * len(period.entity),
        }
    )


def _forecasts(use_case: TrainedUseCase, period: Period, outcomes: list[str]) -> pl.DataFrame:
    p, about = period.forecasts["model"].p, _about(period)
    if use_case.task == "multiclass":
        return of_classes(about, p, p, p, outcomes)
    if use_case.task == "count":
        line = np.full(len(p), np.nan) if period.line is None else period.line
        at = ~np.isnan(line)
        return of_counts(about.with_columns(pl.Series("line", line)).filter(at), p[at])
    return of_two(about, p, p, p, (outcomes[0], outcomes[1]))


def _prices(period: Period, prices: Any, outcomes: list[str], quoted: str) -> pl.DataFrame:
    """Prices of rows that have all of them; of a count at the row's line."""
    if prices is None:
        return pl.DataFrame(schema=_SCHEMA)
    whole = (prices > 1.0).all(axis=1)
    about = _about(period)
    line = pl.lit(None, pl.Float64) if period.line is None else pl.Series("line", period.line).fill_nan(None)
    parts = [
        about.select(
            "entity",
            pl.lit(_BOOKMAKER).alias("bookmaker"),
            pl.lit(name).alias("outcome"),
            pl.Series("price", prices[:, at]),
            pl.col(quoted).alias("quoted_at"),
            line.alias("line"),
        ).filter(whole)
        for at, name in enumerate(outcomes)
    ]
    return pl.concat(parts).cast(dict(_SCHEMA.items()))


def _results(period: Period, delay: timedelta) -> pl.DataFrame:
    return _about(period).select(
        "entity",
        "event_time",
        (pl.col("event_time") + delay).alias("known_at"),
        pl.Series("value", period.y),
    )
