"""What the online store says of an entity at a moment is what training would have joined then."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pennant.features.module import features_module
from pennant.features.online import lookup, newest_of, publish_views
from pennant.features.view import View
from pennant.features.views import timelines, views_of
from pennant.settings import REPOSITORY
from pennant.warehouse.engine import connect

END = datetime(2025, 1, 27, tzinfo=UTC)
MOMENTS = 60


@pytest.fixture
def warehouse(new_warehouse):
    engine = connect(new_warehouse())
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def module():
    return features_module(REPOSITORY / "include" / "use_cases" / "league_demo")


@pytest.fixture
def tables(league_demo, short_league, make_tables):
    return make_tables(league_demo, short_league)


def moments() -> list[datetime]:
    stream = np.random.default_rng(3)
    hours = sorted(stream.uniform(0, 24 * 26, MOMENTS))
    return [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=float(each)) for each in hours]


def test_the_online_value_equals_the_offline_one_at_thousands_of_moments_and_entities(
    league_demo, tables, module, warehouse
):
    teams = tables.versions("games", "schedule")["home_team"].unique().sort().to_list()
    compared = 0
    for at in moments():
        made = timelines(module, tables, at)
        publish_views(league_demo, made, at, warehouse)
        requests = pl.DataFrame({"entity": teams, "team": teams}).with_columns(
            moment=pl.lit(at).cast(pl.Datetime("us", "UTC"))
        )
        offline = View(requests, tables, ("games", "result"))
        for name, declared in views_of(module).items():
            wanted = offline.join("team", declared)
            held = lookup(warehouse, league_demo.name, name, teams, at, declared.fresh_hours)
            for team, row in zip(teams, wanted.iter_rows(named=True), strict=True):
                known = {key: value for key, value in row.items() if value is not None}
                found = {k: v for k, v in held[team].values.items() if v is not None} if team in held else {}
                assert found == known, (name, team, at)
                compared += 1
    assert compared >= 2_000


def test_an_older_moment_that_is_published_late_changes_nothing(league_demo, tables, module, warehouse):
    publish_views(league_demo, timelines(module, tables, END), END, warehouse)
    teams = tables.versions("games", "schedule")["home_team"].unique().to_list()
    before = lookup(warehouse, league_demo.name, "form", teams, END, 24.0)
    early = END - timedelta(days=10)
    assert publish_views(league_demo, timelines(module, tables, early), early, warehouse) == 0
    assert lookup(warehouse, league_demo.name, "form", teams, END, 24.0) == before


def test_what_is_older_than_its_view_allows_is_stale(league_demo, tables, module, warehouse):
    publish_views(league_demo, timelines(module, tables, END), END, warehouse)
    [team] = tables.versions("games", "schedule")["home_team"].unique().sort().head(1).to_list()
    held = lookup(warehouse, league_demo.name, "form", [team, "nobody"], END, 24.0)
    age = (END - held[team].known_at).total_seconds() / 3600
    assert set(held) == {team}
    for hours, stale in ((age + 1, False), (age - 0.5, True)):
        assert lookup(warehouse, league_demo.name, "form", [team], END, hours)[team].stale is stale


def test_of_what_an_entity_learns_at_once_the_last_row_counts():
    at = datetime(2025, 1, 1, tzinfo=UTC)
    rows = {"entity": ["A", "A"], "known_at": [at, at], "event_time": [at, at], "x": [1.0, 2.0]}
    assert newest_of(pl.DataFrame(rows))["x"].to_list() == [2.0]
