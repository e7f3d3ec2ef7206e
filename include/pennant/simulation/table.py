"""The table that the simulated provider publishes: the league as text, with bad rows and a late correction.

Faults are planted once per seed, in about one game of a hundred, each game at most one. The truth of
the league is not in the table.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import polars as pl

from pennant.reference import Window
from pennant.simulation.league import SEED, League, simulate

FAULT_SHARE = 0.01
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
LISTED_AHEAD = timedelta(days=10)
TEAM_NEWS_AHEAD = timedelta(hours=2)
RESULT_AFTER = timedelta(hours=3)

TEAM_NEWS = ["home_absences", "away_absences", "temperature_celsius"]
RESULT = ["home_goals", "away_goals", "home_shots", "away_shots"]

FAULTS: dict[str, tuple[str, str]] = {
    "negative_goals": ("home_goals", "-3"),
    "too_many_absences": ("away_absences", "99"),
    "missing_team": ("home_team", ""),
    "unparseable_kickoff": ("kickoff", "to be announced"),
    "doubled_key": ("home_goals", "7"),
    "text_in_number": ("home_shots", "many"),
}
"""Kind of fault -> the column it spoils and what stands there instead. A doubled key leaves the row as
it is and adds a second one, which contradicts it in that column."""


@dataclass(frozen=True)
class Correction:
    """One result that the provider first published wrongly: goals of home and away side exchanged."""

    game_id: str
    published_at: datetime


def correction(seed: int = SEED) -> Correction:
    """Return the late correction of the league: a game of 20 January 2025, put right on 10 February."""
    games = simulate(seed).games
    faulty = planted(seed)["game_id"].implode()
    on_day = games.filter(
        pl.col("kickoff").dt.date() == datetime(2025, 1, 20, tzinfo=UTC).date(),
        ~pl.col("game_id").is_in(faulty),
    )
    return Correction(on_day["game_id"][0], datetime(2025, 2, 10, 12, tzinfo=UTC))


@lru_cache(maxsize=4)
def planted(seed: int = SEED) -> pl.DataFrame:
    """Return the planted faults: game_id, kickoff (the true one), fault; one row per spoiled game."""
    games = simulate(seed).games.select("game_id", "kickoff")
    stream = np.random.default_rng([seed, 1])
    chosen = stream.random(games.height) < FAULT_SHARE
    kinds = np.array(list(FAULTS))[stream.integers(0, len(FAULTS), games.height)]
    return games.with_columns(pl.Series("fault", kinds)).filter(pl.Series(chosen))


def planted_faults(window: Window | None = None, seed: int = SEED) -> dict[str, int]:
    """Count the spoiled games by kind, of those whose true kick-off lies in (window.start, window.as_of]."""
    faults = planted(seed)
    if window is not None:
        faults = faults.filter(pl.col("kickoff") > window.start, pl.col("kickoff") <= window.as_of)
    counts = dict(faults.group_by("fault").len().iter_rows())
    return {kind: int(counts.get(kind, 0)) for kind in FAULTS}


def publish(as_of: datetime | None = None, seed: int = SEED) -> bytes:
    """Return the provider's CSV (UTF-8) as it stood at `as_of`, or as it stands at the end of time.

    At `as_of` a game is listed from ten days before its kick-off, team news are filled in two hours
    before, the result three hours after, and the late correction shows from its publication.
    """
    league = simulate(seed)
    table = _uncorrected(league, correction(seed)) if _is_early(as_of, seed) else league.games
    text = table.with_columns(pl.col("kickoff").dt.strftime(TIME_FORMAT).alias("_text"))
    text = text.with_columns(pl.col(name).cast(pl.String) for name in TEAM_NEWS + RESULT)
    text = _spoil(text, planted(seed))
    if as_of is not None:
        text = _as_of(text, as_of)
    return (
        text.select(
            "game_id",
            pl.col("_text").alias("kickoff"),
            "season",
            "home_team",
            "away_team",
            *TEAM_NEWS,
            *RESULT,
        )
        .write_csv()
        .encode()
    )


def _is_early(as_of: datetime | None, seed: int) -> bool:
    return as_of is not None and as_of < correction(seed).published_at


def _uncorrected(league: League, late: Correction) -> pl.DataFrame:
    wrong = pl.col("game_id") == late.game_id
    return league.games.with_columns(
        home_goals=pl.when(wrong).then("away_goals").otherwise("home_goals"),
        away_goals=pl.when(wrong).then("home_goals").otherwise("away_goals"),
    )


def _spoil(text: pl.DataFrame, faults: pl.DataFrame) -> pl.DataFrame:
    """Put the planted faults into a table of text; a doubled key's second row follows the first."""
    table = text.join(faults.select("game_id", "fault"), on="game_id", how="left", maintain_order="left")
    second = table.filter(pl.col("fault") == "doubled_key")
    column, value = FAULTS["doubled_key"]
    second = second.with_columns(pl.lit(value).alias(column), pl.lit(1).alias("_copy"))
    for kind, (spoiled, bad) in FAULTS.items():
        if kind == "doubled_key":
            continue
        name = "_text" if spoiled == "kickoff" else spoiled
        hit = pl.col("fault") == kind
        table = table.with_columns(pl.when(hit).then(pl.lit(bad or None)).otherwise(pl.col(name)).alias(name))
    both = pl.concat([table.with_columns(pl.lit(0).alias("_copy")), second])
    return both.sort("kickoff", "game_id", "_copy").drop("fault", "_copy")


def _as_of(text: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Leave out what the provider does not know yet at `as_of`."""
    now = pl.lit(as_of)
    news = pl.col("kickoff") - TEAM_NEWS_AHEAD <= now
    over = pl.col("kickoff") + RESULT_AFTER <= now
    return text.filter(pl.col("kickoff") - LISTED_AHEAD <= now).with_columns(
        *(pl.when(news).then(name).alias(name) for name in TEAM_NEWS),
        *(pl.when(over).then(name).alias(name) for name in RESULT),
    )
