"""A use case's market as its declaration tells it: outcomes, limits, forecasts and prices as tables."""

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import polars as pl

from pennant.decisions.forecasts import of_classes, of_counts, of_two
from pennant.decisions.frames import MOMENT
from pennant.decisions.limits import Limits
from pennant.decisions.prices import Floats
from pennant.decisions.settle import Grading, Total, Winner
from pennant.declaration.model import DataUseCase, Market

BOOKMAKER = "declared"
"""Declared columns of prices do not say whose they are."""
_PRICES = pl.Schema(
    {
        "entity": pl.String(),
        "bookmaker": pl.String(),
        "outcome": pl.String(),
        "price": pl.Float64(),
        "quoted_at": MOMENT,
        "line": pl.Float64(),
    }
)


def outcomes_of(use_case: DataUseCase) -> list[str]:
    """Names of what can be bet on, in the order of the declared price columns."""
    if use_case.task == "multiclass":
        return list(use_case.label.classes)
    return ["over", "under"] if use_case.task == "count" else ["yes", "no"]


def gradings_of(use_case: DataUseCase) -> Mapping[str, Grading]:
    """How bets on the declared market are graded by the label."""
    if use_case.task == "count":
        return {"": Total()}
    names = outcomes_of(use_case)
    numbers = range(len(names)) if use_case.task == "multiclass" else (1, 0)
    return {"": Winner({name: float(number) for name, number in zip(names, numbers, strict=True)})}


def limits_of(market: Market) -> Limits:
    """The declared staking. Declared prices are what is on offer at the moment, so their age is not asked."""
    staking = market.staking
    return Limits(
        kelly_fraction=staking.kelly_fraction,
        per_bet=staking.per_bet,
        per_group=staking.per_group,
        per_day=staking.per_day,
        min_edge=staking.min_edge,
        max_price_age=timedelta(days=30),
    )


def forecasts_of(
    use_case: DataUseCase,
    about: pl.DataFrame,
    p: Floats,
    line: Floats | None = None,
    interval: tuple[Floats, Floats] | None = None,
) -> pl.DataFrame:
    """Forecasts of every outcome.

    Args:
        use_case: of a task with probabilities.
        about: (n rows) `entity`, `event_time`, `as_of`, `version`.
        p: predictions in the shape of the task; see `pennant.training.problem`.
        line: (n,) of a count; rows where it is NaN are left out.
        interval: ends of the probabilities' intervals, in the shape of p; None takes p itself.
    """
    low, high = interval or (p, p)
    names = outcomes_of(use_case)
    if use_case.task == "multiclass":
        return of_classes(about, p, low, high, names)
    if use_case.task == "count":
        asked = np.full(len(p), np.nan) if line is None else line
        at = ~np.isnan(asked)
        return of_counts(about.with_columns(pl.Series("line", asked)).filter(at), p[at])
    return of_two(about, p, low, high, (names[0], names[1]))


def prices_of(
    use_case: DataUseCase, about: pl.DataFrame, prices: Floats | None, quoted: str, line: Floats | None = None
) -> pl.DataFrame:
    """Prices of the rows that have all of them, of a count at the row's line.

    Args:
        use_case: names the outcomes.
        about: (n rows) with `entity` and the column `quoted`.
        prices: (n, outcomes) decimal, NaN where there is none; None gives an empty table.
        quoted: the column that says when these prices stood.
        line: (n,) of a count.
    """
    if prices is None:
        return pl.DataFrame(schema=_PRICES)
    whole = (prices > 1.0).all(axis=1)
    at = pl.lit(None, pl.Float64) if line is None else pl.Series("line", line).fill_nan(None)
    parts = [
        about.select(
            "entity",
            pl.lit(BOOKMAKER).alias("bookmaker"),
            pl.lit(name).alias("outcome"),
            pl.Series("price", prices[:, column]),
            pl.col(quoted).alias("quoted_at"),
            at.alias("line"),
        ).filter(whole)
        for column, name in enumerate(outcomes_of(use_case))
    ]
    return pl.concat(parts).cast(dict(_PRICES.items()))
