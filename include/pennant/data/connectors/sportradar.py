"""Sportradar's daily schedule and results, as https://developer.sportradar.com documents them.

`https://api.sportradar.com/{sport}/{access}/{version}/en/games/{yyyy}/{mm}/{dd}/schedule.json`: one document
a day, with `games`; the key goes in the header `x-api-key`.
"""

from datetime import timedelta
from typing import Any, Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask, KeyPlace
from pennant.data.connectors.records import options_of, part_of, table_of
from pennant.data.parsing import json_content
from pennant.declaration.model import Source
from pennant.reference import Window

ADDRESS = "https://api.sportradar.com"
OPTIONS = ("sport", "access", "version")
MOST_DAYS = 400
_POINTS = ("runs", "points", "score")


class Sportradar:
    """Options: `sport` (`mlb`, `nba`, `nhl`), `access` (`trial` or `production`), `version` (`v8`).

    Rows: one per game: `game_id`, `scheduled`, `status`, `home_team`, `away_team` (abbreviations or aliases),
    `home_points`, `away_points`. One request a day: a window is at most 400 days long.
    """

    kind = "sportradar"
    history: Literal["full", "today"] = "full"
    connection: str | None = "sportradar"

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options, in words; empty if nothing is."""
        return options_of(self.kind, source, OPTIONS, texts=("sport", "access", "version"))

    def asks(self, source: Source, window: Window) -> list[Ask]:
        """One request per day of the window and of those that are listed ahead."""
        base = (source.url or ADDRESS).rstrip("/")
        head = "/".join(str(source.options[name]) for name in ("sport", "access", "version"))
        days = (window.as_of + timedelta(days=source.ahead_days) - window.start).days + 1
        asked = []
        for number in range(min(days, MOST_DAYS)):
            day = window.start + timedelta(days=number)
            asked.append(
                Ask(
                    part=f"{day:%Y-%m-%d}",
                    url=f"{base}/{head}/en/games/{day:%Y/%m/%d}/schedule.json",
                    path=f"{source.path.rstrip('/')}/{day:%Y-%m-%d}.json" if source.path else None,
                    key=KeyPlace("header", "x-api-key"),
                    optional=True,  # no document on a day without games
                )
            )
        return asked

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one shape
        """The games of one day as rows of text.

        Raises:
            SourceMalformed: no list of games, or a game without one of the fields that make it one.
        """
        games = part_of(answer, json_content(answer), "games", list, "games")
        return table_of(answer, (_game(answer, each) for each in games))


def _game(answer: Answer, game: Any) -> dict[str, Any]:
    sides = {side: part_of(answer, game, f"game.{side}", dict, side) for side in ("home", "away")}
    return {
        "game_id": part_of(answer, game, "game.id", str, "id"),
        "scheduled": part_of(answer, game, "game.scheduled", str, "scheduled"),
        "status": part_of(answer, game, "game.status", str, "status"),
        **{f"{side}_team": each.get("abbr") or each.get("alias") for side, each in sides.items()},
        **{f"{side}_points": _points(game, each, side) for side, each in sides.items()},
    }


def _points(game: Any, side: dict[str, Any], name: str) -> object:
    """Where each sport's documents have them: with the side, or with the game."""
    with_side = next((side[each] for each in _POINTS if side.get(each) is not None), None)
    return with_side if with_side is not None else game.get(f"{name}_points")
