"""A price that a bet is held against stood at the bet's moment, whatever `baselines` reads of later ones."""

from datetime import UTC, datetime, timedelta
from types import ModuleType

import polars as pl
import pytest

from pennant.declaration.model import Market, UseCase
from pennant.features.build import feature_rows, requests_of
from pennant.features.view import View

START = datetime(2025, 1, 10, tzinfo=UTC)
UNTIL = START + timedelta(days=2)
OFFERED, CLOSING = ["offered_1", "offered_0"], ["closing_1", "closing_0"]


def module() -> ModuleType:
    """Its prices are what the announcement before the game says, also where the moment lies before that."""

    def features(view: View) -> pl.DataFrame:
        return view.requests.select("entity", known=pl.lit(1.0))

    def baselines(view: View) -> pl.DataFrame:
        told = view.settled("games", "team_news", "temperature_celsius").to_series()
        names = ["elo_probability", *OFFERED, *CLOSING]
        return view.requests.select("entity").with_columns(told.alias(name) for name in names)

    made = ModuleType("priced")
    made.__dict__.update(features=features, baselines=baselines)
    return made


@pytest.mark.parametrize(("lead_hours", "known"), [(1.0, True), (5.0, False)])
def test_a_price_on_offer_is_one_of_the_moment_and_a_closing_one_is_not(
    league_demo: UseCase, short_league: pl.DataFrame, make_tables, lead_hours: float, known: bool
) -> None:
    market = Market(probability_column="elo_probability", price_columns=OFFERED, closing_columns=CLOSING)
    spine = league_demo.spine.model_copy(update={"lead_hours": lead_hours})
    feature = next(iter(league_demo.features.values()))
    use_case = league_demo.model_copy(
        update={"market": market, "spine": spine, "features": {"known": feature}}
    )
    tables = make_tables(use_case, short_league)
    rows = feature_rows(
        use_case, module(), tables, requests_of(use_case, tables, START, UNTIL, UNTIL + timedelta(days=1))
    )
    assert rows.height > 20
    assert all(rows[f"baseline__{name}"].null_count() == 0 for name in CLOSING)
    wanted = 0 if known else rows.height
    assert [rows[f"baseline__{name}"].null_count() for name in OFFERED] == [wanted] * 2
