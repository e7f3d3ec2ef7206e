"""Simulated bookmakers: prices tell the planted truth, and each connector reads exactly what they say."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from pennant.data.asking.access import MissingConnection, from_environment
from pennant.data.asking.engine import Asking, retrieve
from pennant.data.connectors.kinds import connector_of
from pennant.data.errors import SourceDown, SourceMalformed, Throttled
from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase, Source
from pennant.reference import Window
from pennant.settings import Settings
from pennant.simulation.betting import SPORT, Betting, betting, decimal_odds, short
from pennant.simulation.faults import Fault
from pennant.simulation.league import League, simulate
from pennant.simulation.odds import BOOKS, OPENS, american, event_id, implied, p_over, quotes, snapshot

TODAY = datetime.now(UTC).replace(minute=17, second=0, microsecond=0)
NOW = datetime(2024, 5, 5, 12, tzinfo=UTC)
KEY = "s3cr3t-key"
Rows = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def present() -> League:
    """A league of these days, for providers that know nothing of the past."""
    return simulate(3, (TODAY - timedelta(days=6)).date(), (TODAY + timedelta(days=3)).date())


@pytest.fixture(scope="module")
def league() -> League:
    return simulate(3, NOW.date() - timedelta(days=30), NOW.date() + timedelta(days=3))


@pytest.fixture
def rows(
    league_demo: DataUseCase, warehouse: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Rows:
    """What a connector reads of a provider, asked by the engine; the keys are in the environment."""
    for name in ("THE_ODDS_API", "SPORTRADAR"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", f'{{"conn_type": "http", "password": "{KEY}"}}')

    def ask(kind: str, url: str, as_of: datetime, hours: int = 24, **options: Any) -> pl.DataFrame:
        body = {
            "kind": kind,
            "url": url,
            "options": options,
            "key": ["id"],
            "event_time": {"columns": ["at"], "format": "%Y"},
            "groups": {"all": {"known_at": {"rule": "retrieved"}, "columns": {"x": "str"}}},
            "ahead_days": 2,
            "max_attempts": 2,
            "timeout_seconds": 20,
        }
        source = Source.model_validate(body)
        assert connector_of(source).problems(source) == []
        update = {"name": f"bets_{uuid4().hex[:12]}", "sources": {"prices": source}}
        case = league_demo.model_copy(update=update)
        place = Asking(Lake(tmp_path.as_uri()), warehouse, Settings(home=tmp_path), from_environment)
        answers = retrieve(case, "prices", Window(as_of - timedelta(hours=hours), as_of), place)
        assert KEY not in repr(answers)
        return pl.concat([connector_of(source).read(source, each) for each in answers])

    return ask


def quoted(known: Betting, moment: datetime | None = None) -> pl.DataFrame:
    """The planted quotes as text, in the words of The Odds API's connector."""
    at = pl.col("last_update", "commence_time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return known.quotes(moment).with_columns(at, pl.col("price", "point").cast(pl.String))


SAID = ["event_id", "commence_time", "home_team", "away_team", "bookmaker", "market", "last_update"]
SAID += ["outcome", "price", "point"]


def test_the_prices_of_now_are_read_as_they_are_quoted(rows: Rows, present: League) -> None:
    known = Betting(present, TODAY, key=KEY)
    with betting(known) as provider:
        found = rows("the_odds_api", provider.url, TODAY, sport=SPORT, markets="h2h,totals")
    assert found.select(SAID).equals(quoted(known).select(SAID))
    assert found.height > 200
    assert len(known.used) == 1


def test_the_prices_of_a_past_moment_are_those_of_that_moment(rows: Rows, league: League) -> None:
    known = Betting(league, NOW, key=KEY)
    then = NOW - timedelta(days=10, minutes=3)
    given = {"sport": SPORT, "markets": "h2h,totals", "historical": True}
    with betting(known) as provider:
        found = rows("the_odds_api", provider.url, then, **given)
    assert found.select(SAID).equals(quoted(known, snapshot(then)).select(SAID))


def test_the_markets_of_one_game_are_read_alone(rows: Rows, present: League) -> None:
    known = Betting(present, TODAY)
    one = known.quotes()["event_id"][-1]
    with betting(known) as provider:
        found = rows("the_odds_api", provider.url, TODAY, sport=SPORT, markets="totals", events=[one])
    wanted = quoted(known).filter(pl.col("event_id") == one, pl.col("market") == "totals")
    assert found.select(SAID).equals(wanted.select(SAID))


def test_a_key_that_is_missing_or_wrong_is_told_and_never_shown(
    rows: Rows, present: League, monkeypatch: pytest.MonkeyPatch
) -> None:
    with betting(Betting(present, TODAY, key="another")) as provider:
        with pytest.raises(SourceDown) as refused:
            rows("the_odds_api", provider.url, TODAY, sport=SPORT)
        assert "401" in refused.value.found
        assert KEY not in str(refused.value)
        monkeypatch.delenv("AIRFLOW_CONN_THE_ODDS_API")
        with pytest.raises(MissingConnection) as missing:
            rows("the_odds_api", provider.url, TODAY, sport=SPORT)
    assert missing.value.variable == "AIRFLOW_CONN_THE_ODDS_API"
    assert len(provider.requests) == 1


def test_the_last_request_of_a_quota_is_heeded(rows: Rows, present: League, monkeypatch: Any) -> None:
    own = f"{KEY}-{uuid4().hex}"  # a quota belongs to its key
    monkeypatch.setenv("AIRFLOW_CONN_THE_ODDS_API", f'{{"conn_type": "http", "password": "{own}"}}')
    with betting(Betting(present, TODAY, key=own, quota=1)) as provider:
        assert rows("the_odds_api", provider.url, TODAY, sport=SPORT).height > 0
        with pytest.raises(Throttled):
            rows("the_odds_api", provider.url, TODAY, sport=SPORT)
    assert len(provider.requests) == 1


def test_the_scoreboard_has_every_game_of_its_days_and_results_when_they_are_over(
    rows: Rows, league: League
) -> None:
    known = Betting(league, NOW)
    with betting(known) as provider:
        url = f"{provider.url}/apis/site/v2/sports"
        found = rows("espn_scoreboard", url, NOW, hours=48, sport="soccer", league=SPORT)
    games = league.games.filter(pl.col("game_id").is_in(found["event_id"].implode()))
    assert games.height == found.height
    window = pl.col("kickoff").is_between(NOW - timedelta(days=2), NOW + timedelta(days=2))
    assert league.games.filter(window).join(games, on="game_id", how="anti").is_empty()
    over = games["kickoff"] + timedelta(hours=3) <= NOW
    wanted = games.with_columns(
        pl.when(over).then(pl.col(f"{side}_goals")).cast(pl.String).alias(f"{side}_score")
        for side in ("home", "away")
    ).with_columns(pl.col("home_team", "away_team").map_elements(short, return_dtype=pl.String))
    names = ["home_team", "away_team", "home_score", "away_score"]
    assert found.sort("event_id").select(names).equals(wanted.sort("game_id").select(names))
    prices = known.quotes().filter(pl.col("bookmaker") == BOOKS[0].key, pl.col("market") == "h2h")
    told = found.filter(pl.col("home_moneyline").is_not_null()).sort("event_id")
    assert told["home_moneyline"].to_list() == [str(each) for each in prices.sort("game_id")["price"][::2]]


def test_a_schedule_has_the_games_of_its_days(rows: Rows, league: League) -> None:
    with betting(Betting(league, NOW, key=KEY)) as provider:
        found = rows("sportradar", provider.url, NOW, sport="mlb", access="trial", version="v8")
    games = league.games.with_columns(pl.col("game_id").map_elements(event_id, return_dtype=pl.String))
    games = games.join(found, on="game_id", how="semi")
    assert found.height == games.height > 60
    over = found.filter(pl.col("status") == "closed").join(games, on="game_id")
    assert (over["home_points"] == over["home_goals"].cast(pl.String)).all()
    assert found.filter(pl.col("status") != "closed")["home_points"].null_count() > 20


def test_compared_prices_come_in_pages_and_every_one_of_them(rows: Rows, present: League) -> None:
    known = Betting(present, TODAY, key=KEY, page_size=7)
    given = {"feed": "markets", "sport": "sr:sport:1", "access": "trial"}
    with betting(known) as provider:
        found = rows("sportradar", provider.url, TODAY, **given)
    wanted = known.quotes().with_columns(
        (pl.lit("sr:sport_event:") + pl.col("game_id")).alias("event_id"),
        (pl.lit("sr:book:") + pl.col("bookmaker")).alias("book_id"),
        pl.col("price").map_elements(lambda each: f"{each:+d}", return_dtype=pl.String),
        pl.col("price")
        .map_elements(lambda each: str(decimal_odds(each)), return_dtype=pl.String)
        .alias("dec"),
    )
    keys = ["event_id", "book_id", "odds_american", "odds_decimal"]
    told = wanted.select("event_id", "book_id", "price", "dec").rename({"price": keys[2], "dec": keys[3]})
    assert found.select(keys).sort(keys).equals(told.sort(keys))


def test_projections_come_in_pages_and_every_player_once(rows: Rows, present: League) -> None:
    known = Betting(present, TODAY, page_size=15)
    with betting(known) as provider:
        found = rows("prizepicks", provider.url, TODAY, league_id="2", per_page=15)
    games = known.quotes().unique("game_id")
    teams = [*games["home_team"], *games["away_team"]]
    assert sorted(found["player"]) == sorted(f"Forward of {team}" for team in teams)
    assert set(found["line_score"]) == {"5.5"}
    assert len(provider.requests) == -(-len(teams) // 15)


DOCUMENT_FAULTS = {
    "no price": (Fault("removed", column="price"), "missing_column"),
    "another name": (Fault("renamed", column="price", to="odds"), "missing_column"),
    "a page": (Fault("html"), "html"),
    "nothing": (Fault("empty"), "empty"),
}


@pytest.mark.parametrize("name", DOCUMENT_FAULTS)
def test_a_document_of_another_shape_is_refused_by_name(rows: Rows, present: League, name: str) -> None:
    fault, problem = DOCUMENT_FAULTS[name]
    with betting(Betting(present, TODAY), [fault]) as provider, pytest.raises(SourceMalformed) as refused:
        rows("the_odds_api", provider.url, TODAY, sport=SPORT)
    assert refused.value.problem == problem
    assert (refused.value.column == "outcome.price") == (problem == "missing_column")


@pytest.mark.parametrize("kind", ["added", "shuffled", "duplicate", "skewed", "status", "half_body"])
def test_a_document_that_can_be_read_is_read_as_it_says(rows: Rows, present: League, kind: Any) -> None:
    known = Betting(present, TODAY)
    fault = Fault(kind, column="last_update", seconds=600, status=502, share=0.3)
    with betting(known, [fault]) as provider:
        found = rows("the_odds_api", provider.url, TODAY, sport=SPORT, markets="h2h,totals").select(SAID)
    wanted = quoted(known).select(SAID)
    if kind == "skewed":
        ahead = pl.col("last_update").str.to_datetime(time_zone="UTC") + timedelta(seconds=600)
        wanted = wanted.with_columns(ahead.dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("last_update"))
    if kind == "duplicate":
        assert found.height > wanted.height
        found = found.unique(maintain_order=True)
    assert found.sort(SAID).equals(wanted.sort(SAID))


def test_an_overround_is_that_of_its_bookmaker(league: League) -> None:
    chance = pl.col("price").map_elements(implied, return_dtype=pl.Float64)
    sums = quotes(league, NOW).group_by("bookmaker", "game_id", "market").agg(chance.sum())
    for book in BOOKS:
        over = sums.filter(pl.col("bookmaker") == book.key)["price"] - 1.0
        assert (over - book.overround).abs().max() < 0.005


def test_closing_prices_tell_the_truth_better_than_opening_ones() -> None:
    league = simulate(11, NOW.date() - timedelta(days=40), NOW.date())
    error = {"opening": 0.0, "closing": 0.0}
    for day in range(-35, -2):
        for hour in (0, 1):
            kickoffs = NOW.replace(hour=17) + timedelta(days=day)
            at = kickoffs - (OPENS - timedelta(hours=5) if hour == 0 else timedelta(minutes=1))
            found = quotes(league, at).filter(
                pl.col("market") == "h2h", pl.col("outcome") == pl.col("home_team")
            )
            found = found.join(league.truth(), on="game_id").filter(pl.col("p_home_win").is_between(0.1, 0.9))
            found = found.filter(pl.col("commence_time").dt.date() == kickoffs.date())
            error["opening" if hour == 0 else "closing"] += (
                (found["opinion"] - found["p_home_win"]).abs().mean()
            )
    assert error["closing"] < 0.35 * error["opening"]


def test_a_quote_depends_on_its_own_moment_only(league: League) -> None:
    early, late = quotes(league, NOW), quotes(league, NOW + timedelta(minutes=45))
    same = early.join(late, on=["event_id", "bookmaker", "market", "outcome", "last_update"], how="inner")
    assert (same["price"] == same["price_right"]).all()
    assert 0 < same.height < early.height
    assert (late["last_update"] <= NOW + timedelta(minutes=45)).all()
    assert (late["commence_time"] > NOW + timedelta(minutes=45)).all()


def test_the_planted_chance_of_many_goals_is_that_of_the_games() -> None:
    goals = pl.concat([simulate(seed).games.select("home_goals", "away_goals") for seed in (1, 2)])
    total = goals.sum_horizontal()
    for line in (2.5, 4.5):
        assert (total > line).mean() == pytest.approx(p_over(line), abs=0.008)


@given(st.floats(0.03, 0.98))
def test_american_odds_imply_what_they_are_made_of(chance: float) -> None:
    assert implied(american(chance)) == pytest.approx(chance, abs=0.003)


def test_a_path_of_nobody_and_a_missing_parameter_are_refused(present: League) -> None:
    with betting(Betting(present, TODAY)) as provider:
        assert httpx.get(f"{provider.url}/v4/sports/cricket/odds").status_code == 404
        assert httpx.get(f"{provider.url}/v5").status_code == 404
        assert httpx.get(f"{provider.url}/v4/historical/sports/{SPORT}/odds").status_code == 422
