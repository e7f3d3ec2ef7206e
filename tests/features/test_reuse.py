"""A snapshot built on an earlier one has the bytes of one built anew, and builds only what is new."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pennant.features import reuse
from pennant.features.snapshot import build_snapshot
from pennant.reference import Window

EARLY = datetime(2025, 1, 18, tzinfo=UTC)
LATE = datetime(2025, 1, 27, tzinfo=UTC)


@pytest.fixture
def built(monkeypatch) -> list[int]:
    """How many rows each build made by itself."""
    made: list[int] = []

    def counted(*given):
        made.append(given[3].height)
        return feature_rows(*given)

    feature_rows = reuse.feature_rows
    monkeypatch.setattr(reuse, "feature_rows", counted)
    return made


@pytest.fixture
def early(land, league_demo, short_league, windows, lake, settings):
    """The lake as it was on 18 January, with the snapshot of that day."""
    for window in windows[:2]:
        land(league_demo, short_league, window)
    return build_snapshot(league_demo, lake, settings, EARLY)


@pytest.mark.parametrize("corrected", [False, True])
def test_only_rows_that_had_not_settled_are_built(
    early, built, corrected, land, league_demo, short_league, windows, lake, settings
):
    game = short_league.filter(pl.col("event_time").dt.day() == 5).row(3, named=True)
    turned = {game["game_id"]: {"home_goals": game["away_goals"], "away_goals": game["home_goals"]}}
    land(league_demo, short_league, windows[2], turned if corrected else None)
    later = build_snapshot(league_demo, lake, settings, LATE)
    delay = timedelta(hours=league_demo.label.delay_hours)
    new = short_league.filter(pl.col("event_time") + delay > EARLY, pl.col("event_time") + delay <= LATE)
    assert 0 < sum(built) <= new.height
    assert later == build_snapshot(league_demo, lake, settings, LATE, anew=True)


def test_a_batch_that_tells_late_of_an_earlier_day_makes_all_be_built_anew(
    land, league_demo, short_league, windows, lake, settings, built
):
    land(league_demo, short_league, windows[0])
    build_snapshot(league_demo, lake, settings, EARLY)
    land(league_demo, short_league, windows[1])
    land(league_demo, short_league, windows[2])
    later = build_snapshot(league_demo, lake, settings, LATE)
    assert not built
    assert later == build_snapshot(league_demo, lake, settings, LATE, anew=True)


def test_a_batch_that_repeats_what_was_known_changes_nothing(
    early, built, land, league_demo, short_league, windows, lake, settings
):
    month = Window(windows[0].start, windows[1].as_of)
    land(league_demo, short_league, month)
    land(league_demo, short_league, windows[2])
    build_snapshot(league_demo, lake, settings, LATE)
    assert built


def test_another_parameter_or_other_code_makes_all_be_built_anew(
    early, built, land, league_demo, short_league, windows, lake, settings, monkeypatch
):
    land(league_demo, short_league, windows[2])
    label = league_demo.label.model_copy(update={"delay_hours": league_demo.label.delay_hours + 1})
    build_snapshot(league_demo.model_copy(update={"label": label}), lake, settings, LATE)
    monkeypatch.setattr("pennant.features.snapshot.code_hash", lambda folder: "other code")
    build_snapshot(league_demo, lake, settings, LATE)
    assert not built


def test_a_damaged_or_missing_earlier_snapshot_costs_time_and_nothing_else(
    early, built, land, league_demo, short_league, windows, lake, settings
):
    land(league_demo, short_league, windows[2])
    lake.replace(f"snapshots/{early.sha256}/data.parquet", b"half a fi")
    later = build_snapshot(league_demo, lake, settings, LATE)
    assert not built
    assert later == build_snapshot(league_demo, lake, settings, LATE, anew=True)
