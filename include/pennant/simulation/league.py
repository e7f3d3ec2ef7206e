"""A simulated league whose true win probabilities are known.

Team strengths are slow mean-reverting walks. The chance of the home team is

    p = sigmoid(k (s_home - s_away) + home_advantage - a (absences_home - absences_away)
                + r (rest_home - rest_away))

From `RULE_CHANGE` on an epidemic fills the sick lists (covariate shift), and the game changes (concept
change): guests may stand in for absent players, so that an absence costs a quarter of what it did, and the
home side comes out of quarantine, so that home advantage turns into a burden. A model fitted before goes
stale; one fitted on two weeks or more of the new games beats it.

Shots are noisy evidence of strength. There are no draws. What the league does *not* have: transfers,
breaks between seasons, or teams that suffer more than others from absences.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pennant.simulation.teams import TEAMS

SEED = 20230101
FIRST_DAY = date(2023, 1, 1)
LAST_DAY = date(2025, 12, 31)
RULE_CHANGE = datetime(2025, 2, 1, tzinfo=UTC)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Regime:
    """How the league works in one period.

    Absences of one team in one game are negative binomial with mean `absence_mean` and shape
    `absence_shape` (smaller is wider), cut at 15. Effects are in log-odds: per absent player,
    and for playing at home.
    """

    absence_mean: float
    absence_shape: float
    absence_effect: float
    home_advantage: float


BEFORE = Regime(absence_mean=2.0, absence_shape=20.0, absence_effect=0.50, home_advantage=0.35)
AFTER = Regime(absence_mean=5.5, absence_shape=4.0, absence_effect=0.12, home_advantage=-0.50)

STRENGTH_WEIGHT = 0.6
"""k: log-odds per unit of strength; strengths have standard deviation one."""
STRENGTH_HALF_LIFE_DAYS = 120.0
REST_EFFECT = 0.10
"""r: log-odds per day of rest more than the opponent, counted up to `MAX_REST_DAYS`."""
MAX_REST_DAYS = 3
LOSER_SCALE, LEAD_SCALE = 1.3, 1.2
"""Means of the exponential draws whose whole parts are the loser's goals and the winner's lead less one."""
MAX_ABSENCES = 15
FEWEST_GAMES_PER_DAY = 22
KICKOFF_SLOTS = 10
"""Half-hour slots from 17:00 UTC; the last kick-off is 21:30, its result known after midnight."""


@dataclass(frozen=True)
class League:
    """One simulated league.

    `games` has one row per game in order of kick-off: game_id, kickoff (UTC), season, home_team,
    away_team, home_absences, away_absences, temperature_celsius, home_goals, away_goals, home_shots,
    away_shots. `p_home_win` is the planted truth of those rows; no provider ever serves it.
    """

    games: pl.DataFrame
    p_home_win: Floats

    def truth(self) -> pl.DataFrame:
        """Return game_id and p_home_win, one row per game."""
        return self.games.select("game_id").with_columns(pl.Series("p_home_win", self.p_home_win))


def truth(seed: int = SEED) -> pl.DataFrame:
    """Return the planted truth of the demo league: game_id, p_home_win."""
    return simulate(seed).truth()


@lru_cache(maxsize=4)
def simulate(
    seed: int = SEED,
    first_day: date = FIRST_DAY,
    last_day: date = LAST_DAY,
    before: Regime = BEFORE,
    after: Regime = AFTER,
) -> League:
    """Simulate the league from `first_day` to `last_day`, both included.

    The same arguments give the same league, and a later `last_day` changes no earlier day: every
    quantity is drawn day by day from a stream of its own.

    Raises:
        ValueError: `last_day` is before `first_day`.
    """
    days = (last_day - first_day).days + 1
    if days < 1:
        raise ValueError(f"last_day {last_day} is before first_day {first_day}; it may not be earlier")
    streams = [np.random.default_rng(each) for each in np.random.SeedSequence(seed).spawn(8)]
    day, slot, home, away = _fixtures(streams[0], days)
    new_rules = day >= (RULE_CHANGE.date() - first_day).days
    strength = _strengths(streams[1], days)
    gap = strength[day, home] - strength[day, away]
    absences = _absences(streams[2], new_rules.astype(np.int64), before, after)
    rest = _rest_days(day, home, away, days)
    advantage = np.where(new_rules, after.home_advantage, before.home_advantage)
    effect = np.where(new_rules, after.absence_effect, before.absence_effect)
    logit = STRENGTH_WEIGHT * gap + advantage + REST_EFFECT * rest
    logit -= effect * (absences[:, 0] - absences[:, 1])
    p_home_win = 1.0 / (1.0 + np.exp(-logit))
    goals = _goals(streams[3], p_home_win)
    shots = _shots(streams[4], gap)
    games = _calendar(first_day, day, slot).with_columns(
        pl.Series("home_team", np.array(TEAMS)[home]),
        pl.Series("away_team", np.array(TEAMS)[away]),
        pl.Series("home_absences", absences[:, 0]),
        pl.Series("away_absences", absences[:, 1]),
        pl.Series("temperature_celsius", _temperatures(streams[5], streams[6], first_day, day, home)),
        pl.Series("home_goals", goals[:, 0]),
        pl.Series("away_goals", goals[:, 1]),
        pl.Series("home_shots", shots[:, 0]),
        pl.Series("away_shots", shots[:, 1]),
    )
    return League(games, p_home_win)


def _fixtures(stream: np.random.Generator, days: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Draw who plays whom: day, slot, home and away team of every game, in order of kick-off."""
    half = len(TEAMS) // 2
    drawn = stream.random((days, len(TEAMS) + half + 1))
    order = np.argsort(drawn[:, : len(TEAMS)], axis=1)
    slot = np.floor(drawn[:, len(TEAMS) : -1] * KICKOFF_SLOTS).astype(np.int64)
    spread = half - FEWEST_GAMES_PER_DAY + 1
    count = FEWEST_GAMES_PER_DAY + np.floor(drawn[:, -1] * spread).astype(np.int64)
    slot = np.where(np.arange(half) < count[:, None], slot, KICKOFF_SLOTS)  # beyond the last slot: not played
    by_slot = np.argsort(slot, axis=1, kind="stable")
    played = np.take_along_axis(slot, by_slot, axis=1) < KICKOFF_SLOTS
    day = np.broadcast_to(np.arange(days)[:, None], played.shape)[played]
    home = np.take_along_axis(order[:, :half], by_slot, axis=1)[played]
    away = np.take_along_axis(order[:, half:], by_slot, axis=1)[played]
    return day, np.take_along_axis(slot, by_slot, axis=1)[played], home, away


def _strengths(stream: np.random.Generator, days: int) -> Floats:
    """Draw the strength of every team on every day, shape (days, teams), standard deviation one."""
    keep = 0.5 ** (1.0 / STRENGTH_HALF_LIFE_DAYS)
    steps = stream.standard_normal((days, len(TEAMS)))
    walk = np.empty_like(steps)
    walk[0] = steps[0]
    for day in range(1, days):
        walk[day] = keep * walk[day - 1] + np.sqrt(1.0 - keep**2) * steps[day]
    return walk


def _absences(stream: np.random.Generator, regime: Ints, before: Regime, after: Regime) -> Ints:
    """Draw the absences of home and away team, shape (games, 2)."""
    # One uniform per number, through the quantile function, so that no draw depends on the one before.
    table = np.stack([_absence_steps(before), _absence_steps(after)])[regime]
    drawn = stream.random((len(regime), 2))
    return (drawn[:, :, None] > table[:, None, :]).sum(axis=2).astype(np.int64)


def _absence_steps(regime: Regime) -> Floats:
    """Cumulative probabilities of 0, 1, ... `MAX_ABSENCES` - 1 absences."""
    share = regime.absence_shape / (regime.absence_shape + regime.absence_mean)
    terms = [share**regime.absence_shape]
    for count in range(1, MAX_ABSENCES):
        terms.append(terms[-1] * (regime.absence_shape + count - 1) / count * (1.0 - share))
    return np.asarray(np.cumsum(terms), dtype=np.float64)


def _rest_days(day: Ints, home: Ints, away: Ints, days: int) -> Floats:
    """Rest of the home team less that of the away team, in days, each counted up to `MAX_REST_DAYS`."""
    played = np.zeros((days, len(TEAMS)), dtype=bool)
    played[day, home] = played[day, away] = True
    latest = np.maximum.accumulate(np.where(played, np.arange(days)[:, None], -MAX_REST_DAYS), axis=0)
    before = np.vstack([np.full(len(TEAMS), -MAX_REST_DAYS), latest[:-1]])
    home_rest = np.minimum(day - before[day, home], MAX_REST_DAYS)
    away_rest = np.minimum(day - before[day, away], MAX_REST_DAYS)
    return np.asarray(home_rest - away_rest, dtype=np.float64)


def _goals(stream: np.random.Generator, p_home_win: Floats) -> Ints:
    """Draw who wins, then the score: the loser's goals and the winner's lead; shape (games, 2)."""
    drawn = stream.random((len(p_home_win), 3))
    loser = np.floor(-np.log1p(-drawn[:, 1]) * LOSER_SCALE).astype(np.int64)
    lead = 1 + np.floor(-np.log1p(-drawn[:, 2]) * LEAD_SCALE).astype(np.int64)
    home_wins = drawn[:, 0] < p_home_win
    return np.stack([loser + lead * home_wins, loser + lead * ~home_wins], axis=1)


def _shots(stream: np.random.Generator, gap: Floats) -> Ints:
    """Draw shots at goal, about 13 a side, 1.5 more or fewer per unit of strength; shape (games, 2)."""
    noise = stream.standard_normal((len(gap), 2)) * 3.5
    mean = 13.0 + 1.5 * np.stack([gap, -gap], axis=1)
    return np.maximum(np.rint(mean + noise), 0).astype(np.int64)


def _temperatures(
    climate: np.random.Generator, weather: np.random.Generator, first_day: date, day: Ints, home: Ints
) -> Floats:
    """Draw the temperature at kick-off, in degrees Celsius with one decimal; mild winters, local climates."""
    local: Floats = 12.0 + 5.0 * climate.standard_normal(len(TEAMS))
    of_year = 2.0 * np.pi * (day + first_day.timetuple().tm_yday - 110) / 365.25
    degrees: Floats = local[home] + 2.0 * np.sin(of_year) + 5.0 * weather.standard_normal(len(day))
    return degrees.round(1)


def _calendar(first_day: date, day: Ints, slot: Ints) -> pl.DataFrame:
    """Name the games and give kick-off and season."""
    start = datetime(first_day.year, first_day.month, first_day.day, 17, tzinfo=UTC)
    table = pl.DataFrame({"day": day, "slot": slot})
    kickoff = pl.lit(start).dt.cast_time_unit("us") + pl.duration(days="day", minutes=pl.col("slot") * 30)
    number = pl.int_range(1, pl.len() + 1).over("day").cast(pl.String).str.zfill(2)
    return table.with_columns(kickoff=kickoff).select(
        game_id=pl.col("kickoff").dt.strftime("%Y%m%d") + "-" + number,
        kickoff="kickoff",
        season=pl.col("kickoff").dt.year().cast(pl.Int64),
    )
