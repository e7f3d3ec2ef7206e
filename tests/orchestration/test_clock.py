"""When a run is: one window per run, from parameters, interval or schedule."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.timetables.base import TimeRestriction
from hypothesis import given
from hypothesis import strategies as st
from pendulum import DateTime
from pendulum import datetime as moment

from pennant.orchestration import clock
from pennant.orchestration.timetable import HistoryThenPresent
from pennant.reference import Window

MONTHLY = "0 0 1 * *"
YEARLY = "0 0 1 3 *"


def _context(params: dict[str, Any], **given: Any) -> dict[str, Any]:
    run = SimpleNamespace(run_after=datetime(2024, 5, 17, 3, tzinfo=UTC))
    return {"params": params, "dag_run": run, **given}


def test_parameters_outrank_the_data_interval() -> None:
    context = _context(
        {"as_of": "2024-02-01T00:00:00Z", "window_start": "2024-01-10T00:00:00Z"},
        data_interval_start=datetime(2020, 1, 1, tzinfo=UTC),
        data_interval_end=datetime(2020, 2, 1, tzinfo=UTC),
    )
    assert clock.window(context, MONTHLY) == Window(
        start=datetime(2024, 1, 10, tzinfo=UTC), as_of=datetime(2024, 2, 1, tzinfo=UTC)
    )


def test_a_backfilled_run_takes_its_data_interval() -> None:
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC)
    context = _context({}, data_interval_start=start, data_interval_end=end)
    assert clock.window(context, MONTHLY) == Window(start=start, as_of=end)


def test_a_run_without_interval_takes_its_due_moment_and_the_tick_before() -> None:
    assert clock.window(_context({}), MONTHLY) == Window(
        start=datetime(2024, 5, 1, tzinfo=UTC), as_of=datetime(2024, 5, 17, 3, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"as_of": "soon"}, "as_of"),
        ({"as_of": "2024-02-01T00:00:00Z", "window_start": "2024-02-01T00:00:00Z"}, "window_start"),
    ],
)
def test_an_unusable_moment_is_refused_by_name(params: dict[str, str], parameter: str) -> None:
    with pytest.raises(clock.BadMoment) as refused:
        clock.window(_context(params), MONTHLY)
    assert refused.value.parameter == parameter


@given(st.datetimes(datetime(2001, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_window_survives_its_trip_through_xcom(as_of: datetime) -> None:
    window = Window(
        start=as_of.replace(microsecond=0) - timedelta(days=3), as_of=as_of.replace(microsecond=0)
    )
    assert clock.from_xcom(clock.to_xcom(window)) == window


def _intervals(first: DateTime, latest: DateTime) -> list[tuple[DateTime, DateTime]]:
    timetable = HistoryThenPresent(YEARLY, "2024-03-01T00:00:00+00:00", MONTHLY)
    restriction = TimeRestriction(first, latest, catchup=True)
    found, last = [], None
    while info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction):
        last = info.data_interval
        found.append((last.start, last.end))
    return found


@given(
    st.integers(1999, 2026).flatmap(lambda year: st.tuples(st.just(year), st.integers(1, 12))),
    st.integers(0, 400),
)
def test_history_and_present_join_without_gap_or_overlap(begin: tuple[int, int], weeks: int) -> None:
    first = moment(*begin, 1, tz="UTC")
    found = _intervals(first, first.add(weeks=weeks))
    assert all(left[1] == right[0] for left, right in pairwise(found))
    switch = moment(2024, 3, 1, tz="UTC")
    for start, end in found:
        assert (end - start).days > 300 if start < switch else (end - start).days <= 31


def test_a_timetable_survives_serialization() -> None:
    original = HistoryThenPresent(YEARLY, "2024-03-01T00:00:00+00:00", MONTHLY)
    again = HistoryThenPresent.deserialize(original.serialize())
    assert again.serialize() == original.serialize()
    assert again.summary == "0 0 1 3 * until 2024-03-01, then 0 0 1 * *"


def test_without_catchup_nothing_starts_beyond_the_end_of_a_replay() -> None:
    timetable = HistoryThenPresent(YEARLY, "2024-03-01T00:00:00+00:00", MONTHLY)
    restriction = TimeRestriction(moment(1999, 3, 1, tz="UTC"), moment(2025, 3, 1, tz="UTC"), catchup=False)
    assert timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction) is None
