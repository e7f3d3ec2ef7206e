"""Sportradar's schedules, results and odds, as https://developer.sportradar.com documents them.

- `/{sport}/{access}/{version}/en/games/{yyyy}/{mm}/{dd}/schedule.json`: a league's games of one day.
- Odds Comparison 2, Prematch: `/oddscomparison-prematch/{access}/v2/en/sports/{sport}/schedules/{day}/
  sport_event_markets.json`, the prices of a sport's games of one day, and Player Props:
  `/oddscomparison-player-props/.../players_props.json`. Both in pages, by `start` and `limit`.

The key goes in the header `x-api-key`.
"""

from typing import Any, Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask, KeyPlace
from pennant.data.connectors.records import (
    NUMBER,
    days_of,
    maybe,
    options_of,
    part_of,
    path_problems,
    price_problems,
    table_of,
    whole_problems,
)
from pennant.data.connectors.sportradar_odds import COLUMNS as OUTCOMES
from pennant.data.connectors.sportradar_odds import FEEDS, PRICES, Pages, outcomes
from pennant.data.parsing import json_content
from pennant.declaration.model import Source
from pennant.reference import Window

ADDRESS = "https://api.sportradar.com"
ACCESS = ("trial", "production")
BACK_DAYS = 2
LIMIT = 50
GAMES = ("game_id", "scheduled", "status", "home_team", "away_team", "home_points", "away_points")
_OVER = {"closed", "complete"}
_POINTS = ("runs", "points")


class Sportradar:
    """Options: `feed` (`schedule`), `sport`, `access` (`trial` or `production`) and, optional, these.

    `schedule`: `sport` is a league (`mlb`, `nba`, `nhl`), `version` its API's (`v8`); `back_days` (2): how
    long before a window results are asked for again. Rows: one per game, with `scheduled` in UTC, teams as
    abbreviations, and points once the game is over. Any day can be asked for.

    `markets` and `players_props`: `sport` is an id (`sr:sport:3`); `limit` (50): games of a page. Rows: one
    per game, player, market, bookmaker and outcome, named by `quote`; `handicap` and `total` are lines,
    `removed` says that the bookmaker took it down, `generated_at` is when the answer was made. The prices are
    those of now: their past cannot be asked for.
    """

    kind = "sportradar"
    connection: str | None = "sportradar"

    def __init__(self, history: Literal["full", "today"] = "full") -> None:
        self.history = history

    @classmethod
    def of(cls, source: Source) -> "Sportradar":
        """The connector of a source: schedules are of any day, prices of now."""
        return cls("full" if _feed(source) == "schedule" else "today")

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options, in words; empty if nothing is."""
        feed = _feed(source)
        feeds = ("schedule", *FEEDS)
        if feed not in feeds:
            return [f"option feed: found {feed!r}; allowed: {', '.join(feeds)}"]
        plain = feed == "schedule"
        own = ("version", "back_days") if plain else ("limit",)
        texts = ("sport", "access", *(("version",) if plain else ()))
        found = options_of(self.kind, source, ("feed", "sport", "access", *own), texts=texts)
        if isinstance(source.options.get("access"), str) and source.options["access"] not in ACCESS:
            given = source.options["access"]
            found.append(f"option access: found {given!r}; allowed: {', '.join(ACCESS)}")
        found += whole_problems(source, back_days=0, limit=1)
        return found if plain else found + path_problems(feed, source) + price_problems(source, PRICES)

    def asks(self, source: Source, window: Window) -> list[Ask]:
        """One request per day, of prices in pages, to the last day that is listed ahead."""
        base, feed = (source.url or ADDRESS).rstrip("/"), _feed(source)
        sport, access = (str(source.options[name]) for name in ("sport", "access"))
        key = KeyPlace("header", "x-api-key")
        if feed == "schedule":
            head = f"{base}/{sport}/{access}/{source.options['version']}/en/games"
            back = int(str(source.options.get("back_days", BACK_DAYS)))
            return [
                Ask(
                    part=f"{day:%Y-%m-%d}",
                    url=f"{head}/{day:%Y/%m/%d}/schedule.json",
                    path=f"{source.path.rstrip('/')}/{day:%Y-%m-%d}.json" if source.path else None,
                    key=key,
                    optional=True,  # no document on a day without games
                )
                for day in days_of(source, window.start, window.as_of, back)
            ]
        package, document, _ = FEEDS[feed]
        head = f"{base}/oddscomparison-{package}/{access}/v2/en/sports/{sport}/schedules"
        limit = int(str(source.options.get("limit", LIMIT)))
        return [
            Ask(
                part=f"{day:%Y-%m-%d}",
                url=f"{head}/{day:%Y-%m-%d}/{document}.json",
                params={"start": "0", "limit": str(limit)},
                key=key,
                optional=True,
                next_page=Pages(feed),
            )
            for day in days_of(source, window.as_of, window.as_of, 0)
        ]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:
        """The games of one day, or the prices of one page, as rows of text.

        Raises:
            SourceMalformed: no list of games, or a game without one of the fields that make it one.
        """
        body, feed = json_content(answer), _feed(source)
        if feed != "schedule":
            return table_of(answer, outcomes(answer, body, feed), OUTCOMES)
        games = part_of(answer, body, "games", list, "games")
        return table_of(answer, (_game(answer, each) for each in games), GAMES)


def _feed(source: Source) -> str:
    return str(source.options.get("feed", "schedule"))


def _game(answer: Answer, game: Any) -> dict[str, Any]:
    named = {
        "game_id": part_of(answer, game, "game.id", str, "id"),
        "scheduled": part_of(answer, game, "game.scheduled", str, "scheduled"),
        "status": part_of(answer, game, "game.status", str, "status"),
    }
    over = named["status"] in _OVER
    for side in ("home", "away"):
        team = part_of(answer, game, f"game.{side}", dict, side)
        # Baseball says `abbr`, the others `alias`.
        short = maybe(answer, team, f"game.{side}.abbr", str, "abbr")
        named[f"{side}_team"] = short or part_of(answer, team, f"game.{side}.alias", str, "alias")
        named[f"{side}_points"] = _points(answer, game, team, side) if over else None
    return named


def _points(answer: Answer, game: Any, team: dict[str, Any], side: str) -> object:
    """Where each sport's documents have them: with the side, or with the game."""
    for name in _POINTS:
        if team.get(name) is not None:
            return part_of(answer, team, f"game.{side}.{name}", NUMBER, name)
    return part_of(answer, game, f"game.{side}_points", NUMBER, f"{side}_points")
