"""PrizePicks' projections: the lines that its players pick over or under, with no prices of their own.

`https://api.prizepicks.com/projections?league_id=&per_page=&page=`, a JSON:API document (jsonapi.org):
projections under `data`, the players and leagues they name under `included`, the number of pages under
`meta`. PrizePicks documents it for nobody and gives no keys; it tells the lines of now only, and turns away
whom it takes for a program with status 403, which is told and not got around.
"""

import json
from collections.abc import Mapping
from itertools import count
from typing import Any, Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask
from pennant.data.connectors.records import (
    NUMBER,
    maybe,
    options_of,
    part_of,
    path_problems,
    price_problems,
    table_of,
    whole_problems,
)
from pennant.data.parsing import json_content
from pennant.declaration.model import Source
from pennant.reference import Window

ADDRESS = "https://api.prizepicks.com"
OPTIONS = ("league_id", "per_page", "single_stat")
PER_PAGE = 250
OPTIONAL = ("board_time", "updated_at", "odds_type", "projection_type", "status", "description", "game_id")
COLUMNS = (
    *("projection_id", "player_id", "player", "team", "position", "league"),
    *("stat_type", "line_score", "start_time", *OPTIONAL, "is_promo", "flash_sale_line_score"),
)


class PrizePicks:
    """Options: `league_id` (a text, `2` is MLB), `per_page` (250), `single_stat` (true).

    Rows: one per projection, with the name, team and position of its player. Moments have the offset of
    PrizePicks' place, as in `2026-03-01T13:00:00-05:00`. `odds_type` tells standard lines from those with
    another payout; `flash_sale_line_score` is a line for a short time.
    """

    kind = "prizepicks"
    history: Literal["full", "today"] = "today"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options, in words; empty if nothing is."""
        found = options_of(self.kind, source, OPTIONS, texts=("league_id",))
        if not isinstance(source.options.get("single_stat", True), bool):
            given = source.options["single_stat"]
            found.append(f"option single_stat: found {given!r}; allowed: true, false")
        found += whole_problems(source, per_page=1) + path_problems(self.kind, source)
        return found + price_problems(source, ("line_score", "flash_sale_line_score"))

    def asks(self, source: Source, window: Window) -> list[Ask]:  # noqa: ARG002  # always what is offered now
        """The projections, page by page."""
        single = source.options.get("single_stat", True)
        params = {
            "league_id": str(source.options["league_id"]),
            "per_page": str(source.options.get("per_page", PER_PAGE)),
            "single_stat": "true" if single else "false",
            "page": "1",
        }
        url = f"{(source.url or ADDRESS).rstrip('/')}/projections"
        return [Ask(part="projections", url=url, params=params, next_page=_Pages())]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:
        """The projections of one page as rows of text.

        Raises:
            SourceMalformed: no JSON:API document of projections, a player who is not included, or a full page
                that does not say how many there are.
        """
        body = json_content(answer)
        data = part_of(answer, body, "data", list, "data")
        if len(data) >= int(str(source.options.get("per_page", PER_PAGE))):
            meta = part_of(answer, body, "meta", dict, "meta")
            part_of(answer, meta, "meta.total_pages", int, "total_pages")
        included = part_of(answer, body, "included", list, "included") if data else []
        named = {
            (part_of(answer, each, "included.type", str, "type"), each.get("id")): each.get("attributes")
            for each in included
        }
        return table_of(answer, (_projection(answer, each, named) for each in data), COLUMNS)


class _Pages:
    """What the next page is: the document says how many there are. It serves one run of asking."""

    def __init__(self) -> None:
        self._numbers = count(2)

    def __call__(self, body: bytes) -> Mapping[str, str] | None:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return None  # the reader says what is wrong with it
        meta = content.get("meta") if isinstance(content, dict) else None
        pages = meta.get("total_pages") if isinstance(meta, dict) else None
        number = next(self._numbers)
        return {"page": str(number)} if isinstance(pages, int) and number <= pages else None


Named = Mapping[tuple[str, Any], Any]


def _projection(answer: Answer, each: Any, named: Named) -> dict[str, Any]:
    number = part_of(answer, each, "projection.id", str, "id")
    said = part_of(answer, each, "projection.attributes", dict, "attributes")
    relations = part_of(answer, each, "projection.relationships", dict, "relationships")
    who = _related(answer, relations, "new_player")
    player = part_of(answer, named.get(("new_player", who)), f"included new_player {who}", dict)
    where = _related(answer, relations, "league") if relations.get("league") is not None else None
    league = named.get(("league", where)) or {}
    return {
        "projection_id": number,
        "player_id": who,
        "player": part_of(answer, player, "new_player.name", str, "name"),
        "team": player.get("team"),
        "position": player.get("position"),
        "league": player.get("league") or league.get("name"),
        "stat_type": part_of(answer, said, "attributes.stat_type", str, "stat_type"),
        "line_score": part_of(answer, said, "attributes.line_score", NUMBER, "line_score"),
        "start_time": part_of(answer, said, "attributes.start_time", str, "start_time"),
        **{name: maybe(answer, said, f"attributes.{name}", NUMBER, name) for name in OPTIONAL},
        "is_promo": said.get("is_promo"),
        "flash_sale_line_score": said.get("flash_sale_line_score"),
    }


def _related(answer: Answer, relations: Mapping[str, Any], kind: str) -> str:
    relation = part_of(answer, relations, f"relationships.{kind}", dict, kind)
    there = part_of(answer, relation, f"relationships.{kind}.data", dict, "data")
    found: str = part_of(answer, there, f"relationships.{kind}.data.id", str, "id")
    return found
