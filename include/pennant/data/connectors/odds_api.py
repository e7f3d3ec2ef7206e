"""The Odds API, version 4: prices of many bookmakers (https://the-odds-api.com/liveapi/guides/v4/).

`GET /v4/sports/{sport}/odds` gives the prices of now, `GET /v4/historical/sports/{sport}/odds?date=` (a paid
plan) those of a moment, under `data`. A list of events, each with bookmakers, each with markets, each with
outcomes.
"""

from collections.abc import Iterator
from typing import Any, Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask, KeyPlace
from pennant.data.connectors.records import options_of, part_of, table_of
from pennant.data.parsing import json_content
from pennant.declaration.model import Source
from pennant.reference import Window

ADDRESS = "https://api.the-odds-api.com"
OPTIONS = ("sport", "regions", "markets", "odds_format", "historical")
FORMATS = ("american", "decimal")


class OddsApi:
    """Options: `sport` (`baseball_mlb`), `regions`, `markets` (`h2h,totals`), `odds_format`, `historical`.

    Rows: one per event, bookmaker, market and outcome: `event_id`, `sport`, `commence_time`, `home_team`,
    `away_team`, `bookmaker`, `market`, `last_update`, `outcome`, `description`, `price`, `point`. With
    `historical: true` the prices are those of the window's end; without it a window that is over cannot be
    asked for.
    """

    kind = "the_odds_api"
    connection: str | None = "the_odds_api"

    def __init__(self, history: Literal["full", "today"] = "today") -> None:
        self.history = history

    @classmethod
    def of(cls, source: Source) -> "OddsApi":
        """The connector of a source: `historical` prices are of any moment, the others of now."""
        return cls("full" if source.options.get("historical") is True else "today")

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options, in words; empty if nothing is."""
        found = options_of(self.kind, source, OPTIONS, texts=("sport",))
        if source.options.get("odds_format", "american") not in FORMATS:
            given = source.options["odds_format"]
            found.append(f"option odds_format: found {given!r}; allowed: {', '.join(FORMATS)}")
        if not isinstance(source.options.get("historical", False), bool):
            found.append(f"option historical: found {source.options['historical']!r}; allowed: true, false")
        return found

    def asks(self, source: Source, window: Window) -> list[Ask]:
        """One request: its answer holds every event."""
        past = source.options.get("historical") is True
        params = {
            "regions": str(source.options.get("regions", "us")),
            "markets": str(source.options.get("markets", "h2h")),
            "oddsFormat": str(source.options.get("odds_format", "american")),
            "dateFormat": "iso",
        }
        if past:
            params["date"] = f"{window.as_of:%Y-%m-%dT%H:%M:%SZ}"
        path = f"/v4/{'historical/' if past else ''}sports/{source.options['sport']}/odds"
        url = f"{(source.url or ADDRESS).rstrip('/')}{path}"
        key = KeyPlace("query", "apiKey")
        return [Ask(part="odds", url=url, path=source.path, params=params, key=key)]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one shape
        """The outcomes as rows of text.

        Raises:
            SourceMalformed: no list of events, or an event without one of its documented fields.
        """
        body = json_content(answer)
        events = body.get("data") if isinstance(body, dict) else body
        return table_of(answer, _outcomes(answer, events))


def _outcomes(answer: Answer, events: Any) -> Iterator[dict[str, Any]]:
    for event in part_of(answer, events, "a list of events", list):
        game = {
            "event_id": part_of(answer, event, "event.id", str, "id"),
            "sport": part_of(answer, event, "event.sport_key", str, "sport_key"),
            "commence_time": part_of(answer, event, "event.commence_time", str, "commence_time"),
            "home_team": event.get("home_team"),
            "away_team": event.get("away_team"),
        }
        for book in part_of(answer, event, "event.bookmakers", list, "bookmakers"):
            for market in part_of(answer, book, "bookmaker.markets", list, "markets"):
                offer = {
                    "bookmaker": part_of(answer, book, "bookmaker.key", str, "key"),
                    "market": part_of(answer, market, "market.key", str, "key"),
                    "last_update": market.get("last_update") or book.get("last_update"),
                }
                for outcome in part_of(answer, market, "market.outcomes", list, "outcomes"):
                    yield {
                        **game,
                        **offer,
                        "outcome": part_of(answer, outcome, "outcome.name", str, "name"),
                        "description": outcome.get("description"),
                        "price": part_of(answer, outcome, "outcome.price", (int, float), "price"),
                        "point": outcome.get("point"),
                    }
