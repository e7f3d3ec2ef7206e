"""Glicko ratings in the order results became known: a strength, and how sure it is.

Glickman, "Parameter estimation in large dynamic paired comparison experiments", Applied Statistics 48 (1999),
p. 377; in its simple form "The Glicko system" (glicko.net/glicko/glicko.pdf), steps 1 and 2, with one game a
period:

    q  = ln(10) / 400          g(RD) = 1 / sqrt(1 + 3 q^2 RD^2 / pi^2)
    E  = 1 / (1 + 10^(-g(RD_other) (r - r_other) / 400))
    d2 = 1 / (q^2 g(RD_other)^2 E (1 - E))
    r' = r + q / (1 / RD^2 + 1 / d2) g(RD_other) (s - E)       RD' = 1 / sqrt(1 / RD^2 + 1 / d2)

Before a game RD grows with the days since the last one: RD = min(sqrt(RD^2 + c^2 days), start). Where a
margin counts, the result s is not 0 or 1 but 1 / (1 + exp(-margin / scale)): a narrow win says less than a
high one. That is not Glickman's; it is the score of a logistic margin, as in Kovalchik, "Extension of the Elo
rating system to margin of victory", International Journal of Forecasting 36 (2020), p. 1331 ("logistic").
"""

import math
from dataclasses import dataclass
from datetime import datetime

import polars as pl

Q = math.log(10.0) / 400.0


@dataclass(frozen=True)
class GlickoRules:
    """Constants of one league's ratings, in rating points."""

    home_advantage: float = 0.0
    mean: float = 1500.0
    deviation: float = 350.0
    """Of a newcomer, and the most that a rating is ever unsure by."""
    growth: float = 34.6
    """c: the deviation that a day without games adds, by squares."""
    margin_scale: float | None = None
    """Points of margin that make e to one; None counts wins alone, and a tie as a half."""


def glicko(games: pl.DataFrame, rules: GlickoRules, home_score: str, away_score: str) -> pl.DataFrame:
    """Timeline of the ratings after each game: entity, known_at, event_time, value, deviation.

    Args:
        games: rows in the order of knowing with home_team, away_team, the scores, and optionally `neutral`
            (bool: no home advantage). Rows with a null score or team are passed over.
        rules: the constants.
        home_score: column of the home side's score.
        away_score: column of the away side's score.
    """
    played = games.drop_nulls([home_score, away_score, "home_team", "away_team"])
    neutral = played["neutral"].to_list() if "neutral" in played.columns else [False] * played.height
    held: dict[str, tuple[float, float, datetime]] = {}
    made: list[tuple[str, datetime, datetime, float, float]] = []
    rows = played.select("home_team", "away_team", "known_at", "event_time", home_score, away_score).rows()
    for (home, away, known, at, scored, conceded), nowhere in zip(rows, neutral, strict=True):
        mine, theirs = (_before(held.get(name), at, rules) for name in (home, away))
        advantage = 0.0 if nowhere else rules.home_advantage
        result = _result(float(scored) - float(conceded), rules)
        after = (
            _after(mine, theirs, advantage, result),
            _after(theirs, mine, -advantage, 1.0 - result),
        )
        for name, (rating, deviation) in zip((home, away), after, strict=True):
            held[name] = (rating, deviation, at)
            made.append((name, known, at, rating, deviation))
    moment = games.schema["known_at"]
    clocks = [("entity", pl.String()), ("known_at", moment), ("event_time", moment)]
    schema = [*clocks, ("value", pl.Float64()), ("deviation", pl.Float64())]
    timeline = pl.DataFrame(made, schema=schema, orient="row")
    return timeline.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)


def _before(
    held: tuple[float, float, datetime] | None, at: datetime, rules: GlickoRules
) -> tuple[float, float]:
    if held is None:
        return rules.mean, rules.deviation
    rating, deviation, last = held
    days = max((at - last).total_seconds() / 86_400.0, 0.0)
    return rating, min(math.sqrt(deviation**2 + rules.growth**2 * days), rules.deviation)


def _after(
    mine: tuple[float, float], theirs: tuple[float, float], advantage: float, result: float
) -> tuple[float, float]:
    (rating, deviation), (other, unsure) = mine, theirs
    g = 1.0 / math.sqrt(1.0 + 3.0 * Q**2 * unsure**2 / math.pi**2)
    expected = 1.0 / (1.0 + math.exp(-Q * g * (rating + advantage - other)))
    information = Q**2 * g**2 * expected * (1.0 - expected)
    precision = 1.0 / deviation**2 + information
    return rating + Q / precision * g * (result - expected), math.sqrt(1.0 / precision)


def _result(margin: float, rules: GlickoRules) -> float:
    if rules.margin_scale is None:
        return 0.5 if margin == 0 else float(margin > 0)
    return 1.0 / (1.0 + math.exp(-margin / rules.margin_scale))
