"""Attack and defence of clubs in the order results became known, and what they say of a match.

A side's goals are taken as Poisson with the log-rate `level + attack - defence of the other side`, one
level for home sides and one for away sides (Maher 1982, "Modelling association football scores", Statistica
Neerlandica 36, 109-118). After each match every number moves a little along the gradient of the
log-likelihood, which is `goals - expected goals`; so the levels follow a league in which playing at home
comes to mean less, whatever the reason. What the ratings do *not* know: line-ups, injuries, and how goals
came about.

`outcome_probabilities` sums the two Poisson laws over scores, with the correction of low scores by Dixon and
Coles 1997, "Modelling association football scores and inefficiencies in the football betting market", Applied
Statistics 46, 265-280, formula 4.2.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from pennant.features.view import View

MOST_GOALS = 15
"""Scores summed over; a side that expects five goals scores more once in 15,000 matches."""
LEAGUE = "league"
OUTCOMES = ("home", "draw", "away")
NEWTON_STEPS = 8
"""Prices of 25 seasons are met to 1e-12 after six."""
_STEP = 1e-6
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GoalRules:
    """Constants of one league; ratings and levels are logs of goals per match."""

    gain: float
    """Step of attack and defence per unforeseen goal."""
    level_gain: float
    """Step of the two levels."""
    home_level: float
    """Log of a home side's goals per match at the start."""
    away_level: float
    season_reversion: float
    """Share of the way back to the mean between two seasons."""
    newcomer: float
    """Attack and defence of a club that was not there the season before; below zero is weaker."""


@dataclass(frozen=True)
class GoalRatings:
    """Timelines: clubs (entity, known_at, attack, defence, season); levels (home, away) of one entity."""

    clubs: pl.DataFrame
    levels: pl.DataFrame


def goal_ratings(games: pl.DataFrame, rules: GoalRules, home_value: str, away_value: str) -> GoalRatings:
    """Follow the goals of matches in the order they became known.

    Args:
        games: rows of `View.events` with home_team, away_team and season (a whole number that grows by one).
            Rows with a null among them or in the values are passed over.
        rules: the constants.
        home_value: column with the home side's goals (or shots, or anything counted).
        away_value: the away side's.
    """
    columns = ["home_team", "away_team", "season", home_value, away_value]
    played = games.drop_nulls(columns)
    clubs: dict[str, tuple[float, float, int]] = {}
    first = played["season"].min()
    levels = [rules.home_level, rules.away_level]
    rows: list[tuple[str, float, float]] = []
    level_rows: list[tuple[float, float]] = []
    for home, away, season, scored, conceded in played.select(columns).iter_rows():
        start = 0.0 if season == first else rules.newcomer
        mine, theirs = (_carried(clubs.get(club), season, start, rules) for club in (home, away))
        over_home = scored - math.exp(levels[0] + mine[0] - theirs[1])
        over_away = conceded - math.exp(levels[1] + theirs[0] - mine[1])
        step_home, step_away = rules.gain * over_home, rules.gain * over_away
        levels = [levels[0] + rules.level_gain * over_home, levels[1] + rules.level_gain * over_away]
        clubs[home] = (mine[0] + step_home, mine[1] - step_away, season)
        clubs[away] = (theirs[0] + step_away, theirs[1] - step_home, season)
        rows += ((club, *clubs[club][:2]) for club in (home, away))
        level_rows.append((levels[0], levels[1]))
    twice = pl.int_range(played.height, eager=True).repeat_by(2).explode()
    made = pl.DataFrame(
        rows, {"entity": pl.String, "attack": pl.Float64, "defence": pl.Float64}, orient="row"
    )
    level = pl.DataFrame(level_rows, {"home": pl.Float64, "away": pl.Float64}, orient="row")
    return GoalRatings(
        _last_word(pl.concat([played.select("known_at", "season")[twice], made], how="horizontal")),
        _last_word(
            pl.concat([played.select("known_at", pl.lit(LEAGUE).alias("entity")), level], how="horizontal")
        ),
    )


def expected_goals(
    view: View, ratings: GoalRatings, rules: GoalRules, home: str | pl.Expr, away: str | pl.Expr
) -> pl.DataFrame:
    """Goals that each side of the requests expects, as known at each moment: columns `home` and `away`.

    The requests need a `season`. A club without a match has the newcomer's ratings (the mean while nothing at
    all is known), and one whose last match lies more than a season back starts as a newcomer again.
    """
    start = 0.0 if ratings.clubs.is_empty() else rules.newcomer
    sides = [_rating_at(view, ratings.clubs, who, start, rules) for who in (home, away)]
    level = view.asof(pl.lit(LEAGUE), ratings.levels, "home", "away")
    home_level, away_level = (
        level["home"].fill_null(rules.home_level),
        level["away"].fill_null(rules.away_level),
    )
    return pl.DataFrame(
        {
            "home": (home_level + sides[0]["attack"] - sides[1]["defence"]).exp(),
            "away": (away_level + sides[1]["attack"] - sides[0]["defence"]).exp(),
        }
    )


def outcome_probabilities(expected: pl.DataFrame, low_score: float = 0.0) -> pl.DataFrame:
    """Chances of a home win, a draw and an away win from the goals that each side expects.

    Args:
        expected: columns `home` and `away`, goals.
        low_score: Dixon and Coles' rho; below zero makes 0:0 and 1:1 likelier and 1:0 and 0:1 rarer.

    Returns:
        Columns `home`, `draw`, `away`, which sum to one; null where an expectation is.
    """
    home, away = (expected[side].to_numpy().astype(float) for side in ("home", "away"))
    return pl.DataFrame(_chances(home, away, low_score), list(OUTCOMES), orient="row").fill_nan(None)


def implied_goals(chances: pl.DataFrame, low_score: float = 0.0) -> pl.DataFrame:
    """The goals that three chances speak of: what `outcome_probabilities` would turn into them.

    Newton's method on the log odds of home against away and of a draw, a fixed number of steps for every
    row, so that a row's answer does not depend on the others.

    Args:
        chances: columns `home`, `draw`, `away`, which sum to one.
        low_score: Dixon and Coles' rho.

    Returns:
        `lead` and `level`, half the difference and half the sum of the two log-rates: `exp(level + lead)` is
        the goals of the home side. Null where a chance is, and where none or a certain one is among them.
    """
    given = chances.select(OUTCOMES).to_numpy().astype(float)
    whole = ((given > 0.0) & (given < 1.0)).all(axis=1)
    wanted = _log_odds(np.where(whole[:, None], given, 1.0 / 3.0))
    lead, level = 0.36 * wanted[0], np.full(len(given), 0.25)
    for _ in range(NEWTON_STEPS):
        at, right, up = (
            _log_odds(_chances(np.exp(level + dy + lead + dx), np.exp(level + dy - lead - dx), low_score))
            for dx, dy in ((0.0, 0.0), (_STEP, 0.0), (0.0, _STEP))
        )
        (a, c), (b, d) = (right - at) / _STEP, (up - at) / _STEP
        miss, whole_of = wanted - at, a * d - b * c
        lead = lead + np.clip((d * miss[0] - b * miss[1]) / whole_of, -0.3, 0.3)
        level = level + np.clip((a * miss[1] - c * miss[0]) / whole_of, -0.3, 0.3)
    made = {"lead": np.where(whole, lead, np.nan), "level": np.where(whole, level, np.nan)}
    return pl.DataFrame(made).fill_nan(None)


def _chances(home: Floats, away: Floats, low_score: float) -> Floats:
    """Chances (n, 3) of home win, draw and away win from two rates of goals (n,)."""
    goals = np.arange(MOST_GOALS + 1)
    factorial = np.cumprod(np.concatenate([[1.0], goals[1:]]))
    mine, theirs = (np.exp(-rate)[:, None] * rate[:, None] ** goals / factorial for rate in (home, away))
    fewer = [np.cumsum(each, axis=1) - each for each in (mine, theirs)]
    none = np.exp(-home - away) * low_score * home * away
    made = np.stack(
        [
            (mine * fewer[1]).sum(axis=1) + none,
            (mine * theirs).sum(axis=1) - 2.0 * none,
            (theirs * fewer[0]).sum(axis=1) + none,
        ],
        axis=1,
    )
    return made / made.sum(axis=1, keepdims=True)


def _log_odds(chances: Floats) -> Floats:
    home, draw, away = chances.T
    return np.stack([np.log(home / away), np.log(draw / (1.0 - draw))])


def draw_probabilities(lead: pl.Series, draw: float) -> pl.DataFrame:
    """Three chances from a lead in Elo points by Davidson's law of ties.

    Davidson 1970, "On extending the Bradley-Terry model to accommodate ties in paired comparison
    experiments", JASA 65, 317-328: with `s = 10 ** (lead / 400)` the three are as `s : draw * sqrt(s) : 1`.

    Args:
        lead: home side's rating less the away side's, home advantage included.
        draw: Davidson's nu; sides of equal strength draw with chance `nu / (2 + nu)`.
    """
    strength = (lead * (math.log(10.0) / 400.0)).exp()
    tie = draw * strength.sqrt()
    whole = strength + tie + 1.0
    return pl.DataFrame({"home": strength / whole, "draw": tie / whole, "away": 1.0 / whole})


def _rating_at(
    view: View, clubs: pl.DataFrame, who: str | pl.Expr, start: float, rules: GoalRules
) -> pl.DataFrame:
    found = view.asof(who, clubs, "attack", "defence", "season")
    age = pl.lit(view.requests["season"]) - pl.col("season")
    kept = pl.when(age == 0).then(1.0).when(age == 1).then(1.0 - rules.season_reversion)
    return found.select((pl.col(name) * kept).fill_null(start) for name in ("attack", "defence"))


def _carried(
    held: tuple[float, float, int] | None, season: int, start: float, rules: GoalRules
) -> tuple[float, float]:
    if held is None or season > held[2] + 1:
        return start, start
    kept = 1.0 if season == held[2] else 1.0 - rules.season_reversion
    return held[0] * kept, held[1] * kept


def _last_word(timeline: pl.DataFrame) -> pl.DataFrame:
    return timeline.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)
