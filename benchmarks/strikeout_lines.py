"""Forecasts of strikeouts held against every bookmaker's own last line, not only their consensus.

Of each pitcher counts the last snapshot before the announced first pitch, and in it every bookmaker that asks
for over and under, with its line nearest to even. Who has taken his prices down by then, as bookmakers do at
news, is left out: nobody could have bet at them. The market's chance is the bookmaker's own, less its margin
in proportion. Days are the clusters of the intervals.
"""

import os
from pathlib import Path

import numpy as np
import polars as pl

from pennant.decisions.lines import over
from pennant.features.market import american_probability
from pennant.training.clustered import clustered_mean
from pennant.training.losses import log_losses

TABLE = "player_props/mlb_strikeouts/strikeout_lines_2025.parquet"
PITCHER = ["pitcher_id", "game_date"]
ALPHA = 0.025
EASTERN = "America/New_York"


def last_lines() -> pl.DataFrame:
    """The last two-sided line of each bookmaker for each pitcher and day: `line`, `chance` of the over."""
    quotes = pl.read_parquet(Path(os.environ["PENNANT_DATA_MIRROR"]) / TABLE)
    quotes = quotes.drop_nulls(["pitcher_id", "over_odds", "under_odds"])
    quotes = quotes.filter(pl.col("snapshot_at") <= pl.col("game_time"))
    above, below = (
        american_probability(pl.col(f"{side}_odds").cast(pl.Float64)) for side in ("over", "under")
    )
    quotes = quotes.with_columns(
        pl.col("pitcher_id").cast(pl.String), pl.col("line").cast(pl.Float64), chance=above / (above + below)
    )
    one = [*PITCHER, "event_id", "book"]
    newest = quotes.filter(pl.col("snapshot_at") == pl.col("snapshot_at").max().over(PITCHER))
    near = (pl.col("chance") - 0.5).abs()
    return newest.sort(*one, near, "line").unique(one, keep="first", maintain_order=True)


def at_every_book(forecasts: pl.DataFrame) -> str:
    """A sentence with the log loss of forecasts and of the bookmakers at the bookmakers' lines.

    Args:
        forecasts: of `pennant backtest mlb_strikeouts --forecasts`.
    """
    day = pl.col("event_time").dt.convert_time_zone(EASTERN).dt.strftime("%Y-%m-%d")
    starts = forecasts.with_columns(
        pl.col("entity").str.split("-").list.last().alias("pitcher_id"), day.alias("game_date")
    )
    # Who pitches twice on a day is told apart by no line.
    starts = starts.filter(~pl.struct(PITCHER).is_duplicated())
    rows = last_lines().join(starts, on=PITCHER, how="inner", maintain_order="left")
    rows = rows.filter(pl.col("label") != pl.col("line"))
    names = [name for name in rows.columns if name.startswith("prediction_")]
    chances, line = rows.select(names).fill_null(0.0).to_numpy(), rows["line"].to_numpy()
    hit = (rows["label"] > rows["line"]).to_numpy().astype(np.float64)
    own = log_losses(hit, over(chances, line)[0])
    theirs = log_losses(hit, rows["chance"].to_numpy())
    days = rows["game_date"].str.to_date().to_numpy().astype("datetime64[D]")
    apart = clustered_mean(own - theirs, days, ALPHA)
    interval = "" if apart is None else f": {apart.mean:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}]"
    return (
        f"At every bookmaker's own two-sided line of the last snapshot ({rows.height:,} lines of "
        f"{rows['entity'].n_unique():,} starts) the log loss of the model is {own.mean():.4f}, that of the "
        f"bookmakers {theirs.mean():.4f}{interval}."
    )
