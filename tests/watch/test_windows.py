"""Windows do not depend on when somebody looks, and one bad window is noise."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pennant.watch.windows import EPOCH, complete_spans, persistent

MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.lists(st.booleans(), max_size=12), st.integers(1, 6), st.integers(1, 6))
def test_an_alarm_needs_the_newest_window_and_enough_of_the_last(
    flags: list[bool], windows: int, needed: int
) -> None:
    expected = bool(flags) and flags[-1] and sum(flags[-windows:]) >= needed
    assert persistent(flags, windows, needed) is expected


@given(MOMENTS, st.integers(1, 40), st.integers(0, 500), st.integers(0, 500))
def test_looking_later_only_adds_windows(first: datetime, days: int, early: int, later: int) -> None:
    before = complete_spans(days, first, first + timedelta(days=early))
    after = complete_spans(days, first, first + timedelta(days=early + later))
    assert after[: len(before)] == before


@given(MOMENTS, st.integers(1, 40), st.integers(0, 500))
def test_windows_tile_the_calendar_and_have_ended(first: datetime, days: int, length: int) -> None:
    until = first + timedelta(days=length)
    for span in complete_spans(days, first, until):
        assert span.end - span.start == timedelta(days=days)
        assert (span.start - EPOCH) % timedelta(days=days) == timedelta(0)
        assert span.end <= until
