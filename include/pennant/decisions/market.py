"""What can be had from the bookmakers at a moment, and what they think together.

A bookmaker's offer on a market is what it quoted last, as far as that was known: lines it quoted before and
no longer does are withdrawn.
"""

import numpy as np
import polars as pl

from pennant.decisions.devig import Method, fair
from pennant.decisions.frames import MARKET, MOMENT, Columns, Optional, refuse_duplicates, taken
from pennant.decisions.prices import checked, overround

KEY = ["as_of", *MARKET]
_NEEDED: Columns = {
    "entity": pl.String,
    "bookmaker": pl.String,
    "outcome": pl.String,
    "price": pl.Float64,
    "quoted_at": MOMENT,
}


def quotes(prices: pl.DataFrame) -> pl.DataFrame:
    """Check a table of prices.

    Args:
        prices: `entity`, `bookmaker`, `outcome`, `price` (decimal), `quoted_at` (UTC), and where they matter
            `market` (h2h, totals, ...), `line` (the same number on all sides of a market; of a handicap, the
            home side's) and `known_at` (when the price reached us; `quoted_at` if not given).

    Raises:
        ColumnsError: columns that are missing or empty.
        PriceError: a price of 1 or less, or infinite.
        DuplicateError: two prices of one bookmaker for the same thing at the same moment.
    """
    optional: Optional = {"market": (pl.String, ""), "line": (pl.Float64, None), "known_at": (MOMENT, None)}
    made = taken("prices", prices, _NEEDED, optional, nullable=["line", "known_at"])
    checked(made["price"].to_numpy())
    refuse_duplicates("prices", made, [*MARKET, "bookmaker", "outcome", "quoted_at", "known_at"])
    return made.with_columns(pl.max_horizontal("known_at", "quoted_at"))


def standing(made: pl.DataFrame, moments: pl.DataFrame) -> pl.DataFrame:
    """What every bookmaker offers at each moment, as far as it was known then.

    Args:
        made: from `quotes`.
        moments: `entity`, `as_of`.

    Returns:
        `as_of`, `entity`, `market`, `line`, `bookmaker`, `outcome`, `price`, `quoted_at`.
    """
    asked = moments.select("entity", "as_of").unique(maintain_order=True)
    known = made.join(asked, on="entity", how="inner").filter(pl.col("known_at") <= pl.col("as_of"))
    offer = ["as_of", "entity", "market", "bookmaker"]
    last = known.filter(pl.col("quoted_at") == pl.col("quoted_at").max().over(offer))
    # Known twice (a provider asked twice): what was heard last holds.
    heard = last.sort("known_at").unique([*KEY, "bookmaker", "outcome"], keep="last", maintain_order=True)
    return heard.select(*KEY, "bookmaker", "outcome", "price", "quoted_at").sort(
        *KEY, "bookmaker", "outcome", nulls_last=True
    )


def opinion(
    offers: pl.DataFrame, outcomes: pl.DataFrame, devig: Method, reference: tuple[str, ...] = ()
) -> pl.DataFrame:
    """What the bookmakers think together: the mean of their probabilities without the margin.

    A bookmaker counts where it quotes every outcome; of a part the margin cannot be told.

    Args:
        offers: from `standing`.
        outcomes: outcomes that can happen, `KEY` and `outcome`; those that any bookmaker quotes are added.
        devig: how the margin is taken out.
        reference: bookmakers that count; empty means all.

    Returns:
        `KEY`, `outcome`, `market_probability` (sums to 1 in a market), `overround` (mean), `books`.
    """
    whole = pl.concat([outcomes.select(*KEY, "outcome"), offers.select(*KEY, "outcome")]).unique()
    size = whole.group_by(KEY).agg(pl.len().alias("size"))
    counted = offers.filter(pl.col("bookmaker").is_in(list(reference))) if reference else offers
    counted = counted.join(size, on=KEY, how="inner", nulls_equal=True)
    counted = counted.filter(pl.len().over([*KEY, "bookmaker"]) == pl.col("size"), pl.col("size") > 1)
    parts = [_taken_out(part, devig) for (_,), part in counted.group_by(["size"])]
    if not parts:
        empty = {"market_probability": pl.Float64, "overround": pl.Float64, "books": pl.UInt32}
        return outcomes.clear().select(
            *KEY, "outcome", *(pl.lit(0, kind).alias(n) for n, kind in empty.items())
        )
    found = (
        pl.concat(parts)
        .group_by(*KEY, "outcome")
        .agg(
            pl.col("fair").mean().alias("market_probability"),
            pl.col("overround").mean(),
            pl.len().cast(pl.UInt32).alias("books"),
        )
    )
    return found.sort(*KEY, "outcome", nulls_last=True)


def _taken_out(part: pl.DataFrame, devig: Method) -> pl.DataFrame:
    ordered = part.sort(*KEY, "bookmaker", "outcome", nulls_last=True)
    prices = ordered["price"].to_numpy().reshape(-1, int(ordered["size"][0]))
    margin = np.repeat(overround(prices), prices.shape[1])
    return ordered.select(*KEY, "outcome").with_columns(
        pl.Series("fair", fair(prices, devig).ravel()), pl.Series("overround", margin)
    )
