"""Odds Comparison 2 of Sportradar: games have markets, those have books, those have outcomes.

Prematch and Player Props share the shape (https://developer.sportradar.com/odds/docs/oc-ig-fundamentals); the
second has players above the markets.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pennant.data.connectors.base import Answer
from pennant.data.connectors.records import NUMBER, maybe, part_of

FEEDS = {
    "markets": ("prematch", "sport_event_markets", "sport_schedule_sport_event_markets"),
    "players_props": ("player-props", "players_props", "sport_schedule_sport_events_players_props"),
}
"""Feed to its package, its document, and the list of games in that."""
PRICES = ("odds_decimal", "odds_american", "open_odds_decimal", "open_odds_american", "handicap", "total")
COLUMNS = (
    *("quote", "event_id", "start_time", "status", "home_id", "home_team", "away_id", "away_team"),
    *("player_id", "player", "market_id", "market", "book_id", "book", "outcome_id", "outcome"),
    *(*PRICES, "removed", "generated_at"),
)
Row = dict[str, Any]


class Pages:
    """Where the next page starts; it serves one run of asking.

    The server may give fewer games to a page than `limit` says. So the pages go on until one is empty, or is
    shorter than the one before, or begins as one did before.
    """

    def __init__(self, feed: str) -> None:
        self._list = FEEDS[feed][2]
        self._start, self._size = 0, 0
        self._first: set[object] = set()

    def __call__(self, body: bytes) -> Mapping[str, str] | None:
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return None  # the reader says what is wrong with it
        games = content.get(self._list) if isinstance(content, dict) else None
        if not isinstance(games, list) or not games or len(games) < self._size:
            return None
        event = games[0].get("sport_event") if isinstance(games[0], dict) else None
        first = event.get("id") if isinstance(event, dict) else None
        if first in self._first:
            return None
        self._first.add(first)
        self._start, self._size = self._start + len(games), len(games)
        return {"start": str(self._start)}


def outcomes(answer: Answer, body: Any, feed: str) -> Iterator[Row]:
    """The outcomes of one page, in its order.

    Raises:
        SourceMalformed: a part of the documented shape is missing.
    """
    name = FEEDS[feed][2]
    made = part_of(answer, body, "generated_at", str, "generated_at")
    for each in part_of(answer, body, name, list, name):
        game = {**_game(answer, part_of(answer, each, "sport_event", dict, "sport_event"))}
        game["generated_at"] = made
        if feed == "markets":
            yield from _priced(answer, each, {**game, "player_id": None, "player": None})
            continue
        for one in part_of(answer, each, "players_props", list, "players_props"):
            player = part_of(answer, one, "players_props.player", dict, "player")
            who = {
                "player_id": part_of(answer, player, "player.id", str, "id"),
                "player": part_of(answer, player, "player.name", str, "name"),
            }
            yield from _priced(answer, one, {**game, **who})


def _game(answer: Answer, event: Any) -> Row:
    row: Row = {
        "event_id": part_of(answer, event, "sport_event.id", str, "id"),
        "start_time": part_of(answer, event, "sport_event.start_time", str, "start_time"),
        "status": maybe(answer, event, "sport_event.status", str, "status"),
    }
    sides: Row = {}
    for each in part_of(answer, event, "sport_event.competitors", list, "competitors"):
        sides[part_of(answer, each, "competitor.qualifier", str, "qualifier")] = each
    for side in ("home", "away"):
        team = part_of(answer, sides, f"competitors.{side}", dict, side)
        row[f"{side}_id"] = part_of(answer, team, "competitor.id", str, "id")
        row[f"{side}_team"] = part_of(answer, team, "competitor.name", str, "name")
    return row


def _priced(answer: Answer, holder: Any, row: Row) -> Iterator[Row]:
    for market in part_of(answer, holder, "markets", list, "markets"):
        offered = {
            "market_id": part_of(answer, market, "market.id", str, "id"),
            "market": part_of(answer, market, "market.name", str, "name"),
        }
        for book in part_of(answer, market, "market.books", list, "books"):
            by = {
                "book_id": part_of(answer, book, "book.id", str, "id"),
                "book": part_of(answer, book, "book.name", str, "name"),
            }
            down = maybe(answer, book, "book.removed", bool, "removed") or False
            for outcome in part_of(answer, book, "book.outcomes", list, "outcomes"):
                yield _named({**row, **offered, **by, **_outcome(answer, outcome, down=down)})


def _outcome(answer: Answer, outcome: Any, *, down: bool) -> Row:
    row: Row = {
        "outcome_id": part_of(answer, outcome, "outcome.id", str, "id"),
        "outcome": maybe(answer, outcome, "outcome.type", str, "type"),
    }
    row |= {name: maybe(answer, outcome, f"outcome.{name}", NUMBER, name) for name in PRICES}
    gone = maybe(answer, outcome, "outcome.removed", bool, "removed") or False
    if not (down or gone):
        part_of(answer, outcome, "outcome.odds_decimal", NUMBER, "odds_decimal")
    return {**row, "removed": down or gone}


def _named(row: Row) -> Row:
    # One market may be offered several times, each with another line and another name.
    names = ("event_id", "player_id", "market_id", "market", "book_id", "outcome_id", "handicap", "total")
    return {**row, "quote": "/".join("" if row[each] is None else str(row[each]) for each in names)}
