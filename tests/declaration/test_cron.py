"""A schedule is read as the scheduler reads it, and one that never fires is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pennant.declaration.cron import CronError, parse


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = (
        st.tuples(number, number)
        .filter(lambda pair: pair[0] < pair[1])
        .map(lambda pair: f"{pair[0]}-{pair[1]}")
    )
    step = st.integers(1, high)
    stepped = st.tuples(st.just("*") | span, step).map(lambda pair: f"{pair[0]}/{pair[1]}")
    item = number.map(str) | span | stepped
    return st.just("*") | st.lists(item, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)).map(" ".join)
MINUTES = st.integers(0, 2 * 366 * 24 * 60).map(
    lambda each: datetime(2023, 1, 1, tzinfo=UTC) + timedelta(minutes=each)
)


@given(text=EXPRESSIONS, moment=MINUTES)
@settings(max_examples=200, deadline=None)
def test_it_fires_when_the_scheduler_fires(text: str, moment: datetime) -> None:
    parts = text.split()
    # A starred list or step such as "*/2,5" or "*/1" counts as a star for some readers and not for
    # others, which matters where both day fields say something.
    assume(not any("*" in part and part != "*" for part in (parts[2], parts[4])))
    try:
        cron = parse(text)
    except CronError:
        return
    assert cron.matches(moment) == croniter.match(text, moment)


@pytest.mark.parametrize(
    "text",
    [
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "5-5 * * * *",
        "a * * * *",
        "* * * foo *",
        "1- * * * *",
        "1,,2 * * * *",
        "* * L * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "² * * * *",
    ],
)
def test_what_never_fires_is_refused(text: str) -> None:
    with pytest.raises(CronError) as caught:
        parse(text)
    assert caught.value.allowed


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("0 6 * * mon-fri", datetime(2024, 4, 8, 6, tzinfo=UTC)),
        ("0 0 1 JAN *", datetime(2024, 1, 1, tzinfo=UTC)),
        ("30 5 * * 7", datetime(2024, 4, 7, 5, 30, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_names_sunday_as_seven_and_leap_days_are_read(text: str, moment: datetime) -> None:
    cron = parse(text)
    assert cron.matches(moment)
    assert not cron.matches(moment + timedelta(minutes=1))
    assert not cron.matches(moment + timedelta(seconds=1))
