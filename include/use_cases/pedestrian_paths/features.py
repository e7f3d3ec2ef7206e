"""Features of a walker at one position: how it came there, and how the others stand and move about it.

Everything is relative to the walker, but for `x` and `y`, from where a forecast's steps are counted.
"""

import polars as pl

from pennant.features.paths import constant_velocity, with_motion, with_neighbours
from pennant.features.view import View

OBSERVED_STEPS = 8
FUTURE_STEPS = 12
STEP_SECONDS = 0.4
NEAREST = 3
DISTANCES_METRES = (1.0, 2.0, 5.0, 10.0)
HORIZON_SECONDS = FUTURE_STEPS * STEP_SECONDS
"""A meeting later than the forecast reaches is none."""

MOTION = ("velocity_x", "velocity_y", "speed", "mean_speed", "acceleration", "heading_cos", "heading_sin")
SHAPE = ("turn", "curvature", "straightness")
SEEN = ("ahead", "left", "closing_ahead", "closing_left", "approach_seconds", "approach_metres")
NAMES = (
    *("x", "y"),
    *MOTION,
    *SHAPE,
    *(f"back_{axis}_{step}" for step in range(1, OBSERVED_STEPS) for axis in ("x", "y")),
    *(f"near_{metres:g}m" for metres in DISTANCES_METRES),
    "soonest_approach_seconds",
    *(f"neighbour_{rank}_{name}" for rank in range(1, NEAREST + 1) for name in SEEN),
)


def features(view: View) -> pl.DataFrame:
    """One row per position; use_case.yaml has the units."""
    rows = with_neighbours(_moving(view), NEAREST, DISTANCES_METRES, HORIZON_SECONDS)
    return view.asof("entity", _timeline(rows), *NAMES).with_columns(view.requests["entity"])


def baselines(view: View) -> pl.DataFrame:
    """Where the walker would be if it neither turned nor changed pace."""
    ahead = constant_velocity(FUTURE_STEPS, STEP_SECONDS, "constant_velocity")
    rows = _timeline(_moving(view).with_columns(ahead))
    names = [name for name in rows.columns if name.startswith("constant_velocity_")]
    return view.asof("entity", rows, *names).with_columns(view.requests["entity"])


def _moving(view: View) -> pl.DataFrame:
    """All positions with the motion that led to them.

    A position that became known later than its own moment (a late batch) is left out: nobody could have
    seen it there, neither its walker nor a neighbour.
    """
    positions = view.events("positions", "seen", "position").filter(pl.col("known_at") <= pl.col("event_time"))
    positions = positions.rename({"recording": "place"})
    return with_motion(positions, OBSERVED_STEPS - 1, STEP_SECONDS)


def _timeline(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows as a timeline whose entity is the position itself."""
    return rows.rename({"sample": "entity"}).sort("known_at", maintain_order=True)
