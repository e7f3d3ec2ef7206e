"""A model's predictions as forecasts of every outcome of a market, the shape that `opportunities` takes."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from pennant.decisions.errors import ShapeError
from pennant.decisions.lines import over
from pennant.decisions.prices import Floats


def of_two(
    about: pl.DataFrame, probability: Floats, low: Floats, high: Floats, outcomes: tuple[str, str]
) -> pl.DataFrame:
    """Forecasts of both sides from the chance of one.

    Args:
        about: (n rows) `entity`, `event_time`, `as_of`, `version`, and what else is to stay, as `market`.
        probability: (n,) that the label is 1.
        low: (n,) lower end of its interval.
        high: (n,) upper end.
        outcomes: what the bookmakers call label 1, and label 0.

    Returns:
        2n rows; the other side's interval is the mirrored one.

    Raises:
        ShapeError: lengths that differ.
    """
    first, second = outcomes
    return pl.concat(
        [
            _side(about, first, probability, low, high),
            _side(about, second, 1.0 - probability, 1.0 - high, 1.0 - low),
        ]
    )


def of_classes(
    about: pl.DataFrame, probability: Floats, low: Floats, high: Floats, outcomes: Sequence[str]
) -> pl.DataFrame:
    """Forecasts of every class.

    Args:
        about: as in `of_two`.
        probability: (n, k), rows summing to 1.
        low: (n, k) lower ends.
        high: (n, k) upper ends.
        outcomes: what the bookmakers call the classes, in the label's order.

    Returns:
        k n rows.

    Raises:
        ShapeError: as many outcomes as there are columns are needed.
    """
    if probability.ndim != 2 or probability.shape[1] != len(outcomes):
        raise ShapeError("probability", probability.shape, f"(n, {len(outcomes)}): {', '.join(outcomes)}")
    columns = zip(outcomes, probability.T, low.T, high.T, strict=True)
    return pl.concat([_side(about, *each) for each in columns])


def of_counts(about: pl.DataFrame, distribution: Floats, spread: Floats | None = None) -> pl.DataFrame:
    """Forecasts of over and under at the lines of `about`, from the count's whole distribution.

    Args:
        about: as in `of_two`, with a column `line`; an entity may have several.
        distribution: (n, K+1), see `lines.over`.
        spread: (n,) half the width of the probability's interval; None means that it has none (0).

    Returns:
        2n rows, outcomes `over` and `under`, with `decided`.

    Raises:
        ProbabilityError: a distribution that does not sum to 1.
        RuleError: a line that cannot be priced.
        ShapeError: lengths that differ.
    """
    chance, decided = over(distribution, about["line"].cast(pl.Float64).to_numpy())
    reach = np.zeros(len(chance)) if spread is None else np.asarray(spread, dtype=np.float64)
    told = about.with_columns(pl.Series("decided", decided))
    low, high = np.maximum(chance - reach, 0.0), np.minimum(chance + reach, 1.0)
    return of_two(told, chance, low, high, ("over", "under"))


def _side(about: pl.DataFrame, outcome: str, probability: Floats, low: Floats, high: Floats) -> pl.DataFrame:
    for name, made in (("probability", probability), ("low", low), ("high", high)):
        if made.shape != (about.height,):
            raise ShapeError(name, made.shape, f"one for each row: ({about.height},)")
    return about.with_columns(
        pl.lit(outcome).alias("outcome"),
        pl.Series("probability", probability),
        pl.Series("low", low),
        pl.Series("high", high),
    )
