"""Prices and dates as numbers, by hand."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennant.features.calendar import circle, hour_of_day, season_day, weekday
from pennant.features.market import decimal_probability, movement, overround
from pennant.features.tables import Tables
from pennant.features.view import View

MOMENT = pl.Datetime("us", "UTC")


def test_a_book_of_decimal_prices_has_its_margin_and_one_without_a_price_has_none() -> None:
    prices = pl.DataFrame({"home": [2.0, 2.0, 1.0], "draw": [4.0, None, 4.0], "away": [3.2, 3.2, 3.2]})
    chances = [decimal_probability(pl.col(name)) for name in prices.columns]
    assert prices.select(overround(chances)).to_series().to_list() == [pytest.approx(0.0625), None, None]


def test_a_line_moves_from_its_first_quote() -> None:
    at = [datetime(2025, 6, 1, hour, tzinfo=UTC) for hour in (9, 9, 12, 12, 15)]
    quotes = pl.DataFrame({"entity": list("abaaa"), "line": [5.5, 4.5, None, 6.5, 5.0]})
    quotes = quotes.with_columns(pl.Series("known_at", at, MOMENT))
    made = movement(quotes, pl.col("line")).filter(pl.col("entity") == "a")
    assert made["value"].to_list() == [0.0, 1.0, -0.5]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.floats(1, 9))), max_size=20),
    st.integers(0, 20),
)
def test_later_quotes_change_no_earlier_movement(rows: list[tuple[str, float | None]], until: int) -> None:
    at = [datetime(2025, 6, 1, tzinfo=UTC) + timedelta(hours=each) for each in range(len(rows))]
    columns = {"entity": [each[0] for each in rows], "line": [each[1] for each in rows]}
    schema = {"entity": pl.String, "line": pl.Float64}
    quotes = pl.DataFrame(columns, schema=schema).with_columns(pl.Series("known_at", at, MOMENT))
    whole = movement(quotes, pl.col("line"))
    part = movement(quotes.head(until), pl.col("line"))
    assert whole.head(part.height).equals(part)


def test_a_date_is_that_of_the_place() -> None:
    at = pl.DataFrame({"event_time": [datetime(2024, 1, 1, 1, 30, tzinfo=UTC)]}).cast({"event_time": MOMENT})
    eastern = "America/New_York"  # Sunday, 31 December 2023, half past eight in the evening
    parts = [
        hour_of_day(eastern).alias("hour"),
        weekday(eastern).alias("day"),
        season_day(9, eastern).alias("since"),
    ]
    assert at.select(parts).row(0) == (20.5, 7.0, 121.0)


def test_midnight_is_next_to_the_hour_before_it() -> None:
    hours = pl.DataFrame({"hour": [23.9, 0.1, 12.0]}).select(circle(pl.col("hour"), 24.0, "hour"))
    late, early, noon = hours.rows()
    assert late == pytest.approx(early, abs=0.06)
    assert noon == pytest.approx((0.0, -1.0), abs=1e-9)


def test_what_became_known_too_long_before_the_moment_counts_as_not_known() -> None:
    at = [datetime(2025, 1, day, tzinfo=UTC) for day in (1, 10)]
    timeline = pl.DataFrame({"entity": ["a"], "value": [3.0]}).with_columns(
        pl.Series("known_at", at[:1], MOMENT)
    )
    requests = pl.DataFrame({"entity": ["1", "2"], "team": ["a", "a"]}).with_columns(
        pl.Series("moment", [at[0] + timedelta(days=2), at[1]], MOMENT)
    )
    view = View(requests, Tables({}, {}), ("games", "result"))
    assert view.asof("team", timeline)["value"].to_list() == [3.0, 3.0]
    assert view.asof("team", timeline, within=timedelta(days=2))["value"].to_list() == [3.0, None]
