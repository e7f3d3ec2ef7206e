"""What the line of a game will be, from earlier games' lines and scores and from who starts at quarterback.

A linear state space model, followed game by game (Kalman 1960, "A New Approach to Linear Filtering and
Prediction Problems", Journal of Basic Engineering 82). The state, all of it in points, is one rating per
team, one per quarterback, and the league's effects (the home field, a day of rest). A game tells of the sum

    home team + its starter - away team - its starter + each effect times the game's factor

three times: its closing line tells it closely; its margin tells it roughly, and where it goes beyond the line
the next lines follow it; how the teams played (`performance`), told some days later, says the same with less
of the luck. Ratings wander from week to week and go back towards zero between seasons. As all ratings have
a joint covariance, a line with a substitute tells of the substitute and hardly of his team.

It does *not* know other injuries, trades or the weather: the line of the game itself knows them.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

from pennant.features.elo import rating_at
from pennant.features.view import View

Floats = npt.NDArray[np.float64]
LEAGUE = "league"
"""Entity of the timeline of the effects."""
GAME = ("season", "week", "home_team", "away_team", "home_starter", "away_starter", "spread_line", "margin")


@dataclass(frozen=True)
class Effect:
    """Points that a factor of a game is worth to the home side, as far as is known before any game."""

    mean: float
    deviation: float
    week: float = 0.0
    """How far it wanders in a week."""


@dataclass(frozen=True)
class StarterRules:
    """Constants of one league; everything in points, deviations as standard deviations."""

    line_deviation: float
    """How far lines lie from the ratings."""
    margin_deviation: float
    """Of margins, as far as the next lines follow them: far less than of margins around lines."""
    margin_cap: float
    """A margin counts at most so far from the line."""
    performance_deviation: float
    performance_cap: float
    team_start: float
    """Deviation of a team never seen; its mean is zero."""
    team_week: float
    """How far a rating wanders in a week."""
    team_summer: float
    team_reversion: float
    """Share of the way back to zero between seasons."""
    starter_first_week: float
    """Mean of a quarterback whose first start is in the season's first week: he was chosen to start."""
    starter_later: float
    """Mean of one whose first start comes later: he mostly stands in."""
    starter_start: float
    """Deviation of a quarterback never seen."""
    starter_week: float
    starter_summer: float
    starter_reversion: float
    seasons_remembered: int
    """A quarterback who did not start for so many seasons is as one never seen."""
    effects: Mapping[str, Effect]
    """By the column of the games, and of the requests, that holds the factor."""


@dataclass(frozen=True)
class StarterRatings:
    """Timelines of the ratings, a row for each time that any game told something.

    Attributes:
        teams: entity, known_at, value, season.
        starters: the same of quarterbacks; value null for one who is no longer remembered.
        effects: entity (`LEAGUE`), known_at and a column per effect.
    """

    teams: pl.DataFrame
    starters: pl.DataFrame
    effects: pl.DataFrame


def starter_ratings(
    games: pl.DataFrame, performances: pl.DataFrame, rules: StarterRules, key: str = "game_id"
) -> StarterRatings:
    """Follow games in the order they became known.

    Args:
        games: rows of `View.events` with `key`, `GAME` and the effects' factors: spread_line is the points
            by which the home side is favoured, margin home less away. A missing starter tells nothing of any
            quarterback, a missing factor is 0; a row with another null is passed over.
        performances: `key`, known_at, `performance`: the margin that the teams' play was worth. A game
            without one is told of by its line and margin.
        rules: the constants.
        key: the column that names a game.
    """
    needed = [name for name in GAME if not name.endswith("_starter")]
    used = games.drop_nulls(needed).with_row_index("_row")
    told = performances.drop_nulls("performance").join(used.select(key, "_row", known="known_at"), on=key)
    both = pl.concat(
        [
            used.select("known_at", "_row", performance=pl.lit(None, pl.Float64)),
            told.select(pl.max_horizontal("known_at", "known").alias("known_at"), "_row", "performance"),
        ]
    ).sort("known_at", pl.col("performance").is_not_null(), "_row")
    followed = _Filter(rules, used["home_team"].n_unique() + used["away_team"].n_unique(), _starters(used))
    factors = used.select(pl.col(each).cast(pl.Float64).fill_null(0.0) for each in rules.effects).rows()
    rows = [_Game(*(*row, each)) for row, each in zip(used.select(GAME).rows(), factors, strict=True)]
    moments = both["known_at"].to_list()
    for at, (moment, row, performance) in enumerate(both.iter_rows()):
        if performance is None:
            followed.play(rows[row])
        else:
            followed.hear(rows[row], performance)
        if at + 1 == len(moments) or moments[at + 1] != moment:
            followed.tell(moment)
    return followed.ratings(games.schema["known_at"])


def _starters(games: pl.DataFrame) -> int:
    return pl.concat([games["home_starter"], games["away_starter"]]).n_unique()


@dataclass(frozen=True)
class _Game:
    """A row of `GAME`, and the factors of the effects."""

    season: int
    week: int
    home: str
    away: str
    home_starter: str | None
    away_starter: str | None
    line: float
    margin: float
    factors: tuple[float, ...]


@dataclass
class _Told:
    """The rows of a timeline, in arrays."""

    entities: list[str] = field(default_factory=list)
    moments: list[datetime] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    seasons: list[int] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)

    def add(self, entities: Sequence[str], moment: datetime, season: int, values: Floats) -> None:
        self.entities += entities
        self.moments.append(moment)
        self.seasons.append(season)
        self.counts.append(len(entities))
        self.values.append(values)

    def frame(self, moment: pl.DataType) -> pl.DataFrame:
        counts = pl.Series(self.counts, dtype=pl.Int64)
        each = pl.int_range(counts.len(), eager=True).repeat_by(counts).list.explode(empty_as_null=False)
        values = np.concatenate(self.values) if self.values else np.empty(0)
        return pl.DataFrame(
            {
                "entity": pl.Series(self.entities, dtype=pl.String),
                "known_at": pl.Series(self.moments, dtype=moment)[each],
                "value": pl.Series(values, dtype=pl.Float64).fill_nan(None),
                "season": pl.Series(self.seasons, dtype=pl.Int64)[each],
            }
        )


class _Filter:
    """The state at one moment, and the rows of the timelines so far."""

    def __init__(self, rules: StarterRules, teams: int, starters: int) -> None:
        effects = list(rules.effects.values())
        self.used = len(effects)
        self.rules = rules
        self.mean = np.zeros(self.used + teams + starters)
        self.covariance = np.zeros((self.mean.size, self.mean.size))
        for at, effect in enumerate(effects):
            self.mean[at], self.covariance[at, at] = effect.mean, effect.deviation**2
        self.free: list[int] = []
        self.teams: dict[str, int] = {}
        self.starters: dict[str, int] = {}
        self.last_start: dict[str, int] = {}
        self.season: int | None = None
        self.week: int | None = None
        self.told = {name: _Told() for name in ("teams", "starters")}
        self.effects: list[tuple[object, ...]] = []
        self.forgotten: list[str] = []

    def play(self, game: _Game) -> None:
        """A game is over: its line, then its margin."""
        rules = self.rules
        self._to(game.season, game.week)
        for team in (game.home, game.away):
            if team not in self.teams:
                self.teams[team] = self._place(0.0, rules.team_start)
        for starter in (game.home_starter, game.away_starter):
            if starter is not None:
                mean = rules.starter_first_week if game.week == 1 else rules.starter_later
                if starter not in self.starters:
                    self.starters[starter] = self._place(mean, rules.starter_start)
                self.last_start[starter] = game.season
        self._observe(game, game.line, None, 0.0, rules.line_deviation)
        self._observe(game, game.line, game.margin, rules.margin_cap, rules.margin_deviation)

    def hear(self, game: _Game, performance: float) -> None:
        """How a game that is over was played."""
        rules = self.rules
        self._observe(game, game.line, performance, rules.performance_cap, rules.performance_deviation)

    def tell(self, moment: datetime) -> None:
        """Write down what is known now."""
        season = self.season or 0
        for name, held in (("teams", self.teams), ("starters", self.starters)):
            self.told[name].add(list(held), moment, season, self.mean[list(held.values())])
        gone = np.full(len(self.forgotten), np.nan)
        self.told["starters"].add(self.forgotten, moment, season, gone)
        self.forgotten = []
        self.effects.append((LEAGUE, moment, *self.mean[: len(self.rules.effects)].tolist()))

    def ratings(self, moment: pl.DataType) -> StarterRatings:
        effects = {"entity": pl.String(), "known_at": moment} | dict.fromkeys(
            self.rules.effects, pl.Float64()
        )
        return StarterRatings(
            self.told["teams"].frame(moment),
            self.told["starters"].frame(moment),
            pl.DataFrame(self.effects, effects, orient="row"),
        )

    def _observe(self, game: _Game, line: float, worth: float | None, cap: float, deviation: float) -> None:
        """Move the state towards the line, or by how far a game went beyond the line (at most `cap`)."""
        at, signs = self._sum(game)
        covariance = self.covariance[: self.used, : self.used]
        along = covariance[:, at] @ signs
        gain = along / (signs @ along[at] + deviation**2)
        error = line - signs @ self.mean[at] if worth is None else min(cap, max(-cap, worth - line))
        self.mean[: self.used] += gain * error
        covariance -= gain[:, None] * along

    def _sum(self, game: _Game) -> tuple[npt.NDArray[np.int64], Floats]:
        """What a game's line is the sum of: places in the state, and factors."""
        parts = list(enumerate(game.factors))
        parts += [(self.teams[game.home], 1.0), (self.teams[game.away], -1.0)]
        for starter, sign in ((game.home_starter, 1.0), (game.away_starter, -1.0)):
            # Of a game long past, whose play is told only now, a starter may be forgotten.
            if starter in self.starters:
                parts.append((self.starters[starter], sign))
        return np.array([at for at, _ in parts]), np.array([sign for _, sign in parts])

    def _to(self, season: int, week: int) -> None:
        """What happens to ratings between seasons, and between weeks."""
        rules = self.rules
        if self.season is not None and season != self.season:
            self._summer(season)
        elif self.week is not None and week != self.week:
            self._wander(rules.team_week, rules.starter_week)
            for at, effect in enumerate(rules.effects.values()):
                self.covariance[at, at] += effect.week**2
        self.season, self.week = season, week

    def _summer(self, season: int) -> None:
        rules, kept = self.rules, np.ones(self.used)
        kept[list(self.teams.values())] = 1.0 - rules.team_reversion
        kept[list(self.starters.values())] = 1.0 - rules.starter_reversion
        self.mean[: self.used] *= kept
        self.covariance[: self.used, : self.used] *= np.outer(kept, kept)
        self._wander(rules.team_summer, rules.starter_summer)
        oldest = season - rules.seasons_remembered
        for starter in [each for each in self.starters if self.last_start[each] < oldest]:
            at = self.starters.pop(starter)
            self.mean[at], self.covariance[at, :], self.covariance[:, at] = 0.0, 0.0, 0.0
            self.free.append(at)
            self.forgotten.append(starter)

    def _wander(self, team: float, starter: float) -> None:
        for held, deviation in ((self.teams, team), (self.starters, starter)):
            at = list(held.values())
            self.covariance[at, at] += deviation**2

    def _place(self, mean: float, deviation: float) -> int:
        if self.free:
            at = self.free.pop()
        else:
            at, self.used = self.used, self.used + 1
        self.mean[at], self.covariance[at, at] = mean, deviation**2
        return at


def usual_starters(games: pl.DataFrame, last: int) -> pl.DataFrame:
    """Timeline of who started most of a team's last games; of several, who started last.

    Args:
        games: rows of `View.events` with home_team, away_team, home_starter, away_starter; a missing starter
            is passed over.
        last: so many games back.

    Returns:
        `entity` (team), `known_at`, `value` (the quarterback).
    """
    recent: dict[str, deque[str]] = {}
    rows: list[tuple[str, datetime, str]] = []
    columns = ("known_at", "home_team", "home_starter", "away_team", "away_starter")
    for moment, *sides in games.select(columns).iter_rows():
        for team, starter in (sides[:2], sides[2:]):
            if team is None or starter is None:
                continue
            started = recent.setdefault(team, deque(maxlen=last))
            started.appendleft(starter)
            rows.append((team, moment, Counter(started).most_common(1)[0][0]))
    schema = {"entity": pl.String(), "known_at": games.schema["known_at"], "value": pl.String()}
    return pl.DataFrame(rows, schema, orient="row")


def starter_value(view: View, ratings: StarterRatings, rules: StarterRules, starter: pl.Series) -> pl.Series:
    """Rating of a quarterback for each request; null where `starter` is.

    The requests need a `season` and a `week`: one never seen, or forgotten, has the mean of a beginner.
    """
    found = view.asof(pl.lit(starter), ratings.starters, "value", "season")
    asked = found.with_columns(view.requests["week"], now=view.requests["season"], starter=starter)
    beginner = pl.when(pl.col("week") == 1).then(rules.starter_first_week).otherwise(rules.starter_later)
    kept = pl.when(pl.col("season") < pl.col("now")).then(1.0 - rules.starter_reversion).otherwise(1.0)
    value = (pl.col("value") * kept).fill_null(beginner)
    return asked.select(pl.when(pl.col("starter").is_not_null()).then(value).alias("value"))["value"]


def expected_line(
    view: View,
    ratings: StarterRatings,
    rules: StarterRules,
    starters: tuple[pl.Series, pl.Series],
    factors: pl.DataFrame,
) -> pl.Series:
    """The line that the ratings give each request, in points by which the home side is favoured.

    Args:
        view: its requests need home_team, away_team, season and week.
        ratings: of `starter_ratings`.
        rules: the constants.
        starters: who starts for the home and for the away side; null adds nothing.
        factors: the effects' factors, a column each, in the order of the requests; null is 0.
    """
    mine, theirs = (
        rating_at(view, ratings.teams, side, 0.0, 0.0, rules.team_reversion)
        for side in ("home_team", "away_team")
    )
    passing, against = (starter_value(view, ratings, rules, each).fill_null(0.0) for each in starters)
    line = mine - theirs + passing - against
    worth = view.asof(pl.lit(LEAGUE), ratings.effects, *rules.effects)
    for name, effect in rules.effects.items():
        line += worth[name].fill_null(effect.mean) * factors[name].cast(pl.Float64).fill_null(0.0)
    return line
