"""A view of windows that goes on day by day leaves in the online store what a build of everything leaves."""

import shutil
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from sqlalchemy import delete, insert, select, update

from pennant.features import continued
from pennant.features.errors import FeaturesMismatch, UnknownColumns
from pennant.features.module import features_module
from pennant.features.online import publish_known
from pennant.features.tables import Tables, load_tables
from pennant.features.views import FeatureView, Known, timelines
from pennant.features.windows import Windows
from pennant.reference import Window
from pennant.settings import REPOSITORY, Settings
from pennant.warehouse.engine import connect
from pennant.warehouse.tables import feature_store

VIEW = """

from pennant.features.windows import Windows
from pennant.features.blocks import sides

SPEC = Windows(("goals", "goals_against"), (1, 3, 10), ("mean", "std"), ("mean", "count"))


@feature_view(entity="team", reads=["games.schedule", "games.result"], fresh_hours=24.0 * 30, windows=SPEC)
def lasting(known):
    rows = known.events("games", "schedule", "result")
    return sides(rows, {"goals": ("home_goals", "away_goals")})
"""
EDGES = [datetime(2024, 12, 1, tzinfo=UTC)]
EDGES += [datetime(2025, 1, day, tzinfo=UTC) for day in (8, 10, 11, 12, 18, 27)]


@pytest.fixture
def settings(tmp_path):
    folder = tmp_path / "use_cases" / "league_demo"
    shutil.copytree(REPOSITORY / "include" / "use_cases" / "league_demo", folder)
    path = folder / "features.py"
    path.write_text(path.read_text() + VIEW)
    return Settings(home=tmp_path, use_cases=folder.parent)


@pytest.fixture
def stores(new_warehouse):
    """One that is published to day by day, and one that gets everything at once."""
    engines = [connect(new_warehouse()), connect(new_warehouse())]
    yield engines
    for engine in engines:
        engine.dispose()


@pytest.fixture
def extended(monkeypatch) -> list[int]:
    """Rows of each extension."""
    made: list[int] = []
    whole = Windows.extended

    def counted(spec, state, rows):
        made.append(rows.height)
        return whole(spec, state, rows)

    monkeypatch.setattr(Windows, "extended", counted)
    return made


def values(store, view: str = "lasting") -> dict[str, tuple[datetime, dict[str, float]]]:
    chosen = select(feature_store).where(feature_store.c.view == view)
    with store.connect() as connection:
        rows = connection.execute(chosen).all()
    return {row.entity: (row.known_at, row._mapping["values"]) for row in rows}


def anew(league_demo, lake, settings, store, as_of):
    """The store after a build of everything, in a lake that keeps nothing."""
    for path in lake.list("cache"):
        lake.remove(path)
    publish_known(league_demo, lake, settings, store, as_of)
    return values(store)


@pytest.mark.parametrize("corrected", [False, True])
def test_day_by_day_leaves_what_everything_at_once_leaves(
    corrected, land, league_demo, short_league, lake, settings, stores, extended
):
    game = short_league.filter(pl.col("event_time").dt.day() == 5).row(3, named=True)
    turned = {game["game_id"]: {"home_goals": game["away_goals"] + 3, "away_goals": game["home_goals"]}}
    for number, (start, end) in enumerate(pairwise(EDGES)):
        land(league_demo, short_league, Window(start, end), turned if corrected and number == 3 else None)
        publish_known(league_demo, lake, settings, stores[0], end)
    assert len(extended) == len(EDGES) - 2 - corrected
    teams = short_league["home_team"].n_unique()
    assert max(extended[:-1]) < teams * 10
    assert values(stores[0]) == anew(league_demo, lake, settings, stores[1], EDGES[-1])


def test_a_correction_of_who_played_takes_the_game_from_the_one_and_gives_it_to_the_other(
    land, league_demo, short_league, lake, settings, stores
):
    last = short_league.filter(pl.col("event_time") < EDGES[2] - timedelta(hours=6)).sort("event_time")
    played = last.row(-1, named=True)
    teams = sorted(set(short_league["home_team"]) - {played["home_team"], played["away_team"]})
    land(league_demo, short_league, Window(*EDGES[:2]))
    land(league_demo, short_league, Window(*EDGES[1:3]))
    publish_known(league_demo, lake, settings, stores[0], EDGES[2])
    land(league_demo, short_league, Window(*EDGES[2:4]), {played["game_id"]: {"home_team": teams[0]}})
    for store in stores:
        publish_known(league_demo, lake, settings, store, EDGES[3])
    for view in ("lasting", "form", "rating"):
        assert values(stores[0], view) == values(stores[1], view), view


def test_an_event_that_is_not_listed_any_more_leaves_the_store(
    land, league_demo, short_league, lake, settings, stores
):
    land(league_demo, short_league, Window(EDGES[0], EDGES[2]))
    publish_known(league_demo, lake, settings, stores[0], EDGES[2])
    ghost = insert(feature_store).values(
        use_case=league_demo.name,
        view="request",
        entity="put off for ever",
        event_time=EDGES[3],
        known_at=EDGES[2],
        as_of=EDGES[2],
        values={},
    )
    with stores[0].begin() as connection:
        connection.execute(ghost)
    land(league_demo, short_league, Window(*EDGES[2:4]))
    publish_known(league_demo, lake, settings, stores[0], EDGES[3])
    assert "put off for ever" not in values(stores[0], "request")
    assert len(values(stores[0], "request")) > 0


def test_a_result_that_is_taken_back_leaves_what_was_known_before_it(
    land, league_demo, short_league, lake, settings
):
    played = short_league.filter(pl.col("event_time") < EDGES[1] - timedelta(hours=6)).sort("event_time")
    game = played.row(-1, named=True)
    gone = dict.fromkeys(("home_goals", "away_goals", "home_shots", "away_shots"))
    land(league_demo, short_league, Window(*EDGES[:2]))
    land(league_demo, short_league, Window(*EDGES[1:3]), {game["game_id"]: gone})
    module = features_module(settings.use_cases / "league_demo")
    made = timelines(module, load_tables(league_demo, lake, EDGES[2]), EDGES[2])["rating"]
    assert made["elo"].null_count() == 0


def test_a_view_gives_no_infinite_value_and_no_windows_over_names_that_are_taken() -> None:
    at = pl.Series([EDGES[0]], dtype=pl.Datetime("us", "UTC"))
    rows = pl.DataFrame({"entity": ["A"], "known_at": at, "event_time": at, "x": [float("inf")]})
    declared = FeatureView("v", "team", (), 1.0, lambda _: rows)
    with pytest.raises(FeaturesMismatch):
        declared.timeline(Known(Tables({}, {}), EDGES[1]))
    with pytest.raises(UnknownColumns):
        Windows(("rank",))


def test_what_was_not_published_comes_again(
    land, league_demo, short_league, lake, settings, stores, monkeypatch
):
    land(league_demo, short_league, Window(*EDGES[:2]))
    publish_known(league_demo, lake, settings, stores[0], EDGES[1])
    land(league_demo, short_league, Window(EDGES[1], EDGES[-1]))
    with monkeypatch.context() as broken:
        broken.setattr("pennant.features.online.publish_views", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish_known(league_demo, lake, settings, stores[0], EDGES[-1])
    publish_known(league_demo, lake, settings, stores[0], EDGES[-1])
    assert values(stores[0]) == anew(league_demo, lake, settings, stores[1], EDGES[-1])


@pytest.mark.parametrize(
    "loss",
    [
        delete(feature_store).where(feature_store.c.entity.like("%a%")),
        update(feature_store).values(as_of=EDGES[0], known_at=EDGES[0], values={}),
    ],
    ids=["emptied", "restored"],
)
def test_a_store_that_lost_something_gets_all_of_it_again(
    loss, land, league_demo, short_league, lake, settings, stores
):
    land(league_demo, short_league, Window(EDGES[0], EDGES[-2]))
    publish_known(league_demo, lake, settings, stores[0], EDGES[-2])
    with stores[0].begin() as connection:
        connection.execute(loss)
    # Nothing is played in the next minute: only what was lost can be written.
    later = EDGES[-2] + timedelta(minutes=1)
    publish_known(league_demo, lake, settings, stores[0], later)
    assert values(stores[0]) == anew(league_demo, lake, settings, stores[1], later)


def test_a_run_of_an_earlier_moment_leaves_the_end_where_it_is(
    land, league_demo, short_league, lake, settings, stores, extended
):
    for start, end in pairwise(EDGES[:4]):
        land(league_demo, short_league, Window(start, end))
    publish_known(league_demo, lake, settings, stores[0], EDGES[3])
    publish_known(league_demo, lake, settings, stores[0], EDGES[1])
    assert not extended
    land(league_demo, short_league, Window(EDGES[3], EDGES[4]))
    publish_known(league_demo, lake, settings, stores[0], EDGES[4])
    assert len(extended) == 1
    assert values(stores[0]) == anew(league_demo, lake, settings, stores[1], EDGES[4])


def test_an_end_is_read_as_it_was_written(league_demo, lake, short_league, make_tables):
    spec = Windows(("x",), (3,), ("mean", "std"), ("mean",))
    at = [EDGES[0] + timedelta(days=day) for day in range(9)]
    clocks = {"entity": list("AABABCAAB"), "known_at": at, "event_time": at}
    rows = pl.DataFrame({**clocks, "x": [1.5, None, *range(7)]}, strict=False).with_columns(
        pl.col("x").cast(pl.Float64)
    )
    rows = rows.with_columns(pl.col("known_at", "event_time").cast(pl.Datetime("us", "UTC")))
    _, state = spec.begun(rows)

    def told(known):
        return rows if known.since is None else rows.filter(pl.col("known_at") > known.since)

    declared = FeatureView("v", "team", ("games.result",), 1.0, told, spec)
    tables = make_tables(league_demo, short_league)
    continued.keep_end(league_demo, lake, "code", declared, tables, continued.End(state, at[-1], at[-1]))
    found = continued.newer(league_demo, lake, "code", declared, spec, tables, at[-1])
    assert found.before is not None
    assert found.before.state.entities.equals(state.entities)
    assert found.before.state.tail.equals(state.tail)
