"""Features of a walker at one position: how it came there, and how the others stand and move about it.

Everything is relative to the walker, but for its position, from which a forecast starts.
"""

import polars as pl

from pennant.features.paths import constant_velocity, with_motion, with_neighbours, with_surroundings
from pennant.features.view import View

OBSERVED_STEPS = 8
STEP_SECONDS = 0.4
NEAREST = 3
DISTANCES_METRES = (1.0, 2.0, 5.0, 10.0)
HORIZON_SECONDS = 4.8
"""12 steps of the future: a meeting later than that is none."""

FUTURE_STEPS = 12
SPOTS_SECONDS = (1.2, 2.4, 4.8)
"""A spot for soon, one for halfway and one for the end of what is forecast."""

MOTION = ("velocity_x", "velocity_y", "speed", "mean_speed", "acceleration", "heading_cos", "heading_sin")
SHAPE = ("turn", "curvature", "straightness")
SEEN = ("ahead", "left", "closing_ahead", "closing_left", "approach_seconds", "approach_metres")
ABOUT = (
    *(
        f"{kind}_{each}_{name}"
        for each in ("1_2s", "2_4s", "4_8s")
        for kind, names in (
            ("spot", ("others", "flow_ahead", "flow_left", "stand_left")),
            ("meet", ("others", "ahead", "left")),
        )
        for name in names
    ),
    "companions",
    *(f"companions_{of}{way}" for of in ("", "closing_", "steady_") for way in ("ahead", "left")),
    *(f"flow_{each}_{way}" for each in ("1m", "2_5m") for way in ("ahead", "left")),
)
STRAIGHT = tuple(f"straight_{axis}_{step}" for step in range(1, FUTURE_STEPS + 1) for axis in ("x", "y"))
NAMES = (
    *("position_x", "position_y"),
    *MOTION,
    *SHAPE,
    *(f"back_{axis}_{step}" for step in range(1, OBSERVED_STEPS) for axis in ("x", "y")),
    *(f"near_{metres:g}m" for metres in DISTANCES_METRES),
    "soonest_approach_seconds",
    *(f"neighbour_{rank}_{name}" for rank in range(1, NEAREST + 1) for name in SEEN),
    *ABOUT,
)


def features(view: View) -> pl.DataFrame:
    """One row per position; use_case.yaml has the units."""
    rows = with_neighbours(_moving(view), NEAREST, DISTANCES_METRES, HORIZON_SECONDS)
    rows = with_surroundings(rows, max(DISTANCES_METRES), STEP_SECONDS, SPOTS_SECONDS)
    return view.asof("entity", _timeline(rows), *NAMES).with_columns(view.requests["entity"])


def baselines(view: View) -> pl.DataFrame:
    """Constant velocity: where each position's walker goes if it neither turns nor changes pace (m)."""
    rows = _moving(view).with_columns(constant_velocity(FUTURE_STEPS, STEP_SECONDS, "straight"))
    return view.asof("entity", _timeline(rows), *STRAIGHT).with_columns(view.requests["entity"])


def _moving(view: View) -> pl.DataFrame:
    """All positions with the motion that led to them.

    A position that became known later than its own moment (a late batch) is left out: nobody could have
    seen it there, neither its walker nor a neighbour.
    """
    positions = view.events("positions", "seen", "position")
    in_time = positions.filter(pl.col("known_at") <= pl.col("event_time"))
    # By the clock, not by what a row says of its step: a later row that names an earlier step is no
    # neighbour. Recordings lie a day apart, so their days are the places.
    tick = (pl.col("event_time").dt.timestamp("ms") / (1000 * STEP_SECONDS)).round().cast(pl.Int64)
    clocked = in_time.with_columns(pl.col("event_time").dt.date().alias("place"), tick.alias("tick"))
    return with_motion(clocked, OBSERVED_STEPS - 1, STEP_SECONDS)


def _timeline(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows as a timeline whose entity is the position itself."""
    rows = rows.rename({"sample": "entity", "x": "position_x", "y": "position_y"})
    return rows.sort("known_at", maintain_order=True)
