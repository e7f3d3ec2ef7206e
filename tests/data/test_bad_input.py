"""Tables that are odd or broken: each has one clear outcome, and nothing of them is lost unseen."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pennant.data.batches import BatchName
from pennant.data.errors import BatchStopped, SourceMalformed
from pennant.data.quarantine import rows as aside
from pennant.reference import Window

from .conftest import HEADER, Make, World, csv_of, game, month

YEAR = month(1, length=12)
FOREVER = Window(datetime(1801, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC))


def results(world: World) -> dict[str, list[Any]]:
    """The points of each game, version by version."""
    found: dict[str, list[Any]] = {}
    for name, points in world.versions("result").select("game", "points").iter_rows():
        found.setdefault(name, []).append(points)
    return found


def refused(world: World, window: Window = YEAR) -> SourceMalformed:
    with pytest.raises(SourceMalformed) as caught:
        world.fetch(window)
    assert [path for path in world.lake.list() if path.startswith(("raw", "validated"))] == []
    return caught.value


def test_a_season_of_one_game_is_a_season(world: World) -> None:
    world.publish([game(1, "2024-05-01")])
    assert world.ingest(YEAR).rows == 2
    assert results(world) == {"g001": [1]}


def test_games_at_the_same_moment_are_kept_apart_by_their_keys(world: World) -> None:
    world.publish([game(number, "2024-05-01") for number in range(1, 21)])
    assert world.ingest(YEAR).quarantined == 0
    assert world.versions("result")["event_time"].n_unique() == 1
    assert results(world) == {f"g{number:03}": [number] for number in range(1, 21)}


def test_when_all_keys_are_equal_no_row_can_be_trusted(world: World) -> None:
    world.publish([game(7, "2024-05-01", points=points) for points in range(5)])
    # Of the schedule all copies say the same: one passes. Of the result none does.
    assert world.ingest(YEAR).reasons == {"duplicate key": 4 + 5}
    assert world.versions("schedule").height == 1
    assert world.versions("result").is_empty()


def test_a_table_of_nothing_but_faults_stops_its_batch(world: World) -> None:
    world.publish([game(7, "2024-05-01", points=points, home=points) for points in range(5)])
    with pytest.raises(BatchStopped) as caught:
        world.ingest(YEAR)
    assert (caught.value.rules, caught.value.reasons) == (("max_quarantined_share",), {"duplicate key": 10})


def test_of_equal_copies_one_is_kept(world: World) -> None:
    world.publish([game(1, "2024-05-01"), game(2, "2024-05-02"), game(1, "2024-05-01")])
    assert world.ingest(YEAR).reasons == {"duplicate key": 2}
    assert results(world) == {"g001": [1], "g002": [2]}


def test_a_doubleheader_needs_a_key_that_tells_its_games_apart(make_world: Make) -> None:
    twice = [
        game(1, "2024-05-01", time="12:00"),
        game(1, "2024-05-01", time="18:00", points=9),
        game(2, "2024-05-02"),
    ]
    world = make_world()
    world.publish(twice)
    assert world.ingest(YEAR).reasons == {"duplicate key": 4}  # both games, both groups
    assert results(world) == {"g002": [2]}
    apart = make_world(key=["game", "time"])
    apart.publish(twice)
    assert apart.ingest(YEAR).reasons == {"no key": 2}  # the third row has no time
    assert results(apart) == {"g001": [1, 9]}


def test_a_game_moved_to_another_day_is_a_new_version_from_then_on(world: World) -> None:
    world.publish([game(1, "2024-03-15", points="")])
    world.ingest(month(3))
    world.publish([game(1, "2024-04-20", points=8)])
    world.ingest(month(4))
    world.ingest(month(5))
    days = [datetime(2024, 3, 15, 17, tzinfo=UTC), datetime(2024, 4, 20, 17, tzinfo=UTC)]
    assert world.versions("schedule")["event_time"].to_list() == days
    assert world.versions("schedule", month(3).as_of)["event_time"].to_list() == days[:1]
    assert results(world) == {"g001": [8]}


def test_a_game_moved_into_the_past_is_known_from_the_window_that_heard_of_it(world: World) -> None:
    world.publish([game(1, "2024-03-15")])
    world.ingest(month(3))
    world.publish([game(1, "2024-03-12")])
    world.ingest(month(4))
    told = world.versions("result").select("event_time", "known_at").rows()
    assert told[1] == (datetime(2024, 3, 12, 17, tzinfo=UTC), month(4).as_of)


def test_old_and_coming_dates_are_dates(world: World) -> None:
    days = ("1899-06-01", "1984-06-01", "2024-06-01", "2198-06-01")
    world.publish([game(number, day) for number, day in enumerate(days)])
    result = world.ingest(FOREVER)
    assert (result.rows, result.quarantined) == (8, 0)
    years = [moment.year for moment in world.versions("result", FOREVER.as_of)["event_time"]]
    assert years == [1899, 1984, 2024, 2198]


@pytest.mark.parametrize("day", ["0001-01-01", "0024-05-01", "9999-12-31", "2024-13-01", "2024-02-30", "tba"])
def test_a_date_that_cannot_be_meant_is_set_aside_with_its_reason(world: World, day: str) -> None:
    world.publish([game(1, "2024-05-01"), game(2, day)])
    assert world.ingest(YEAR).reasons == {"unreadable date: day, time": 2}


def test_a_table_without_one_readable_date_is_refused(world: World) -> None:
    world.publish([game(1, "soon"), game(2, "later")])
    error = refused(world)
    assert (error.problem, error.column) == ("no_dates", "day")


def test_a_game_in_the_far_future_waits_for_its_window(world: World) -> None:
    world.publish([game(1, "2024-05-01"), game(2, "2150-05-01")])
    assert world.ingest(YEAR).rows == 2
    late = Window(datetime(2150, 1, 1, tzinfo=UTC), datetime(2151, 1, 1, tzinfo=UTC))
    assert world.ingest(late).rows == 2


def test_latin_1_bytes_are_told_by_row_and_column(world: World) -> None:
    table = csv_of([game(1, "2024-05-01", home="Málaga"), game(2, "2024-05-02", home="Malaga")])
    world.publish(table.decode().encode("latin-1"))
    assert world.ingest(YEAR).reasons == {"not UTF-8: home": 1}
    assert results(world) == {"g001": [1], "g002": [2]}  # the result of the game can be read


def test_a_declared_encoding_is_read(make_world: Make) -> None:
    world = make_world(options={"encoding": "latin-1"})
    world.publish(csv_of([game(1, "2024-05-01", home="Málaga")]).decode().encode("latin-1"))
    world.ingest(YEAR)
    assert world.versions("schedule")["home"].to_list() == ["Málaga"]


@pytest.mark.parametrize(
    "change",
    [
        lambda table: b"\xef\xbb\xbf" + table,
        lambda table: table.replace(b"\n", b"\r\n"),
        lambda table: table.replace(b"\n", b"\n\n"),
        lambda table: b'"' + table.replace(b",", b'","').replace(b"\n", b'"\n"').removesuffix(b'"'),
    ],
    ids=["byte order mark", "CR LF", "blank lines", "all quoted"],
)
def test_another_writing_of_the_same_table_is_no_news(world: World, change: Any) -> None:
    table = csv_of([game(1, "2024-01-10"), game(2, "2024-02-10")])
    world.publish(table)
    world.ingest(month(1))
    world.publish(change(table))
    assert world.ingest(month(2)).rows == 1
    assert results(world) == {"g001": [1], "g002": [2]}


def test_ragged_rows_are_set_aside_whole(world: World) -> None:
    table = csv_of([game(1, "2024-05-01"), game(2, "2024-05-02")]).decode()
    lines = table.splitlines()
    world.publish("\n".join([lines[0], lines[1] + ",extra", lines[2]]).encode())
    assert world.ingest(YEAR).reasons == {"wrong number of fields": 2}
    assert results(world) == {"g002": [2]}


def test_a_value_with_a_line_break_is_one_value(world: World) -> None:
    world.publish(csv_of([game(1, "2024-05-01", home='"Real\nMadrid"')]))
    world.ingest(YEAR)
    assert world.versions("schedule")["home"].to_list() == ["Real\nMadrid"]


def test_a_header_alone_is_an_empty_season(world: World) -> None:
    world.publish(",".join(HEADER).encode())
    assert world.ingest(YEAR).rows == 0
    assert world.versions("result").is_empty()


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (b"", "empty"),
        (b"game,day,time,home,away,points,crowd\ng1,2024-05-01,,A,\x00,1,\n", "not_text"),
        (b"game,day,time,home,home,points,crowd\ng1,2024-05-01,,A,B,1,2\n", "doubled_column"),
        (b"game,day,time,home,away,points,crowd\n" + b"x" * 20_000_000, "too_large"),
        (b"game,day,time,home,away,points,crowd\ng1,2024-05-01,,A", "truncated"),
        (b'game,day,time,home,away,points,crowd\ng1,2024-05-01,"', "truncated"),
    ],
    ids=["nothing", "zero byte", "doubled column", "endless line", "half a line", "open quote"],
)
def test_what_is_no_table_lands_nothing(world: World, table: bytes, problem: str) -> None:
    world.publish(table)
    assert refused(world).problem == problem


@pytest.fixture
def parquet(make_world: Make, tmp_path: Path) -> World:
    from pennant.settings import Settings

    world = make_world(kind="parquet", url=None, path="games.parquet")
    world.settings = Settings(home=tmp_path, data_mirror=str(tmp_path))
    return world


def _games() -> pl.DataFrame:
    rows = [game(number, f"2024-05-{number:02}", time="13:00", crowd=1.5) for number in range(1, 29)]
    return pl.DataFrame(rows).with_columns(at=pl.lit(datetime(2024, 5, 1, tzinfo=UTC)))


def _written(table: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    table.write_parquet(body)
    return body.getvalue()


def test_a_parquet_table_lands_like_its_csv(parquet: World, world: World, tmp_path: Path) -> None:
    table = _games()
    (tmp_path / "games.parquet").write_bytes(_written(table))
    world.publish(table.select(HEADER).write_csv().encode())
    assert parquet.ingest(YEAR).rows == world.ingest(YEAR).rows == 56
    for group in ("schedule", "result"):
        assert parquet.versions(group).drop("provider").equals(world.versions(group).drop("provider"))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_parquet_file_cut_in_half_lands_nothing(parquet: World, tmp_path: Path, share: float) -> None:
    whole = _written(_games())
    (tmp_path / "games.parquet").write_bytes(whole[: int(share * len(whole))])
    assert refused(parquet).problem == "truncated"


def test_an_archive_bomb_lands_nothing(parquet: World, tmp_path: Path) -> None:
    import gzip

    bomb = gzip.compress(b"\0" * 300_000_000, compresslevel=1)
    assert len(bomb) < 3_000_000
    (tmp_path / "games.parquet").write_bytes(bomb)
    assert refused(parquet).problem == "too_large"


def test_a_row_that_was_set_aside_can_be_looked_up(world: World) -> None:
    world.publish([game(1, "2024-05-01"), game(2, "2024-05-02", points="many"), game(3, "2024-05-03")])
    assert world.ingest(YEAR).reasons == {"not an int: points": 1}
    [row] = aside(world.lake, BatchName(world.use_case.name, "games", YEAR))
    assert (row.line, row.group, row.reasons) == (3, "result", ["not an int: points"])
    assert row.values["points"] == "many"


def test_records_in_any_order_give_the_same_batch(make_world: Make) -> None:
    rows = [game(number, f"2024-{1 + number % 12:02}-15") for number in range(40)]
    worlds = make_world(), make_world()
    for world, table in zip(worlds, (rows, rows[::-1]), strict=True):
        world.publish(table)
        world.ingest(YEAR)
    for group in ("schedule", "result"):
        assert worlds[0].versions(group).equals(worlds[1].versions(group))


def test_numbers_that_no_computer_holds_are_set_aside(world: World) -> None:
    odd = {"points": "9" * 30, "crowd": "1e999"}
    world.publish([game(1, "2024-05-01"), game(2, "2024-05-02", **odd), game(3, "2024-05-03", crowd="inf")])
    assert world.ingest(YEAR).reasons == {"not a float: crowd": 2, "not an int: points": 1}
