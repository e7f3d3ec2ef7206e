"""Betting providers: documented shapes become rows; what is missing is named; keys stay out of asks."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pennant.data.asking.access import MissingConnection, from_environment
from pennant.data.asking.engine import Asking, retrieve
from pennant.data.connectors.base import Answer
from pennant.data.connectors.kinds import connector_of
from pennant.data.errors import PastUnavailable, SourceMalformed
from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase, Source
from pennant.reference import Window
from pennant.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = Window(datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
OPTIONS: dict[str, dict[str, Any]] = {
    "the_odds_api": {"sport": "baseball_mlb", "markets": "h2h,totals"},
    "espn_scoreboard": {"sport": "football", "league": "nfl"},
    "sportradar": {"sport": "mlb", "access": "trial", "version": "v8"},
    "prizepicks": {"league_id": "2"},
}
BODIES: dict[str, Any] = {
    "the_odds_api": [
        {
            "id": "e1",
            "sport_key": "baseball_mlb",
            "commence_time": "2026-03-01T18:00:00Z",
            "home_team": "Ash",
            "away_team": "Birch",
            "bookmakers": [
                {
                    "key": "book",
                    "last_update": "2026-03-01T11:00:00Z",
                    "markets": [
                        {
                            "key": "h2h",
                            "outcomes": [{"name": "Ash", "price": -120}, {"name": "Birch", "price": 105}],
                        },
                        {"key": "totals", "outcomes": [{"name": "Over", "price": -110, "point": 8.5}]},
                    ],
                }
            ],
        }
    ],
    "espn_scoreboard": {
        "events": [
            {
                "id": "401",
                "date": "2026-03-01T18:00Z",
                "season": {"year": 2026, "type": 2},
                "week": {"number": 1},
                "competitions": [
                    {
                        "neutralSite": False,
                        "competitors": [
                            {"homeAway": "home", "score": "17", "team": {"abbreviation": "ASH"}},
                            {"homeAway": "away", "score": "14", "team": {"abbreviation": "BIR"}},
                        ],
                        "status": {"type": {"state": "post", "completed": True}},
                        "odds": [{"spread": -3.5, "overUnder": 44.5, "provider": {"name": "Book"}}],
                    }
                ],
            }
        ]
    },
    "sportradar": {
        "games": [
            {
                "id": "g1",
                "scheduled": "2026-03-01T18:00:00+00:00",
                "status": "closed",
                "home": {"abbr": "ASH", "runs": 5},
                "away": {"abbr": "BIR", "runs": 3},
            }
        ]
    },
    "prizepicks": {
        "data": [
            {
                "id": "p1",
                "type": "projection",
                "attributes": {"stat_type": "Pitcher Strikeouts", "line_score": 5.5, "status": "pre_game"},
                "relationships": {"new_player": {"data": {"id": "77", "type": "new_player"}}},
            }
        ],
        "included": [{"id": "77", "type": "new_player", "attributes": {"name": "Ada Ash", "team": "ASH"}}],
        "meta": {"current_page": 1, "total_pages": 2},
    },
}
WANTED: dict[str, list[dict[str, str | None]]] = {
    "the_odds_api": [
        {"event_id": "e1", "market": "h2h", "outcome": "Ash", "price": "-120", "point": None},
        {"event_id": "e1", "market": "h2h", "outcome": "Birch", "price": "105", "point": None},
        {"event_id": "e1", "market": "totals", "outcome": "Over", "price": "-110", "point": "8.5"},
    ],
    "espn_scoreboard": [
        {"home_team": "ASH", "away_team": "BIR", "home_score": "17", "spread": "-3.5", "week": "1"}
    ],
    "sportradar": [{"game_id": "g1", "home_team": "ASH", "home_points": "5", "away_points": "3"}],
    "prizepicks": [{"player": "Ada Ash", "player_id": "77", "line_score": "5.5"}],
}
MISSING: dict[str, tuple[Callable[[Any], Any], str]] = {
    "the_odds_api": (
        lambda body: body[0]["bookmakers"][0]["markets"][0]["outcomes"][0].pop("price"),
        "outcome.price",
    ),
    "espn_scoreboard": (lambda body: body["events"][0].pop("date"), "event.date"),
    "sportradar": (lambda body: body["games"][0].pop("scheduled"), "game.scheduled"),
    "prizepicks": (lambda body: body.pop("included"), "included"),
}


def source(kind: str, **given: Any) -> Source:
    body = {
        "kind": kind,
        "options": OPTIONS[kind] | given,
        "key": ["id"],
        "event_time": {"columns": ["at"], "format": "%Y"},
        "groups": {"all": {"known_at": {"rule": "retrieved"}, "columns": {"x": "str"}}},
        "ahead_days": 1,
    }
    return Source.model_validate(body)


def answer(kind: str, body: Any) -> Answer:
    content = json.dumps(body).encode()
    return Answer("bets.prices", "https://example.org", "part", 0, content, "application/json", kind, NOW)


@pytest.mark.parametrize("kind", BODIES)
def test_a_documented_answer_becomes_rows(kind: str) -> None:
    rows = connector_of(source(kind)).read(source(kind), answer(kind, BODIES[kind]))
    wanted = WANTED[kind]
    assert rows.select(list(wanted[0])).to_dicts() == wanted
    assert rows["misfit"].null_count() == rows.height


@pytest.mark.parametrize("kind", BODIES)
def test_a_field_that_nobody_knows_is_passed_over(kind: str) -> None:
    body = json.loads(json.dumps(BODIES[kind]).replace('"id":', '"brand_new": {"a": [1]}, "id":'))
    rows = connector_of(source(kind)).read(source(kind), answer(kind, body))
    assert rows.select(list(WANTED[kind][0])).to_dicts() == WANTED[kind]


@pytest.mark.parametrize("kind", BODIES)
def test_a_field_that_has_to_be_there_is_named(kind: str) -> None:
    remove, name = MISSING[kind]
    body = json.loads(json.dumps(BODIES[kind]))
    remove(body)
    with pytest.raises(SourceMalformed) as refused:
        connector_of(source(kind)).read(source(kind), answer(kind, body))
    assert refused.value.column == name


@pytest.mark.parametrize("kind", BODIES)
def test_asks_hold_no_key_and_options_are_checked(kind: str) -> None:
    given = source(kind)
    assert connector_of(given).problems(given) == []
    for ask in connector_of(given).asks(given, DAY):
        assert ask.url is not None
        assert ask.url.startswith("https://")
        assert "key" not in {name.lower() for name in ask.params}
    wrong = source(kind, sprot="x")
    assert any("sprot" in each for each in connector_of(wrong).problems(wrong))


def test_only_historical_prices_know_the_past() -> None:
    assert connector_of(source("the_odds_api")).history == "today"
    past = source("the_odds_api", historical=True)
    assert connector_of(past).history == "full"
    [ask] = connector_of(past).asks(past, DAY)
    assert "/historical/" in str(ask.url)
    assert ask.params["date"] == "2026-03-01T00:00:00Z"


def test_one_document_a_day_and_the_days_ahead() -> None:
    given = source("sportradar")
    assert [ask.part for ask in connector_of(given).asks(given, DAY)] == [
        "2026-02-28",
        "2026-03-01",
        "2026-03-02",
    ]


def test_projections_go_on_until_the_last_page() -> None:
    given = source("prizepicks")
    [ask] = connector_of(given).asks(given, DAY)
    assert ask.next_page is not None
    assert ask.next_page(json.dumps(BODIES["prizepicks"]).encode()) == {"page": "2"}
    assert ask.next_page(json.dumps({"meta": {"current_page": 2, "total_pages": 2}}).encode()) is None


@pytest.fixture
def betting() -> Callable[[Source], DataUseCase]:
    import yaml

    from pennant.settings import REPOSITORY

    body = yaml.safe_load((REPOSITORY / "include/use_cases/telco_churn/use_case.yaml").read_text())

    def make(given: Source) -> DataUseCase:
        made = DataUseCase.model_validate(body)
        return made.model_copy(update={"name": "bets", "sources": {"prices": given}})

    return make


def test_a_missing_key_is_a_clear_error_that_names_its_connection(
    warehouse: Any, tmp_path: Any, betting: Callable[[Source], DataUseCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_THE_ODDS_API", raising=False)
    place = Asking(Lake(tmp_path.as_uri()), warehouse, Settings(home=tmp_path), from_environment)
    with pytest.raises(MissingConnection) as refused:
        retrieve(betting(source("the_odds_api", historical=True)), "prices", DAY, place)
    assert refused.value.connection == "the_odds_api"
    assert refused.value.variable == "AIRFLOW_CONN_THE_ODDS_API"


def test_the_prices_of_a_day_that_is_over_cannot_be_had(
    warehouse: Any, tmp_path: Any, betting: Callable[[Source], DataUseCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_THE_ODDS_API", '{"conn_type": "http", "password": "k"}')
    place = Asking(Lake(tmp_path.as_uri()), warehouse, Settings(home=tmp_path), from_environment)
    old = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))
    with pytest.raises(PastUnavailable):
        retrieve(betting(source("the_odds_api")), "prices", old, place)
