"""Closing-line value: what a bet's price is worth by what the market thought last, before the event began.

The last prices know most, so a bet at a better price than they imply is a good one, whether it is won or
lost. That needs far fewer bets to show than profit does. What it does *not* show: that the closing prices are
right; where few people bet they need not be.
"""

import numpy as np
import polars as pl

from pennant.decisions.devig import Method
from pennant.decisions.frames import MARKET
from pennant.decisions.market import KEY, opinion, quotes, standing


def closing(
    prices: pl.DataFrame, events: pl.DataFrame, devig: Method, reference: tuple[str, ...] = ()
) -> pl.DataFrame:
    """What the bookmakers thought last, without their margin.

    Used to look back, so it asks when a price was quoted, not when it reached us.

    Args:
        prices: see `market.quotes`; prices quoted after the event's time are passed over.
        events: `entity`, `event_time`.
        devig: how the margin is taken out.
        reference: bookmakers that count; empty means all.

    Returns:
        `entity`, `event_time`, `market`, `line`, `outcome`, `close_probability`.
    """
    made = quotes(prices.drop("known_at", strict=False))
    moments = events.select("entity", pl.col("event_time").alias("as_of"))
    offers = standing(made, moments)
    found = opinion(offers, offers.select(*KEY, "outcome"), devig, reference)
    return found.select(
        *MARKET,
        "outcome",
        pl.col("as_of").alias("event_time"),
        pl.col("market_probability").alias("close_probability"),
    )


def with_closing_value(bets: pl.DataFrame, close: pl.DataFrame) -> pl.DataFrame:
    """Bets with their closing-line value; null where the market closed at another line, or without prices.

    - `clv_log`: ln(price * close_probability), and `clv_percent`: 100 (price * close_probability - 1). Of the
      price that was had, margin in it; a bet at the fair closing price has 0, one at the closing price with
      its margin loses that margin.
    - `move_log`: ln(close_probability / market_probability), how the market's own opinion moved since the
      bet; a bet at the close has 0, whatever the margin. Null if `bets` have no `market_probability`.

    Args:
        bets: `entity`, `event_time`, `market`, `line`, `outcome`, `price`.
        close: from `closing`.
    """
    found = bets.join(
        close, on=[*MARKET, "outcome", "event_time"], how="left", nulls_equal=True, maintain_order="left"
    )
    worth = pl.col("price") * pl.col("close_probability")
    before = (
        pl.col("market_probability") if "market_probability" in bets.columns else pl.lit(None, pl.Float64)
    )
    return found.with_columns(
        worth.log(np.e).alias("clv_log"),
        (100.0 * (worth - 1.0)).alias("clv_percent"),
        (pl.col("close_probability") / before).log(np.e).alias("move_log"),
    )
