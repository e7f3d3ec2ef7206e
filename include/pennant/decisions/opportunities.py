"""Bets worth making: forecasts against prices, with the reason for every one that is left out."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pennant.decisions import kelly
from pennant.decisions.errors import ProbabilityError
from pennant.decisions.frames import MOMENT, Columns, Optional, refuse_duplicates, taken
from pennant.decisions.limits import Exposure, Limits, capped, risk_classes
from pennant.decisions.market import KEY, opinion, quotes, standing
from pennant.decisions.prices import Floats
from pennant.decisions.value import expected_value, variance

_NEEDED: Columns = {
    "entity": pl.String,
    "event_time": MOMENT,
    "as_of": MOMENT,
    "version": pl.String,
    "outcome": pl.String,
    "probability": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
_OPTIONAL: Optional = {
    "market": (pl.String, ""),
    "line": (pl.Float64, None),
    "decided": (pl.Float64, 1.0),
    "group": (pl.String, None),
}


@dataclass(frozen=True, eq=False)
class Opportunities:
    """Bets worth making, and forecasts that are none.

    Attributes:
        rows: one per opportunity; `stake_share` is 0 where a cap leaves no room.
        left_out: one per forecast without one, with its `reason`: `begun`, `no price`, `stale price`,
            `no whole market`, `no edge` or `already placed`.
    """

    rows: pl.DataFrame
    left_out: pl.DataFrame


def side() -> pl.Expr:
    """How a bet is named in the warehouse: market, outcome and line, those that there are."""
    line = pl.col("line").map_elements(lambda each: f"{each:g}", return_dtype=pl.String)
    return pl.concat_str(
        pl.when(pl.col("market") != "").then(pl.col("market")),
        "outcome",
        line,
        separator=" ",
        ignore_nulls=True,
    )


def opportunities(
    forecasts: pl.DataFrame, prices: pl.DataFrame, limits: Limits, placed: pl.DataFrame | None = None
) -> Opportunities:
    """Hold forecasts against the best prices that were known at their moment.

    The edge is the expected profit per unit at the best price offered; the stake is the Kelly stake over the
    market's outcomes that have an edge, times the fraction, under the caps. Moments are taken in order of
    time and a side is bet on once, at the first one with a stake. Days of the caps are UTC days of the
    events.

    Args:
        forecasts: `entity`, `event_time`, `as_of`, `version`, `outcome`, `probability`, `low`, `high`, and
            where they matter `market`, `line`, `decided` (see `value`) and `group` (what the bet is
            correlated with; the entity if not given). All outcomes of a market, which sum to 1.
        prices: see `market.quotes`.
        limits: what is declared.
        placed: bets that stand: `entity`, `side`, `group`, `event_time`, `stake_share`.

    Raises:
        ColumnsError: columns that are missing or empty.
        DuplicateError: two forecasts, or two prices, of one thing.
        PriceError: a price of 1 or less, or infinite.
        ProbabilityError: probabilities outside their interval, or that do not sum to 1.
    """
    asked = _forecasts(forecasts)
    offers = standing(quotes(prices), asked)
    judged = _judged(asked, offers, limits)
    worth = judged.filter(pl.col("reason").is_null()).sort("as_of", *KEY[1:], "outcome", nulls_last=True)
    staked = _staked(worth.with_columns(pl.Series("kelly", _kelly(worth, limits))), limits, placed)
    repeated = pl.col("stake_share").is_null()
    again = staked.filter(repeated).with_columns(pl.lit("already placed").alias("reason"))
    none = pl.concat([judged.filter(pl.col("reason").is_not_null()), again.select(judged.columns)])
    rows = staked.filter(~repeated).drop("reason")
    varying = variance(*(rows[name].to_numpy() for name in ("probability", "price", "decided")))
    classes = risk_classes(rows["stake_share"].to_numpy(), varying, limits.risk)
    return Opportunities(rows.with_columns(pl.Series("risk", classes, dtype=pl.String)), none)


def _forecasts(forecasts: pl.DataFrame) -> pl.DataFrame:
    made = taken("forecasts", forecasts, _NEEDED, _OPTIONAL, nullable=["line", "group"])
    made = made.with_columns(pl.col("group").fill_null(pl.col("entity")), side().alias("side"))
    refuse_duplicates("forecasts", made, [*KEY, "outcome"])
    p, low, high, decided = (made[name].to_numpy() for name in ("probability", "low", "high", "decided"))
    outside = ~((low >= 0.0) & (low <= p) & (p <= high) & (high <= 1.0))
    _refuse("the probability of a forecast", outside, p, "between low and high, both from 0 to 1")
    _refuse("decided", ~((decided >= 0.0) & (decided <= 1.0)), decided, "a share from 0 to 1")
    total = made.select(pl.col("probability").sum().over(KEY)).to_series().to_numpy()
    _refuse("the outcomes of a market", np.abs(total - 1.0) > 1e-6, total, "all outcomes, summing to 1")
    return made


def _judged(asked: pl.DataFrame, offers: pl.DataFrame, limits: Limits) -> pl.DataFrame:
    """Forecasts with price and edge, and the `reason` where there is no bet (null where there is one)."""
    age = pl.col("as_of") - pl.col("quoted_at")
    fresh = offers.filter(age <= limits.max_price_age)
    best = fresh.sort("price", "bookmaker", descending=[True, False]).unique(
        [*KEY, "outcome"], keep="first", maintain_order=True
    )
    thinks = opinion(fresh, asked, limits.devig, limits.reference)
    any_price = offers.select(*KEY, "outcome").unique().with_columns(pl.lit(value=True).alias("priced"))
    found = asked
    for other in (best, thinks, any_price):
        found = found.join(other, on=[*KEY, "outcome"], how="left", nulls_equal=True, maintain_order="left")
    price, decided = found["price"].to_numpy(), found["decided"].to_numpy()
    edges = {"probability": "edge", "low": "edge_low", "high": "edge_high"}
    found = found.with_columns(
        pl.Series(name, expected_value(found[chance].to_numpy(), price, decided)).fill_nan(None)
        for chance, name in edges.items()
    )
    reason = (
        pl.when(pl.col("as_of") >= pl.col("event_time")).then(pl.lit("begun"))
        .when(pl.col("priced").is_null()).then(pl.lit("no price"))
        .when(pl.col("price").is_null()).then(pl.lit("stale price"))
        .when(pl.col("market_probability").is_null()).then(pl.lit("no whole market"))
        .when(pl.col("edge") <= limits.min_edge).then(pl.lit("no edge"))
    )  # fmt: skip
    return found.with_columns(reason.alias("reason")).drop("priced")


def _kelly(worth: pl.DataFrame, limits: Limits) -> Floats:
    """Full Kelly stakes over the outcomes of each market that have an edge; rows in order of the market."""
    if worth.is_empty():
        return np.zeros(0)
    market = worth.select(pl.struct(KEY).rle_id()).to_series().to_numpy()
    first = np.flatnonzero(np.diff(market, prepend=-1))
    place = np.arange(len(market)) - first[market]
    chance, price = np.full((2, len(first), int(place.max()) + 1), np.nan)
    chance[market, place] = worth[limits.stake_on].to_numpy()
    price[market, place] = worth["price"].to_numpy()
    return np.asarray(kelly.exclusive(chance, price)[market, place], dtype=np.float64)


def _staked(worth: pl.DataFrame, limits: Limits, placed: pl.DataFrame | None) -> pl.DataFrame:
    """Stakes under the caps, moment by moment; null where the side is bet on already."""
    standing_, sides = Exposure(), set()
    for row in _placed(placed).iter_rows(named=True):
        standing_.add(row["stake_share"], row["group"], row["event_time"].date())
        sides.add((row["entity"], row["side"]))
    stakes: list[float | None] = []
    for _, part in worth.group_by("as_of", maintain_order=True):
        keys = list(zip(part["entity"], part["side"], strict=True))
        wish = limits.kelly_fraction * part["kelly"].to_numpy()
        open_ = np.array([key not in sides for key in keys])
        groups, days = part["group"].to_list(), part["event_time"].dt.date().to_list()
        given = capped(np.where(open_, wish, 0.0), groups, days, limits, standing_)
        for at, stake in enumerate(given):
            stakes.append(float(stake) if open_[at] else None)
            if stake > 0.0:
                standing_.add(float(stake), groups[at], days[at])
                sides.add(keys[at])
    return worth.with_columns(pl.Series("stake_share", stakes, dtype=pl.Float64))


def _placed(placed: pl.DataFrame | None) -> pl.DataFrame:
    wanted: Columns = {
        "entity": pl.String,
        "side": pl.String,
        "group": pl.String,
        "event_time": MOMENT,
        "stake_share": pl.Float64,
    }
    if placed is None:
        return pl.DataFrame(schema=wanted)
    return taken("placed bets", placed, wanted, {}).filter(pl.col("stake_share") > 0.0)


def _refuse(
    what: str, wrong: np.ndarray[tuple[int], np.dtype[np.bool_]], values: Floats, allowed: str
) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ProbabilityError(what, row, float(values[row]), allowed)
