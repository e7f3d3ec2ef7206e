"""The forecasts of a walk forward, row by row, for whoever wants other figures than the report's."""

import polars as pl

from pennant.gate.walk import Period
from pennant.training.losses import Floats


def forecast_rows(periods: list[Period]) -> pl.DataFrame:
    """One row per prediction, in the order of the periods.

    Returns:
        `period`, `entity`, `event_time`, `moment` (UTC), `label` and `prediction`; where these are several
        numbers (a class's or a count's chance each, a path's coordinates) `label_0`, ..., `prediction_0`, ...
        A count's distribution reaches as far as the period's own: later columns are null. Of samples of paths
        each row's metrics, under their names.
    """
    return pl.concat([_rows(each) for each in periods], how="diagonal")


def _rows(period: Period) -> pl.DataFrame:
    clocks = {"event_time": period.event_time, "moment": period.moment}
    columns = {
        "period": pl.Series([period.name] * len(period.entity), dtype=pl.String),
        "entity": pl.Series(period.entity, dtype=pl.String),
        **{
            name: pl.Series(each).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
            for name, each in clocks.items()
        },
        **_numbered("label", period.y),
        **_numbered("prediction", period.forecasts["model"].p),
        **{name: pl.Series(values) for name, values in period.sampled.items()},
    }
    return pl.DataFrame(columns)


def _numbered(name: str, values: Floats) -> dict[str, pl.Series]:
    if values.ndim == 1:
        return {name: pl.Series(values)}
    return {f"{name}_{number}": pl.Series(column) for number, column in enumerate(values.T)}
