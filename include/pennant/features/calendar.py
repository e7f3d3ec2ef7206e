"""When something happens, as numbers: of a request's event, which is known long before.

Months and hours go round, so each is given as a point on a circle: December is next to January.
"""

import math

import polars as pl


def hour_of_day(time_zone: str, column: str = "event_time") -> pl.Expr:
    """Hour of the day (0 to 24, parts included) on the clocks of a place."""
    local = pl.col(column).dt.convert_time_zone(time_zone)
    return local.dt.hour() + local.dt.minute().cast(pl.Float64) * (1.0 / 60.0)


def weekday(time_zone: str, column: str = "event_time") -> pl.Expr:
    """Day of the week at a place, 1 for Monday to 7."""
    return pl.col(column).dt.convert_time_zone(time_zone).dt.weekday().cast(pl.Float64)


def season_day(first_month: int, time_zone: str, column: str = "event_time") -> pl.Expr:
    """Days since the season's first of `first_month` (1 to 12) at a place."""
    local = pl.col(column).dt.convert_time_zone(time_zone)
    year = local.dt.year() - (local.dt.month() < first_month).cast(pl.Int32)
    begun = pl.date(year, first_month, 1)
    return (local.dt.date() - begun).dt.total_days().cast(pl.Float64)


def circle(value: pl.Expr, around: float, name: str) -> list[pl.Expr]:
    """A value that goes round (an hour: 24, a weekday: 7, a day of the year: 365.25) as sine and cosine.

    Returns:
        `<name>_sin` and `<name>_cos`.
    """
    angle = value * (2.0 * math.pi / around)
    return [angle.sin().alias(f"{name}_sin"), angle.cos().alias(f"{name}_cos")]
