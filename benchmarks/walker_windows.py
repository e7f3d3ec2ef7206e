"""Forecasts of paths scored as the literature does: windows with at least two walkers, mean of the folds."""

import numpy as np
import polars as pl

METRICS = ("ade", "fde", "best_ade", "best_fde")


def with_company(forecasts: pl.DataFrame) -> str:
    """A sentence with the mean of folds over the windows in which somebody else walks all along too.

    Args:
        forecasts: of `pennant backtest pedestrian_paths --forecasts`. Recordings lie a day apart, so windows
            of one moment are of one recording.
    """
    size = len([name for name in forecasts.columns if name.startswith("label_")])
    label, path = (
        forecasts.select(f"{kind}_{number}" for number in range(size)).to_numpy().reshape(-1, size // 2, 2)
        for kind in ("label", "prediction")
    )
    apart = np.hypot(*np.moveaxis(path - label, 2, 0))
    scored = forecasts.select("period", "event_time", "best_ade", "best_fde").with_columns(
        ade=pl.Series(apart.mean(axis=1)), fde=pl.Series(apart[:, -1])
    )
    both = scored.filter(pl.len().over("event_time") > 1)
    folds = both.group_by("period", maintain_order=True).agg(pl.col(METRICS).mean(), pl.len())
    mean = folds.select(pl.col(METRICS).mean()).row(0, named=True)
    each = ", ".join(
        f"{row['period']} {row['ade']:.3f}/{row['fde']:.3f} ({row['len']:,})"
        for row in folds.iter_rows(named=True)
    )
    return (
        f"Windows with two walkers or more, as the literature takes them, mean of folds: ADE/FDE "
        f"{mean['ade']:.3f}/{mean['fde']:.3f} of one path, {mean['best_ade']:.3f}/{mean['best_fde']:.3f} of "
        f"the best of 20. By fold, one path (windows): {each}."
    )
