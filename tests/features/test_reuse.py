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
def take(league_demo, lake, settings):
    """Takes the snapshot of a moment."""

    def go(as_of, use_case=league_demo, **given):
        return build_snapshot(use_case, lake, settings, as_of, **given)

    return go


@pytest.fixture
def arrive(land, league_demo, short_league):
    """Lets a window's batch arrive."""

    def go(window, corrections=None):
        land(league_demo, short_league, window, corrections)

    return go


@pytest.fixture
def early(arrive, windows, take):
    """The lake as it was on 18 January, with the snapshot of that day."""
    for window in windows[:2]:
        arrive(window)
    return take(EARLY)


@pytest.mark.parametrize("corrected", [False, True])
def test_only_rows_that_had_not_settled_are_built(
    early, built, corrected, arrive, take, league_demo, short_league, windows
):
    game = short_league.filter(pl.col("event_time").dt.day() == 5).row(3, named=True)
    turned = {game["game_id"]: {"home_goals": game["away_goals"], "away_goals": game["home_goals"]}}
    arrive(windows[2], turned if corrected else None)
    later = take(LATE)
    delay = timedelta(hours=league_demo.label.delay_hours)
    new = short_league.filter(pl.col("event_time") + delay > EARLY, pl.col("event_time") + delay <= LATE)
    assert 0 < sum(built) <= new.height
    assert later == take(LATE, anew=True)


def test_a_batch_that_tells_late_of_an_earlier_day_makes_all_be_built_anew(arrive, take, windows, built):
    arrive(windows[0])
    take(EARLY)
    arrive(windows[1])
    arrive(windows[2])
    later = take(LATE)
    assert not built
    assert later == take(LATE, anew=True)


def test_a_batch_that_repeats_what_was_known_changes_nothing(early, built, arrive, take, lake, windows):
    month = Window(windows[0].start, windows[1].as_of)
    arrive(month)
    arrive(windows[2])
    take(LATE)
    assert built


def test_another_parameter_or_other_code_makes_all_be_built_anew(
    early, built, arrive, take, league_demo, windows, monkeypatch
):
    arrive(windows[2])
    label = league_demo.label.model_copy(update={"delay_hours": league_demo.label.delay_hours + 1})
    take(LATE, league_demo.model_copy(update={"label": label}))
    monkeypatch.setattr("pennant.features.snapshot.code_hash", lambda _: "other code")
    take(LATE)
    assert not built


def test_a_damaged_or_missing_earlier_snapshot_costs_time_and_nothing_else(
    early, built, arrive, take, lake, windows
):
    arrive(windows[2])
    lake.replace(f"snapshots/{early.sha256}/data.parquet", b"half a fi")
    later = take(LATE)
    assert not built
    assert later == take(LATE, anew=True)
