"""The verdict says so when there is no edge, and claims one only where everything agrees."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pennant.decisions.searching import candidates, searched_record
from pennant.decisions.words import verdict

FIRST = datetime(2031, 1, 1, 22, tzinfo=UTC)
Season = Callable[..., pl.DataFrame]


def test_a_forecaster_who_only_errs_around_the_market_is_told_that_there_is_no_edge(played: Season) -> None:
    found = verdict(played(1, 0.0))
    assert found.code == "no_edge"
    assert found.text.startswith(f"No edge: over {found.bets} bets the mean closing-line value is -")
    assert found.clv_percent is not None
    assert found.clv_percent.high is not None
    assert found.clv_percent.high < 0.0


def test_one_who_knows_most_of_the_truth_is_told_that_there_is_one(played: Season) -> None:
    record = played(2, 0.8)
    search = searched_record(record, candidates(record, ["outcome"], {"edge": [0.0, 0.05]}))
    found = verdict(record, search)
    assert found.code == "edge"
    assert found.text.startswith("An edge: ")
    assert "stands with all of them counted" in found.text


def test_no_season_without_knowledge_is_called_an_edge(played: Season) -> None:
    assert {verdict(played(seed, 0.0, days=30), draws=300).code for seed in range(20, 40)} <= {
        "no_edge",
        "not_shown",
    }


def record(profits: np.ndarray, price: float = 2.0) -> pl.DataFrame:
    moments = [FIRST + timedelta(days=at // 4) for at in range(len(profits))]
    return pl.DataFrame(
        {
            "event_time": moments,
            "settled_at": moments,
            "stake_share": np.full(len(profits), 0.01),
            "profit_share": 0.01 * profits,
            "price": np.full(len(profits), price),
            "edge": np.linspace(0.0, 0.1, len(profits)),
            "result": np.where(profits > 0, "won", "lost"),
        }
    )


def wins(share: float, count: int, seed: int = 0) -> np.ndarray:
    return np.where(np.random.default_rng(seed).permutation(count) < share * count, 1.0, -1.0)


def test_few_bets_show_nothing_however_good() -> None:
    found = verdict(record(wins(0.9, 40)))
    assert found.code == "too_few_bets"
    assert found.text.startswith("Too little to say")
    assert verdict(record(wins(0.9, 40))[:0]).code == "no_bets"


def test_without_closing_prices_profit_judges_and_the_words_say_so() -> None:
    found = verdict(record(wins(0.62, 400)))
    assert (found.code, found.clv_percent) == ("edge", None)
    assert "no closing prices" in found.text
    assert verdict(record(wins(0.53, 400))).code == "not_shown"
    assert verdict(record(wins(0.48, 400))).code == "no_edge"


def test_the_best_of_a_search_looks_like_an_edge_until_the_search_is_counted() -> None:
    fair = record(wins(0.5, 400))
    tried = {f"tried {n}": np.random.default_rng(n).random(400) < 0.3 for n in range(400)}
    profit = fair["profit_share"].to_numpy()
    best = max(tried, key=lambda name: float(profit[tried[name]].mean()))
    chosen = fair.filter(pl.Series(tried[best]))
    assert verdict(chosen).code == "edge"
    found = verdict(chosen, searched_record(fair, tried))
    assert found.code == "not_shown"
    assert "no better than luck gives the best of 400" in found.text


def test_good_closing_values_with_sure_losses_are_no_edge() -> None:
    values = pl.Series(np.random.default_rng(1).normal(2, 1, 400))
    losing = record(wins(0.35, 400)).with_columns(clv_percent=values)
    assert verdict(losing).code == "no_edge"


def test_bets_without_a_closing_price_are_counted_in_the_words() -> None:
    values = [None] * 150 + np.random.default_rng(1).normal(2, 1, 250).tolist()
    half = record(wins(0.6, 400)).with_columns(clv_percent=pl.Series(values))
    assert "over 250 bets of 400 (the others have no closing price)" in verdict(half).text


def test_the_numbers_are_plain_data() -> None:
    found = verdict(record(wins(0.55, 400)))
    assert json.loads(json.dumps(found.numbers()))["bets"] == 400


@pytest.mark.parametrize("alpha", [0.0, 1.0, float("nan")])
def test_an_error_level_is_between_nothing_and_certainty(alpha: float) -> None:
    from pennant.decisions.errors import RuleError

    with pytest.raises(RuleError):
        verdict(record(wins(0.5, 200)), alpha=alpha)
