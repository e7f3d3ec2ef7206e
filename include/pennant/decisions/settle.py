"""Settlement: what became of each bet, by what is known at a moment.

A pure function of bets, results and the moment. The newest result that is known holds, so a corrected score
settles anew, and asking twice gives the same. Rules as bookmakers mostly have them:

- a whole line that is hit gives the stake back (`push`); a quarter line settles half the stake;
- a void game gives it back (`void`);
- a postponed game keeps it (`postponed`) for `stands_for` from the time it was to begin; a game that is not
  played by then is void for bets struck before, whatever happens later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from pennant.decisions.errors import GradeError
from pennant.decisions.frames import MOMENT, Columns, refuse_duplicates, taken
from pennant.decisions.lines import share_won
from pennant.decisions.prices import Floats, checked

STANDS_FOR = timedelta(hours=48)

RESULTS = ("won", "half_won", "push", "half_lost", "lost", "void", "postponed")
FINAL = RESULTS[:-1]

_BETS: Columns = {
    "entity": pl.String,
    "side": pl.String,
    "event_time": MOMENT,
    "as_of": MOMENT,
    "outcome": pl.String,
    "price": pl.Float64,
    "stake_share": pl.Float64,
}

_ADDED = ("value", "state", "known_at", "played_at", "result", "profit_share", "returned_share", "settled_at")


@dataclass(frozen=True)
class Winner:
    """A market in which one outcome wins.

    Attributes:
        labels: the result with which each outcome wins.
        pushes: results with which every stake comes back, as a tie where it is not offered.
    """

    labels: Mapping[str, float]
    pushes: frozenset[float] = field(default_factory=frozenset)

    def share(self, bets: pl.DataFrame) -> Floats:
        """(n,) share of the stake won or lost; needs `outcome` and `value`."""
        _refuse_outcomes(bets, list(self.labels))
        value = bets["value"].to_numpy()
        possible = [*self.labels.values(), *self.pushes]
        _refuse_values(bets, ~np.isin(value, possible), f"one of {sorted(set(possible))}")
        wins_with = np.array([self.labels[each] for each in bets["outcome"]], dtype=np.float64)
        share = np.where(value == wins_with, 1.0, -1.0)
        return np.where(np.isin(value, list(self.pushes)), 0.0, share)


@dataclass(frozen=True)
class Total:
    """Over or under a line; the result is a whole number."""

    over: str = "over"
    under: str = "under"

    def share(self, bets: pl.DataFrame) -> Floats:
        """(n,) share of the stake won or lost; needs `outcome`, `line` and `value`."""
        sign = _signs(bets, self.over, self.under)
        line = bets["line"].to_numpy().astype(np.float64)
        return share_won(sign * (bets["value"].to_numpy() - line), line)


@dataclass(frozen=True)
class Handicap:
    """A side with so many points given; the result is the home side's margin, the line its handicap."""

    home: str = "home"
    away: str = "away"

    def share(self, bets: pl.DataFrame) -> Floats:
        """(n,) share of the stake won or lost; needs `outcome`, `line` and `value`."""
        sign = _signs(bets, self.home, self.away)
        line = bets["line"].to_numpy().astype(np.float64)
        return share_won(sign * (bets["value"].to_numpy() + line), line)


Grading = Winner | Total | Handicap


def settled(
    bets: pl.DataFrame,
    results: pl.DataFrame,
    gradings: Mapping[str, Grading],
    as_of: datetime,
    stands_for: timedelta = STANDS_FOR,
) -> pl.DataFrame:
    """Settle what can be settled at a moment; other bets are open and not in the answer.

    Args:
        bets: rows of `Opportunities.rows`; those without a stake are passed over. Of bets on the same side
            of an entity the first one holds.
        results: `entity`, `known_at` and `value` (null unless final), and where they matter `state` (`final`,
            `void`, `postponed`; `final` if not given) and `event_time` (when it was or will be played).
        gradings: how each market is graded, by its name; "" for bets without one.
        as_of: nothing known later is used.
        stands_for: how long after its time a postponed game may be played.

    Returns:
        The bets with `value`, `result` (one of `RESULTS`), `profit_share` and `returned_share` of the
        bankroll, and `settled_at`. A postponed one has no profit, nothing returned, and may settle anew.

    Raises:
        ColumnsError: columns that are missing or empty.
        DuplicateError: two results of an entity known at the same moment.
        GradeError: a market nobody said how to grade; an outcome, line or value that does not fit it; a bet
            struck when its result was known.
    """
    placed = _placed(bets)
    news = _results(results).filter(pl.col("known_at") <= as_of)
    newest = news.sort("known_at").unique("entity", keep="last", maintain_order=True)
    told = placed.join(newest, on="entity", how="inner", maintain_order="left")
    told = _with_state(told, as_of, stands_for)
    late = told.filter((pl.col("state") == "final") & (pl.col("known_at") <= pl.col("as_of")))
    if late.height:
        first = late.row(0, named=True)
        raise GradeError(
            first["entity"],
            "as_of",
            str(first["as_of"]),
            f"before {first['known_at']}, when its result was known",
        )
    return _paid(told, gradings)


def results_of(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Results from the labels of a use case, or from rows of the table `outcomes`.

    Args:
        outcomes: `entity`, `event_time`, `known_at`, `label`, `void`.
    """
    return outcomes.select(
        "entity",
        "event_time",
        "known_at",
        pl.when(~pl.col("void")).then(pl.col("label")).alias("value"),
        pl.when("void").then(pl.lit("void")).otherwise(pl.lit("final")).alias("state"),
    )


def _placed(bets: pl.DataFrame) -> pl.DataFrame:
    made = taken("bets", bets, _BETS, {"market": (pl.String, ""), "line": (pl.Float64, None)}, ["line"])
    rest = [name for name in bets.columns if name not in [*made.columns, *_ADDED]]
    placed = made.hstack(bets.select(rest)).filter(pl.col("stake_share") > 0.0)
    checked(placed["price"].to_numpy())
    return placed.sort("as_of", "entity", "side").unique(
        ["entity", "side"], keep="first", maintain_order=True
    )


def _results(results: pl.DataFrame) -> pl.DataFrame:
    made = taken(
        "results",
        results,
        {"entity": pl.String, "known_at": MOMENT, "value": pl.Float64},
        {"state": (pl.String, "final"), "event_time": (MOMENT, None)},
        nullable=["value", "event_time"],
    )
    refuse_duplicates("results", made, ["entity", "known_at"])
    for row in made.filter(~pl.col("state").is_in(["final", "void", "postponed"])).iter_rows(named=True):
        raise GradeError(row["entity"], "state", row["state"], "final, void or postponed")
    for row in made.filter((pl.col("state") == "final") & pl.col("value").is_null()).iter_rows(named=True):
        raise GradeError(row["entity"], "value", None, "a number where the state is final")
    return made.rename({"event_time": "played_at"})


def _with_state(told: pl.DataFrame, as_of: datetime, stands_for: timedelta) -> pl.DataFrame:
    """The state that counts for the bet, and since when: a game played too late is void."""
    until = pl.col("event_time") + stands_for
    too_late = pl.col("played_at").is_not_null() & (pl.col("played_at") > until)
    given_up = (pl.col("state") == "postponed") & pl.col("played_at").is_null() & (pl.lit(as_of) >= until)
    over = (pl.col("state") != "void") & ((too_late & (pl.lit(as_of) >= until)) | given_up)
    return told.with_columns(
        pl.when(over).then(pl.lit("void")).otherwise("state").alias("state"),
        pl.when(over).then(until).otherwise("known_at").alias("settled_at"),
    )


def _paid(told: pl.DataFrame, gradings: Mapping[str, Grading]) -> pl.DataFrame:
    share = np.zeros(told.height)
    final = (told["state"] == "final").to_numpy()
    for market in told.filter(final)["market"].unique(maintain_order=True):
        mine = final & (told["market"] == market).to_numpy()
        part = told.filter(mine)
        if market not in gradings:
            raise GradeError(part["entity"][0], "market", market, f"one of {sorted(gradings)}")
        share[mine] = gradings[market].share(part)
    stake, price = told["stake_share"].to_numpy(), told["price"].to_numpy()
    profit = stake * np.where(share > 0.0, share * (price - 1.0), share)
    names = {1.0: "won", 0.5: "half_won", 0.0: "push", -0.5: "half_lost", -1.0: "lost"}
    result = [
        names[float(each)] if state == "final" else state
        for each, state in zip(share, told["state"], strict=True)
    ]
    held = (told["state"] == "postponed").to_numpy()
    return told.drop("state", "played_at", "known_at").with_columns(
        pl.Series("result", result, dtype=pl.String),
        pl.Series("profit_share", profit),
        pl.Series("returned_share", np.where(held, 0.0, stake + profit)),
    )


def _signs(bets: pl.DataFrame, up: str, down: str) -> Floats:
    _refuse_outcomes(bets, [up, down])
    for row in bets.filter(pl.col("line").is_null()).iter_rows(named=True):
        raise GradeError(row["entity"], "line", None, "a number")
    value = bets["value"].to_numpy()
    _refuse_values(bets, value != np.rint(value), "a whole number")
    return np.where((bets["outcome"] == up).to_numpy(), 1.0, -1.0)


def _refuse_outcomes(bets: pl.DataFrame, allowed: list[str]) -> None:
    for row in bets.filter(~pl.col("outcome").is_in(allowed)).iter_rows(named=True):
        raise GradeError(row["entity"], "outcome", row["outcome"], f"one of {allowed}")


def _refuse_values(
    bets: pl.DataFrame, wrong: np.ndarray[tuple[int], np.dtype[np.bool_]], allowed: str
) -> None:
    for row in bets.filter(pl.Series(wrong)).iter_rows(named=True):
        raise GradeError(row["entity"], "value", row["value"], allowed)
