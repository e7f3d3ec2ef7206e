"""Answers of the betting providers in their documented shapes; teams, players and numbers are invented."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
import yaml

from pennant.data.connectors.base import Answer
from pennant.data.connectors.kinds import connector_of
from pennant.data.errors import SourceMalformed
from pennant.declaration.model import DataUseCase, Schedules, Source
from pennant.reference import Window
from pennant.settings import REPOSITORY

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = Window(datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
GAMES = {
    "sportradar_markets": "sport_schedule_sport_event_markets",
    "sportradar_props": "sport_schedule_sport_events_players_props",
}
Change = Callable[[Any], Any]

KINDS = (
    "the_odds_api",
    "espn_scoreboard",
    "sportradar",
    "sportradar_markets",
    "sportradar_props",
    "prizepicks",
)
"""What is asked for: a kind of source, and of Sportradar one of its feeds."""
FEEDS = {"sportradar_markets": "markets", "sportradar_props": "players_props"}
OPTIONS: dict[str, dict[str, Any]] = {
    "the_odds_api": {"sport": "baseball_mlb", "markets": ["h2h", "totals"]},
    "espn_scoreboard": {"sport": "football", "league": "nfl"},
    "sportradar": {"sport": "mlb", "access": "trial", "version": "v8"},
    "sportradar_markets": {"feed": "markets", "sport": "sr:sport:3", "access": "trial"},
    "sportradar_props": {"feed": "players_props", "sport": "sr:sport:3", "access": "trial"},
    "prizepicks": {"league_id": "2"},
}
DATES = {
    "the_odds_api": ("commence_time", "%Y-%m-%dT%H:%M:%SZ"),
    "espn_scoreboard": ("date", "%Y-%m-%dT%H:%MZ"),
    "sportradar": ("scheduled", "%Y-%m-%dT%H:%M:%S%z"),
    "sportradar_markets": ("start_time", "%Y-%m-%dT%H:%M:%S%z"),
    "sportradar_props": ("start_time", "%Y-%m-%dT%H:%M:%S%z"),
    "prizepicks": ("start_time", "%Y-%m-%dT%H:%M:%S%z"),
}
NAMED = {
    "the_odds_api": "quote",
    "espn_scoreboard": "event_id",
    "sportradar": "game_id",
    "sportradar_markets": "quote",
    "sportradar_props": "quote",
    "prizepicks": "projection_id",
}
READ = {
    "the_odds_api": {"market": "str", "price": "float", "point": "float"},
    "espn_scoreboard": {"home_team": "str", "spread": "float"},
    "sportradar": {"home_team": "str", "status": "str", "home_points": "int"},
    "sportradar_markets": {"market": "str", "odds_decimal": "float", "total": "float"},
    "sportradar_props": {"player": "str", "odds_decimal": "float", "total": "float"},
    "prizepicks": {"player": "str", "line_score": "float"},
}


def _competitors() -> list[dict[str, Any]]:
    return [
        {"id": "sr:competitor:1", "name": "Ash", "abbreviation": "ASH", "qualifier": "home"},
        {"id": "sr:competitor:2", "name": "Birch", "abbreviation": "BIR", "qualifier": "away"},
    ]


def _event() -> dict[str, Any]:
    return {
        "id": "sr:sport_event:9",
        "start_time": "2026-03-01T18:00:00+00:00",
        "start_time_confirmed": True,
        "status": "not_started",
        "competitors": _competitors(),
    }


def _total(identity: str, name: str) -> dict[str, Any]:
    over = {"odds_decimal": "1.91", "odds_american": "-110", "open_odds_decimal": "1.95", "total": "8.5"}
    under = over | {"odds_decimal": "1.91", "open_odds_decimal": "1.87"}
    return {
        "id": identity,
        "name": name,
        "is_live": False,
        "books": [
            {
                "id": "sr:book:7",
                "name": "Plain Book",
                "removed": False,
                "outcomes": [
                    {"id": "sr:outcome:12", "type": "over", "removed": False, **over},
                    {"id": "sr:outcome:13", "type": "under", "removed": False, **under},
                ],
            }
        ],
    }


def projection(number: int, player: str, line: float = 5.5) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "type": "projection",
        "attributes": {
            "stat_type": "Pitcher Strikeouts",
            "line_score": line,
            "start_time": "2026-03-01T13:00:00-05:00",
            "updated_at": "2026-03-01T06:00:00-05:00",
            "odds_type": "standard",
            "status": "pre_game",
            "is_promo": False,
            "flash_sale_line_score": None,
        },
        "relationships": {
            "new_player": {"data": {"id": player, "type": "new_player"}},
            "league": {"data": {"id": "2", "type": "league"}},
        },
    }


def player(number: str, name: str) -> dict[str, Any]:
    said = {"name": name, "display_name": name, "team": "ASH", "position": "P", "league": "MLB"}
    return {"id": number, "type": "new_player", "attributes": said}


BODIES: dict[str, Any] = {
    "the_odds_api": [
        {
            "id": "e1",
            "sport_key": "baseball_mlb",
            "sport_title": "MLB",
            "commence_time": "2026-03-01T18:00:00Z",
            "home_team": "Ash",
            "away_team": "Birch",
            "bookmakers": [
                {
                    "key": "plainbook",
                    "title": "Plain Book",
                    "last_update": "2026-03-01T11:00:00Z",
                    "markets": [
                        {
                            "key": "h2h",
                            "last_update": "2026-03-01T10:59:00Z",
                            "outcomes": [{"name": "Ash", "price": -120}, {"name": "Birch", "price": 105}],
                        },
                        {
                            "key": "totals",
                            "outcomes": [
                                {"name": "Over", "price": -110, "point": 8.5},
                                {"name": "Under", "price": -110, "point": 8.5},
                            ],
                        },
                    ],
                }
            ],
        }
    ],
    "espn_scoreboard": {
        "leagues": [{"id": "28"}],
        "events": [
            {
                "id": "401",
                "date": "2026-03-01T18:00Z",
                "name": "Birch at Ash",
                "season": {"year": 2026, "type": 2},
                "week": {"number": 1},
                "competitions": [
                    {
                        "id": "401",
                        "neutralSite": False,
                        "competitors": [
                            {
                                "homeAway": "home",
                                "score": "17",
                                "team": {"id": "1", "abbreviation": "ASH", "displayName": "Ash Trees"},
                            },
                            {
                                "homeAway": "away",
                                "score": "14",
                                "team": {"id": "2", "abbreviation": "BIR", "displayName": "Birch Trees"},
                            },
                        ],
                        "status": {"type": {"name": "STATUS_FINAL", "state": "post", "completed": True}},
                        "odds": [
                            {
                                "provider": {"id": "9", "name": "Plain Book - Live Odds", "priority": 0},
                                "spread": -20.5,
                            },
                            {
                                "provider": {"id": "7", "name": "Plain Book", "priority": 1},
                                "details": "ASH -3.5",
                                "spread": -3.5,
                                "overUnder": 44.5,
                                "homeTeamOdds": {"favorite": True, "moneyLine": -170},
                                "awayTeamOdds": {"favorite": False},
                                "moneyline": {"away": {"close": {"odds": "+150"}}},
                            },
                        ],
                    }
                ],
            }
        ],
    },
    "sportradar": {
        "date": "2026-03-01",
        "games": [
            {
                "id": "g1",
                "scheduled": "2026-03-01T18:00:00+00:00",
                "status": "closed",
                "home": {"abbr": "ASH", "runs": 5},
                "away": {"abbr": "BIR", "runs": 3},
            }
        ],
    },
    "sportradar_markets": {
        "generated_at": "2026-03-01T11:00:00+00:00",
        "sport_schedule_sport_event_markets": [
            {"sport_event": _event(), "markets": [_total("sr:market:258", "total (incl. extra innings)")]}
        ],
    },
    "sportradar_props": {
        "generated_at": "2026-03-01T11:00:00+00:00",
        "sport_schedule_sport_events_players_props": [
            {
                "sport_event": _event(),
                "players_props": [
                    {
                        "player": {
                            "id": "sr:player:5",
                            "name": "Ash, Ada",
                            "competitor_id": "sr:competitor:1",
                        },
                        "markets": [_total("sr:market:9", "total strikeouts (incl. extra innings)")],
                    }
                ],
            }
        ],
    },
    "prizepicks": {
        "data": [projection(1, "77")],
        "included": [
            player("77", "Ada Ash"),
            {"id": "2", "type": "league", "attributes": {"name": "MLB"}},
        ],
        "meta": {"current_page": 1, "total_pages": 1},
    },
}
WANTED: dict[str, list[dict[str, str | None]]] = {
    "the_odds_api": [
        {
            "quote": "e1/plainbook/h2h/Ash//",
            "price": "-120",
            "point": None,
            "last_update": "2026-03-01T10:59:00Z",
        },
        {
            "quote": "e1/plainbook/h2h/Birch//",
            "price": "105",
            "point": None,
            "last_update": "2026-03-01T10:59:00Z",
        },
        {
            "quote": "e1/plainbook/totals/Over//8.5",
            "price": "-110",
            "point": "8.5",
            "last_update": "2026-03-01T11:00:00Z",
        },
        {
            "quote": "e1/plainbook/totals/Under//8.5",
            "price": "-110",
            "point": "8.5",
            "last_update": "2026-03-01T11:00:00Z",
        },
    ],
    "espn_scoreboard": [
        {
            "event_id": "401",
            "season": "2026",
            "week": "1",
            "status": "STATUS_FINAL",
            "state": "post",
            "completed": "True",
            "neutral_site": "False",
            "home_team": "ASH",
            "home_name": "Ash Trees",
            "home_score": "17",
            "away_score": "14",
            "spread": "-3.5",
            "over_under": "44.5",
            "home_moneyline": "-170",
            "away_moneyline": "+150",
            "odds_provider": "Plain Book",
        }
    ],
    "sportradar": [
        {"game_id": "g1", "home_team": "ASH", "away_team": "BIR", "home_points": "5", "away_points": "3"}
    ],
    "sportradar_markets": [
        {"home_team": "Ash", "book": "Plain Book", "outcome": side, "odds_decimal": "1.91", "total": "8.5"}
        | {"removed": "False", "player": None, "market_id": "sr:market:258", "open_odds_decimal": first}
        for side, first in (("over", "1.95"), ("under", "1.87"))
    ],
    "sportradar_props": [
        {"player_id": "sr:player:5", "player": "Ash, Ada", "outcome": side, "total": "8.5"}
        for side in ("over", "under")
    ],
    "prizepicks": [
        {"player": "Ada Ash", "player_id": "77", "team": "ASH", "league": "MLB", "line_score": "5.5"}
        | {"projection_id": "p1", "status": "pre_game", "start_time": "2026-03-01T13:00:00-05:00"}
    ],
}


def source(kind: str, options: dict[str, Any] | None = None, **given: Any) -> Source:
    """A declared source of one of `KINDS`; its options are those of `OPTIONS` and `options`."""
    column, form = DATES[kind]
    body: dict[str, Any] = {
        "kind": "sportradar" if kind in FEEDS else kind,
        "options": OPTIONS[kind] | (options or {}),
        "key": [NAMED[kind]],
        "event_time": {"columns": [column], "format": form},
        "groups": {"all": {"known_at": {"rule": "retrieved"}, "columns": READ[kind]}},
        "ahead_days": 1,
        "max_attempts": 2,
    }
    return Source.model_validate(body | given)


def use_case(name: str, given: Source) -> DataUseCase:
    """A use case that does nothing but ask for `prices`."""
    body = yaml.safe_load((REPOSITORY / "include/use_cases/telco_churn/use_case.yaml").read_text())
    data = {part: each for part, each in body.items() if part in DataUseCase.model_fields}
    data["schedules"] = {
        each: cron for each, cron in data["schedules"].items() if each in Schedules.model_fields
    }
    made = DataUseCase.model_validate(data)
    return made.model_copy(update={"name": name, "sources": {"prices": given}})


def answer(kind: str, body: Any) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer("bets.prices", "https://example.org", "part", 0, content, "application/json", kind, NOW)


def read(kind: str, body: Any, given: Source | None = None) -> pl.DataFrame:
    given = given or source(kind)
    return connector_of(given).read(given, answer(kind, body))


def refused(kind: str, body: Any, given: Source | None = None) -> SourceMalformed:
    with pytest.raises(SourceMalformed) as caught:
        read(kind, body, given)
    return caught.value


def changed(kind: str, change: Change) -> Any:
    body = json.loads(json.dumps(BODIES[kind]))
    change(body)
    return body
