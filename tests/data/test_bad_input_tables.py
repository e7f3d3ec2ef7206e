"""Answers that are no table are refused by name; rows of another shape are kept and say so."""

import csv
import io
import json
import random
import subprocess
import sys
import time
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pennant.data.connectors.base import Answer
from pennant.data.delimited import patient_rows, regular_rows
from pennant.data.errors import SourceMalformed
from pennant.data.parsing import csv_table, json_content, json_table, parquet_table
from pennant.data.refusals import MAX_LINE_BYTES

Outcome = pl.DataFrame | str


def answer(content: bytes | str) -> Answer:
    body = content.encode() if isinstance(content, str) else content
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    return Answer("league.games", "https://example.org/t", "table", 0, body, "", "csv", moment)


def refused(read: Any, content: bytes | str, **given: Any) -> SourceMalformed:
    with pytest.raises(SourceMalformed) as caught:
        read(answer(content), **given)
    assert caught.value.source == "league.games"
    return caught.value


def outcome(read: Any) -> Outcome:
    try:
        table: pl.DataFrame = read()
    except SourceMalformed as error:
        return error.problem
    return table


def cells(table: pl.DataFrame) -> list[tuple[Any, ...]]:
    return table.drop("line", "misfit").rows()


_CELL = st.text(st.sampled_from(list('a ",\n\ré0')), max_size=4)
_GRID = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(_CELL, min_size=width, max_size=width)))
_QUOTING = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
_ENDING = st.sampled_from(["\n", "\r\n"])


@st.composite
def _written(draw: st.DrawFn) -> bytes:
    """A file as some program writes it: regular, unless a cell holds a line break."""
    grid = draw(_GRID)
    width = len(grid[0]) if grid else 2
    body = io.StringIO()
    writer = csv.writer(body, quoting=draw(_QUOTING), lineterminator=draw(_ENDING))
    writer.writerows([[f"c{number}" for number in range(width)], *grid])
    return body.getvalue().encode()


@st.composite
def _almost(draw: st.DrawFn) -> bytes:
    """Lines of two fields, but for a few of one or three."""
    plain = st.sampled_from(["1,2", ",", '"x",""', '"a,b",1', '"",'])
    odd = st.sampled_from(["1", ",,", "1,2,", ",2,3", '"",,""', '""', " "])
    lines = draw(st.lists(st.one_of(plain, odd), max_size=6))
    return "\n".join(["a,b", *lines]).encode() + draw(st.sampled_from([b"", b"\n"]))


_TYPED = st.text(st.sampled_from(list('ab",\n\r ')), max_size=30).map(lambda text: b"a,b\n" + text.encode())


@settings(max_examples=500, deadline=None)
@given(content=st.one_of(_written(), _almost(), _TYPED))
@example(content=b'a,b\n"x""y",1\n"",2\n')
@example(content=b'a,b\nx"y,1\n')
@example(content=b'a,b\n"x"y,1\n')
@example(content=b'a,b\n "x",1\n')
@example(content=b"a,b\n1,2,3\n4\n")
@example(content=b'a,b\n"1,2"\n3,4,5\n')
@example(content=b'a,b\n"x\n1",2\n')
@example(content=b"a,b\r\n1,2\n3,4\r\n")
@example(content=b"a,b\n,\na\n,,")
@example(content=b"a,b\n1\n2,3,\n4,5\n")
@example(content=b"a\n\n1\n")
@example(content=b"a,b\n1,2\r3,4\n")
def test_the_fast_reader_and_the_patient_one_give_the_same_table(content: bytes) -> None:
    given = answer(content)
    patient = outcome(lambda: patient_rows(given, content, ",", None))
    fast = outcome(lambda: regular_rows(given, content, ",", None))
    if isinstance(fast, pl.DataFrame) and isinstance(patient, pl.DataFrame):
        assert_frame_equal(fast, patient)
    elif fast is not None:
        assert fast == patient
    assert isinstance(outcome(lambda: csv_table(given)), type(patient))


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_files_as_programs_write_them_go_the_fast_way(quoting: Any, ending: str) -> None:
    body = io.StringIO()
    rows = [["a", "b"], ["x, y", 'said "no"'], ["", "é"], ["1", "2"]]
    csv.writer(body, quoting=quoting, lineterminator=ending).writerows(rows)
    table = regular_rows(answer(""), body.getvalue().encode(), ",", None)
    assert table is not None
    assert cells(table) == [("x, y", 'said "no"'), (None, "é"), ("1", "2")]
    assert table["line"].to_list() == [2, 3, 4]


def test_a_table_larger_than_a_chunk_is_read_whole() -> None:
    lines = [f'"{number}","x{number}, ""q"" {"é" * 90}"' for number in range(140_000)]
    content = "\n".join(['"a","b"', *lines]).encode()
    assert len(content) > 1 << 24
    fast, patient = csv_table(answer(content)), patient_rows(answer(content), content, ",", None)
    assert_frame_equal(fast, patient)
    assert fast["a"].to_list() == [str(number) for number in range(140_000)]


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_nothing_is_no_table(content: bytes) -> None:
    assert refused(csv_table, content).problem == "empty"


def test_a_page_of_the_web_is_no_table() -> None:
    assert refused(csv_table, "\n <!doctype html><p>Sorry").problem == "html"
    assert refused(json_content, "<html>").problem == "html"


def test_zero_bytes_are_no_text_and_their_place_is_told() -> None:
    error = refused(csv_table, b"a,b\n1,\x002\n")
    assert (error.problem, error.found) == ("not_text", "a zero byte at 6")


@pytest.mark.parametrize("before", [b"a,b\n1,2\n", b"", b'a,b\n"'])
def test_a_line_of_a_hundred_megabytes_is_refused_at_once_and_without_a_copy(before: bytes) -> None:
    given = answer(before + b"x" * 100_000_000 + b"\n1,2\n")
    tracemalloc.start()
    begun = time.perf_counter()
    try:
        with pytest.raises(SourceMalformed) as caught:
            csv_table(given)
        seconds, peak = time.perf_counter() - begun, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.problem == "too_large"
    assert (
        f"line {before.count(b'\n') + 1} of {len(before.rpartition(b'\n')[2]) + 10**8}" in caught.value.found
    )
    assert seconds < 5
    assert peak < 1_000_000


def test_a_line_may_be_as_long_as_allowed_and_no_longer() -> None:
    fits = "a,b\n1," + "x" * (MAX_LINE_BYTES - 2) + "\n3,4\n"
    assert csv_table(answer(fits)).height == 2
    assert refused(csv_table, fits.replace("1,", "11,")).problem == "too_large"


def test_a_long_value_of_json_or_parquet_is_refused_like_a_long_line() -> None:
    long = "x" * (MAX_LINE_BYTES + 1)
    with pytest.raises(SourceMalformed) as caught:
        json_table(answer(""), [{"a": long}])
    assert (caught.value.problem, caught.value.column) == ("too_large", "a")
    error = refused(parquet_table, parquet(pl.DataFrame({"a": ["x", long]})))
    assert (error.problem, error.column) == ("too_large", "a")


def test_more_columns_or_rows_than_a_table_has_are_refused() -> None:
    wide = ",".join(f"c{number}" for number in range(5_001))
    assert refused(csv_table, wide + "\n").problem == "too_large"
    tall = b"a\n" + b"1\n" * 20_000_001
    assert refused(csv_table, tall).problem == "too_large"


@pytest.mark.parametrize("content", ["a,b,a\n1,2,3\n", 'a,"a"\n1,2\n', "a, a\n", 'a,a\n"x\ny",2\n'])
def test_a_doubled_column_is_named(content: str) -> None:
    error = refused(csv_table, content)
    assert (error.problem, error.column) == ("doubled_column", "a")


def test_a_doubled_field_of_a_record_is_named() -> None:
    error = refused(json_content, '[{"a": 1, "b": 2, "a": 3}]')
    assert (error.problem, error.column) == ("doubled_column", "a")


@pytest.mark.parametrize("name", ["line", "misfit"])
def test_a_column_called_like_one_of_ours_is_refused(name: str) -> None:
    assert refused(csv_table, f"a,{name}\n1,2\n").column == name
    assert refused(parquet_table, parquet(pl.DataFrame({name: [1]}))).column == name


def test_columns_without_a_name_are_nobodys() -> None:
    assert csv_table(answer("a,,b,\n1,2,3,4\n")).columns == ["line", "misfit", "a", "b"]


def test_a_header_alone_is_a_table_without_rows() -> None:
    for content in ("a,b\n", "a,b", "\ufeffa,b\r\n"):
        table = csv_table(answer(content))
        assert (table.height, table.columns) == (0, ["line", "misfit", "a", "b"])


def test_a_byte_order_mark_and_line_endings_make_no_difference() -> None:
    plain = csv_table(answer("a,b\n1,é\n3,4\n"))
    for content in ("\ufeffa,b\n1,é\n3,4\n", "a,b\r\n1,é\r\n3,4\r\n", "a,b\r1,é\r3,4\r", "a,b\n1,é\n3,4"):
        assert_frame_equal(csv_table(answer(content)), plain)


def test_bytes_of_another_encoding_stay_in_their_cells() -> None:
    table = csv_table(answer("a,b\nM\xfcller,2\nx,3\n".encode("latin-1")))
    assert cells(table) == [("M\ufffdller", "2"), ("x", "3")]


def test_ragged_rows_are_kept_and_say_so() -> None:
    table = csv_table(answer("a,b\n1\n2,3,4\n\n5,6\n"))
    assert table["misfit"].to_list() == ["1 of 2 fields", "3 of 2 fields", None]
    assert table["line"].to_list() == [2, 3, 5]
    assert cells(table) == [("1", None), ("2", "3"), ("5", "6")]


def test_a_line_break_in_quotes_is_part_of_the_value() -> None:
    table = csv_table(answer('a,b\n"x\ny",1\nz,2\n'))
    assert cells(table) == [("x\ny", "1"), ("z", "2")]


@pytest.mark.parametrize("content", ['a,b\n1,2\n"3,4\n', "a,b,c\n1,2,3\n4,5\n"])
def test_a_table_cut_off_in_its_last_line_is_refused(content: str) -> None:
    assert refused(csv_table, content).problem == "truncated"


def test_quotes_that_do_not_fit_together_are_refused_with_their_line() -> None:
    error = refused(csv_table, 'a,b\n1,2\n"3"x,4\n')
    assert error.problem == "not_text"
    assert "line 3" in error.found


def test_what_json_can_write_and_no_text_can_hold_is_marked() -> None:
    records = json.loads(r'[{"a": "x\u0000y"}, {"a": "\ud800"}, {"a": "\ud83d\ude00"}, {"a": ""}, {}]')
    table = json_table(answer(""), records)
    assert table["a"].to_list() == ["x\ufffdy", "\ufffd", "\U0001f600", None, None]


def test_nested_values_are_kept_as_json() -> None:
    given = {"a": [1, 2], "b": {"x": None}}
    table = json_table(answer(""), [given])
    assert [json.loads(table[name][0]) for name in ("a", "b")] == [[1, 2], {"x": None}]
    table = parquet_table(answer(parquet(pl.DataFrame({"a": [[1, 2]], "b": [{"x": "y"}]}))))
    assert [json.loads(table[name][0]) for name in ("a", "b")] == [[1, 2], {"x": "y"}]


@pytest.mark.parametrize("content", ["", '[{"a": 1}', '{"a": ' * 100_000, '[{"a": 1}]]', "[1e"])
def test_json_that_does_not_end_is_refused(content: str) -> None:
    assert refused(json_content, content).problem in {"truncated", "empty"}


def test_a_record_that_is_no_object_is_refused() -> None:
    with pytest.raises(SourceMalformed) as caught:
        json_table(answer(""), [{"a": 1}, [1, 2]])  # type: ignore[list-item]
    assert "record 2" in caught.value.found


def parquet(table: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    table.write_parquet(body)
    return body.getvalue()


def test_a_parquet_file_is_read_as_a_csv_of_its_values_would_be() -> None:
    table = pl.DataFrame(
        {
            "game": ["g1", "g2", None],
            "points": [1, None, -3],
            "share": [0.1, 1e-9, None],
            "played": [True, None, False],
            "day": [datetime(2024, 1, 2).date(), None, None],  # noqa: DTZ001
            "at": [datetime(2024, 1, 2, 3, tzinfo=UTC), None, None],
        }
    )
    read = parquet_table(answer(parquet(table)))
    assert cells(read) == [
        ("g1", "1", "0.1", "true", "2024-01-02", "2024-01-02T03:00:00.000000+00:00"),
        ("g2", None, "1e-9", None, None, None),
        (None, "-3", None, "false", None, None),
    ]
    assert_frame_equal(parquet_table(answer(parquet(read.drop("line", "misfit")))), read)


def test_a_parquet_file_cut_or_damaged_anywhere_is_refused_or_read_and_nothing_else() -> None:
    whole = parquet(pl.DataFrame({"a": [str(number) for number in range(300)], "b": range(300)}))
    chance = random.Random(3)
    for size in sorted(chance.sample(range(len(whole)), 40)):
        assert refused(parquet_table, whole[:size]).problem == "truncated"
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        found = outcome(lambda given=bytes(damaged): parquet_table(answer(given)))
        assert isinstance(found, pl.DataFrame) or found in {"truncated", "doubled_column", "too_large"}


BOMB = """
import io, resource, sys
import pyarrow as pa, pyarrow.parquet as pq
sys.path.insert(0, sys.argv[1])
from test_bad_input_tables import refused
from pennant.data.parsing import parquet_table
rows = 1_000_000
names = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 1_000_000]))
body = io.BytesIO()
pq.write_table(pa.table({"a": names}), body, store_schema=False)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
print(refused(parquet_table, body.getvalue()).problem, peak() - before)
"""


def test_a_small_parquet_file_of_a_terabyte_is_refused_in_little_memory() -> None:
    script = BOMB.replace("test_bad_input_tables", Path(__file__).stem)
    command = [sys.executable, "-c", script, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    problem, kilobytes = done.stdout.split()
    assert problem == "too_large"
    assert int(kilobytes) < 400_000
