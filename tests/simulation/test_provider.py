"""The simulated provider: what it publishes when, which rows it spoils, and how it can misbehave."""

import hashlib
import io
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import polars as pl
import pytest

from pennant.reference import Window
from pennant.simulation import league, table
from pennant.simulation.provider import Fault, UnknownProvider, run, serve

AS_OF = datetime(2025, 1, 19, 22, tzinfo=UTC)
COLUMNS = ["game_id", "kickoff", "season", "home_team", "away_team", *table.TEAM_NEWS, *table.RESULT]


def read(content: bytes) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(content), infer_schema=False)


@pytest.fixture(scope="module")
def whole() -> pl.DataFrame:
    return read(table.publish())


def test_the_table_never_holds_the_truth(whole):
    assert whole.columns == COLUMNS
    assert "p_home_win" in league.truth().columns


def test_the_league_takes_less_than_a_second_to_simulate_and_publish():
    start = time.perf_counter()
    table.publish(AS_OF, seed=4711)
    assert time.perf_counter() - start < 1.0


def test_about_one_game_in_a_hundred_is_spoiled_and_the_counts_are_those_of_the_table(whole):
    faults = table.planted_faults()
    games = league.simulate().games.height
    assert 0.008 < sum(faults.values()) / games < 0.012
    assert min(faults.values()) > 10
    doubled = whole.filter(pl.col("game_id").is_duplicated())
    found = {
        "negative_goals": whole["home_goals"].str.starts_with("-").sum(),
        "too_many_absences": (whole["away_absences"] == "99").sum(),
        "missing_team": whole["home_team"].is_null().sum(),
        "unparseable_kickoff": (whole["kickoff"] == "to be announced").sum(),
        "doubled_key": doubled["game_id"].n_unique(),
        "text_in_number": (whole["home_shots"] == "many").sum(),
    }
    assert found == faults
    assert whole.height == games + faults["doubled_key"]


def test_faults_are_counted_by_the_window_of_their_game():
    edges = [datetime(2023, month, 1, tzinfo=UTC) for month in (1, 4, 9)] + [datetime(2026, 2, 1, tzinfo=UTC)]
    parts = [table.planted_faults(Window(*pair)) for pair in pairwise(edges)]
    assert {kind: sum(part[kind] for part in parts) for kind in table.FAULTS} == table.planted_faults()


def test_everything_else_in_the_table_is_the_league(whole):
    sound = whole.filter(~pl.col("game_id").is_in(table.planted()["game_id"].implode()))
    games = league.simulate().games.with_columns(pl.col("kickoff").dt.strftime(table.TIME_FORMAT))
    assert sound.equals(games.select(COLUMNS).cast(pl.String).join(sound, on="game_id", how="semi"))


def test_a_table_of_the_past_knows_nothing_of_its_future(whole):
    then = read(table.publish(AS_OF))
    true = league.simulate().games.select("game_id", pl.col("kickoff").alias("at"))
    then = then.join(true, on="game_id")
    assert then["at"].max() > AS_OF + timedelta(days=9)
    assert (then["at"] <= AS_OF + timedelta(days=10)).all()
    over = then.filter(pl.col("at") + timedelta(hours=3) > AS_OF)
    assert over.select(table.RESULT).null_count().sum_horizontal().item() == over.height * 4
    unannounced = then.filter(pl.col("at") - timedelta(hours=2) > AS_OF)
    assert unannounced.select(table.TEAM_NEWS).null_count().sum_horizontal().item() == unannounced.height * 3
    known = then.filter(pl.col("at") + timedelta(hours=3) <= AS_OF).drop("at")
    assert known.equals(whole.head(known.height))


def test_one_result_is_corrected_late():
    late = table.correction()
    before, after = (
        read(table.publish(late.published_at - timedelta(seconds=each))).filter(
            pl.col("game_id") == late.game_id
        )
        for each in (1, 0)
    )
    goals = ["home_goals", "away_goals"]
    assert before.select(goals).row(0) == after.select(goals).row(0)[::-1]
    assert before.drop(goals).equals(after.drop(goals))
    assert read(table.publish()).filter(pl.col("game_id") == late.game_id).equals(after)


def test_a_client_that_has_the_table_is_told_so():
    with serve("league_demo") as url:
        first = httpx.get(url)
        assert first.status_code == 200
        assert first.headers["content-type"].startswith("text/csv")
        assert first.headers["etag"] == f'"{hashlib.sha256(first.content).hexdigest()}"'
        assert httpx.get(url, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
        assert (
            httpx.get(url, headers={"If-Modified-Since": first.headers["last-modified"]}).status_code == 304
        )
        assert httpx.get(url, headers={"If-None-Match": '"another"'}).status_code == 200
        other = httpx.get(
            url, params={"as_of": AS_OF.isoformat()}, headers={"If-None-Match": first.headers["etag"]}
        )
        assert other.content == table.publish(AS_OF)
        assert httpx.get(url, params={"as_of": "2025-01-01"}).status_code == 400
        assert url.startswith("http://127.0.0.1:")


def test_an_unknown_simulation_is_refused_with_the_names_there_are():
    with pytest.raises(UnknownProvider) as refused, serve("leage_demo"):
        pass
    assert (refused.value.name, refused.value.allowed) == ("leage_demo", ["league_demo"])


def test_faults_come_in_the_order_of_the_plan_and_then_the_provider_is_well():
    plan = [
        Fault("status", status=503),
        Fault("html"),
        Fault("empty"),
        None,
        Fault("dropped"),
        Fault("half_body"),
    ]
    with run(lambda _: b"a,b\n1,2\n", plan) as provider:
        assert httpx.get(provider.url).status_code == 503
        page = httpx.get(provider.url)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert httpx.get(provider.url).content == b""
        assert httpx.get(provider.url).content == b"a,b\n1,2\n"
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(provider.url)
        assert httpx.get(provider.url).content == b"a,b\n1,2\n"
        assert [status for status, _ in provider.requests] == [503, 200, 200, 200, 0, 200, 200]


def test_a_slow_provider_outlasts_an_impatient_client_and_can_be_closed_meanwhile():
    start = time.monotonic()
    with run(lambda _: b"a\n1\n", [Fault("slow", seconds=60)]) as provider, pytest.raises(httpx.ReadTimeout):
        httpx.get(provider.url, timeout=0.2)
    assert time.monotonic() - start < 20
