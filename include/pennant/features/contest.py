"""Blocks for contests: lags, streaks, form by the strength of opponents, meetings of two, full calendars.

All work through rows of `blocks.sides` in the order of knowing; each row's value counts the row itself, and a
join as of a moment leaves out what was not known then. So what comes later changes nothing before it.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

SECONDS_PER_DAY = 86_400.0
EARTH_KM = 6371.0088
"""Mean radius of the Earth (IUGG)."""


def lag(rows: pl.DataFrame, value: pl.Expr, events: int) -> pl.DataFrame:
    """Timeline of the value of an entity's row `events` rows ago; 0 is its newest known one."""
    return _timeline(rows, value.cast(pl.Float64).shift(events).over("entity"))


def streak(rows: pl.DataFrame, score: str) -> pl.DataFrame:
    """Timeline of an entity's run of results: 3 after three wins, -2 after two losses, 0 after a tie.

    Args:
        rows: of `blocks.sides` with the score and `<score>_against`; a null is no result and is passed over.
        score: name of the score.
    """
    played = rows.drop_nulls([score, f"{score}_against"])
    result = (pl.col(score) - pl.col(f"{score}_against")).sign().cast(pl.Int64)
    named = played.with_columns(result.alias("_result"))
    named = named.with_columns(pl.col("_result").rle_id().over("entity").alias("_run"))
    length = pl.int_range(1, pl.len() + 1).over("entity", "_run")
    return _timeline(named, (pl.col("_result") * length).cast(pl.Float64))


def adjusted_form(rows: pl.DataFrame, score: str, strength: pl.DataFrame, half_life: float) -> pl.DataFrame:
    """Timeline of an entity's decayed margin, each game's plus the strength its opponent was known to have.

    Args:
        rows: of `blocks.sides` with `opponent`, the score and `<score>_against`.
        score: name of the score.
        strength: timeline of each entity's strength in points, `entity`, `known_at`, `value`.
        half_life: a row this many rows ago counts half as much.
    """
    # What was known of the opponent when the game began, not what this game then told of it.
    asked = rows.with_row_index("_row").select("_row", pl.col("opponent").alias("entity"), "event_time")
    known = strength.sort("known_at", maintain_order=True)
    met = asked.sort("event_time", maintain_order=True).join_asof(
        known.select("entity", "known_at", "value"),
        left_on="event_time",
        right_on="known_at",
        by="entity",
        strategy="backward",
        check_sortedness=False,  # both sorted just above
    )
    against = met.sort("_row")["value"].fill_null(0.0)
    margin = (pl.col(score) - pl.col(f"{score}_against")).cast(pl.Float64) + pl.Series("_met", against)
    named = rows.with_columns(margin.alias("_margin"))
    decayed = pl.col("_margin").ewm_mean(half_life=half_life, ignore_nulls=True).over("entity")
    return _timeline(named, decayed)


def head_to_head(rows: pl.DataFrame, score: str) -> pl.DataFrame:
    """Timeline of the mean margin of one side against one other, over all their meetings so far.

    The entity is `<side> v <opponent>`; ask for it with `pair("home_team", "away_team")`.
    """
    margin = (pl.col(score) - pl.col(f"{score}_against")).cast(pl.Float64)
    named = rows.with_columns(pair("entity", "opponent").alias("entity"), margin.alias("_margin"))
    met = pl.col("_margin").is_not_null().cum_sum().over("entity")
    total = pl.col("_margin").fill_null(0.0).cum_sum().over("entity")
    return _timeline(named, pl.when(met > 0).then(total / met))


def pair(side: str, other: str) -> pl.Expr:
    """The entity of `head_to_head`, of two columns."""
    return pl.concat_str(pl.col(side), pl.lit(" v "), pl.col(other))


def played_within(rows: pl.DataFrame, days: int) -> pl.DataFrame:
    """Timeline of how many events an entity had in the `days` up to its newest known one, that one included.

    An event that was entered late counts from when it became known.

    What it does not say: how many lie in the days before a coming event; the newest may be long ago. Ask
    `blocks.last_played` as well.
    """
    span = timedelta(days=days)
    known: dict[str, list[datetime]] = {}
    counts: list[int] = []
    for entity, at in rows.select("entity", "event_time").iter_rows():
        played = known.setdefault(entity, [])
        insort(played, at)
        counts.append(len(played) - bisect_right(played, played[-1] - span))
    return _timeline(rows.with_columns(_count=pl.Series(counts, dtype=pl.Float64)), pl.col("_count"))


def kilometres(places: Mapping[str, tuple[float, float]], start: str, end: str) -> pl.Expr:
    """Great-circle distance between two columns that name places; null where a place is unknown.

    The haversine formula: Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984), p. 159.

    Args:
        places: name to (latitude, longitude) in degrees.
        start: column of the one place.
        end: column of the other.
    """

    def radians(column: str, at: int) -> pl.Expr:
        known = {name: math.radians(place[at]) for name, place in places.items()}
        return pl.col(column).replace_strict(known, default=None, return_dtype=pl.Float64)

    north, south = radians(start, 0), radians(end, 0)
    half = ((north - south) / 2).sin() ** 2
    around = north.cos() * south.cos() * ((radians(start, 1) - radians(end, 1)) / 2).sin() ** 2
    return 2 * EARTH_KM * (half + around).clip(0.0, 1.0).sqrt().arcsin()


def _timeline(rows: pl.DataFrame, value: pl.Expr) -> pl.DataFrame:
    made = rows.select("entity", "known_at", value.fill_nan(None).alias("value"))
    return made.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)
