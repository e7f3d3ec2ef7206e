"""The betting providers, simulated: what bookmakers quote on the league, in the providers' own shapes.

Served over real HTTP, by the paths of The Odds API, ESPN's scoreboard, Sportradar (schedule, and odds of
Odds Comparison 2) and PrizePicks, below one address. It stands at one moment, and knows nothing of the time
after; the prices of earlier moments can be asked for where the provider sells them.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Any

import polars as pl

from pennant.simulation.faults import Fault, Plan
from pennant.simulation.league import SEED, League
from pennant.simulation.odds import BOOKS, event_id, implied, quotes, snapshot
from pennant.simulation.serving import Page, Provider, Request, running
from pennant.simulation.table import RESULT_AFTER

SPORT = "simulated_league"
FORWARDS_SHARE = 0.4
"""Share of a team's shots that its forward has; his line is what 13 shots of a team give him."""
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_TITLES = {book.key: book.title for book in BOOKS}
_MARKET_IDS = {"h2h": ("sr:market:219", "winner (incl. overtime)"), "totals": ("sr:market:225", "total")}
_OUTCOME_IDS = {
    "home": "sr:outcome:4",
    "away": "sr:outcome:5",
    "Over": "sr:outcome:13",
    "Under": "sr:outcome:12",
}


@dataclass
class Betting:
    """What the providers know.

    Attributes:
        league: whose games.
        now: the moment at which they stand, UTC.
        key: of The Odds API and Sportradar; without it any is good.
        quota: requests that are left of the month at The Odds API.
        page_size: games or projections of a page at most, whatever is asked for.
        seed: of the bookmakers' errors.
    """

    league: League
    now: datetime
    key: str = ""
    quota: int = 500
    page_size: int = 20
    seed: int = SEED
    used: list[str] = field(default_factory=list)
    """Paths that cost something of the quota."""

    def quotes(self, moment: datetime | None = None) -> pl.DataFrame:
        """What is quoted at a moment, or now; see `odds.quotes`."""
        return quotes(self.league, moment or self.now, self.seed)

    def answer(self, request: Request) -> Page:
        """The page of a request; by none of the providers' paths it is a 404."""
        parts = request.path.strip("/").split("/")
        for wanted, given in _PATHS:
            if len(parts) == len(wanted) and all(w in {"*", p} for w, p in zip(wanted, parts, strict=True)):
                try:
                    return given(self, request, parts)
                except KeyError as missing:
                    return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"missing parameter {missing}")
        return _refusal(HTTPStatus.NOT_FOUND, f"no provider has {request.path}")


@contextmanager
def betting(known: Betting, plan: Plan | Sequence[Fault | None] = ()) -> Iterator[Provider]:
    """Serve the providers on 127.0.0.1; `Provider.url` is the address below which they all are."""
    with running(known.answer, plan) as provider:
        yield provider


def _odds(known: Betting, request: Request, parts: list[str]) -> Page:
    """The Odds API: `[historical/]sports/<sport>/odds` and `.../events/<id>/odds`."""
    if known.key and request.params.get("apiKey") != known.key:
        return _refusal(HTTPStatus.UNAUTHORIZED, "API key is missing or not valid", "INVALID_KEY")
    if SPORT not in parts:
        return _refusal(HTTPStatus.NOT_FOUND, "Unknown sport", "UNKNOWN_SPORT")
    if len(known.used) >= known.quota:
        return _refusal(HTTPStatus.UNAUTHORIZED, "Usage quota has been reached", "OUT_OF_USAGE_CREDITS")
    past = parts[1] == "historical"
    at = snapshot(_moment(request.params["date"])) if past else known.now
    if at > known.now:
        return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "date lies ahead", "INVALID_HISTORICAL_TIMESTAMP")
    games = list(_events(known.quotes(at), request.params))
    one = parts[parts.index("events") + 1] if "events" in parts else None
    found: Any = games if one is None else next((each for each in games if each["id"] == one), None)
    if found is None:
        return _refusal(HTTPStatus.NOT_FOUND, "Event not found", "EVENT_NOT_FOUND")
    known.used.append(request.path)
    cost = {"x-requests-used": len(known.used), "x-requests-remaining": known.quota - len(known.used)}
    if past:
        step = timedelta(minutes=5)
        near = {"timestamp": at, "previous_timestamp": at - step, "next_timestamp": at + step}
        found = {**{name: f"{each:{_MOMENT}}" for name, each in near.items()}, "data": found}
    return _json(found, {"x-requests-last": "1", **{name: str(each) for name, each in cost.items()}})


def _events(rows: pl.DataFrame, params: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    rows = rows.filter(pl.col("market").is_in(params.get("markets", "h2h").split(",")))
    if "bookmakers" in params:
        rows = rows.filter(pl.col("bookmaker").is_in(params["bookmakers"].split(",")))
    if "commenceTimeFrom" in params:
        rows = rows.filter(pl.col("commence_time") >= _moment(params["commenceTimeFrom"]))
    if "commenceTimeTo" in params:
        rows = rows.filter(pl.col("commence_time") <= _moment(params["commenceTimeTo"]))
    decimal = params.get("oddsFormat", "decimal") == "decimal"
    for _, game in rows.group_by("event_id", maintain_order=True):
        first = game.row(0, named=True)
        yield {
            "id": first["event_id"],
            "sport_key": SPORT,
            "sport_title": "Simulated league",
            "commence_time": f"{first['commence_time']:{_MOMENT}}",
            "home_team": first["home_team"],
            "away_team": first["away_team"],
            "bookmakers": [
                _book(book, decimal) for _, book in game.group_by("bookmaker", maintain_order=True)
            ],
        }


def _book(rows: pl.DataFrame, decimal: bool) -> dict[str, Any]:
    first = rows.row(0, named=True)
    moved = f"{first['last_update']:{_MOMENT}}"
    markets = [
        {
            "key": offers["market"][0],
            "last_update": moved,
            "outcomes": [_outcome(each, decimal) for each in offers.iter_rows(named=True)],
        }
        for _, offers in rows.group_by("market", maintain_order=True)
    ]
    key = first["bookmaker"]
    return {"key": key, "title": _TITLES[key], "last_update": moved, "markets": markets}


def _outcome(row: dict[str, Any], decimal: bool) -> dict[str, Any]:
    price = decimal_odds(row["price"]) if decimal else row["price"]
    line = {} if row["point"] is None else {"point": row["point"]}
    return {"name": row["outcome"], "price": price, **line}


def decimal_odds(price: int) -> float:
    """Decimal odds of American ones: what a stake of one returns, with the stake."""
    return round(1.0 / implied(price), 2)


def _scoreboard(known: Betting, request: Request, parts: list[str]) -> Page:  # noqa: ARG001  # any league
    """ESPN: the games of `dates`, days of UTC."""
    first, _, last = request.params["dates"].partition("-")
    games = _games_of(known, _day(first), _day(last or first))
    prices = known.quotes().filter(pl.col("bookmaker") == BOOKS[0].key)
    limit = int(request.params.get("limit", "100"))
    events = [_event(game, known.now, prices.filter(pl.col("game_id") == game["game_id"])) for game in games]
    return _json({"leagues": [{"slug": SPORT}], "events": events[:limit]})


def _event(game: dict[str, Any], now: datetime, prices: pl.DataFrame) -> dict[str, Any]:
    over, begun = game["kickoff"] + RESULT_AFTER <= now, game["kickoff"] <= now
    name, state = (
        ("STATUS_FINAL", "post")
        if over
        else ("STATUS_IN_PROGRESS", "in")
        if begun
        else ("STATUS_SCHEDULED", "pre")
    )
    sides = [
        {
            "homeAway": side,
            "team": {"id": short(game[f"{side}_team"]), "abbreviation": short(game[f"{side}_team"])}
            | {"displayName": game[f"{side}_team"]},
            "score": str(game[f"{side}_goals"]) if over else "0",
        }
        for side in ("home", "away")
    ]
    competition: dict[str, Any] = {
        "neutralSite": False,
        "competitors": sides,
        "status": {"type": {"name": name, "state": state, "completed": over}},
    }
    if not prices.is_empty():
        home, away, over_price = prices["price"][:3]
        competition["odds"] = [
            {
                "provider": {"id": "1", "name": BOOKS[0].title, "priority": 1},
                "overUnder": prices["point"][2],
                "overOdds": over_price,
                "homeTeamOdds": {"moneyLine": home},
                "awayTeamOdds": {"moneyLine": away},
            }
        ]
    return {
        "id": game["game_id"],
        "date": f"{game['kickoff']:%Y-%m-%dT%H:%MZ}",
        "season": {"year": game["season"], "type": 2},
        "competitions": [competition],
    }


def _schedule(known: Betting, request: Request, parts: list[str]) -> Page:
    """Sportradar: the games of one day."""
    if known.key and request.headers.get("x-api-key") != known.key:
        return _refusal(HTTPStatus.FORBIDDEN, "Forbidden")
    day = date(*(int(each) for each in parts[5:8]))
    games = [
        {
            "id": event_id(game["game_id"]),
            "scheduled": f"{game['kickoff'].isoformat()}",
            "status": "closed" if (over := game["kickoff"] + RESULT_AFTER <= known.now) else "scheduled",
            **{
                side: {"name": game[f"{side}_team"], "abbr": short(game[f"{side}_team"])}
                | ({"runs": game[f"{side}_goals"]} if over else {})
                for side in ("home", "away")
            },
        }
        for game in _games_of(known, day, day)
    ]
    return _json({"date": f"{day}", "games": games})


def _comparison(known: Betting, request: Request, parts: list[str]) -> Page:
    """Sportradar: the prices of one day's games, in pages by `start` and `limit`."""
    if known.key and request.headers.get("x-api-key") != known.key:
        return _refusal(HTTPStatus.FORBIDDEN, "Forbidden")
    rows = known.quotes().filter(pl.col("commence_time").dt.date() == date.fromisoformat(parts[7]))
    games = [game for _, game in rows.group_by("event_id", maintain_order=True)]
    start = int(request.params.get("start", "0"))
    size = min(int(request.params.get("limit", "50")), known.page_size)
    listed = [_compared(game) for game in games[start : start + size]]
    made = known.now.isoformat()
    return _json({"generated_at": made, "sport_schedule_sport_event_markets": listed})


def _compared(game: pl.DataFrame) -> dict[str, Any]:
    first = game.row(0, named=True)
    sides = {"home": first["home_team"], "away": first["away_team"]}
    return {
        "sport_event": {
            "id": f"sr:sport_event:{first['game_id']}",
            "start_time": first["commence_time"].isoformat(),
            "status": "not_started",
            "competitors": [
                {"id": f"sr:competitor:{short(name)}", "name": name, "abbreviation": short(name)}
                | {"qualifier": side}
                for side, name in sides.items()
            ],
        },
        "markets": [
            {
                "id": _MARKET_IDS[offers["market"][0]][0],
                "name": _MARKET_IDS[offers["market"][0]][1],
                "is_live": False,
                "books": [
                    _priced(book, sides) for _, book in offers.group_by("bookmaker", maintain_order=True)
                ],
            }
            for _, offers in game.group_by("market", maintain_order=True)
        ],
    }


def _priced(rows: pl.DataFrame, sides: dict[str, str]) -> dict[str, Any]:
    named = {name: side for side, name in sides.items()}
    outcomes = []
    for row in rows.iter_rows(named=True):
        which = named.get(row["outcome"], row["outcome"])
        outcome = {
            "id": _OUTCOME_IDS[which],
            "type": which.lower(),
            "odds_decimal": f"{decimal_odds(row['price'])}",
            "odds_american": f"{row['price']:+d}",
        }
        outcomes.append(outcome | ({} if row["point"] is None else {"total": str(row["point"])}))
    key = rows["bookmaker"][0]
    return {"id": f"sr:book:{key}", "name": _TITLES[key], "removed": False, "outcomes": outcomes}


def _projections(known: Betting, request: Request, parts: list[str]) -> Page:  # noqa: ARG001  # one path
    """PrizePicks: a line on the shots of each team's forward, in pages by `page` and `per_page`."""
    listed = known.quotes().unique("game_id", maintain_order=True)
    teams = [
        (game, game[side]) for game in listed.iter_rows(named=True) for side in ("home_team", "away_team")
    ]
    size = min(int(request.params.get("per_page", "250")), known.page_size)
    number = int(request.params.get("page", "1"))
    shown = teams[(number - 1) * size : number * size]
    data = [
        {
            "type": "projection",
            "id": f"{game['game_id']}-{short(team)}",
            "attributes": {
                "stat_type": "Shots",
                "line_score": line_of_shots(),
                "start_time": game["commence_time"].isoformat(),
                "updated_at": (game["commence_time"] - timedelta(hours=48)).isoformat(),
                "odds_type": "standard",
                "status": "pre_game",
            },
            "relationships": {"new_player": {"data": {"type": "new_player", "id": short(team)}}},
        }
        for game, team in shown
    ]
    names = dict.fromkeys(team for _, team in shown)
    included = [
        {
            "type": "new_player",
            "id": short(team),
            "attributes": {
                "name": f"Forward of {team}",
                "team": short(team),
                "position": "F",
                "league": SPORT,
            },
        }
        for team in names
    ]
    meta = {"current_page": number, "total_pages": -(-len(teams) // size)}
    return _json({"data": data, "included": included, "meta": meta})


def line_of_shots() -> float:
    """The line on a forward's shots: half a shot away from what would be a draw."""
    return int(13 * FORWARDS_SHARE) + 0.5


def short(team: str) -> str:
    """The abbreviation of a team: its letters without vowels, so that no two are the same."""
    name = team.upper().replace(" ", "")
    return name[0] + "".join(each for each in name[1:] if each not in "AEIOU")


_PATHS: list[tuple[list[str], Callable[[Betting, Request, list[str]], Page]]] = [
    (["v4", "sports", "*", "odds"], _odds),
    (["v4", "sports", "*", "events", "*", "odds"], _odds),
    (["v4", "historical", "sports", "*", "odds"], _odds),
    (["v4", "historical", "sports", "*", "events", "*", "odds"], _odds),
    (["apis", "site", "v2", "sports", "*", "*", "scoreboard"], _scoreboard),
    (["*", "*", "*", "en", "games", "*", "*", "*", "schedule.json"], _schedule),
    (
        [
            "oddscomparison-prematch",
            "*",
            "v2",
            "en",
            "sports",
            "*",
            "schedules",
            "*",
            "sport_event_markets.json",
        ],
        _comparison,
    ),
    (["projections"], _projections),
]


def _games_of(known: Betting, first: date, last: date) -> list[dict[str, Any]]:
    day = pl.col("kickoff").dt.date()
    return known.league.games.filter(day >= first, day <= last).to_dicts()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _day(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date()


def _json(body: Any, headers: Mapping[str, str] | None = None) -> Page:
    content = json.dumps(body).encode()
    return Page(content, "application/json; charset=utf-8", headers=headers or {})


def _refusal(status: int, message: str, code: str = "") -> Page:
    body = {"message": message} | ({"error_code": code} if code else {})
    return Page(json.dumps(body).encode(), "application/json; charset=utf-8", status=status)
