"""Building blocks for paths: how a walker moves, and how the others move about it.

Frames of positions have the columns `walker`, `place` (only walkers of one place meet), `tick` (whole steps
of the clock), `x` and `y` (metres), one row per walker and tick. Every column that is made of them reads the
row's own tick and earlier ones, never a later one. A step that is missing ends what is known: nothing is
filled in.
"""

from collections.abc import Sequence

import polars as pl

NEAR = 1e-9
"""Speed (m/s) and distance (m) under which a direction is not defined."""
LEAST_LEG_METRES = 0.05
"""A step shorter than this has no turn: the recordings are marked by hand, a few centimetres off."""
AT = ("place", "tick")


def with_motion(positions: pl.DataFrame, steps: int, step_seconds: float) -> pl.DataFrame:
    """Add how each walker came to where it is.

    Args:
        positions: see the module; in any order.
        steps: how many steps to look back, at least 2.
        step_seconds: length of a tick in seconds.

    Returns:
        The rows in order of walker and tick, with
        `velocity_x`, `velocity_y`, `speed`: over the last step (m/s);
        `mean_speed`: of the length of the path over the last `steps` steps (m/s);
        `acceleration`: change of speed from the last step but one to the last (m/s2);
        `heading_cos`, `heading_sin`: direction of the last step; null where it stands still;
        `turn`: change of direction from the step before (radians, left is positive, -pi to pi); null where
        one of the two is shorter than `LEAST_LEG_METRES`;
        `curvature`: turn per metre of the last step (1/m);
        `straightness`: distance from the first of the `steps` + 1 points by length of the path (0 to 1);
        `back_x_<k>`, `back_y_<k>` for k in 1..steps: where it was k steps ago, less where it is (m).
        Null where one of the steps that it needs is missing.
    """
    rows = positions.sort("walker", "tick")
    rows = rows.with_columns(
        column
        for k in range(1, steps + 1)
        for column in (_back("x", k).alias(f"back_x_{k}"), _back("y", k).alias(f"back_y_{k}"))
    )
    # Leg k goes from k steps ago to k - 1 steps ago.
    legs = [(_at("x", k - 1) - _at("x", k), _at("y", k - 1) - _at("y", k)) for k in range(1, steps + 1)]
    lengths = [_length(*leg) for leg in legs]
    path = pl.sum_horizontal(lengths, ignore_nulls=False)
    speed, speed_before = lengths[0] / step_seconds, lengths[1] / step_seconds
    direct, turn = _length(_at("x", steps), _at("y", steps)), _turn(legs[1], legs[0])
    moving = lengths[0] > NEAR * step_seconds
    return rows.with_columns(
        (legs[0][0] / step_seconds).alias("velocity_x"),
        (legs[0][1] / step_seconds).alias("velocity_y"),
        speed.alias("speed"),
        (path / (steps * step_seconds)).alias("mean_speed"),
        ((speed - speed_before) / step_seconds).alias("acceleration"),
        pl.when(moving).then(legs[0][0] / lengths[0]).alias("heading_cos"),
        pl.when(moving).then(legs[0][1] / lengths[0]).alias("heading_sin"),
        turn.alias("turn"),
        (turn / lengths[0]).alias("curvature"),
        pl.when(path > NEAR).then((direct / path).clip(0.0, 1.0)).alias("straightness"),
    )


def with_neighbours(
    moving: pl.DataFrame, nearest: int, distances: Sequence[float], horizon_seconds: float
) -> pl.DataFrame:
    """Add how the others at the same place and tick stand and move, as the walker sees them.

    Ahead is the direction of the walker's last step (its x axis if it stands still), left a quarter turn
    from it. A neighbour whose own last step is unknown counts and has a place, but no motion.

    Args:
        moving: of `with_motion`.
        nearest: how many neighbours to describe, nearest first; of equally near ones by name.
        distances: radii (m), ascending; neighbours further off than the largest one are not seen.
        horizon_seconds: a closest approach later than this is told as this.

    Returns:
        The rows in their order, with
        `near_<r>m` for each radius (also `near_0_5m`): how many others are within it;
        `neighbour_<i>_ahead`, `_left`: where neighbour i is (m);
        `neighbour_<i>_closing_ahead`, `_closing_left`: its velocity less the walker's (m/s);
        `neighbour_<i>_approach_seconds`: until both are nearest to each other if nobody turns; 0 if they
        part already;
        `neighbour_<i>_approach_metres`: how near they come then;
        `soonest_approach_seconds`: the smallest of all neighbours seen.
        Null where there is no such neighbour, counts 0.
    """
    numbered = moving.with_row_index("_row")
    seen = _pairs(numbered, max(distances)).with_columns(_approach(horizon_seconds))
    ranked = seen.sort("_row", "distance", "walker_other").with_columns(
        pl.int_range(1, pl.len() + 1).over("_row").alias("rank")
    )
    made = numbered
    counts = ranked.group_by("_row").agg(
        *((pl.col("distance") <= each).sum().cast(pl.Float64).alias(_radius(each)) for each in distances),
        pl.col("approach_seconds").min().alias("soonest_approach_seconds"),
    )
    made = made.join(counts, on="_row", how="left", maintain_order="left")
    made = made.with_columns(pl.col(_radius(each)).fill_null(0.0) for each in distances)
    told = ("ahead", "left", "closing_ahead", "closing_left", "approach_seconds", "approach_metres")
    for rank in range(1, nearest + 1):
        one = ranked.filter(pl.col("rank") == rank)
        one = one.select("_row", *(pl.col(name).alias(f"neighbour_{rank}_{name}") for name in told))
        made = made.join(one, on="_row", how="left", maintain_order="left")
    return made.drop("_row")


def constant_velocity(steps: int, step_seconds: float, prefix: str) -> list[pl.Expr]:
    """The path of a walker that neither turns nor changes pace, from `x`, `y` and its velocity.

    Returns:
        `<prefix>_x_1`, `<prefix>_y_1`, ... `<prefix>_y_<steps>` in metres.
    """
    return [
        (pl.col(axis) + pl.col(f"velocity_{axis}") * (step_seconds * step)).alias(f"{prefix}_{axis}_{step}")
        for step in range(1, steps + 1)
        for axis in ("x", "y")
    ]


def _back(axis: str, steps: int) -> pl.Expr:
    """Where the walker was, less where it is; null unless the row `steps` above is that many ticks ago."""
    there = pl.col("tick").shift(steps).over("walker") == pl.col("tick") - steps
    return pl.when(there).then(pl.col(axis).shift(steps).over("walker") - pl.col(axis))


def _at(axis: str, steps: int) -> pl.Expr:
    return pl.col(f"back_{axis}_{steps}") if steps else pl.lit(0.0)


def _length(x: pl.Expr, y: pl.Expr) -> pl.Expr:
    return (x * x + y * y).sqrt()


def _turn(before: tuple[pl.Expr, pl.Expr], after: tuple[pl.Expr, pl.Expr]) -> pl.Expr:
    """Angle between two legs; null where one of them is too short to have a direction."""
    cross = before[0] * after[1] - before[1] * after[0]
    dot = before[0] * after[0] + before[1] * after[1]
    moving = (_length(*before) >= LEAST_LEG_METRES) & (_length(*after) >= LEAST_LEG_METRES)
    return pl.when(moving).then(pl.arctan2(cross, dot))


def _pairs(numbered: pl.DataFrame, radius: float) -> pl.DataFrame:
    """Every walker with every other in sight, seen in its own directions."""
    wanted = ["_row", "walker", *AT, "x", "y", "velocity_x", "velocity_y"]
    me = numbered.select(*wanted, pl.col("heading_cos").fill_null(1.0), pl.col("heading_sin").fill_null(0.0))
    pairs = me.join(numbered.select(wanted[1:]), on=list(AT), suffix="_other")
    pairs = pairs.filter(pl.col("walker") != pl.col("walker_other"))
    apart = [(pl.col(f"{each}_other") - pl.col(each)).alias(f"d_{each}") for each in ("x", "y")]
    closing = [
        (pl.col(f"velocity_{each}_other") - pl.col(f"velocity_{each}")).alias(f"v_{each}")
        for each in ("x", "y")
    ]
    pairs = pairs.with_columns(*apart, *closing)
    pairs = pairs.with_columns(_length(pl.col("d_x"), pl.col("d_y")).alias("distance"))
    pairs = pairs.filter(pl.col("distance") <= radius)
    return pairs.with_columns(
        _ahead("d").alias("ahead"),
        _left("d").alias("left"),
        _ahead("v").alias("closing_ahead"),
        _left("v").alias("closing_left"),
    )


def _ahead(of: str) -> pl.Expr:
    return pl.col(f"{of}_x") * pl.col("heading_cos") + pl.col(f"{of}_y") * pl.col("heading_sin")


def _left(of: str) -> pl.Expr:
    return pl.col(f"{of}_y") * pl.col("heading_cos") - pl.col(f"{of}_x") * pl.col("heading_sin")


def _approach(horizon_seconds: float) -> list[pl.Expr]:
    """When |d + v t| is least, for t from now to the horizon, and how small it gets."""
    dx, dy, vx, vy = (pl.col(name) for name in ("d_x", "d_y", "v_x", "v_y"))
    pace = vx * vx + vy * vy
    least = pl.when(pace > NEAR).then(-(dx * vx + dy * vy) / pace).otherwise(0.0)
    seconds = pl.when(pace.is_not_null()).then(least.clip(0.0, horizon_seconds))
    apart = _length(dx + vx * seconds, dy + vy * seconds)
    return [seconds.alias("approach_seconds"), apart.alias("approach_metres")]


def _radius(metres: float) -> str:
    return f"near_{metres:g}m".replace(".", "_")
