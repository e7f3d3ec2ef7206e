"""Windows tell of an entity's own past, exactly, whatever else is in the table."""

import math
import statistics
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennant.features.errors import NotLater
from pennant.features.windows import Windows, windows

START = datetime(2024, 1, 1, tzinfo=UTC)
VALUES = st.one_of(st.none(), st.floats(-1e6, 1e6).map(lambda each: round(each, 6)))
ROWS = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 6), VALUES), max_size=40)
LAST = (1, 2, 3, 5, 10)


def table(rows: list[tuple[str, int, float | None]]) -> pl.DataFrame:
    """Rows of (entity, day known, value); some share a moment."""
    at = [START + timedelta(days=day) for _, day, _ in rows]
    frame = {"entity": [name for name, _, _ in rows], "known_at": at, "event_time": at}
    schema = {
        "entity": pl.String,
        "known_at": pl.Datetime("us", "UTC"),
        "event_time": pl.Datetime("us", "UTC"),
    }
    values = pl.Series("x", [value for _, _, value in rows], pl.Float64)
    return pl.DataFrame(frame, schema=schema).with_columns(values)


def made(rows: pl.DataFrame) -> pl.DataFrame:
    every = ("mean", "std", "sum", "count")
    return windows(rows, ["x"], last=LAST, stats=every, expanding=every, dtype=pl.Float64)


def naive(values: list[float | None], stat: str) -> float | None:
    known = [each for each in values if each is not None]
    if stat == "count":
        return float(len(known))
    if len(known) < (2 if stat == "std" else 1):
        return None
    return {"mean": statistics.fmean, "sum": math.fsum, "std": statistics.stdev}[stat](known)


@given(ROWS)
def test_every_number_is_that_of_a_plain_loop(rows: list[tuple[str, int, float | None]]) -> None:
    found = {(row["entity"], row["known_at"]): row for row in made(table(rows)).iter_rows(named=True)}
    ordered = sorted(enumerate(rows), key=lambda each: (each[1][0], each[1][1], each[0]))
    past: dict[str, list[float | None]] = {}
    latest = {}
    for _, (name, day, value) in ordered:
        past.setdefault(name, []).append(value)
        latest[name, START + timedelta(days=day)] = list(past[name])
    assert set(found) == set(latest)
    for key, values in latest.items():
        for rows_of in (*LAST, None):
            for stat in ("mean", "std", "sum", "count"):
                wanted = naive(values[-rows_of:] if rows_of else values, stat)
                got = found[key][f"x_{stat}_{rows_of or 'all'}"]
                assert (got is None) == (wanted is None), (key, stat, rows_of)
                if wanted is not None:
                    scale = max((abs(each) for each in values if each is not None), default=1.0)
                    tolerance = 1e-6 * scale if stat == "std" else 1e-9 * scale * len(values)
                    assert got == pytest.approx(wanted, rel=1e-9, abs=tolerance)


@given(ROWS, st.integers(0, 6))
def test_what_becomes_known_later_changes_no_bit_of_what_was_known(
    rows: list[tuple[str, int, float | None]], day: int
) -> None:
    whole = made(table(rows)).filter(pl.col("known_at") <= START + timedelta(days=day))
    assert whole.equals(made(table([each for each in rows if each[1] <= day])))


@given(ROWS)
def test_other_entities_change_no_bit(rows: list[tuple[str, int, float | None]]) -> None:
    alone = made(table([each for each in rows if each[0] == "B"]))
    assert made(table(rows)).filter(pl.col("entity") == "B").equals(alone)


def test_the_spread_of_large_numbers_close_together_is_not_lost() -> None:
    rows = [("A", day, 1e9 + value) for day, value in enumerate([0.25, 0.5, 0.75, 0.5, 0.25])]
    spread = made(table(rows))["x_std_5"].to_list()[-1]
    assert spread == pytest.approx(statistics.stdev([0.25, 0.5, 0.75, 0.5, 0.25]), rel=1e-6)


def test_an_empty_table_gives_an_empty_timeline() -> None:
    assert made(table([])).height == 0


def test_an_entity_with_one_event_has_a_mean_and_no_spread() -> None:
    [row] = made(table([("A", 0, 3.0)])).iter_rows(named=True)
    assert (row["x_mean_5"], row["x_std_5"], row["x_count_all"]) == (3.0, None, 1.0)


EVERY = Windows(("x",), LAST, ("mean", "std", "sum", "count"), ("mean", "std", "sum", "count"), pl.Float64)


@given(ROWS, st.lists(st.integers(0, 6), max_size=3))
def test_day_by_day_gives_the_bits_of_a_build_of_everything(
    rows: list[tuple[str, int, float | None]], cuts: list[int]
) -> None:
    edges = sorted({-1, *cuts, 6})
    parts = []
    state = None
    for after, until in pairwise(edges):
        day = table([each for each in rows if after < each[1] <= until])
        made, state = EVERY.begun(day) if state is None else EVERY.extended(state, day)
        parts.append(made)
    whole, end = EVERY.begun(table(rows))
    together = pl.concat(parts).sort("entity", "known_at", maintain_order=True)
    assert together.equals(whole)
    assert state is not None
    assert end is not None
    assert state.entities.equals(end.entities)
    assert state.tail.equals(end.tail)


def test_a_row_that_comes_too_late_is_refused_and_not_squeezed_in() -> None:
    _, state = EVERY.begun(table([("A", 3, 1.0), ("B", 1, 2.0)]))
    assert state is not None
    EVERY.extended(state, table([("B", 2, 1.0)]))
    with pytest.raises(NotLater) as refused:
        EVERY.extended(state, table([("B", 2, 1.0), ("A", 3, 1.0)]))
    assert refused.value.entity == "A"
