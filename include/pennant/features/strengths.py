"""How strong clubs are, read from closing prices of earlier matches and from what happened in them.

A match is two numbers, in logs of goals: the `lead` of the home side (half the log of the two sides' rates)
and the `level` of scoring (half the log of their product). Each is taken as

    lead  = home edge + (1 - c) * home club - (1 + c) * away club + stakes
    level = league's pace + home club + away club

and every rating is a mean with a variance that grows from day to day (a Kalman filter, R. E. Kalman 1960, "A
New Approach to Linear Filtering and Prediction Problems", with the covariances between clubs left out: they
changed nothing). What is observed of a match: the two numbers that its closing prices imply (little noise),
its goals beyond those the prices foresaw, and each side's part of the shots (much noise). A newcomer starts
so far below the mean of the last season's clubs, and with a variance that lets his first prices speak. `c`
is for strong clubs, whom playing at home helps less. Edge and pace drift too, whatever the reason.

What it does *not* know: line-ups, injuries and transfers, until a price has told of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import exp

import polars as pl

from pennant.features.blocks import day_of
from pennant.features.goals import LEAGUE
from pennant.features.view import View
from pennant.features.views import FeatureView


@dataclass(frozen=True)
class TraitRules:
    """Constants of one of the two numbers, in logs of goals; variances in their squares."""

    other: float
    """-1 where the away club's rating is taken off, 1 where it is added."""
    drift_per_day: float
    newcomer: float
    """A new club's rating, less the mean of the last season's clubs; in the first season all are new."""
    newcomer_variance: float
    start: float
    """Home edge, or pace, at the start."""
    league_variance: float
    league_drift_per_day: float
    price_variance: float
    goal_variance: float
    """Of one goal's worth: a match's is this over the goals that were expected."""
    strong_at_home: float = 0.0
    """The `c` of the module's text."""


@dataclass(frozen=True)
class StrengthRules:
    """Constants of one league."""

    lead: TraitRules
    level: TraitRules
    shot_variance: float
    """Of the lead that a match's shots speak of."""


@dataclass
class _Club:
    mean: float
    variance: float
    season: int
    day: float


@dataclass
class _Trait:
    """One of the two numbers as it is known after some matches."""

    rules: TraitRules
    clubs: dict[str, _Club] = field(default_factory=dict)
    season: int | None = None
    base: float = 0.0
    """Mean of the last season's clubs; the zero of this season."""
    edge: float = 0.0
    edge_variance: float = 0.0
    day: float = 0.0

    def enter(self, home: str, away: str, season: int, day: float) -> None:
        """Go on to a day, on which two clubs of a season are to be looked at."""
        if self.season is None:
            self.edge, self.edge_variance, self.day = self.rules.start, self.rules.league_variance, day
            self.season = season
        if season > self.season:
            self.base, self.season = self.mean(), season
        self.edge_variance += self.rules.league_drift_per_day * (day - self.day)
        self.day = day
        for name in (home, away):
            club = self.clubs.get(name)
            if club is None or club.season < self.season - 1:
                start = self.base + self.rules.newcomer
                self.clubs[name] = _Club(start, self.rules.newcomer_variance, self.season, day)
            else:
                club.variance += self.rules.drift_per_day * (day - club.day)
                club.season, club.day = self.season, day

    def mean(self) -> float:
        """Of the clubs of the newest season."""
        inside = [club.mean for club in self.clubs.values() if club.season == self.season]
        return sum(inside) / len(inside)

    def expected(self, home: str, away: str) -> float:
        mine, theirs = self._weights()
        return (
            self.edge
            + mine * (self.clubs[home].mean - self.base)
            + theirs * (self.clubs[away].mean - self.base)
        )

    def learn(self, home: str, away: str, seen: float, variance: float) -> None:
        """Move the two clubs and the league towards what was seen of a match."""
        (mine, theirs), one, other = self._weights(), self.clubs[home], self.clubs[away]
        missed = seen - self.expected(home, away)
        whole = mine**2 * one.variance + theirs**2 * other.variance + self.edge_variance + variance
        for weight, club in ((mine, one), (theirs, other)):
            gain = weight * club.variance / whole
            club.mean += gain * missed
            club.variance -= gain * weight * club.variance
        gain = self.edge_variance / whole
        self.edge += gain * missed
        self.edge_variance -= gain * self.edge_variance

    def _weights(self) -> tuple[float, float]:
        c, other = self.rules.strong_at_home, self.rules.other
        return 1.0 - c, other * (1.0 - other * c)


_SEEN = ("day", "home_team", "away_team", "season")
_TOLD = ("lead", "level", "home_goals", "away_goals", "shots", "stakes")


def strengths(rows: pl.DataFrame, rules: StrengthRules) -> pl.DataFrame:
    """Follow what becomes known of matches, in the order of knowing.

    Args:
        rows: known_at, event_time, home_team, away_team, season (a whole number that grows by one); null
            where a row does not tell it: `lead` and `level` that the match's prices imply, home_goals and
            away_goals (both or none), `shots` (the lead that the shots speak of); and `stakes` (the part of
            the lead that belongs to the match and not to the clubs). A row with goals and no prices is
            measured against what the ratings expected.
        rules: the constants.

    Returns:
        Timeline: entity, known_at, event_time, season and the ratings `lead` and `level` with their zeros of
        this season, `lead_base` and `level_base`, and of a next one, `lead_next` and `level_next`. The entity
        `league` has the home edge as its lead and the pace as its level.
    """
    told = rows.with_columns(day=day_of("known_at"), season=pl.col("season").cast(pl.Int64))
    made = pl.DataFrame(
        list(_followed(told, rules)),
        {"entity": pl.String, "lead": pl.Float64, "level": pl.Float64}
        | dict.fromkeys(("lead_base", "level_base", "lead_next", "level_next"), pl.Float64),
        orient="row",
    )
    each = pl.int_range(told.height, eager=True).repeat_by(3).explode()
    clocks = told.select("known_at", "event_time", "season")[each]
    timeline = pl.concat([clocks, made], how="horizontal")
    return timeline.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)


def expected_rates(
    view: View,
    declared: FeatureView,
    rules: StrengthRules,
    home: str | pl.Expr,
    away: str | pl.Expr,
    stakes: pl.Series,
) -> pl.DataFrame:
    """Goals that each side of the requests is expected to score, as known at each moment.

    Args:
        view: its requests need a `season`.
        declared: a view whose timeline is that of `strengths`.
        rules: the constants that it was made with.
        home: request column or expression that names the home club.
        away: the away club.
        stakes: part of each request's lead that belongs to the match.

    Returns:
        `home` and `away`, goals, and `edge`, the league's home edge in logs of goals.
    """
    league = view.join(pl.lit(LEAGUE), declared)
    sides = [view.join(club, declared, "lead", "level", "season") for club in (home, away)]
    season = view.requests["season"].cast(pl.Int64)
    named = league.select(pl.all().name.prefix("league_")).with_columns(
        season.alias("now"), stakes.alias("stakes")
    )
    for name, side in zip(("mine", "theirs"), sides, strict=True):
        named = named.hstack(side.select(pl.all().name.prefix(f"{name}_")))
    lead, level = (_expected(trait, name) for trait, name in ((rules.lead, "lead"), (rules.level, "level")))
    edge = pl.col("league_lead").fill_null(rules.lead.start)
    return named.select(
        home=(level + lead + pl.col("stakes")).exp(), away=(level - lead - pl.col("stakes")).exp(), edge=edge
    )


def _followed(told: pl.DataFrame, rules: StrengthRules) -> Iterator[tuple[str | float, ...]]:
    """Three rows for each row that is told: of the home club, the away club and the league."""
    lead, level = _Trait(rules.lead), _Trait(rules.level)
    for day, home, away, season, price_lead, price_level, scored, conceded, shots, stakes in told.select(
        *_SEEN, *_TOLD
    ).iter_rows():
        for trait in (lead, level):
            trait.enter(home, away, season, day)
        if scored is not None:
            at, pace = lead.expected(home, away), level.expected(home, away)
            if price_lead is not None:
                at, pace = price_lead - stakes, price_level
                lead.learn(home, away, at, rules.lead.price_variance)
                level.learn(home, away, pace, rules.level.price_variance)
            foreseen = exp(pace + at + stakes), exp(pace - at - stakes)
            goals = foreseen[0] + foreseen[1]
            more = (scored - foreseen[0]) / goals, (conceded - foreseen[1]) / goals
            lead.learn(home, away, at + more[0] - more[1], rules.lead.goal_variance / goals)
            level.learn(home, away, pace + more[0] + more[1], rules.level.goal_variance / goals)
        if shots is not None:
            lead.learn(home, away, shots - stakes, rules.shot_variance)
        bases = (lead.base, level.base, lead.mean(), level.mean())
        for club in (home, away):
            yield (club, lead.clubs[club].mean, level.clubs[club].mean, *bases)
        yield (LEAGUE, lead.edge, level.edge, *bases)


def _expected(rules: TraitRules, name: str) -> pl.Expr:
    """The number of a match of the requests' season; a club of no earlier match is a newcomer."""
    this_season = pl.col("league_season") == pl.col("now")
    base = pl.when(this_season).then(f"league_{name}_base").otherwise(f"league_{name}_next").fill_null(0.0)
    weights = 1.0 - rules.strong_at_home, rules.other * (1.0 - rules.other * rules.strong_at_home)
    made = pl.col(f"league_{name}").fill_null(rules.start)
    for weight, side in zip(weights, ("mine", "theirs"), strict=True):
        stayed = pl.col(f"{side}_season") >= pl.col("now") - 1
        rating = pl.when(stayed).then(pl.col(f"{side}_{name}") - base).otherwise(rules.newcomer)
        made = made + weight * rating
    return made
