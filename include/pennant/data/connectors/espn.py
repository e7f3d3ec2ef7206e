"""ESPN's scoreboard: schedule, state and score of a league's games, and a price where one is shown.

`https://site.api.espn.com/apis/site/v2/sports/{sport}/{league}/scoreboard?dates=YYYYMMDD-YYYYMMDD`, which
ESPN's own pages use. It wants no key and promises nothing: fields may change, and what is missing is named.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask
from pennant.data.connectors.records import options_of, part_of, table_of
from pennant.data.parsing import json_content
from pennant.declaration.model import Source
from pennant.reference import Window

ADDRESS = "https://site.api.espn.com/apis/site/v2/sports"
OPTIONS = ("sport", "league", "limit")


class EspnScoreboard:
    """Options: `sport` (`football`), `league` (`nfl`), `limit` (default 1000).

    Rows: one per game: `event_id`, `date`, `season`, `season_type`, `week`, `state` (pre, in, post),
    `completed`, `neutral_site`, `home_team`, `away_team` (abbreviations), `home_score`, `away_score`,
    `spread`, `over_under`, `odds_provider`.
    """

    kind = "espn_scoreboard"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options, in words; empty if nothing is."""
        return options_of(self.kind, source, OPTIONS, texts=("sport", "league"))

    def asks(self, source: Source, window: Window) -> list[Ask]:
        """One request for the window's days and those that are listed ahead."""
        until = window.as_of + timedelta(days=source.ahead_days)
        base = (source.url or ADDRESS).rstrip("/")
        url = f"{base}/{source.options['sport']}/{source.options['league']}/scoreboard"
        params = {
            "dates": f"{window.start:%Y%m%d}-{until:%Y%m%d}",
            "limit": str(source.options.get("limit", 1000)),
        }
        return [Ask(part="scoreboard", url=url, path=source.path, params=params)]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one shape
        """The games as rows of text.

        Raises:
            SourceMalformed: no list of events, or a game without one of the fields that make it one.
        """
        events = part_of(answer, json_content(answer), "events", list, "events")
        return table_of(answer, (_game(answer, event) for event in events))


def _game(answer: Answer, event: Any) -> dict[str, Any]:
    [game, *_] = part_of(answer, event, "event.competitions", list, "competitions") or [{}]
    sides = dict(_sides(answer, game))
    status = game.get("status") or event.get("status") or {}
    odds: dict[str, Any] = next((each for each in game.get("odds") or [] if each), {})
    return {
        "event_id": part_of(answer, event, "event.id", str, "id"),
        "date": part_of(answer, event, "event.date", str, "date"),
        "season": (event.get("season") or {}).get("year"),
        "season_type": (event.get("season") or {}).get("type"),
        "week": (event.get("week") or {}).get("number"),
        "state": (status.get("type") or {}).get("state"),
        "completed": (status.get("type") or {}).get("completed"),
        "neutral_site": game.get("neutralSite"),
        "home_team": part_of(answer, sides.get("home"), "competitors.home", dict)["team"],
        "away_team": part_of(answer, sides.get("away"), "competitors.away", dict)["team"],
        "home_score": sides["home"]["score"],
        "away_score": sides["away"]["score"],
        "spread": odds.get("spread"),
        "over_under": odds.get("overUnder"),
        "odds_provider": (odds.get("provider") or {}).get("name"),
    }


def _sides(answer: Answer, game: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in part_of(answer, game, "competition.competitors", list, "competitors"):
        team = part_of(answer, each, "competitor.team", dict, "team")
        name = part_of(answer, team, "team.abbreviation", str, "abbreviation")
        side = part_of(answer, each, "competitor.homeAway", str, "homeAway")
        yield side, {"team": name, "score": each.get("score")}
