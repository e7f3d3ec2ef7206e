"""What is kept together is never believed, only checked: with it or without it the rows are the same."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pennant.data import gathered as room
from pennant.data.digests import mark_of
from pennant.data.gathered import BATCH, KEPT_FROM, gathered
from pennant.data.kept import fingerprint_of
from pennant.data.lake import Lake
from pennant.reference import Window

from .conftest import Make, game, month

KEYS = [f"b{number:02}" for number in range(12)]


@pytest.fixture(autouse=True)
def always_kept() -> Iterator[None]:
    room.KEPT_FROM = 1
    yield
    room.KEPT_FROM = KEPT_FROM


def load(keys: Sequence[str]) -> pl.DataFrame:
    """The number n is in the batch of key n mod 3 times."""
    schema = {"number": pl.Int64, "name": pl.String, BATCH: pl.String}
    made = [(int(key[1:]), key.upper(), key) for key in keys for _ in range(int(key[1:]) % 3)]
    return pl.DataFrame(made, schema=schema, orient="row")


def rows(lake: Lake, keys: Sequence[str], fingerprint: str = "one") -> list[tuple[int, str]]:
    sign = 1 if fingerprint == "one" else -1  # what is made another way has another fingerprint
    found = gathered(
        lake,
        "versions/a/b",
        fingerprint,
        keys,
        lambda given: load(given).with_columns(pl.col("number") * sign),
    )
    return sorted(found.rows())


def expected(keys: Sequence[str], fingerprint: str = "one") -> list[tuple[int, str]]:
    sign = 1 if fingerprint == "one" else -1
    return sorted(load(keys).with_columns(pl.col("number") * sign).rows())


def damage(lake: Lake, folder: Path, how: str) -> None:
    for path in lake.list("cache"):
        file = folder / path
        pointer = path.endswith("latest.json")
        match how:
            case "pointer gone" if pointer:
                file.unlink()
            case "file gone" if not pointer:
                file.unlink()
            case "half a pointer" if pointer:
                file.write_bytes(file.read_bytes()[:20])
            case "pointer to nowhere" if pointer:
                file.write_bytes(b'{"sha256": "' + b"0" * 64 + b'"}')
            case "another pointer" if pointer:
                file.write_bytes(b"[]")
            case "half a file" if not pointer:
                file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
            case "a changed file" if not pointer:
                body = bytearray(file.read_bytes())
                body[len(body) // 2] ^= 1
                file.write_bytes(bytes(body))


HARM = st.sampled_from(
    [
        "none",
        "pointer gone",
        "file gone",
        "half a pointer",
        "pointer to nowhere",
        "another pointer",
        "half a file",
        "a changed file",
    ]
)
STEPS = st.lists(
    st.tuples(st.lists(st.sampled_from(KEYS), unique=True), st.sampled_from(["one", "two"]), HARM)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_is_kept_or_damaged_the_rows_are_those_of_the_batches(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[list[str], str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    lake = Lake(str(folder))
    for keys, fingerprint, how in steps:
        assert rows(lake, keys, fingerprint) == expected(keys, fingerprint)
        damage(lake, folder, how)


def test_what_is_kept_is_not_read_again(tmp_path: Path) -> None:
    lake, opened = Lake(str(tmp_path)), list[str]()

    def noted(keys: Sequence[str]) -> pl.DataFrame:
        opened.extend(keys)
        return load(keys)

    for keys in (KEYS[:5], KEYS[:7], KEYS[2:4], KEYS[:7]):
        gathered(lake, "versions/a/b", "one", keys, noted)
    assert opened == KEYS[:7]
    assert len(lake.list("cache")) == 2  # the pointer and one file: what it replaces is gone


def test_many_readers_at_once_have_the_same_rows(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    wishes = [KEYS[: 3 + number % 9] for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda keys: rows(lake, keys), wishes))
    assert found == [expected(keys) for keys in wishes]
    assert rows(lake, KEYS) == expected(KEYS)


def test_a_reader_that_may_not_write_reads_all_the_same(tmp_path: Path) -> None:
    class Sealed(Lake):
        def _write(self, path: str, content: bytes, *, exclusive: bool) -> None:
            raise PermissionError(path)

    assert rows(Sealed(str(tmp_path)), KEYS) == expected(KEYS)


def test_landing_and_reading_are_the_same_without_what_is_kept(make_world: Make) -> None:
    kept, bare = make_world(), make_world()
    windows = [month(number) for number in range(1, 7)]
    for number, window in enumerate(windows):
        table = [game(each, f"2024-{each:02}-20", points=each * (1 + number // 3)) for each in range(1, 7)]
        for world in (kept, bare):
            world.publish(table)
            world.ingest(window)
            for path in bare.lake.list("cache"):
                bare.lake.remove(path)
    assert kept.lake.list("cache")
    tables = [
        {path: body for path, body in world.objects("validated").items() if path.endswith(".parquet")}
        for world in (kept, bare)
    ]
    assert tables[0] == tables[1]
    for group in ("schedule", "result"):
        for window in windows:
            again = [world.versions(group, window.as_of).write_ipc(None).getvalue() for world in (kept, bare)]
            assert again[0] == again[1]


def test_a_fingerprint_is_of_all_its_parts() -> None:
    assert fingerprint_of("ab", "c") != fingerprint_of("a", "bc")
    assert fingerprint_of(1, [2]) == fingerprint_of(1, [2])


DAYS = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)]
VALUES = st.tuples(
    st.one_of(st.none(), st.text(max_size=3)),
    st.one_of(st.none(), st.integers(-3, 3)),
    st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, -1.0])),
    st.one_of(
        st.none(), st.sampled_from([datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)])
    ),
)


@settings(max_examples=100, deadline=None)
@given(table=st.lists(VALUES, min_size=1, max_size=30), cut=st.integers(0, 30))
def test_marks_are_equal_where_rows_are_and_only_there(table: list[tuple[object, ...]], cut: int) -> None:
    schema = {"a": pl.String, "b": pl.Int64, "c": pl.Float64, "d": pl.Datetime("us", "UTC")}
    frame = pl.DataFrame(table, schema=schema, orient="row")
    mark = mark_of(pl.col(name) for name in schema).alias("mark")
    marks = frame.select(mark)["mark"].to_list()
    for one, left in zip(table, marks, strict=True):
        for other, right in zip(table, marks, strict=True):
            assert (left == right) == (one == other)
    halves = pl.concat([frame.head(cut), frame.slice(cut)], rechunk=False)
    assert halves.select(mark)["mark"].to_list() == marks


def test_windows_that_end_at_one_moment_are_told_apart_by_their_names_and_not_by_the_cache(
    make_world: Make,
) -> None:
    world = make_world()
    end = datetime(2024, 3, 10, tzinfo=UTC)
    world.publish([game(1, "2024-03-03"), game(2, "2024-03-08", points=7)])
    world.ingest(Window(datetime(2024, 3, 7, tzinfo=UTC), end))
    world.publish([game(1, "2024-03-03"), game(2, "2024-03-08", points=9)])
    world.ingest(Window(datetime(2024, 3, 1, tzinfo=UTC), end))
    held = world.versions("result", end)
    for path in world.lake.list("cache"):
        world.lake.remove(path)
    assert held.equals(world.versions("result", end))
    assert held["known_at"].is_sorted()
    assert held.select(pl.struct("game", "known_at").is_duplicated().any()).item() is False
