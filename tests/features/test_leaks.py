"""A leak is found with its feature, row, moment and column; an honest feature is left in peace."""

from datetime import UTC, datetime, timedelta
from types import ModuleType

import polars as pl
import pytest

from pennant.features.build import requests_of
from pennant.features.errors import LeakFound
from pennant.features.leak_report import LeakResult, page, raise_if_leaking
from pennant.features.leaks import leaks_of
from pennant.features.view import View
from pennant.reference import Reference

END = datetime(2025, 1, 27, tzinfo=UTC)


def rested(view: View) -> pl.DataFrame:
    """Honest: the row's own schedule."""
    return view.requests.select("entity", pl.col("event_time").dt.epoch("s").cast(pl.Float64).alias("x"))


def result_read_early(view: View) -> pl.DataFrame:
    games = view.events("games", "schedule", "result").select("game_id", pl.col("home_goals").alias("x"))
    return view.requests.select("entity", "game_id").join(games, on="game_id", how="left").drop("game_id")


def mean_of_the_whole_table(view: View) -> pl.DataFrame:
    mean = view.events("games", "schedule", "result")["home_shots"].mean()
    return view.requests.select("entity", pl.lit(mean, pl.Float64).alias("x"))


def target_encoded(view: View) -> pl.DataFrame:
    games = view.events("games", "schedule", "result")
    by_team = games.group_by("home_team").agg(pl.col("home_goals").mean().alias("x"))
    asked = view.requests.select("entity", "home_team")
    return asked.join(by_team, on="home_team", how="left", maintain_order="left").drop("home_team")


def order_of_the_rows(view: View) -> pl.DataFrame:
    games = view.events("games", "schedule", "result").sort("away_shots").with_row_index("x")
    asked = view.requests.select("entity", "game_id")
    return asked.join(games.select("game_id", "x"), on="game_id", how="left", maintain_order="left").drop(
        "game_id"
    )


LEAKING = {
    result_read_early: "games.result.home_goals",
    mean_of_the_whole_table: "games.result.home_shots",
    target_encoded: "games.schedule.home_team",  # whose goals they are; the goals alone move it too
    order_of_the_rows: "games.result.away_shots",
}


@pytest.fixture
def look(league_demo, short_league, make_tables):
    tables = make_tables(league_demo, short_league)
    one = next(iter(league_demo.features.values()))
    use_case = league_demo.model_copy(
        update={"features": {"x": one}, "baselines": {"base_rate": league_demo.baselines["base_rate"]}}
    )
    requests = requests_of(use_case, tables, END - timedelta(days=60), END, END)

    def search(features):
        module = ModuleType("planted")
        module.features, module.baselines = features, lambda view: view.requests.select("entity")
        features.__name__ = "features"
        module.baselines.__name__ = "baselines"
        return use_case, leaks_of(use_case, module, tables, requests, moments=4)

    return search


@pytest.mark.parametrize("features", LEAKING, ids=lambda each: each.__name__)
def test_each_kind_of_leak_is_found_with_the_column_it_came_from(look, features):
    origin = LEAKING[features]
    _, found = look(features)
    assert found
    assert {leak.feature for leak in found} == {"x"}
    assert {leak.origin for leak in found} == {origin}
    assert all(leak.before != leak.after for leak in found)


def test_an_honest_feature_is_left_in_peace(look):
    assert look(rested)[1] == []


def test_a_leak_fails_the_run_with_all_that_is_known_of_it(look):
    use_case, found = look(result_read_early)
    report = Reference("file:///page.html", "0" * 64)
    raise_if_leaking(use_case, LeakResult(report, [], []))
    with pytest.raises(LeakFound) as refused:
        raise_if_leaking(use_case, LeakResult(report, found, []))
    assert refused.value.leaks == tuple(found)
    assert "games.result.home_goals" in str(refused.value)


def test_the_page_names_every_leak_and_escapes_what_is_data(look):
    use_case, found = look(result_read_early)
    named = [found[0].__class__(**{**vars(found[0]), "entity": "<script>x</script>"})]
    shown = page(use_case, END, Reference("u", "0" * 64), named, [], [], 4).decode()
    assert "games.result.home_goals" in shown
    assert "<script>" not in shown
