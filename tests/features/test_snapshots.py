"""A snapshot is what was known at a moment, byte for byte, whatever arrives later."""

import hashlib
import io
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pennant.features.build import request_rows
from pennant.features.errors import NoSnapshotRows
from pennant.features.labels import labels
from pennant.features.leaks import leaks
from pennant.features.snapshot import build_snapshot, load_snapshot, snapshot_manifest
from pennant.reference import Window

AS_OF = datetime(2025, 1, 18, tzinfo=UTC)
FIRST = ["entity", "event_time", "moment", "label", "label_known_at"]


@pytest.fixture
def first_two(land, league_demo, short_league, windows):
    """The lake as it was on 18 January."""
    for window in windows[:2]:
        land(league_demo, short_league, window)


@pytest.fixture
def late(short_league) -> dict[str, dict[str, object]]:
    """A game of 5 January whose goals turn out to have been exchanged."""
    game = short_league.filter(pl.col("event_time").dt.day() == 5).row(3, named=True)
    return {game["game_id"]: {"home_goals": game["away_goals"], "away_goals": game["home_goals"]}}


def test_a_correction_that_arrives_later_does_not_change_the_snapshot_of_yesterday(
    first_two, land, league_demo, short_league, windows, lake, settings, late
):
    before = build_snapshot(league_demo, lake, settings, AS_OF)
    held = lake.get(before)
    land(league_demo, short_league, windows[2], late)
    assert build_snapshot(league_demo, lake, settings, AS_OF) == before
    assert lake.get(before) == held
    # The snapshot of today does know it.
    (entity,) = late
    now = load_snapshot(lake, build_snapshot(league_demo, lake, settings, windows[2].as_of))
    then = load_snapshot(lake, before)
    this = pl.col("entity") == entity
    assert now.filter(this)["label"].item() == 1.0 - then.filter(this)["label"].item()
    # It is the same old game: what was predicted then, and when its label was first known, stay.
    same = pl.exclude("label")
    assert now.filter(this).select(same).equals(then.filter(this).select(same))


def test_the_order_in_which_windows_arrive_leaves_no_trace(
    land, league_demo, short_league, windows, lake, settings, first_two
):
    before = build_snapshot(league_demo, lake, settings, AS_OF)
    other = type(lake)(f"{lake.url}-2")
    for window in reversed(windows[:2]):
        folder = f"validated/league_demo/games/{window.key}"
        for path in lake.list(folder):
            other.put(path, lake.get(lake.uri(path)))
    assert build_snapshot(league_demo, other, settings, AS_OF).sha256 == before.sha256


def test_a_snapshot_is_named_by_its_bytes_and_says_what_it_is(first_two, league_demo, lake, settings):
    reference = build_snapshot(league_demo, lake, settings, AS_OF)
    content = lake.get(reference.uri)
    assert hashlib.sha256(content).hexdigest() == reference.sha256
    assert reference.uri == lake.uri(f"snapshots/{reference.sha256}/data.parquet")
    manifest = snapshot_manifest(lake, reference)
    frame = load_snapshot(lake, reference)
    assert (manifest.use_case, manifest.as_of) == ("league_demo", AS_OF)
    assert (manifest.rows, manifest.columns) == (frame.height, frame.columns)
    assert frame.columns == [*FIRST, *league_demo.features, "baseline__elo_probability"]
    assert lake.exists(f"snapshots/{reference.sha256}/snapshot.json")


def test_equal_rows_of_another_moment_are_another_snapshot(first_two, league_demo, lake, settings):
    one = build_snapshot(league_demo, lake, settings, AS_OF)
    other = build_snapshot(league_demo, lake, settings, AS_OF + timedelta(hours=1))
    assert load_snapshot(lake, one).equals(load_snapshot(lake, other))
    assert one.sha256 != other.sha256


def test_a_snapshot_holds_exactly_the_games_whose_label_was_known(
    first_two, league_demo, lake, settings, short_league
):
    frame = load_snapshot(lake, build_snapshot(league_demo, lake, settings, AS_OF))
    known = short_league.filter(pl.col("event_time") + timedelta(hours=3) <= AS_OF)
    assert frame["entity"].sort().to_list() == known["game_id"].sort().to_list()
    assert frame["label"].null_count() == 0
    assert (frame["label_known_at"] <= AS_OF).all()
    assert (frame["moment"] < frame["label_known_at"]).all()
    assert frame.select("event_time", "entity").equals(frame.select("event_time", "entity").sort(pl.all()))
    late_games = short_league.filter(
        pl.col("event_time") < AS_OF, pl.col("event_time") + timedelta(hours=3) > AS_OF
    )
    assert late_games.height > 0, "no game ended past midnight: the edge was not tried"


def test_history_is_cut_at_the_declared_age(first_two, league_demo, lake, settings):
    shorter = league_demo.model_copy(
        update={"split": league_demo.split.model_copy(update={"history_days": 5, "fresh_days": 2})}
    )
    frame = load_snapshot(lake, build_snapshot(shorter, lake, settings, AS_OF))
    assert frame["event_time"].min() > AS_OF - timedelta(days=7)
    whole = load_snapshot(lake, build_snapshot(league_demo, lake, settings, AS_OF))
    # Older games are not rows, but the features of the rows still know them.
    assert frame.equals(whole.filter(pl.col("event_time") > AS_OF - timedelta(days=7)))


def test_snapshots_and_served_rows_have_the_same_features(first_two, league_demo, lake, settings):
    frame = load_snapshot(lake, build_snapshot(league_demo, lake, settings, AS_OF))
    window = Window(AS_OF - timedelta(days=4), AS_OF)
    rows = request_rows(league_demo, lake, settings, window)
    both = rows.join(frame, on="entity", how="semi")
    assert both.height > 50
    kept = frame.filter(pl.col("entity").is_in(both["entity"].implode()))
    assert both.equals(kept.select(both.columns))


def test_coming_games_are_asked_as_of_now(first_two, league_demo, lake, settings):
    window = Window(AS_OF - timedelta(days=1), AS_OF)
    rows = request_rows(league_demo, lake, settings, window, lookahead_hours=48)
    assert rows["event_time"].max() > AS_OF + timedelta(hours=40)
    coming = rows.filter(pl.col("event_time") > AS_OF + timedelta(hours=1))
    assert coming["moment"].unique().to_list() == [AS_OF]
    past = rows.filter(pl.col("event_time") <= AS_OF)
    assert (past["event_time"] - past["moment"]).unique().to_list() == [timedelta(hours=1)]


def test_an_empty_league_has_no_requests_no_labels_and_no_snapshot(league_demo, lake, settings):
    assert request_rows(league_demo, lake, settings, Window(AS_OF - timedelta(days=1), AS_OF), 24).is_empty()
    assert labels(league_demo, lake, AS_OF).is_empty()
    assert leaks(league_demo, lake, settings, AS_OF) == []
    with pytest.raises(NoSnapshotRows) as refused:
        build_snapshot(league_demo, lake, settings, AS_OF)
    assert (refused.value.requests, refused.value.labelled) == (0, 0)


def test_a_tie_is_void_and_is_not_trained_on(land, league_demo, short_league, windows, lake, settings):
    declared = league_demo.model_copy(
        update={"label": league_demo.label.model_copy(update={"drop_when": "home_goals == away_goals"})}
    )
    tied = short_league["game_id"][0]
    goal = pl.when(pl.col("game_id") == tied).then(pl.col("home_goals")).otherwise("away_goals")
    for window in windows[:2]:
        land(declared, short_league.with_columns(away_goals=goal), window)
    known = labels(declared, lake, AS_OF)
    void = known.filter("void")
    assert (void["entity"].to_list(), void["label"].to_list()) == ([tied], [None])
    frame = load_snapshot(lake, build_snapshot(declared, lake, settings, AS_OF))
    assert tied not in frame["entity"]
    assert frame.height == known.height - 1


def test_a_result_that_is_taken_back_is_no_label(first_two, land, league_demo, short_league, windows, lake):
    game = short_league["game_id"][7]
    gone = dict.fromkeys(("home_goals", "away_goals", "home_shots", "away_shots"))
    land(league_demo, short_league, windows[2], {game: gone})
    assert game in labels(league_demo, lake, AS_OF)["entity"]
    assert game not in labels(league_demo, lake, windows[2].as_of)["entity"]


def test_a_corrected_label_is_known_again_but_first_known_once(
    first_two, land, league_demo, short_league, windows, lake, late
):
    land(league_demo, short_league, windows[2], late)
    row = (
        labels(league_demo, lake, windows[2].as_of)
        .filter(pl.col("entity").is_in(list(late)))
        .row(0, named=True)
    )
    assert row["known_at"] == windows[2].as_of
    assert row["first_known_at"] == row["event_time"] + timedelta(hours=3)


def test_a_game_entered_after_it_was_played_was_never_predicted(
    land, league_demo, short_league, windows, lake, settings
):
    late_entry = short_league["game_id"][50]
    known = short_league.filter(pl.col("game_id") != late_entry)
    land(league_demo, known, windows[0])
    land(league_demo, known, windows[1])
    # Its result counts for form and ratings; the game itself makes no row.
    folder = f"validated/league_demo/games/{windows[1].key}"
    assert lake.exists(f"{folder}/batch.json")
    land(
        league_demo,
        short_league.filter(pl.col("game_id") == late_entry),
        windows[2],
        {late_entry: {"season": 2025}},
    )
    rows = request_rows(league_demo, lake, settings, Window(windows[0].start, windows[2].as_of))
    assert late_entry not in rows["entity"]
    assert rows.height == known.filter(pl.col("event_time") <= windows[2].as_of).height - unlisted(
        known, windows
    )


def unlisted(known: pl.DataFrame, windows) -> int:
    """Games whose schedule became known only in the third window, which these rows do not cover."""
    listed = known["event_time"] - timedelta(hours=240)
    return int((listed > windows[1].as_of).sum())


def test_bytes_do_not_depend_on_how_polars_chunked_the_frame(first_two, league_demo, lake, settings):
    from pennant.features.snapshot import _parquet

    frame = load_snapshot(lake, build_snapshot(league_demo, lake, settings, AS_OF))
    parts = [frame.slice(start, 37) for start in range(0, frame.height, 37)]
    identity = {"use_case": "x", "as_of": "y", "code": "z"}
    assert _parquet(pl.concat(parts, rechunk=False), identity) == _parquet(frame.rechunk(), identity)
    assert pl.read_parquet(io.BytesIO(_parquet(frame, identity))).schema == frame.schema
