"""What the end of a season is still about for each team: who plays for a place, and who has his.

A team whose division is won rests its best; one that can still get into the play-offs or miss them does not.
Counted in wins alone, a tie half of one: who is ahead at equal wins is left open, so a team is taken for sure
only where no rule of ties could change it. Byes and home rights between division winners are not looked at.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl


@dataclass(frozen=True)
class League:
    """How places in the play-offs are won.

    Attributes:
        divisions: teams by (conference, division).
        since: the first season with these divisions; earlier ones have no stakes.
        places: places in each conference, by the first season they hold for.
        games: games of each team in a regular season, by the first season they hold for.
    """

    divisions: Mapping[tuple[str, str], tuple[str, ...]]
    since: int
    places: Mapping[int, int]
    games: Mapping[int, int]

    def last_week(self) -> pl.Expr:
        """Whether a row's `week` is the last of its `season`: a regular season has one free week."""
        return pl.col("week") == self._of(self.games) + 1

    def _of(self, given: Mapping[int, int]) -> pl.Expr:
        found = pl.lit(None, pl.Int64)
        for first, number in sorted(given.items()):
            found = pl.when(pl.col("season") >= first).then(number).otherwise(found)
        return found

    def at(self, given: Mapping[int, int], season: int) -> int:
        """The number of `places` or `games` that holds for a season."""
        return given[max(first for first in given if first <= season)]


def stakes(games: pl.DataFrame, league: League) -> pl.DataFrame:
    """Timeline of what is at stake for each team, from the last week but one of a season on.

    Args:
        games: rows of `View.events` of the regular season with season, week, home_team, away_team and margin
            (home less away), in the order of knowing; rows with a null are passed over.
        league: its rules.

    Returns:
        `entity` (team), `known_at`, `season`, `open` (1.0: the team can get in and can miss; else 0.0) and
        `won` (1.0: its division is won).
    """
    columns = ("known_at", "season", "week", "home_team", "away_team", "margin")
    used = games.drop_nulls(columns).filter(pl.col("season") >= league.since)
    teams = [team for division in league.divisions.values() for team in division]
    rows: list[tuple[str, datetime, int, float, float]] = []
    wins: dict[str, float] = {}
    left: dict[str, int] = {}
    season = None
    moments = used["known_at"].to_list()
    for at, (moment, of, week, home, away, margin) in enumerate(used.select(columns).iter_rows()):
        total = league.at(league.games, of)
        if of != season:
            season, wins, left = of, dict.fromkeys(teams, 0.0), dict.fromkeys(teams, total)
        for team, ahead in ((home, margin), (away, -margin)):
            if team in wins:
                wins[team] += 1.0 if ahead > 0 else 0.5 if ahead == 0 else 0.0
                left[team] -= 1
        last = at + 1 == len(moments) or moments[at + 1] != moment
        if week >= total and last:
            table = _table(league, league.at(league.places, of), wins, left)
            rows += [(team, moment, of, *told) for team, told in table]
    schema = {"entity": pl.String(), "known_at": games.schema["known_at"], "season": pl.Int64()}
    schema |= {"open": pl.Float64(), "won": pl.Float64()}
    return pl.DataFrame(rows, schema, orient="row")


def _table(
    league: League, places: int, wins: Mapping[str, float], left: Mapping[str, int]
) -> Iterable[tuple[str, tuple[float, float]]]:
    for (conference, _), division in league.divisions.items():
        rivals = [team for (of, _), others in league.divisions.items() if of == conference for team in others]
        for team in division:
            mine, most = wins[team], wins[team] + left[team]
            others = [each for each in rivals if each != team]
            near = [each for each in division if each != team]
            won = all(wins[each] + left[each] < mine for each in near)
            sure = won or sum(wins[each] + left[each] >= mine for each in others) < places
            can = sum(wins[each] > most for each in others) < places or all(
                most >= wins[each] for each in near
            )
            yield team, (float(can and not sure), float(won))


def at_stake(games: pl.DataFrame, told: pl.DataFrame, moment: pl.Expr) -> pl.DataFrame:
    """What the home side has at stake less what the away side has, as known at a moment.

    Args:
        games: season, home_team, away_team and what `moment` needs.
        told: of `stakes`.
        moment: when to look.

    Returns:
        `open` and `won`, each in -1, 0, 1, in the order of the games; null before the last week but one.
    """
    known = told.sort("known_at", maintain_order=True)
    sides = []
    for team in ("home_team", "away_team"):
        asked = games.select(pl.col(team).alias("entity"), "season", at=moment).with_row_index("_row")
        found = asked.sort("at", maintain_order=True).join_asof(
            known,
            left_on="at",
            right_on="known_at",
            by=["entity", "season"],
            strategy="backward",
            check_sortedness=False,  # both sorted just above
        )
        sides.append(found.sort("_row").select("open", "won"))
    return sides[0].select(pl.col(name) - sides[1][name] for name in ("open", "won"))
