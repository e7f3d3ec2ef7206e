"""PrizePicks' projections: the lines that its players pick over or under, with no prices of their own.

`https://api.prizepicks.com/projections?league_id=&per_page=`, a JSON:API document (jsonapi.org): projections
under `data`, the players they name under `included`. It tells the lines of now only.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask
from pennant.data.connectors.records import options_of, part_of, table_of
from pennant.data.parsing import json_content
from pennant.declaration.model import Source
from pennant.reference import Window

ADDRESS = "https://api.prizepicks.com/projections"
OPTIONS = ("league_id", "per_page")


class PrizePicks:
    """Options: `league_id` (a text, `2` is MLB) and `per_page` (default 250).

    Rows: one per projection: `projection_id`, `player_id`, `player`, `team`, `position`, `stat_type`,
    `line_score`, `start_time`, `updated_at`, `odds_type`, `status`.
    """

    kind = "prizepicks"
    history: Literal["full", "today"] = "today"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options, in words; empty if nothing is."""
        return options_of(self.kind, source, OPTIONS, texts=("league_id",))

    def asks(self, source: Source, window: Window) -> list[Ask]:  # noqa: ARG002  # always what is offered now
        """The projections, page by page."""
        params = {
            "league_id": str(source.options["league_id"]),
            "per_page": str(source.options.get("per_page", 250)),
            "page": "1",
        }
        return [
            Ask(
                part="projections",
                url=source.url or ADDRESS,
                path=source.path,
                params=params,
                next_page=_following,
            )
        ]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one shape
        """The projections of one page as rows of text.

        Raises:
            SourceMalformed: no JSON:API document of projections, or a player who is not included.
        """
        body = json_content(answer)
        players = {
            each.get("id"): each.get("attributes") or {}
            for each in part_of(answer, body, "included", list, "included")
            if each.get("type") == "new_player"
        }
        data = part_of(answer, body, "data", list, "data")
        return table_of(answer, (_projection(answer, each, players) for each in data))


def _projection(answer: Answer, each: Any, players: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    said = part_of(answer, each, "projection.attributes", dict, "attributes")
    relations = part_of(answer, each, "projection.relationships", dict, "relationships")
    named = part_of(answer, relations, "relationships.new_player", dict, "new_player")
    who = part_of(answer, named.get("data"), "new_player.data.id", str, "id")
    player = part_of(answer, players.get(who), f"included new_player {who}", Mapping)
    return {
        "projection_id": part_of(answer, each, "projection.id", str, "id"),
        "player_id": who,
        "player": player.get("name"),
        "team": player.get("team"),
        "position": player.get("position"),
        "stat_type": said.get("stat_type"),
        "line_score": said.get("line_score"),
        "start_time": said.get("start_time"),
        "updated_at": said.get("updated_at"),
        "odds_type": said.get("odds_type"),
        "status": said.get("status"),
    }


def _following(body: bytes) -> Mapping[str, str] | None:
    meta = json.loads(body).get("meta") or {}
    page, pages = meta.get("current_page"), meta.get("total_pages")
    if isinstance(page, int) and isinstance(pages, int) and page < pages:
        return {"page": str(page + 1)}
    return None
