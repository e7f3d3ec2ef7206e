"""How a table becomes a batch: its clocks, who said it, and where every single row went."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pennant.data.errors import SourceMalformed
from pennant.reference import Reference, Window
from pennant.settings import Settings

from .conftest import Make, World, csv_of, game, month

YEAR = month(1, length=12)


def manifest(world: World, batch: Reference) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(world.lake.get(batch))
    return found


def moments(world: World, group: str = "result") -> dict[str, datetime]:
    return {row["game"]: row["event_time"] for row in world.versions(group).to_dicts()}


def test_of_several_formats_the_first_that_reads_a_row_is_taken(make_world: Make) -> None:
    formats = ["%d/%m/%Y", "%d/%m/%y", "%Y-%m-%d", "%m/%d/%Y"]
    world = make_world(event_time={"columns": ["day"], "format": formats, "time_zone": "Europe/London"})
    days = ("03/04/2024", "03/04/24", "2024-04-03", "04/13/2024", "April 3rd")
    world.publish([game(number, day) for number, day in enumerate(days)])
    result = world.ingest(YEAR)
    midnight = datetime(2024, 4, 2, 23, tzinfo=UTC)  # in London, in summer time
    expected = dict.fromkeys(["g000", "g001", "g002"], midnight)
    assert moments(world) == expected | {"g003": midnight + timedelta(days=10)}
    assert result.reasons == {"unreadable date: day": 2}  # of both groups


def test_a_format_with_an_offset_needs_no_zone(make_world: Make) -> None:
    formats = ["%Y-%m-%dT%H:%M:%S%:z", "%Y-%m-%dT%H:%M:%S"]
    rule = {"columns": ["day"], "format": formats, "time_zone": "America/New_York"}
    world = make_world(event_time=rule)
    world.publish([game(1, "2024-01-05T12:00:00+02:00"), game(2, "2024-01-05T12:00:00")])
    world.ingest(YEAR)
    day = datetime(2024, 1, 5, tzinfo=UTC)
    assert moments(world) == {"g001": day + timedelta(hours=10), "g002": day + timedelta(hours=17)}


def test_a_table_without_dates_happens_at_its_fixed_moment(make_world: Make) -> None:
    world = make_world(event_time={"fixed": "2024-03-01T00:00:00Z"})
    world.publish([game(1, "whenever"), game(2, "")])
    assert world.ingest(month(2)).rows == 2  # the schedule of both, ten days before
    assert world.ingest(month(3)).rows == 2  # and their results
    assert set(moments(world).values()) == {datetime(2024, 3, 1, tzinfo=UTC)}


def test_a_column_can_count_units_since_a_moment(make_world: Make) -> None:
    rule = {"columns": ["day"], "start": "2024-03-01T00:00:00Z", "unit_seconds": 0.4}
    world = make_world(event_time=rule)
    world.publish(
        [game(1, "0"), game(2, "10.0"), game(3, "-5"), game(4, "x"), game(5, "1e300"), game(6, "nan")]
    )
    result = world.ingest(YEAR)
    start = datetime(2024, 3, 1, tzinfo=UTC)
    assert moments(world) == {
        "g001": start,
        "g002": start + timedelta(seconds=4),
        "g003": start - timedelta(seconds=2),
    }
    assert result.reasons == {"unreadable date: day": 6}


def test_an_optional_column_that_is_not_there_is_missing_and_any_other_is_named(make_world: Make) -> None:
    world = make_world(optional_columns=["crowd"])
    world.publish(csv_of([game(1, "2024-02-10")], ["game", "day", "time", "home", "away", "points"]))
    world.ingest(YEAR)
    assert world.versions("result").select("points", "crowd").row(0) == (1, None)
    world.publish(csv_of([game(1, "2024-02-10")], ["game", "day", "time", "home", "away", "Pionts"]))
    with pytest.raises(SourceMalformed) as caught:
        world.fetch(month(1, 2025))
    assert (caught.value.problem, caught.value.column) == ("missing_column", "points")
    assert caught.value.nearest == "Pionts"


def test_an_optional_column_that_appears_later_is_a_correction(make_world: Make) -> None:
    world = make_world(optional_columns=["crowd"])
    world.publish(csv_of([game(1, "2024-01-10")], ["game", "day", "time", "home", "away", "points"]))
    world.ingest(month(1))
    world.publish([game(1, "2024-01-10", crowd=5.5)])
    world.ingest(month(2))
    assert world.versions("result")["crowd"].to_list() == [None, 5.5]


def test_a_row_says_who_gave_it_and_another_provider_of_the_same_is_no_correction(make_world: Make) -> None:
    world = make_world(fallback={"kind": "csv", "path": "second.csv"}, max_attempts=1)
    world.settings = Settings(home=world.folder.parent, data_mirror=str(world.folder.parent))
    table = csv_of([game(1, "2024-01-10"), game(2, "2024-02-10"), game(3, "2024-03-10")])
    (world.folder.parent / "second.csv").write_bytes(table)
    world.publish(table)
    world.ingest(month(1))
    url, world.use_case = _elsewhere(world, "http://127.0.0.1:9/none")
    world.ingest(month(2))
    _, world.use_case = _elsewhere(world, url)
    world.ingest(month(3))
    said = world.versions("result")
    assert said.columns[-1] == "provider"
    assert dict(said.select("game", "provider").iter_rows()) == {
        "g001": "csv",
        "g002": "csv_fallback",
        "g003": "csv",
    }
    assert said.height == 3


def _elsewhere(world: World, url: str) -> tuple[str, Any]:
    source = world.use_case.sources["games"]
    moved = source.model_copy(update={"url": url})
    return str(source.url), world.use_case.model_copy(update={"sources": {"games": moved}})


def today() -> Window:
    """A window that ends a little before now."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Window(now - timedelta(hours=2), now - timedelta(minutes=1))


@pytest.fixture
def live(make_world: Make) -> World:
    groups = {"price": {"known_at": {"rule": "retrieved"}, "columns": {"points": "int"}}}
    return make_world(groups=groups)


def test_what_is_known_when_it_is_told_has_the_moment_of_its_answer(live: World) -> None:
    live.publish([game(1, "2024-01-10"), game(2, "2090-01-10")])
    window, before = today(), datetime.now(UTC)
    live.ingest(window)
    known = live.versions("price")["known_at"]
    assert known.len() == 2
    assert known.is_between(before, datetime.now(UTC)).all()
    assert live.versions("price", window.as_of).is_empty()  # told a minute after the window's end


def test_the_same_told_again_is_no_news_and_a_change_is(live: World) -> None:
    window = today()
    live.publish([game(1, "2024-01-10", points=5), game(2, "2024-01-10")])
    assert live.ingest(Window(window.start, window.as_of)).rows == 2
    for points, news in ((5, 0), (6, 1), (6, 0), (5, 1), ("", 0)):
        window = Window(window.as_of, window.as_of + timedelta(seconds=1))
        live.publish([game(1, "2024-01-10", points=points), game(2, "2024-01-10")])
        assert live.ingest(window).rows == news
    told = live.versions("price").filter(pl.col("game") == "g001").sort("known_at")
    assert told["points"].to_list() == [5, 6, 5]


@pytest.fixture
def clocked(make_world: Make) -> World:
    """A source whose rows say themselves when they were known."""
    rule = {"known_at": {"rule": "column", "column": "crowd"}, "columns": {"points": "int"}}
    return make_world(groups={"price": rule})


def test_a_provider_whose_clock_is_ahead_is_told(clocked: World) -> None:
    now = datetime.now(UTC)
    moments = {1: now - timedelta(minutes=1), 2: now + timedelta(minutes=2), 3: now + timedelta(hours=2)}
    rows = [game(number, f"{now:%Y-%m-%d}", crowd=at.isoformat()) for number, at in moments.items()]
    clocked.publish(rows)
    end = now.replace(microsecond=0) + timedelta(days=1)
    result = clocked.ingest(Window(end - timedelta(days=4), end))
    assert result.reasons == {"known after it was told: crowd": 1}
    assert sorted(clocked.versions("price")["game"]) == ["g001", "g002"]  # minutes are forgiven


def test_a_row_of_a_clock_ahead_waits_for_the_window_of_its_moment(clocked: World) -> None:
    clocked.publish([game(1, "2024-01-10", crowd="2024-02-03T00:00:00Z"), game(2, "2024-01-10", crowd="")])
    batch = clocked.fetch(month(1))
    left_out = {"price": {"later": 1, "not_known_yet": 1}}
    assert manifest(clocked, batch)["request"]["left_out"] == left_out
    clocked.ingest(month(2))
    assert clocked.versions("price")["known_at"].to_list() == [datetime(2024, 2, 3, tzinfo=UTC)]


MONTHS = [month(number) for number in range(1, 5)]
_ROW = st.fixed_dictionaries(
    {
        "game": st.sampled_from(["g1", "g2", "g3", ""]),
        "day": st.sampled_from(
            ["2024-01-10", "2024-02-11", "2024-03-30", "2024-05-01", "2023-06-01", "soon"]
        ),
        "home": st.sampled_from(["A", "B", ""]),
        "away": st.sampled_from(["C", ""]),
        "points": st.sampled_from(["", "3", "7", "x"]),
        "crowd": st.sampled_from(["", "1.5"]),
    }
)
_ANCHOR: list[dict[str, Any]] = [game(900 + number, f"2024-{number:02}-20") for number in range(1, 6)]


@settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_every_row_lands_or_is_counted_with_its_reason(make_world: Make, data: st.DataObject) -> None:
    world = make_world()
    for window in data.draw(st.permutations(MONTHS)):
        table = [*_ANCHOR, *data.draw(st.lists(_ROW, max_size=6))]
        world.publish(table)
        batch = world.fetch(window)
        said = manifest(world, batch)
        for group in ("schedule", "result"):
            arrived = sum(said["groups"].get(group, {}).values())
            left = said["request"]["left_out"].get(group, {})
            assert arrived + sum(left.values()) == said["request"]["rows"] == len(table)
        result = world.validate(batch)
        assert result.rows + result.quarantined == said["rows"]


def test_what_is_left_out_says_why(world: World) -> None:
    world.publish([game(1, "2024-01-10"), game(2, "2024-01-11", points=""), game(3, "2024-04-20")])
    world.ingest(month(1))
    batch = world.fetch(month(3))
    assert manifest(world, batch)["request"]["left_out"] == {
        "schedule": {"held": 1, "later": 1, "other_window": 1},  # one is of December
        "result": {"empty": 1, "held": 1, "later": 1},
    }


def test_a_window_in_a_gap_between_landed_ones_takes_no_late_rows_of_the_gap(world: World) -> None:
    world.publish([])
    for number in (1, 3, 5):
        world.ingest(month(number))
    days = [game(number, f"2024-{number:02}-20") for number in range(1, 7)]
    world.publish(days)
    batch = manifest(world, world.fetch(month(6)))
    # What belongs to February and April waits for their windows; January, March and May have been.
    assert batch["groups"]["result"] == {"on_time": 1, "correction": 0, "late": 3}
    assert batch["request"]["left_out"]["result"] == {"other_window": 2}
