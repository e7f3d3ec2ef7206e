"""Opportunities use what was known and the best price that stands, and say why the others are no bets."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pennant.decisions.devig import fair
from pennant.decisions.errors import ColumnsError, DuplicateError, PriceError, ProbabilityError
from pennant.decisions.forecasts import of_classes, of_counts, of_two
from pennant.decisions.limits import Limits
from pennant.decisions.opportunities import Opportunities, opportunities

START = datetime(2031, 3, 1, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPEN = Limits(kelly_fraction=1.0, per_bet=1.0, per_group=1.0, per_day=1.0, devig="proportional")


def forecast(home: float = 0.6, **changes: Any) -> pl.DataFrame:
    about = {"entity": "g1", "event_time": START, "as_of": START - 2 * HOUR, "version": "7", "market": "h2h"}
    made = pl.DataFrame([{**about, **changes}]).with_columns(
        pl.selectors.datetime().cast(pl.Datetime("us", "UTC"))
    )
    p = np.array([home])
    return of_two(made, p, p - 0.05, p + 0.05, ("home", "away"))


def price(home: float, away: float | None, **changes: Any) -> pl.DataFrame:
    about = {"entity": "g1", "market": "h2h", "bookmaker": "north", "quoted_at": START - 3 * HOUR}
    rows = [
        {**about, "outcome": outcome, "price": value, **changes}
        for outcome, value in (("home", home), ("away", away))
        if value is not None
    ]
    return pl.DataFrame(rows)


def reasons(found: Opportunities) -> dict[str, str]:
    return dict(found.left_out.select("outcome", "reason").iter_rows())


def test_an_edge_over_the_best_price_is_an_opportunity_with_its_numbers() -> None:
    prices = pl.concat([price(1.9, 1.9), price(2.0, 1.8, bookmaker="south")])
    found = opportunities(forecast(0.6), prices, OPEN)
    row = found.rows.row(0, named=True)
    assert found.rows.height == 1
    assert (row["side"], row["bookmaker"], row["price"], row["version"]) == ("h2h home", "south", 2.0, "7")
    assert (row["edge"], row["edge_low"], row["edge_high"]) == pytest.approx((0.2, 0.1, 0.3))
    assert (row["kelly"], row["stake_share"]) == pytest.approx((0.2, 0.2))
    thinks = (0.5 + fair([[2.0, 1.8]], "proportional")[0, 0]) / 2
    assert row["market_probability"] == pytest.approx(thinks)
    assert (row["books"], row["group"], row["risk"]) == (2, "g1", "high")
    assert reasons(found) == {"away": "no edge"}


def test_a_price_that_was_not_known_yet_is_not_used() -> None:
    late = price(3.0, 1.3, bookmaker="south", quoted_at=START - HOUR)
    heard_late = price(3.0, 1.3, bookmaker="east").with_columns(known_at=pl.lit(START - HOUR))
    known = price(2.0, 1.8).with_columns(known_at=pl.lit(START - 3 * HOUR))
    both = pl.concat([known, heard_late, late.with_columns(known_at=pl.col("quoted_at"))])
    assert_frame_equal(
        opportunities(forecast(), both, OPEN).rows, opportunities(forecast(), known, OPEN).rows
    )
    assert reasons(opportunities(forecast(), late, OPEN)) == {"home": "no price", "away": "no price"}


def test_a_line_that_a_bookmaker_no_longer_quotes_is_withdrawn() -> None:
    about = forecast().drop("outcome", "probability", "low", "high")[:1]
    lines = pl.concat([about.with_columns(line=pl.lit(line), market=pl.lit("goals")) for line in (2.5, 3.5)])
    counts = np.array([[0.1, 0.1, 0.1, 0.2, 0.3, 0.1, 0.1]] * 2)
    moved = [
        price(2.5, 1.5, market="goals", line=2.5, quoted_at=START - 4 * HOUR),
        price(2.5, 1.5, market="goals", line=3.5, quoted_at=START - 3 * HOUR),
    ]
    named = pl.concat(moved).with_columns(
        outcome=pl.col("outcome").replace({"home": "over", "away": "under"})
    )
    found = opportunities(of_counts(lines, counts), named, OPEN)
    assert found.rows["side"].to_list() == ["goals over 3.5"]
    assert found.left_out.filter(line=2.5)["reason"].to_list() == ["no price", "no price"]


def test_a_bookmaker_that_quotes_only_a_part_of_a_market_can_be_bet_with_but_has_no_opinion() -> None:
    part = price(2.4, None, bookmaker="south")
    found = opportunities(forecast(), pl.concat([price(2.0, 1.8), part]), OPEN)
    row = found.rows.row(0, named=True)
    assert (row["bookmaker"], row["books"]) == ("south", 1)
    assert row["market_probability"] == pytest.approx(fair([[2.0, 1.8]], "proportional")[0, 0])
    assert reasons(opportunities(forecast(), part, OPEN))["home"] == "no whole market"


def test_only_the_bookmakers_of_reference_have_an_opinion() -> None:
    prices = pl.concat([price(1.9, 1.9), price(2.2, 1.7, bookmaker="south")])
    limits = Limits(devig="proportional", reference=("north",))
    assert opportunities(forecast(), prices, limits).rows["market_probability"].to_list() == [0.5]


def test_a_stale_price_and_an_event_that_has_begun_are_no_bets() -> None:
    assert reasons(opportunities(forecast(), price(2.0, 1.8, quoted_at=START - 30 * HOUR), OPEN)) == {
        "home": "stale price",
        "away": "stale price",
    }
    begun = forecast(as_of=START)
    assert set(reasons(opportunities(begun, price(2.0, 1.8), OPEN)).values()) == {"begun"}


def test_a_side_is_bet_on_once_at_the_first_moment_with_a_stake() -> None:
    early, later = forecast(as_of=START - 2 * HOUR), forecast(as_of=START - HOUR)
    found = opportunities(pl.concat([later, early]), price(2.0, 1.8), OPEN)
    assert found.rows["as_of"].to_list() == [START - 2 * HOUR]
    assert found.left_out.filter(as_of=START - HOUR, outcome="home")["reason"].to_list() == ["already placed"]
    again = opportunities(later, price(2.0, 1.8), OPEN, placed=found.rows)
    assert again.rows.is_empty()


def games(count: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    names = [f"g{number}" for number in range(count)]
    return (
        pl.concat(
            [forecast(entity=name, as_of=START - (2 + at % 2) * HOUR) for at, name in enumerate(names)]
        ),
        pl.concat([price(2.0, 1.8, entity=name, quoted_at=START - 4 * HOUR) for name in names]),
    )


def test_the_cap_of_a_day_holds_over_all_its_moments_and_over_separate_calls() -> None:
    forecasts, prices = games(12)
    limits = Limits(per_bet=0.02, per_day=0.05)
    found = opportunities(forecasts, prices, limits).rows
    assert found["stake_share"].sum() == pytest.approx(0.05)
    first = opportunities(forecasts.filter(as_of=START - 3 * HOUR), prices, limits).rows
    second = opportunities(forecasts.filter(as_of=START - 2 * HOUR), prices, limits, placed=first).rows
    assert first["stake_share"].sum() + second["stake_share"].sum() == pytest.approx(0.05)


def test_bets_of_one_game_share_its_cap_whatever_their_entity() -> None:
    forecasts, prices = games(6)
    grouped = forecasts.with_columns(group=pl.lit("one evening"))
    assert opportunities(grouped, prices, Limits()).rows["stake_share"].sum() == pytest.approx(0.03)


def test_staking_on_the_low_end_stakes_less() -> None:
    low = opportunities(forecast(), price(2.0, 1.8), replace(OPEN, stake_on="low"))
    assert low.rows["stake_share"][0] == pytest.approx(0.1)


def test_the_order_of_the_rows_changes_nothing() -> None:
    forecasts, prices = games(8)
    plain = opportunities(forecasts, prices, Limits()).rows
    mixed = opportunities(forecasts.sample(fraction=1, shuffle=True, seed=3), prices.reverse(), Limits()).rows
    assert_frame_equal(plain, mixed)


def test_three_outcomes_share_one_bankroll() -> None:
    about = forecast().drop("outcome", "probability", "low", "high")[:1]
    p = np.array([[0.5, 0.3, 0.2]])
    forecasts = of_classes(about, p, p, p, ("home", "draw", "away"))
    prices = pl.concat([price(2.3, 4.0), price(3.9, None).with_columns(outcome=pl.lit("draw"))])
    found = opportunities(forecasts, prices, OPEN).rows
    assert found["outcome"].to_list() == ["draw", "home"]
    assert found["market_probability"].sum() < 1.0
    reserve = 0.2 / (1.0 - 1.0 / 3.9 - 1.0 / 2.3)
    assert found["stake_share"].to_list() == pytest.approx([0.3 - reserve / 3.9, 0.5 - reserve / 2.3])


def test_no_forecasts_and_no_prices_give_no_opportunities() -> None:
    assert opportunities(forecast()[:0], price(2.0, 1.8), OPEN).rows.is_empty()
    none = opportunities(forecast(), price(2.0, 1.8)[:0], OPEN)
    assert none.rows.is_empty()
    assert set(reasons(none).values()) == {"no price"}


@pytest.mark.parametrize(
    ("spoilt", "error", "attribute", "value"),
    [
        (lambda f: f.drop("version"), ColumnsError, "columns", ("version",)),
        (lambda f: f.with_columns(probability=pl.lit(float("nan"))), ColumnsError, "problem", "null"),
        (
            lambda f: f.with_columns(as_of=pl.lit(START.replace(tzinfo=None))),
            ColumnsError,
            "problem",
            "not UTC",
        ),
        (lambda f: pl.concat([f, f]), DuplicateError, "table", "forecasts"),
        (lambda f: f.filter(outcome="home"), ProbabilityError, "what", "the outcomes of a market"),
        (lambda f: f.with_columns(low=pl.lit(0.9)), ProbabilityError, "place", 0),
    ],
)
def test_forecasts_that_cannot_be_are_refused(
    spoilt: Callable[[pl.DataFrame], pl.DataFrame], error: type[Exception], attribute: str, value: object
) -> None:
    with pytest.raises(error) as caught:
        opportunities(spoilt(forecast()), price(2.0, 1.8), OPEN)
    assert getattr(caught.value, attribute) == value


def test_prices_that_cannot_be_are_refused() -> None:
    with pytest.raises(PriceError):
        opportunities(forecast(), price(-110, 120), OPEN)
    with pytest.raises(DuplicateError):
        opportunities(forecast(), pl.concat([price(2.0, 1.8), price(2.1, 1.8)]), OPEN)
