"""The laws of windows: two clocks, corrections, any order, twice the same."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pennant.reference import Window

from .conftest import Make, World, csv_of, game, month

SEASON = [
    game(1, "2024-01-20"),
    game(2, "2024-02-11", points=""),
    game(3, "2024-02-24"),
    game(4, "2024-03-05", crowd=41.5),
    game(5, "2024-03-30", time="20:15"),
    game(6, "2024-05-12"),
]
MONTHS = [month(number) for number in range(1, 6)]


def _law(max_examples: int) -> settings:
    # Each example ingests ten windows: finding the smallest counterexample would take minutes.
    return settings(
        max_examples=max_examples,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def test_every_value_is_known_at_its_rules_moment(world: World) -> None:
    world.publish(SEASON)
    world.ingest(month(1, length=4))
    schedule = world.versions("schedule").row(by_predicate=pl.col("game") == "g005", named=True)
    result = world.versions("result").row(by_predicate=pl.col("game") == "g005", named=True)
    kick_off = datetime(2024, 3, 31, 0, 15, tzinfo=UTC)  # 20:15 in New York, in summer time
    assert schedule["event_time"] == result["event_time"] == kick_off
    assert schedule["known_at"] == kick_off - timedelta(hours=240)
    assert result["known_at"] == kick_off + timedelta(hours=4)


def test_a_local_time_becomes_utc_by_the_clock_of_its_day(world: World) -> None:
    world.publish([game(1, "2024-03-09"), game(2, "2024-03-10"), game(3, "2024-11-03", time="01:30")])
    world.ingest(month(1, length=12))
    hours = {row["game"]: row["event_time"].hour for row in world.versions("result").to_dicts()}
    # 13:00 before and after the change to summer time, and the earlier of two half past ones.
    assert hours == {"g001": 18, "g002": 17, "g003": 5}


def test_a_local_time_that_the_clock_change_skips_is_unreadable(world: World) -> None:
    world.publish([game(1, "2024-03-09"), game(2, "2024-03-10", time="02:30")])
    result = world.ingest(month(3))
    assert result.reasons == {"unreadable date: day, time": 1}  # its schedule is of February


def test_a_window_takes_only_what_became_known_in_it(world: World) -> None:
    world.publish(SEASON)
    for window in MONTHS:
        world.ingest(window)
        for group in ("schedule", "result"):
            rows = world.versions(group).filter(pl.col("batch_as_of") == window.as_of)
            assert rows.filter(~pl.col("known_at").is_between(window.start, window.as_of)).is_empty()


def test_what_becomes_known_at_the_very_end_of_a_window_is_in_it_and_not_in_the_next(world: World) -> None:
    world.publish([game(1, "2024-01-31", time="15:00")])  # 20:00 UTC, known at midnight
    assert world.ingest(month(1)).rows == 2
    assert world.ingest(month(2)).rows == 0
    assert world.versions("result")["known_at"].to_list() == [month(1).as_of]


def test_a_schedule_is_not_known_before_the_provider_lists_it(make_world: Make) -> None:
    world = make_world(ahead_days=3)
    world.publish([game(1, "2024-02-10")])
    world.ingest(month(1))
    assert world.versions("schedule").is_empty()
    world.ingest(month(2))
    row = world.versions("schedule").row(0, named=True)
    assert row["known_at"] == row["event_time"] - timedelta(days=3)


def test_a_moment_of_knowledge_can_stand_in_the_row(make_world: Make) -> None:
    groups = {
        "schedule": {"known_at": {"rule": "column", "column": "crowd"}, "columns": {"home": "str"}},
    }
    world = make_world(groups=groups)
    rows = [
        game(1, "2024-02-10", crowd="2024-02-07T10:00:00Z"),
        game(2, "2024-02-11", crowd="2024-02-07 10:00:00"),
        game(3, "2024-02-12", crowd=""),
        game(4, "2024-02-13", crowd="soon"),
    ]
    world.publish(rows)
    result = world.ingest(month(2))
    known = {row["game"]: row["known_at"] for row in world.versions("schedule").to_dicts()}
    # Without an offset the source's zone is meant; an empty one is not known yet.
    assert known == {
        "g001": datetime(2024, 2, 7, 10, tzinfo=UTC),
        "g002": datetime(2024, 2, 7, 15, tzinfo=UTC),
    }
    assert result.reasons == {"not a datetime: crowd": 1}


def test_a_window_without_games_is_a_valid_empty_batch(world: World) -> None:
    world.publish(SEASON)
    result = world.ingest(month(8))
    assert (result.rows, result.quarantined) == (0, 0)
    assert world.versions("schedule", month(8).as_of).is_empty()


def test_a_season_without_games_is_a_valid_empty_batch(world: World) -> None:
    result = world.ingest(month(1, length=12))  # the provider has a header and no rows
    assert (result.rows, result.quarantined) == (0, 0)
    assert world.versions("result").columns == [
        "game", "event_time", "known_at", "batch_as_of", "points", "crowd", "provider",
    ]  # fmt: skip


def test_a_correction_is_known_from_its_own_window_on(world: World) -> None:
    world.publish(SEASON)
    world.ingest(month(1))
    world.publish([game(1, "2024-01-20", points=99), *SEASON[1:]])
    world.ingest(month(2))
    versions = world.versions("result").filter(pl.col("game") == "g001")
    assert versions["points"].to_list() == [1, 99]
    assert versions["known_at"].to_list() == [datetime(2024, 1, 20, 22, tzinfo=UTC), month(2).as_of]


def test_a_correction_of_tomorrow_does_not_change_yesterday_byte_for_byte(world: World) -> None:
    world.publish(SEASON)
    world.ingest(month(1))
    world.ingest(month(2))
    yesterday = {group: world.versions(group, month(2).as_of) for group in ("schedule", "result")}
    before = world.objects()
    world.publish([game(1, "2024-01-20", points=99, home="Z"), game(9, "2024-01-28"), *SEASON[1:]])
    world.ingest(month(3))
    for group, rows in yesterday.items():
        again = world.versions(group, month(2).as_of)
        assert again.write_ipc(None).getvalue() == rows.write_ipc(None).getvalue()
    batches = {path: body for path, body in before.items() if not path.startswith("downloads")}
    assert batches.items() <= world.objects().items()


def test_a_correction_that_is_undone_is_a_version_again(world: World) -> None:
    for number, points in ((1, 1), (2, 99), (3, 1), (4, 1)):
        world.publish([game(1, "2024-01-20", points=points), *SEASON[1:]])
        world.ingest(month(number))
    assert world.versions("result").filter(pl.col("game") == "g001")["points"].to_list() == [1, 99, 1]


def test_a_correction_that_two_windows_found_is_known_from_the_first(world: World) -> None:
    world.publish(SEASON)
    world.ingest(month(1))
    world.publish([game(1, "2024-01-20", points=99), *SEASON[1:]])
    world.ingest(month(3))  # lands before the window that it follows
    world.ingest(month(2))
    versions = world.versions("result").filter(pl.col("game") == "g001")
    assert versions["points"].to_list() == [1, 99]
    assert versions["known_at"].to_list()[1] == month(2).as_of


def test_a_batch_cannot_be_read_before_its_window_ends(world: World) -> None:
    world.publish(SEASON)
    world.ingest(month(1))
    assert world.versions("result", month(1).as_of - timedelta(seconds=1)).is_empty()
    assert world.versions("result", month(1).as_of).height == 1


def test_a_row_that_came_late_is_known_from_the_window_that_found_it(world: World) -> None:
    world.publish(SEASON)
    world.ingest(month(1))
    world.publish([*SEASON, game(9, "2024-01-22")])
    world.ingest(month(2))
    row = world.versions("result").row(by_predicate=pl.col("game") == "g009", named=True)
    assert row["known_at"] == month(2).as_of


def test_a_result_that_was_empty_is_late_and_never_null_before(world: World) -> None:
    world.publish(SEASON)  # the points of game 2 are missing
    world.ingest(month(2))
    assert "g002" not in world.versions("result")["game"]
    world.publish([game(row, str(SEASON[row - 1]["day"])) for row in range(1, 7)])
    world.ingest(month(3))
    row = world.versions("result").row(by_predicate=pl.col("game") == "g002", named=True)
    assert (row["points"], row["known_at"]) == (2, month(3).as_of)


def test_a_value_that_is_taken_back_becomes_a_version_without_it(world: World) -> None:
    world.publish(SEASON)
    world.ingest(month(1))
    world.publish([game(1, "2024-01-20", points=""), *SEASON[1:]])
    world.ingest(month(2))
    world.ingest(month(3))
    assert world.versions("result").filter(pl.col("game") == "g001")["points"].to_list() == [1, None]


def test_a_row_that_vanishes_stays_as_it_was(world: World) -> None:
    world.publish(SEASON)
    world.ingest(month(1))
    world.publish(SEASON[1:])
    world.ingest(month(2))
    assert world.versions("result").filter(pl.col("game") == "g001").height == 1


def test_values_written_another_way_are_no_correction(world: World) -> None:
    world.publish(SEASON)
    world.ingest(month(1))
    world.publish([game(1, "2024-01-20", points="1.0", time="NA"), *SEASON[1:]])
    result = world.ingest(month(2))
    assert world.versions("result").filter(pl.col("game") == "g001").height == 1
    assert result.quarantined == 0


def test_running_a_window_again_changes_nothing(world: World) -> None:
    world.publish(SEASON)
    first = [world.ingest(window) for window in MONTHS]
    before, on_disk = world.objects(), world.on_disk()
    world.publish([game(1, "2024-01-20", points=99)])  # whatever the provider says now
    assert [world.ingest(window) for window in MONTHS] == first
    assert world.objects() == before
    assert world.on_disk() == on_disk


def test_one_window_fetched_by_many_at_once_is_one_batch(world: World) -> None:
    world.publish(SEASON)
    with ThreadPoolExecutor(8) as pool:
        batches = set(pool.map(world.fetch, [month(2)] * 8))
    assert len(batches) == 1
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(world.validate, [*batches] * 4))
    assert all(result == results[0] for result in results)


def test_parallel_windows_give_the_same_bytes_as_one_after_the_other(make_world: Make) -> None:
    one, many = make_world(), make_world()
    for world in (one, many):
        world.publish(SEASON)
    for window in MONTHS:
        one.ingest(window)
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(many.ingest, MONTHS))
    for area in ("validated", "quarantine"):
        assert _hash_free(one.objects(area)) == _hash_free(many.objects(area))


def _hash_free(objects: dict[str, bytes]) -> dict[str, bytes]:
    # batch.json names the use case and the raw batch; the values are in the Parquet files.
    return {path: body for path, body in objects.items() if path.endswith(".parquet")}


@_law(max_examples=8)
@given(data=st.data())
def test_windows_in_any_order_give_the_same_versions(make_world: Make, data: st.DataObject) -> None:
    old = data.draw(_tables, label="the provider's table at first")
    new = data.draw(_tables, label="and later")
    early = data.draw(st.sets(st.sampled_from(MONTHS), max_size=3), label="windows landed at first")
    orders = [
        data.draw(st.permutations(sorted(early, key=lambda each: each.start))),
        data.draw(st.permutations([each for each in MONTHS if each not in early])),
    ]
    straight, shuffled = make_world(), make_world()
    for world, (first, then) in (
        (straight, [sorted(order, key=lambda each: each.start) for order in orders]),
        (shuffled, orders),
    ):
        _ingest(world, old, first)
        _ingest(world, new, then)
    for group in ("schedule", "result"):
        for window in MONTHS:
            assert_frame_equal(straight.versions(group, window.as_of), shuffled.versions(group, window.as_of))


@_law(max_examples=8)
@given(data=st.data())
def test_no_value_is_in_a_batch_before_it_is_known(make_world: Make, data: st.DataObject) -> None:
    world = make_world()
    for window in MONTHS:
        _ingest(world, data.draw(_tables), [window])
        for group in ("schedule", "result"):
            rows = world.versions(group)
            # The past keeps what it knew: nothing of a batch is known before the batch's own window.
            assert rows.filter(pl.col("known_at") > pl.col("batch_as_of")).is_empty()
            newest = rows.filter(pl.col("batch_as_of") == window.as_of)
            assert newest.filter(pl.col("known_at") <= window.start).is_empty()
            if group == "result":
                assert rows.filter(pl.col("known_at") < pl.col("event_time") + timedelta(hours=4)).is_empty()


_DAYS = st.dates(datetime(2024, 1, 3).date(), datetime(2024, 6, 20).date())  # noqa: DTZ001
_ROWS = st.fixed_dictionaries(
    {
        "game": st.sampled_from(["g1", "g2", "g3", "g4"]),
        "day": st.one_of(_DAYS.map(str), st.just("tba")),
        "home": st.sampled_from(["A", "B", ""]),
        "away": st.just("C"),
        "points": st.sampled_from(["", "3", "7", "x"]),
        "crowd": st.sampled_from(["", "1.5"]),
    }
)
# A sound game in every month: no batch is stopped for having bad rows only.
_ANCHORS: list[dict[str, Any]] = [game(900 + number, f"2024-{number:02}-20") for number in range(1, 7)]
_tables = st.lists(_ROWS, max_size=6).map(lambda rows: [*_ANCHORS, *rows])


def _ingest(world: World, table: list[dict[str, Any]], windows: list[Window]) -> None:
    world.publish(csv_of(table))
    for window in windows:
        world.ingest(window)


@pytest.mark.parametrize("as_of", [datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 0, 5, tzinfo=UTC)])  # noqa: DTZ001
def test_a_window_without_zone_or_with_a_fraction_is_refused(as_of: datetime) -> None:
    with pytest.raises(ValueError, match="window as_of"):
        Window(datetime(2023, 1, 1, tzinfo=UTC), as_of)
