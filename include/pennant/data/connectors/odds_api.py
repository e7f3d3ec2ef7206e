"""The Odds API, version 4: prices of many bookmakers (https://the-odds-api.com/liveapi/guides/v4/).

- `GET /v4/sports/{sport}/odds`: the featured markets (h2h, spreads, totals) of all coming games, now.
- `GET /v4/sports/{sport}/events/{id}/odds`: any market of one game, such as `pitcher_strikeouts`.
- `GET /v4/historical/...`: the same two at a moment (`date`), of a paid plan; the answer is wrapped in
  `timestamp`, `previous_timestamp`, `next_timestamp` and `data`.

Games have bookmakers, those have markets, those have outcomes. The key goes in the query as `apiKey`; what is
left of the month's quota comes in `x-requests-remaining`, `-used` and `-last`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask, KeyPlace
from pennant.data.connectors.records import (
    NUMBER,
    maybe,
    options_of,
    part_of,
    price_problems,
    table_of,
    whole_problems,
)
from pennant.data.parsing import json_content
from pennant.declaration.model import Source
from pennant.reference import Window

ADDRESS = "https://api.the-odds-api.com"
OPTIONS = (
    *("sport", "regions", "bookmakers", "markets", "odds_format"),
    *("historical", "every_hours", "events"),
)
FORMATS = ("american", "decimal")
COLUMNS = (
    *("quote", "event_id", "sport", "commence_time", "home_team", "away_team", "bookmaker", "market"),
    *("last_update", "outcome", "description", "price", "point", "snapshot_at"),
)
_SIDES_OF_A_LINE = {"Over", "Under"}
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"


class OddsApi:
    """Options: `sport` (`baseball_mlb`) and, all of them optional, these.

    `regions` (`us`), `bookmakers` (a list, in place of regions), `markets` (a list or `h2h,totals`),
    `odds_format`; `events`: ids of the games whose markets are asked for one by one, as player props have to
    be; `historical`: the prices at the window's end, or with `every_hours` at several moments of it.

    Rows: one per game, bookmaker, market, outcome and line. `quote` names the row among those of one moment;
    `last_update` is when the bookmaker last confirmed it, `snapshot_at` (historical) the moment it was seen.
    A source that asks for several moments has the key `[quote, snapshot_at]`. Games that have begun are
    not asked for. Prices of now know no past, the historical ones all of it.
    """

    kind = "the_odds_api"
    connection: str | None = "the_odds_api"

    def __init__(self, history: Literal["full", "today"] = "today") -> None:
        self.history = history

    @classmethod
    def of(cls, source: Source) -> "OddsApi":
        """The connector of a source: `historical` prices are of any moment, the others of now."""
        return cls("full" if _past(source) else "today")

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options, in words; empty if nothing is."""
        options = source.options
        found = options_of(self.kind, source, OPTIONS, texts=("sport",))
        if options.get("odds_format", "american") not in FORMATS:
            given = options["odds_format"]
            found.append(f"option odds_format: found {given!r}; allowed: {', '.join(FORMATS)}")
        if not isinstance(options.get("historical", False), bool):
            found.append(f"option historical: found {options['historical']!r}; allowed: true, false")
        if "every_hours" in options and not _past(source):
            found.append("option every_hours: found it without historical; allowed: with historical: true")
        if "regions" in options and "bookmakers" in options:
            found.append("options regions and bookmakers: found both; allowed: one, they name the same thing")
        if not isinstance(options.get("events", []), list) or options.get("events") == []:
            found.append(f"option events: found {options['events']!r}; allowed: a list of ids")
        return found + whole_problems(source, every_hours=1) + price_problems(source, ("price", "point"))

    def asks(self, source: Source, window: Window) -> list[Ask]:
        """One request for all games or one for each of `events`, at every moment that is asked about."""
        events = source.options.get("events")
        games: list[str | None] = [str(each) for each in events] if isinstance(events, list) else [None]
        return [_ask(source, window, moment, game) for moment in _moments(source, window) for game in games]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:
        """The outcomes as rows of text.

        Raises:
            SourceMalformed: no list of games, or a game without one of its documented fields.
        """
        body, seen = json_content(answer), None
        if _past(source):
            seen = part_of(answer, body, "timestamp", str, "timestamp")
            body = part_of(answer, body, "data", (list, dict), "data")
        games = part_of(answer, [body] if isinstance(body, dict) else body, "a list of games", list)
        return table_of(answer, _outcomes(answer, games, seen), COLUMNS)


def _past(source: Source) -> bool:
    return source.options.get("historical") is True


def _moments(source: Source, window: Window) -> list[datetime | None]:
    """The moments to ask about, oldest first; None is now."""
    if not _past(source):
        return [None]
    hours = source.options.get("every_hours")
    step = window.length if hours is None else timedelta(hours=int(str(hours)))
    steps = -(-window.length // step)  # as many as fit after the window's start, and one at its end
    return [window.as_of - number * step for number in reversed(range(steps))]


def _ask(source: Source, window: Window, moment: datetime | None, game: str | None) -> Ask:
    options = source.options
    params = {
        "markets": _list(options.get("markets", "h2h")),
        "oddsFormat": str(options.get("odds_format", "american")),
        "dateFormat": "iso",
    }
    name = "bookmakers" if "bookmakers" in options else "regions"
    params[name] = _list(options.get(name, "us"))
    if game is None:
        since = moment or window.as_of
        params["commenceTimeFrom"] = f"{since:{_MOMENT}}"
        params["commenceTimeTo"] = f"{since + timedelta(days=source.ahead_days):{_MOMENT}}"
    if moment is not None:
        params["date"] = f"{moment:{_MOMENT}}"
    past = "historical/" if moment is not None else ""
    which = "odds" if game is None else f"events/{game}/odds"
    part = "-".join(["odds", *([game] if game else []), *([f"{moment:%Y%m%dT%H%M%SZ}"] if moment else [])])
    return Ask(
        part=part,
        url=f"{(source.url or ADDRESS).rstrip('/')}/v4/{past}sports/{options['sport']}/{which}",
        path=f"{source.path.rstrip('/')}/{part}.json" if source.path else None,
        params=params,
        key=KeyPlace("query", "apiKey"),
        optional=game is not None,  # a game that is over is not listed any more
    )


def _list(given: object) -> str:
    return ",".join(map(str, given)) if isinstance(given, list) else str(given)


def _outcomes(answer: Answer, games: list[Any], seen: str | None) -> Iterator[dict[str, Any]]:
    for each in games:
        game = {
            "event_id": part_of(answer, each, "event.id", str, "id"),
            "sport": part_of(answer, each, "event.sport_key", str, "sport_key"),
            "commence_time": part_of(answer, each, "event.commence_time", str, "commence_time"),
            # A list of entrants, such as of a golf tournament, is played by no two teams.
            "home_team": maybe(answer, each, "event.home_team", str, "home_team"),
            "away_team": maybe(answer, each, "event.away_team", str, "away_team"),
            "snapshot_at": seen,
        }
        for book in part_of(answer, each, "event.bookmakers", list, "bookmakers"):
            for market in part_of(answer, book, "bookmaker.markets", list, "markets"):
                offer = _offer(answer, book, market)
                for outcome in part_of(answer, market, "market.outcomes", list, "outcomes"):
                    row = {**game, **offer, **_outcome(answer, offer["market"], outcome)}
                    yield {**row, "quote": _name(row)}


def _offer(answer: Answer, book: Any, market: Any) -> dict[str, Any]:
    names = {
        "bookmaker": part_of(answer, book, "bookmaker.key", str, "key"),
        "market": part_of(answer, market, "market.key", str, "key"),
    }
    # One of the two says it: the market in the answers about one game, both in the others.
    told = maybe(answer, market, "market.last_update", str, "last_update")
    return {
        **names,
        "last_update": told or part_of(answer, book, "bookmaker.last_update", str, "last_update"),
    }


def _outcome(answer: Answer, market: str, outcome: Any) -> dict[str, Any]:
    name = part_of(answer, outcome, "outcome.name", str, "name")
    lined = name in _SIDES_OF_A_LINE or "spreads" in market
    read = part_of if lined else maybe
    return {
        "outcome": name,
        "description": maybe(answer, outcome, "outcome.description", str, "description"),
        "price": part_of(answer, outcome, "outcome.price", NUMBER, "price"),
        "point": read(answer, outcome, "outcome.point", NUMBER, "point"),
    }


def _name(row: dict[str, Any]) -> str:
    names = ("event_id", "bookmaker", "market", "outcome", "description", "point")
    return "/".join("" if row[each] is None else str(row[each]) for each in names)
