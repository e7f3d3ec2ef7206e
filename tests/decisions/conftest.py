"""Seasons of two-way markets whose truth is planted, bet on and settled by the library itself."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pennant.decisions.closing import closing, with_closing_value
from pennant.decisions.forecasts import of_two
from pennant.decisions.limits import Limits
from pennant.decisions.opportunities import opportunities
from pennant.decisions.settle import Winner, settled

FIRST = datetime(2031, 1, 1, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = Limits(per_day=1.0, devig="proportional")


def season(seed: int, knows: float, days: int = 60, per_day: int = 6) -> pl.DataFrame:
    """Settled bets, with closing-line values, of a forecaster against a market that opens with errors.

    The truth lies 0.3 in log-odds around the opening price; the closing one knows it. The forecaster believes
    the opening price but for errors of its own of the same size, and a share `knows` of the way to the truth.
    """
    stream = np.random.default_rng(seed)
    count = days * per_day
    opening = stream.normal(0.0, 0.6, count)
    truth = opening + 0.3 * stream.standard_normal(count)
    close = truth + 0.02 * stream.standard_normal(count)
    believes = knows * truth + (1.0 - knows) * (opening + 0.3 * stream.standard_normal(count))
    day, names = np.repeat(np.arange(days), per_day), [f"g{seed}-{at}" for at in range(count)]
    about = pl.DataFrame({"entity": names, "day": day})
    about = about.select("entity", event_time=FIRST + pl.duration(days="day"), market=pl.lit("h2h"))
    asked = about.with_columns(as_of=pl.col("event_time") - 12 * HOUR, version=pl.lit("1"))
    p = chance(believes)
    forecasts = of_two(asked, p, np.maximum(p - 0.05, 0.0), np.minimum(p + 0.05, 1.0), ("home", "away"))
    prices = pl.concat([quoted(about, opening, 24 * HOUR), quoted(about, close, HOUR)])
    bets = opportunities(forecasts, prices, LIMITS).rows
    home = (stream.random(count) < chance(truth)).astype(float)
    results = about.select("entity", known_at=pl.col("event_time") + 3 * HOUR, value=pl.Series(home))
    grading = {"h2h": Winner({"home": 1.0, "away": 0.0})}
    done = settled(bets, results, grading, FIRST + timedelta(days=days + 1))
    return with_closing_value(done, closing(prices, about, "proportional"))


def quoted(about: pl.DataFrame, opinion: np.ndarray, before: timedelta) -> pl.DataFrame:
    """One bookmaker's prices, with a margin of 4 %."""
    sides = {"home": chance(opinion), "away": 1.0 - chance(opinion)}
    return pl.concat(
        about.with_columns(
            bookmaker=pl.lit("north"),
            outcome=pl.lit(outcome),
            price=pl.Series(1.0 / (1.04 * p)),
            quoted_at=pl.col("event_time") - before,
        )
        for outcome, p in sides.items()
    )


def chance(log_odds: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-log_odds)))


@pytest.fixture(scope="session")
def played() -> Callable[..., pl.DataFrame]:
    return season
