"""From the simulated provider over HTTP, through the real data room, to snapshots and the online store."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from pennant.data.asking.access import from_environment
from pennant.data.ingest import fetch, validate
from pennant.data.lake import Lake
from pennant.features.build import request_rows
from pennant.features.labels import labels
from pennant.features.online import publish as put_online
from pennant.features.snapshot import build_snapshot, load_snapshot
from pennant.reference import Window
from pennant.settings import Settings
from pennant.simulation.league import truth
from pennant.simulation.provider import run
from pennant.simulation.table import correction, planted, publish
from pennant.warehouse.tables import feature_store

EDGES = [datetime(2024, 12, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)]
EDGES += [datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)]
FEBRUARY, MARCH = EDGES[2:]


@pytest.fixture(scope="module")
def warehouse(warehouse_url):
    from pennant.warehouse.engine import connect

    engine = connect(warehouse_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def season(league_demo, warehouse, tmp_path_factory):
    """A lake with three months of the demo league, and the February snapshot as built before March came."""
    folder = tmp_path_factory.mktemp("season")
    lake, settings = Lake((folder / "lake").as_uri()), Settings(home=folder)
    now = [FEBRUARY]
    with run(lambda _: publish(now[0])) as provider:
        games = league_demo.sources["games"].model_copy(update={"kind": "csv", "url": provider.url})
        declared = league_demo.model_copy(update={"sources": {"games": games}})
        for start, as_of in pairwise(EDGES):
            if as_of == MARCH:
                early = build_snapshot(declared, lake, settings, FEBRUARY)
            now[0] = as_of
            batch = fetch(
                declared, "games", Window(start, as_of), lake, warehouse, settings, from_environment
            )
            validate(declared, batch, lake, warehouse, settings)
    return declared, lake, settings, early


def test_the_late_correction_of_february_leaves_the_snapshot_of_january_as_it_was(season):
    declared, lake, settings, early = season
    assert build_snapshot(declared, lake, settings, FEBRUARY) == early
    this = pl.col("entity") == correction().game_id
    before = load_snapshot(lake, early).filter(this)
    after = load_snapshot(lake, build_snapshot(declared, lake, settings, MARCH)).filter(this)
    assert after["label"].item() == 1.0 - before["label"].item()
    assert after.drop("label").equals(before.drop("label"))
    assert labels(declared, lake, MARCH).filter(this)["known_at"].item() == MARCH


def test_rows_that_validation_set_aside_reach_no_snapshot(season):
    _, lake, _, early = season
    rows = load_snapshot(lake, early)
    faults = planted().filter(pl.col("kickoff") > EDGES[0], pl.col("kickoff") <= FEBRUARY)
    gone = faults.filter(pl.col("fault").is_in(["negative_goals", "missing_team", "unparseable_kickoff"]))
    assert gone.height > 5
    assert rows.join(gone, left_on="entity", right_on="game_id", how="semi").is_empty()
    unsure = faults.filter(pl.col("fault") == "too_many_absences")
    news = rows.join(unsure, left_on="entity", right_on="game_id", how="semi")["absence_difference"]
    assert news.null_count() == news.len() > 0


def test_the_labels_follow_the_planted_truth(season):
    _, lake, _, early = season
    rows = load_snapshot(lake, early).join(truth(), left_on="entity", right_on="game_id")
    chance = pl.col("p_home_win")
    spread = rows.select((pl.col("label") - chance).sum() / (chance * (1 - chance)).sum().sqrt()).item()
    assert abs(spread) < 3.5


def stored(warehouse, declared) -> dict[str, tuple[datetime, dict[str, float | None]]]:
    with warehouse.connect() as connection:
        rows = connection.execute(feature_store.select().where(feature_store.c.use_case == declared.name))
        return {row.entity: (row.as_of, row._mapping["values"]) for row in rows}


def test_the_online_store_keeps_the_newest_features_of_each_game(season, warehouse):
    declared, lake, settings, _ = season
    week = Window(FEBRUARY - timedelta(days=2), FEBRUARY)
    older = request_rows(declared, lake, settings, week, lookahead_hours=72)
    assert put_online(declared, older, FEBRUARY, warehouse) == older.height
    unannounced = [values["absence_difference"] for _, values in stored(warehouse, declared).values()]
    assert None in unannounced, "no missing value was tried"
    coming = older.filter(pl.col("event_time") > FEBRUARY + timedelta(hours=2))
    newer = request_rows(declared, lake, settings, Window(FEBRUARY, MARCH))
    assert put_online(declared, newer, MARCH, warehouse) == newer.height
    # Again, and late: nothing newer is overwritten.
    assert put_online(declared, coming, FEBRUARY, warehouse) == 0
    held = stored(warehouse, declared)
    assert len(held) == pl.concat([older["entity"], newer["entity"]]).n_unique()
    for row in newer.join(coming, on="entity", how="semi").head(20).iter_rows(named=True):
        as_of, values = held[row["entity"]]
        assert as_of == MARCH
        assert values == {name: row[name] for name in declared.features}


def test_no_rows_are_nothing_to_publish(season, warehouse):
    declared, lake, settings, _ = season
    empty = request_rows(declared, lake, settings, Window(datetime(2020, 1, 1, tzinfo=UTC), FEBRUARY)).head(0)
    assert put_online(declared, empty, FEBRUARY, warehouse) == 0
