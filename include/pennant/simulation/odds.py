"""What simulated bookmakers quote on the league's games: prices that move towards a planted truth.

A game is quoted from two days before its kick-off until then. A bookmaker's opinion of the home team begins
with an error and ends almost without one,

    logit q(f) = logit p + (1 - f) (market + own) + f close + wobble sqrt(f (1 - f))

with f from 0 at first to 1 at last (`market` is what all bookmakers have in common), and what is quoted is q
times one plus the bookmaker's overround. So the closing prices without their overround tell the truth better
than the opening ones do. Totals are quoted over and under `TOTAL_LINE` goals, whose chance is the same in
every game.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import polars as pl

from pennant.simulation.league import LEAD_SCALE, LOSER_SCALE, SEED, League

OPENS = timedelta(hours=48)
TOTAL_LINE = 4.5
SURE = 0.92
"""Nobody quotes an opinion that is surer, before the overround."""
MARKET_ERROR, OWN_ERROR, CLOSING_ERROR, WOBBLE = 0.40, 0.15, 0.04, 0.10
"""Standard deviations, in log-odds."""
MARKETS = ("h2h", "totals")


@dataclass(frozen=True)
class Book:
    """One bookmaker: by how much its implied probabilities exceed one, and how often it moves."""

    key: str
    title: str
    overround: float
    every: timedelta


BOOKS = (
    Book("northbook", "Northbook", 0.025, timedelta(minutes=30)),
    Book("harbour", "Harbour", 0.045, timedelta(hours=1)),
    Book("tollgate", "Tollgate", 0.065, timedelta(hours=4)),
)
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "game_id": pl.String,
    "event_id": pl.String,
    "commence_time": pl.Datetime("us", "UTC"),
    "home_team": pl.String,
    "away_team": pl.String,
    "bookmaker": pl.String,
    "market": pl.String,
    "last_update": pl.Datetime("us", "UTC"),
    "outcome": pl.String,
    "price": pl.Int64,
    "point": pl.Float64,
    "opinion": pl.Float64,
}


Row = dict[str, Any]


def quotes(
    league: League, moment: datetime, seed: int = SEED, books: tuple[Book, ...] = BOOKS
) -> pl.DataFrame:
    """What is quoted at a moment on the games that have not begun.

    Args:
        league: whose games and truth.
        moment: UTC.
        seed: of the errors; the same seed gives a game the same prices, whatever else is asked.
        books: who quotes.

    Returns:
        One row per game, bookmaker, market and outcome, in this order: `SCHEMA`. `price` is American odds,
        `last_update` when the bookmaker moved last, `opinion` its probability before the overround.
    """
    games = league.games.with_row_index("number").with_columns(pl.Series("p", league.p_home_win))
    listed = games.filter(pl.col("kickoff") > moment, pl.col("kickoff") <= moment + OPENS)
    rows = [row for game in listed.iter_rows(named=True) for row in _game(game, moment, seed, books)]
    return pl.DataFrame(rows, schema=SCHEMA)


def _game(game: dict[str, Any], moment: datetime, seed: int, books: Sequence[Book]) -> Iterator[Row]:
    about = {
        "game_id": game["game_id"],
        "event_id": event_id(game["game_id"]),
        "commence_time": game["kickoff"],
        "home_team": game["home_team"],
        "away_team": game["away_team"],
    }
    opens = game["kickoff"] - OPENS
    market = MARKET_ERROR * np.random.default_rng([seed, game["number"]]).standard_normal()
    for number, book in enumerate(books):
        stream = np.random.default_rng([seed, game["number"], number])
        own, close = np.array([OWN_ERROR, CLOSING_ERROR]) * stream.standard_normal(2)
        steps = OPENS // book.every
        step = (moment - opens) // book.every
        done = step / steps
        wobble = WOBBLE * stream.standard_normal((steps, 2))[step] * np.sqrt(done * (1.0 - done))
        home = _shifted(game["p"], (1.0 - done) * (market + own) + done * close + wobble[0])
        over = _shifted(p_over(), wobble[1])
        said = {**about, "bookmaker": book.key, "last_update": opens + step * book.every}
        for name, outcome, chance in (
            ("h2h", game["home_team"], home),
            ("h2h", game["away_team"], 1.0 - home),
            ("totals", "Over", over),
            ("totals", "Under", 1.0 - over),
        ):
            price = american(chance * (1.0 + book.overround))
            line = TOTAL_LINE if name == "totals" else None
            offer = {"market": name, "outcome": outcome, "price": price, "point": line, "opinion": chance}
            yield {**said, **offer}


def p_over(line: float = TOTAL_LINE) -> float:
    """The planted chance of more goals than `line`: the loser's twice, and the winner's lead."""
    loser, lead = np.exp(-1.0 / LOSER_SCALE), np.exp(-1.0 / LEAD_SCALE)
    few = 0.0
    for lost in range(int(line) // 2 + 1):
        leads = int(line) - 2 * lost  # leads of 1 to so many stay under the line
        few += loser**lost * (1.0 - loser) * (1.0 - lead**leads)
    return float(1.0 - few)


def american(implied: float) -> int:
    """American odds of an implied probability: what 100 win, or less what has to be staked to win 100."""
    if implied >= 0.5:
        return -round(100.0 * implied / (1.0 - implied))
    return round(100.0 * (1.0 - implied) / implied)


def implied(price: int) -> float:
    """The probability that American odds imply, with the overround in it."""
    return -price / (100.0 - price) if price < 0 else 100.0 / (100.0 + price)


def event_id(game_id: str) -> str:
    """How a provider names a game: 32 hexadecimal digits, which say nothing."""
    return sha256(game_id.encode()).hexdigest()[:32]


def snapshot(moment: datetime, every: timedelta = timedelta(minutes=5)) -> datetime:
    """The last moment at or before this one of which a provider kept the prices."""
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return start + (moment - start) // every * every


def _shifted(chance: float, by: float) -> float:
    moved = float(1.0 / (1.0 + (1.0 / chance - 1.0) * np.exp(-by)))
    return min(max(moved, 1.0 - SURE), SURE)
