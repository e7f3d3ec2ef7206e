"""Betting on what was served: opportunities when a forecast is made, settlement when it is known what came.

Nothing here places a bet with anyone. `betting_opportunities` says what would have been worth one, at which
price and stake; `bet_history` says what became of those with a stake.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from sqlalchemy import DateTime, Double, Engine, Integer, Select, select

from pennant.data.lake import Lake
from pennant.decisions.closing import closing, with_closing_value
from pennant.decisions.declared import forecasts_of, gradings_of, limits_of, prices_of
from pennant.decisions.frames import MOMENT
from pennant.decisions.opportunities import opportunities
from pennant.decisions.prices import Floats
from pennant.decisions.record import record_opportunities, record_settled
from pennant.decisions.settle import results_of, settled
from pennant.decisions.words import Verdict, verdict
from pennant.declaration.model import Market, UseCase
from pennant.features.build import request_rows
from pennant.features.labels import labels
from pennant.reference import Window
from pennant.settings import Settings
from pennant.warehouse.tables import bet_history, betting_opportunities

_BASELINE = "baseline__"
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Placed:
    """What one scoring run found: forecasts that had prices, opportunities with a stake, and their rows.

    Attributes:
        priced: forecasts that were held against prices.
        new: opportunities that were not in the warehouse before.
        rows: those with a stake, largest first.
        reasons: why the other forecasts are no opportunity, with how many there are.
    """

    priced: int
    new: int
    rows: pl.DataFrame
    reasons: Mapping[str, int]


def place(
    use_case: UseCase, rows: pl.DataFrame, answers: Sequence[Mapping[str, Any]], warehouse: Engine
) -> Placed | None:
    """Hold served forecasts against the declared prices of their rows, and write down what is worth a bet.

    Bets that stand are counted against the caps, and a side is bet on once. Twice the same adds nothing.

    Args:
        use_case: the declaration.
        rows: requests as `features.build.request_rows` gives them, n rows.
        answers: what the serving app said of each, in the same order.
        warehouse: holds the bets that stand.

    Returns:
        None where the declaration names no prices.
    """
    market = use_case.market
    if market is None or not market.price_columns:
        return None
    if rows.is_empty():
        return Placed(0, 0, pl.DataFrame(), {})
    about = _about(rows).with_columns(pl.Series("version", [str(each["version"]) for each in answers]))
    line = _line(market, rows)
    prices = prices_of(use_case, about, _columns(rows, market.price_columns), "as_of", line)
    forecasts = forecasts_of(use_case, about, _said(use_case, answers), line, _interval(use_case, answers))
    asked = forecasts.join(prices.select("entity").unique(), on="entity", how="semi", maintain_order="left")
    if asked.is_empty():
        return Placed(0, 0, pl.DataFrame(), {})
    found = opportunities(asked, prices, limits_of(market), _standing(use_case.name, about, warehouse))
    new = record_opportunities(use_case.name, found.rows, warehouse)
    staked = found.rows.filter(pl.col("stake_share") > 0.0).sort("stake_share", descending=True)
    reasons = dict(found.left_out["reason"].value_counts().sort("reason").iter_rows())
    return Placed(asked["entity"].n_unique(), new, staked, reasons)


def settle_bets(
    use_case: UseCase, lake: Lake, settings: Settings, warehouse: Engine, as_of: datetime
) -> int | None:
    """Settle the bets whose result is known at `as_of`, with their closing-line value.

    Returns:
        How many are settled anew; None where the declaration names no prices.
    """
    market = use_case.market
    if market is None or not market.price_columns:
        return None
    bets = _bets(use_case.name, warehouse, as_of)
    if bets.is_empty():
        return 0
    results = results_of(labels(use_case, lake, as_of))
    done = settled(bets, results, gradings_of(use_case), as_of)
    if market.closing_columns and not done.is_empty():
        done = with_closing_value(done, _closing(use_case, market, lake, settings, done, as_of))
    return record_settled(use_case.name, done, warehouse)


def record_of(use_case: str, warehouse: Engine) -> Verdict:
    """The verdict on all settled bets of a use case, in words and numbers."""
    return verdict(_frame(warehouse, select(bet_history).where(bet_history.c.use_case == use_case)))


def _closing(
    use_case: UseCase, market: Market, lake: Lake, settings: Settings, bets: pl.DataFrame, as_of: datetime
) -> pl.DataFrame:
    """What the market thought last of the events of these bets."""
    first, last = bets["event_time"].min(), bets["event_time"].max()
    assert isinstance(first, datetime)  # noqa: S101 - bets are there, and moments
    assert isinstance(last, datetime)  # noqa: S101
    start = (first - _SECOND).replace(microsecond=0)
    rows = request_rows(use_case, lake, settings, Window(start, as_of.replace(microsecond=0)))
    rows = rows.filter(pl.col("entity").is_in(bets["entity"].implode()), pl.col("event_time") <= last)
    about = _about(rows)
    line = _line(market, rows)
    prices = prices_of(use_case, about, _columns(rows, market.closing_columns), "event_time", line)
    return closing(prices, about.select("entity", "event_time"), limits_of(market).devig)


def _about(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        "entity", pl.col("event_time").cast(MOMENT), pl.col("moment").cast(MOMENT).alias("as_of")
    )


def _columns(rows: pl.DataFrame, names: Sequence[str]) -> Floats:
    found = rows.select(pl.col(_BASELINE + name).cast(pl.Float64).fill_null(float("nan")) for name in names)
    return np.asarray(found.to_numpy(), dtype=np.float64)


def _line(market: Market, rows: pl.DataFrame) -> Floats | None:
    return None if market.line_column is None else _columns(rows, [market.line_column])[:, 0]


def _said(use_case: UseCase, answers: Sequence[Mapping[str, Any]]) -> Floats:
    """Predictions in the shape of the task, from what the serving app answered."""
    if use_case.task == "multiclass":
        names = use_case.label.classes
        made: list[Any] = [[each["probabilities"][name] for name in names] for each in answers]
    elif use_case.task == "count":
        made = _as_long([each["distribution"] for each in answers])
    else:
        made = [each["prediction"] for each in answers]
    return np.array(made, dtype=np.float64)


def _as_long(distributions: list[list[float]]) -> list[list[float]]:
    """Distributions of two versions may end at different counts; nothing is likely beyond an end."""
    longest = max(len(each) for each in distributions)
    return [[*each, *[0.0] * (longest - len(each))] for each in distributions]


def _interval(use_case: UseCase, answers: Sequence[Mapping[str, Any]]) -> tuple[Floats, Floats] | None:
    """Ends of the probabilities' intervals; None of a count, whose interval is one of counts."""
    if use_case.task == "count":
        return None
    names = use_case.label.classes if use_case.task == "multiclass" else []
    low, high = (
        np.array(
            [[each[end][name] for name in names] if names else each[end] for each in answers],
            dtype=np.float64,
        )
        for end in ("low", "high")
    )
    return low, high


def _standing(use_case: str, about: pl.DataFrame, warehouse: Engine) -> pl.DataFrame:
    """Bets that stand, but not those of these very questions: who asks again is told the same again."""
    table = betting_opportunities
    names = ("entity", "side", "group", "event_time", "stake_share", "as_of")
    asked = select(*(table.c[name] for name in names)).where(
        table.c.use_case == use_case, table.c.stake_share > 0
    )
    return _frame(warehouse, asked).join(about, on=["entity", "as_of"], how="anti", maintain_order="left")


def _bets(use_case: str, warehouse: Engine, as_of: datetime) -> pl.DataFrame:
    table = betting_opportunities
    asked = select(table).where(
        table.c.use_case == use_case, table.c.stake_share > 0, table.c.event_time <= as_of
    )
    found = _frame(warehouse, asked)
    return found.with_columns(pl.col("market").fill_null("")) if found.height else found


def _frame(warehouse: Engine, asked: Select[Any]) -> pl.DataFrame:
    with warehouse.connect() as connection:
        rows = [tuple(row) for row in connection.execute(asked)]
    schema = {column.name: _kind(column.type) for column in asked.selected_columns}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _kind(of: Any) -> Any:
    if isinstance(of, DateTime):
        return MOMENT
    return pl.Float64 if isinstance(of, Double) else pl.Int64 if isinstance(of, Integer) else pl.String
