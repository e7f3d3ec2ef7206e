"""ESPN's scoreboard: schedule, state and score of a league's games, and a price where one is shown.

`https://site.api.espn.com/apis/site/v2/sports/{sport}/{league}/scoreboard?dates=YYYYMMDD-YYYYMMDD&limit=`,
which ESPN's own pages use. It wants no key and promises nothing: fields may change, and what is missing is
named.
"""

from collections.abc import Iterator
from itertools import batched
from typing import Any, Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask
from pennant.data.connectors.records import (
    NUMBER,
    days_of,
    maybe,
    options_of,
    part_of,
    price_problems,
    table_of,
    whole_problems,
)
from pennant.data.errors import SourceMalformed
from pennant.data.parsing import json_content
from pennant.declaration.model import Source
from pennant.reference import Window

ADDRESS = "https://site.api.espn.com/apis/site/v2/sports"
OPTIONS = ("sport", "league", "limit", "days_per_request", "back_days")
LIMIT = 1000
DAYS_PER_REQUEST = 7
BACK_DAYS = 2
PRICES = ("spread", "over_under", "home_moneyline", "away_moneyline", "odds_provider")
COLUMNS = (
    *("event_id", "date", "season", "season_type", "week", "status", "state", "completed", "neutral_site"),
    *("home_id", "home_team", "home_name", "home_score", "away_id", "away_team", "away_name", "away_score"),
    *PRICES,
)
_LIVE = "live"
"""Bookmakers with this in their name tell prices of the running game, beside those from before it."""


class EspnScoreboard:
    """Options: `sport` (`football`), `league` (`nfl`) and, all of them optional, these.

    `limit` (1000, games of one answer), `days_per_request` (7), `back_days` (2): how long before a window
    results are asked for again, since they come late and are corrected.

    Rows: one per game. `date` is UTC as in `2026-03-01T18:00Z`; `state` is pre, in or post. Teams are
    abbreviations. `home_score` and `away_score` are there once a game is completed: before, and of a game
    that was put off, ESPN says 0. `spread` is the home side's. The price is that of the provider ESPN puts
    first; it is the one of the moment of asking, so its group is known when `retrieved`. Schedule and results
    can be asked for at any time, prices of games that are over cannot.
    """

    kind = "espn_scoreboard"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options, in words; empty if nothing is."""
        found = options_of(self.kind, source, OPTIONS, texts=("sport", "league"))
        found += whole_problems(source, limit=1, days_per_request=1, back_days=0)
        return found + price_problems(source, PRICES)

    def asks(self, source: Source, window: Window) -> list[Ask]:
        """One request for every few days, from those with late results to those that are listed ahead."""
        base = (source.url or ADDRESS).rstrip("/")
        url = f"{base}/{source.options['sport']}/{source.options['league']}/scoreboard"
        back = int(str(source.options.get("back_days", BACK_DAYS)))
        days = days_of(source, window.start, window.as_of, back)
        size = int(str(source.options.get("days_per_request", DAYS_PER_REQUEST)))
        spans = [f"{some[0]:%Y%m%d}-{some[-1]:%Y%m%d}" for some in batched(days, size)]
        return [
            Ask(
                part=span,
                url=url,
                path=f"{source.path.rstrip('/')}/{span}.json" if source.path else None,
                params={"dates": span, "limit": str(_limit(source))},
            )
            for span in spans
        ]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:
        """The games as rows of text.

        Raises:
            SourceMalformed: no list of events, a game without one of the fields that make it one, or as many
                games as were asked for at most, so that there may be more.
        """
        events = part_of(answer, json_content(answer), "events", list, "events")
        if len(events) >= _limit(source):
            found = f"{len(events)} events, as many as were asked for at most"
            allowed = f"fewer than limit = {_limit(source)}: raise it, or lower days_per_request"
            raise SourceMalformed(answer.source, answer.address, "truncated", found=found, allowed=allowed)
        return table_of(answer, (_game(answer, event) for event in events), COLUMNS)


def _limit(source: Source) -> int:
    return int(str(source.options.get("limit", LIMIT)))


def _game(answer: Answer, event: Any) -> dict[str, Any]:
    named = {
        "event_id": part_of(answer, event, "event.id", str, "id"),
        "date": part_of(answer, event, "event.date", str, "date"),
    }
    games = part_of(answer, event, "event.competitions", list, "competitions")
    game = part_of(answer, games[0] if games else None, "event.competitions[0]", dict)
    place = game if game.get("status") is not None else event
    status = part_of(answer, place, "competition.status", dict, "status")
    phase = part_of(answer, status, "status.type", dict, "type")
    completed = part_of(answer, phase, "status.type.completed", bool, "completed")
    season = maybe(answer, event, "event.season", dict, "season") or {}
    return {
        **named,
        "season": season.get("year"),
        "season_type": season.get("type"),
        "week": (maybe(answer, event, "event.week", dict, "week") or {}).get("number"),
        "status": phase.get("name"),
        "state": part_of(answer, phase, "status.type.state", str, "state"),
        "completed": completed,
        "neutral_site": game.get("neutralSite"),
        **_sides(answer, game, completed=completed),
        **_price(answer, game),
    }


def _sides(answer: Answer, game: dict[str, Any], *, completed: bool) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for each in part_of(answer, game, "competition.competitors", list, "competitors"):
        found[part_of(answer, each, "competitor.homeAway", str, "homeAway")] = each
    sides = {side: part_of(answer, found, f"competitors.{side}", dict, side) for side in ("home", "away")}
    return dict(pair for side, each in sides.items() for pair in _side(answer, side, each, completed))


def _side(answer: Answer, side: str, given: Any, completed: bool) -> Iterator[tuple[str, Any]]:
    team = part_of(answer, given, "competitor.team", dict, "team")
    yield f"{side}_id", team.get("id")
    yield f"{side}_team", part_of(answer, team, "team.abbreviation", str, "abbreviation")
    yield f"{side}_name", team.get("displayName")
    yield f"{side}_score", part_of(answer, given, "competitor.score", NUMBER, "score") if completed else None


def _price(answer: Answer, game: dict[str, Any]) -> dict[str, Any]:
    """The price of the provider that comes first; the prices of a running game are no price of it."""
    ranked: list[tuple[float, str, dict[str, Any]]] = []
    for each in maybe(answer, game, "competition.odds", list, "odds") or []:
        if not each:
            continue  # an empty place among the odds
        provider = part_of(answer, each, "odds.provider", dict, "provider")
        name = part_of(answer, provider, "odds.provider.name", str, "name")
        if _LIVE not in name.lower():
            ranked.append((float(provider.get("priority") or 0), name, each))
    if not ranked:
        return dict.fromkeys(PRICES)
    _, name, odds = min(ranked, key=lambda each: each[:2])
    return {
        "spread": maybe(answer, odds, "odds.spread", NUMBER, "spread"),
        "over_under": maybe(answer, odds, "odds.overUnder", NUMBER, "overUnder"),
        "home_moneyline": _moneyline(answer, odds, "home"),
        "away_moneyline": _moneyline(answer, odds, "away"),
        "odds_provider": name,
    }


def _moneyline(answer: Answer, odds: dict[str, Any], side: str) -> Any:
    """American odds to win, from the newer place (`moneyline.home.close.odds`) or from the older one."""
    at: Any = odds
    for name in ("moneyline", side, "close"):
        at = maybe(answer, at, f"odds.moneyline.{side}", dict, name) or {}
    if at.get("odds") is not None:
        return at["odds"]
    older = maybe(answer, odds, f"odds.{side}TeamOdds", dict, f"{side}TeamOdds") or {}
    return maybe(answer, older, f"odds.{side}TeamOdds.moneyLine", NUMBER, "moneyLine")
