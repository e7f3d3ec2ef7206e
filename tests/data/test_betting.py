"""Betting providers: documented shapes become rows; what is missing is named; keys stay out of asks."""

import json
from typing import Any

import pytest

from pennant.data.connectors.kinds import connector_of
from pennant.data.reading import read_table

from .betting_bodies import (
    BODIES,
    DAY,
    GAMES,
    KINDS,
    NAMED,
    WANTED,
    Change,
    answer,
    changed,
    read,
    refused,
    source,
)

MISSING: dict[str, list[tuple[Change, str]]] = {
    "the_odds_api": [
        (lambda body: body[0].pop("bookmakers"), "event.bookmakers"),
        (lambda body: body[0]["bookmakers"][0].pop("markets"), "bookmaker.markets"),
        (lambda body: body[0]["bookmakers"][0].pop("last_update"), "bookmaker.last_update"),
        (lambda body: body[0]["bookmakers"][0]["markets"][0]["outcomes"][0].pop("price"), "outcome.price"),
        (lambda body: body[0]["bookmakers"][0]["markets"][1]["outcomes"][1].pop("point"), "outcome.point"),
    ],
    "espn_scoreboard": [
        (lambda body: body.pop("events"), "events"),
        (lambda body: body["events"][0].pop("date"), "event.date"),
        (lambda body: body["events"][0]["competitions"].clear(), "event.competitions[0]"),
        (lambda body: body["events"][0]["competitions"][0]["competitors"].pop(), "competitors.away"),
        (
            lambda body: body["events"][0]["competitions"][0]["competitors"][0].pop("score"),
            "competitor.score",
        ),
    ],
    "sportradar": [
        (lambda body: body.pop("games"), "games"),
        (lambda body: body["games"][0].pop("scheduled"), "game.scheduled"),
        (lambda body: body["games"][0]["away"].pop("runs"), "game.away_points"),
    ],
    "sportradar_markets": [
        (lambda body: body.pop("sport_schedule_sport_event_markets"), "sport_schedule_sport_event_markets"),
        (
            lambda body: body["sport_schedule_sport_event_markets"][0]["markets"][0]["books"][0]["outcomes"][
                0
            ].pop("odds_decimal"),
            "outcome.odds_decimal",
        ),
    ],
    "sportradar_props": [
        (
            lambda body: body["sport_schedule_sport_events_players_props"][0].pop("players_props"),
            "players_props",
        )
    ],
    "prizepicks": [
        (lambda body: body.pop("included"), "included"),
        (lambda body: body["included"].pop(0), "included new_player 77"),
        (lambda body: body["data"][0]["attributes"].pop("line_score"), "attributes.line_score"),
        (lambda body: body["data"][0].pop("relationships"), "projection.relationships"),
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_documented_answer_becomes_rows(kind: str) -> None:
    rows, wanted = read(kind, BODIES[kind]), WANTED[kind]
    assert rows.select(list(wanted[0])).to_dicts() == wanted
    assert rows["misfit"].null_count() == rows.height
    assert rows["line"].to_list() == list(range(1, rows.height + 1))
    assert rows[NAMED[kind]].is_unique().all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_that_nobody_knows_is_passed_over(kind: str) -> None:
    body = json.loads(json.dumps(BODIES[kind]).replace('"id":', '"brand_new": {"a": [1]}, "id":'))
    assert read(kind, body).equals(read(kind, BODIES[kind]))


@pytest.mark.parametrize(
    ("kind", "change", "name"), [(kind, *each) for kind in KINDS for each in MISSING[kind]]
)
def test_a_field_that_has_to_be_there_is_named(kind: str, change: Change, name: str) -> None:
    error = refused(kind, changed(kind, change))
    assert (error.problem, error.column) == ("missing_column", name)


def test_a_field_under_another_name_is_told_with_it() -> None:
    body = json.loads(json.dumps(BODIES["the_odds_api"]).replace('"price"', '"prices"'))
    error = refused("the_odds_api", body)
    assert (error.column, error.nearest) == ("outcome.price", "prices")


@pytest.mark.parametrize(
    ("kind", "text", "other", "name"),
    [
        ("the_odds_api", '"price": -120', '"price": {"american": -120}', "outcome.price"),
        ("the_odds_api", '"id": "e1"', '"id": 1', "event.id"),
        ("espn_scoreboard", '"completed": true', '"completed": "yes"', "status.type.completed"),
        ("espn_scoreboard", '"spread": -3.5', '"spread": true', "odds.spread"),
        ("sportradar", '"home": {"abbr": "ASH", "runs": 5}', '"home": "ASH"', "game.home"),
        ("sportradar_props", '"total": "8.5"', '"total": ["8.5"]', "outcome.total"),
        ("prizepicks", '"line_score": 5.5', '"line_score": [5.5]', "attributes.line_score"),
    ],
)
def test_a_field_of_another_kind_is_named(kind: str, text: str, other: str, name: str) -> None:
    before = json.dumps(BODIES[kind])
    assert text in before
    error = refused(kind, before.replace(text, other).encode())
    assert (error.problem, error.column) == ("retyped_column", name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("body", "problem"),
    [(b"", "empty"), (b"<html>Log in</html>", "html"), (b'{"data": [', "truncated")],
    ids=["empty", "html", "half"],
)
def test_what_is_no_document_of_the_provider_is_refused(kind: str, body: bytes, problem: str) -> None:
    assert refused(kind, body).problem == problem


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [3, "no", None, [3], {"message": "no"}, [None]])
def test_a_document_of_another_shape_is_refused(kind: str, body: Any) -> None:
    assert refused(kind, body).problem in {"missing_column", "not_records", "retyped_column"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_day_without_games_is_a_table_without_rows(kind: str) -> None:
    nothing: dict[str, Any] = {
        "the_odds_api": [],
        "espn_scoreboard": {"events": []},
        "sportradar": {"games": []},
        "prizepicks": {"data": [], "meta": {"current_page": 1, "total_pages": 1}},
    }
    body = nothing.get(kind) if kind in nothing else {"generated_at": "2026-03-01", GAMES[kind]: []}
    rows = read_table([answer(source(kind).kind, body)], source(kind))
    assert rows.height == 0
    assert f"text.{NAMED[kind]}" in rows.columns


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_asked_holds_no_key_and_is_the_same_every_time(kind: str) -> None:
    given = source(kind)
    assert connector_of(given).problems(given) == []
    asks = connector_of(given).asks(given, DAY)
    shown = [(ask.part, ask.url, dict(ask.params), dict(ask.headers), ask.key) for ask in asks]
    again = connector_of(given).asks(given, DAY)
    assert shown == [(ask.part, ask.url, dict(ask.params), dict(ask.headers), ask.key) for ask in again]
    assert len({ask.part for ask in asks}) == len(asks)
    for ask in asks:
        assert str(ask.url).startswith("https://")
        assert not {"apikey", "api_key", "x-api-key", "authorization"} & {
            name.lower() for name in [*ask.params, *ask.headers]
        }
        assert (ask.key is None) == (connector_of(given).connection is None)


PROBLEMS: list[tuple[str, dict[str, Any], str]] = [
    ("the_odds_api", {"sprot": "x"}, "sprot"),
    ("the_odds_api", {"sport": ""}, "option sport"),
    ("the_odds_api", {"odds_format": "fractional"}, "odds_format"),
    ("the_odds_api", {"historical": "yes"}, "historical"),
    ("the_odds_api", {"every_hours": 6}, "every_hours"),
    ("the_odds_api", {"historical": True, "every_hours": 0}, "every_hours"),
    ("the_odds_api", {"events": []}, "events"),
    ("the_odds_api", {"events": "e1"}, "events"),
    ("the_odds_api", {"regions": "us", "bookmakers": ["a"]}, "regions"),
    ("espn_scoreboard", {"limit": 0}, "limit"),
    ("espn_scoreboard", {"back_days": -1}, "back_days"),
    ("sportradar", {"access": "free"}, "access"),
    ("sportradar", {"feed": "odds"}, "feed"),
    ("sportradar", {"limit": 5}, "limit"),
    ("sportradar_markets", {"version": "v8"}, "version"),
    ("prizepicks", {"per_page": True}, "per_page"),
    ("prizepicks", {"single_stat": 1}, "single_stat"),
]


@pytest.mark.parametrize(("kind", "options", "named"), PROBLEMS)
def test_an_option_that_is_none_is_told_with_what_is_allowed(
    kind: str, options: dict[str, Any], named: str
) -> None:
    given = source(kind, options)
    [problem] = connector_of(given).problems(given)
    assert named in problem
    assert "allowed" in problem


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sportradar"])
def test_a_price_is_not_known_before_it_is_told(kind: str) -> None:
    columns = {
        "the_odds_api": "price",
        "espn_scoreboard": "spread",
        "prizepicks": "line_score",
    }
    group = {
        "known_at": {"rule": "before_event", "hours": 48},
        "columns": {columns.get(kind, "odds_decimal"): "float"},
    }
    given = source(kind, groups={"prices": group})
    [problem] = connector_of(given).problems(given)
    assert "before_event" in problem
    assert "retrieved" in problem
