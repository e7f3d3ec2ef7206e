"""The gate's metrics are training's: what a bundle says of itself is reckoned as what it is judged by."""

from pennant.training.metrics import (
    BINS,
    COVERAGE,
    MAIN,
    average_precision,
    brier_parts,
    by_row,
    calibration_error,
    metrics,
    of_samples,
)

__all__ = [
    "BINS",
    "COVERAGE",
    "MAIN",
    "average_precision",
    "brier_parts",
    "by_row",
    "calibration_error",
    "metrics",
    "of_samples",
]
