"""What is particular to one betting provider: what is asked when, pages, and traps in what it says."""

import json
from datetime import date, timedelta
from typing import Any

import pytest

from pennant.data.connectors.kinds import connector_of
from pennant.reference import Window

from .betting_bodies import BODIES, DAY, GAMES, changed, player, projection, read, refused, source

DOCUMENTS = {
    "sportradar_markets": ("prematch", "sport_event_markets"),
    "sportradar_props": ("player-props", "players_props"),
}

# The Odds API


def test_only_historical_prices_know_the_past() -> None:
    assert connector_of(source("the_odds_api")).history == "today"
    past = source("the_odds_api", {"historical": True})
    assert connector_of(past).history == "full"
    [ask] = connector_of(past).asks(past, DAY)
    assert ask.url == "https://api.the-odds-api.com/v4/historical/sports/baseball_mlb/odds"
    assert ask.params["date"] == "2026-03-01T00:00:00Z"


def test_prices_of_now_are_asked_for_games_that_have_not_begun() -> None:
    given = source("the_odds_api", {"bookmakers": ["a", "b"]})
    [ask] = connector_of(given).asks(given, DAY)
    assert ask.url == "https://api.the-odds-api.com/v4/sports/baseball_mlb/odds"
    assert dict(ask.params) == {
        "markets": "h2h,totals",
        "bookmakers": "a,b",
        "oddsFormat": "american",
        "dateFormat": "iso",
        "commenceTimeFrom": "2026-03-01T00:00:00Z",
        "commenceTimeTo": "2026-03-02T00:00:00Z",
    }
    assert (ask.key.where, ask.key.name) == ("query", "apiKey") if ask.key else False


def test_a_past_is_asked_at_every_moment_of_the_window_and_at_its_end() -> None:
    given = source("the_odds_api", {"historical": True, "every_hours": 7})
    moments = [ask.params["date"] for ask in connector_of(given).asks(given, DAY)]
    assert moments == [f"2026-02-28T{hour}:00:00Z" for hour in ("03", "10", "17")] + ["2026-03-01T00:00:00Z"]


def test_windows_side_by_side_ask_about_no_moment_twice() -> None:
    given = source("the_odds_api", {"historical": True, "every_hours": 6})
    next_day = Window(DAY.as_of, DAY.as_of + timedelta(days=1))
    asked = [ask.params["date"] for each in (DAY, next_day) for ask in connector_of(given).asks(given, each)]
    assert len(asked) == len(set(asked)) == 8


def test_a_historical_answer_says_when_its_prices_were_seen() -> None:
    given = source("the_odds_api", {"historical": True})
    body = {"timestamp": "2026-02-28T23:55:00Z", "previous_timestamp": None, "data": BODIES["the_odds_api"]}
    rows = read("the_odds_api", body, given)
    assert rows.drop("snapshot_at").equals(read("the_odds_api", BODIES["the_odds_api"]).drop("snapshot_at"))
    assert rows["snapshot_at"].unique().to_list() == ["2026-02-28T23:55:00Z"]
    assert refused("the_odds_api", BODIES["the_odds_api"], given).column == "timestamp"


def test_player_props_are_asked_for_game_by_game() -> None:
    given = source("the_odds_api", {"markets": "pitcher_strikeouts", "events": ["e1", "e2"]})
    asks = connector_of(given).asks(given, DAY)
    assert [str(ask.url).partition("/v4/")[2] for ask in asks] == [
        "sports/baseball_mlb/events/e1/odds",
        "sports/baseball_mlb/events/e2/odds",
    ]
    assert [ask.part for ask in asks] == ["odds-e1", "odds-e2"]
    outcomes = [
        {"name": side, "description": "Ada Ash", "price": -115, "point": 5.5} for side in ("Over", "Under")
    ]
    market = {"key": "pitcher_strikeouts", "last_update": "2026-03-01T11:00:00Z", "outcomes": outcomes}
    # The answer about one game is one object, and only its markets say when they were updated.
    body = BODIES["the_odds_api"][0] | {"bookmakers": [{"key": "plainbook", "markets": [market]}]}
    rows = read("the_odds_api", body, given)
    assert rows["quote"].to_list() == [
        f"e1/plainbook/pitcher_strikeouts/{side}/Ada Ash/5.5" for side in ("Over", "Under")
    ]


# ESPN


def _days(span: str) -> list[date]:
    first, last = (date.fromisoformat(each) for each in span.split("-"))
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def test_a_scoreboard_is_asked_for_every_day_once_with_late_results_and_listed_games() -> None:
    given = source("espn_scoreboard", {"days_per_request": 3, "back_days": 4}, ahead_days=5)
    asks = connector_of(given).asks(given, DAY)
    days = [day for ask in asks for day in _days(ask.params["dates"])]
    assert days == sorted(set(days))
    assert (days[0], days[-1]) == (date(2026, 2, 23), date(2026, 3, 7))
    assert max(len(_days(ask.params["dates"])) for ask in asks) == 3


def test_a_scoreboard_that_may_go_on_is_not_taken_for_a_whole_one() -> None:
    assert refused("espn_scoreboard", BODIES["espn_scoreboard"], source("espn_scoreboard", {"limit": 1}))
    given = source("espn_scoreboard", {"limit": 2})
    assert read("espn_scoreboard", BODIES["espn_scoreboard"], given).height == 1


@pytest.mark.parametrize("state", ["pre", "in", "post"])
def test_a_game_that_is_not_completed_has_no_score(state: str) -> None:
    def put_off(body: Any) -> None:
        game = body["events"][0]["competitions"][0]
        game["status"] = {"type": {"name": "STATUS_POSTPONED", "state": state, "completed": False}}
        for side in game["competitors"]:
            side["score"] = "0"

    rows = read("espn_scoreboard", changed("espn_scoreboard", put_off))
    assert rows.select("home_score", "away_score").row(0) == (None, None)


def test_prices_of_a_running_game_are_no_prices_of_it() -> None:
    def only_live(body: Any) -> None:
        del body["events"][0]["competitions"][0]["odds"][1]

    rows = read("espn_scoreboard", changed("espn_scoreboard", only_live))
    assert rows.select("spread", "odds_provider").row(0) == (None, None)


def test_the_price_is_that_of_the_provider_that_comes_first() -> None:
    def another(body: Any) -> None:
        odds = body["events"][0]["competitions"][0]["odds"]
        odds += [None, {"provider": {"name": "Later Book", "priority": 5}, "spread": 1.5}]
        odds.insert(0, {"provider": {"name": "Last Book", "priority": 9}, "spread": 2.5})

    rows = read("espn_scoreboard", changed("espn_scoreboard", another))
    assert rows.select("spread", "odds_provider").row(0) == ("-3.5", "Plain Book")


def test_days_reach_back_as_long_as_results_take_to_be_known() -> None:
    result = {"known_at": {"rule": "after_event", "hours": 100}, "columns": {"home_score": "int"}}
    given = source("espn_scoreboard", {"back_days": 1}, groups={"result": result})
    [ask, *_] = connector_of(given).asks(given, DAY)
    assert _days(ask.params["dates"])[0] == date(2026, 2, 22)  # five days, and one for the local day


# Sportradar


def test_schedules_are_asked_for_day_by_day() -> None:
    given = source("sportradar", {"back_days": 0})
    asks = connector_of(given).asks(given, DAY)
    assert [ask.part for ask in asks] == [
        f"2026-{each}" for each in ("02-27", "02-28", "03-01", "03-02", "03-03")
    ]
    assert asks[0].url == "https://api.sportradar.com/mlb/trial/v8/en/games/2026/02/27/schedule.json"
    assert connector_of(given).history == "full"


def test_a_game_before_its_end_has_no_points() -> None:
    rows = read(
        "sportradar", changed("sportradar", lambda body: body["games"][0].update(status="inprogress"))
    )
    assert rows.select("home_points", "away_points").row(0) == (None, None)


@pytest.mark.parametrize("kind", GAMES)
def test_odds_are_asked_for_the_coming_days_and_know_no_past(kind: str) -> None:
    given = source(kind)
    asks = connector_of(given).asks(given, DAY)
    assert [ask.part for ask in asks] == ["2026-02-28", "2026-03-01", "2026-03-02", "2026-03-03"]
    package, document = DOCUMENTS[kind]
    head = f"https://api.sportradar.com/oddscomparison-{package}/trial/v2/en/sports/sr:sport:3/schedules"
    assert asks[0].url == f"{head}/2026-02-28/{document}.json"
    assert dict(asks[0].params) == {"start": "0", "limit": "50"}
    assert connector_of(given).history == "today"


def test_pages_of_odds_go_on_until_they_are_over_whatever_their_size() -> None:
    def page(*games: int) -> bytes:
        listed = [{"sport_event": {"id": f"sr:sport_event:{each}"}} for each in games]
        return json.dumps({"sport_schedule_sport_event_markets": listed}).encode()

    def starts(*pages: bytes) -> list[str | None]:
        [ask, *_] = connector_of(source("sportradar_markets")).asks(source("sportradar_markets"), DAY)
        assert ask.next_page is not None
        return [(ask.next_page(each) or {}).get("start") for each in pages]

    assert starts(page(1, 2), page(3, 4), page(5)) == ["2", "4", None]
    assert starts(page(1), page(2), page()) == ["1", "2", None]  # the server gives one to a page
    assert starts(page(1, 2), page(1, 2)) == ["2", None]  # the server knows no start
    assert starts(b'{"sport_sch') == [None]  # said by the reader


def test_an_outcome_that_was_taken_down_needs_no_price() -> None:
    def take_down(body: Any) -> None:
        [book] = body[GAMES["sportradar_markets"]][0]["markets"][0]["books"]
        book["removed"] = True
        del book["outcomes"][0]["odds_decimal"]

    rows = read("sportradar_markets", changed("sportradar_markets", take_down))
    assert rows.select("removed", "odds_decimal").rows() == [("True", None), ("True", "1.91")]


# PrizePicks


def test_projections_go_on_until_the_last_page() -> None:
    given = source("prizepicks")
    [ask] = connector_of(given).asks(given, DAY)
    assert ask.next_page is not None
    body = json.dumps({"meta": {"current_page": 1, "total_pages": 3}}).encode()
    assert [ask.next_page(body) for _ in range(3)] == [{"page": "2"}, {"page": "3"}, None]
    assert connector_of(given).history == "today"


def test_a_full_page_that_does_not_say_how_many_there_are_is_refused() -> None:
    given = source("prizepicks", {"per_page": 1})
    body = changed("prizepicks", lambda body: body.pop("meta"))
    assert refused("prizepicks", body, given).column == "meta"
    assert read("prizepicks", body).height == 1


def test_each_projection_has_the_player_it_names() -> None:
    body = {
        "data": [projection(number, who) for number, who in enumerate(["8", "9", "8"])],
        "included": [player("9", "Bo Birch"), player("8", "Ada Ash")],
        "meta": {"current_page": 1, "total_pages": 1},
    }
    rows = read("prizepicks", body)
    assert rows["player"].to_list() == ["Ada Ash", "Bo Birch", "Ada Ash"]
