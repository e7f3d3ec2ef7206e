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
COMPANION_METRES, COMPANION_SPEED = 2.0, 0.6
"""Who is nearer than that and whose velocity (m/s) differs by less walks along."""
SPOT_METRES = 1.0
"""Others count for a spot by a bell curve of this standard deviation."""
FLOW_METRES = (1.0, 2.5)
"""Others count for the flow about a walker by the exponential of their distance over this."""
STEADY_STEPS = 4
"""Steps over which a neighbour's velocity is steady: marked by hand, the last one alone is noisy."""
FEW = 0.1
"""Weight of nobody in a mean about a spot: one walker far off tells little."""


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


def with_surroundings(
    moving: pl.DataFrame, radius: float, step_seconds: float, moments: Sequence[float]
) -> pl.DataFrame:
    """Add how others move where the walker goes, whom it meets, who walks along, and the flow about it.

    Directions are those of `with_neighbours`.

    Args:
        moving: of `with_motion`, looking back `STEADY_STEPS` at least.
        radius: others further off than this (m) are not seen.
        step_seconds: length of a tick in seconds.
        moments: how many seconds ahead the spots lie that the walker reaches at its velocity.

    Returns:
        The rows in their order, with, for each moment (`1_2s` for 1.2),
        `spot_<t>_others`: how many stand about the spot now;
        `spot_<t>_flow_ahead`, `_left`: their mean velocity (m/s);
        `spot_<t>_stand_left`: how far to the left they stand on average (m);
        `meet_<t>_others`: how many are about the walker then, if nobody turns;
        `meet_<t>_ahead`, `_left`: the sum of where they are then (m);
        `companions`: how many walk along; null if none, `companions_ahead`, `_left`: their mean place (m),
        `companions_closing_ahead`, `_left`: their mean velocity less the walker's (m/s), and
        `companions_steady_ahead`, `_left`: their mean velocity over `STEADY_STEPS` (m/s);
        `flow_<r>m_ahead`, `_left`: mean velocity of all over `STEADY_STEPS` (m/s), the nearer the more.
        Null where the walker's own last step is unknown.
    """
    numbered = moving.with_row_index("_row")
    steady = [
        (-pl.col(f"back_{axis}_{STEADY_STEPS}") * (1.0 / (STEADY_STEPS * step_seconds))).alias(
            f"steady_{axis}"
        )
        for axis in ("x", "y")
    ]
    pairs = _pairs(numbered.with_columns(steady), radius, ("steady_x", "steady_y"))
    others = [f"{name}_{axis}_other" for name in ("velocity", "steady") for axis in ("x", "y")]
    pairs = pairs.filter(pl.col("velocity_x").is_not_null()).with_columns(
        turn(pl.col(x), pl.col(y)).alias(f"{x.removesuffix('_x_other')}_{way}")
        for x, y in (others[:2], others[2:])
        for way, turn in (("ahead", _along), ("left", _across))
    )
    # In one order, whichever way the pairs were found: a sum of floats depends on it.
    found = pairs.sort("_row", "walker_other").group_by("_row", maintain_order=True)
    told = found.agg(*_spots(moments), *_meetings(moments), *_companions(), *_flows())
    made = numbered.join(told, on="_row", how="left", maintain_order="left")
    counted = [name for name in made.columns if name.startswith(("spot_", "meet_")) or name == "companions"]
    known = pl.col("velocity_x").is_not_null()
    return made.with_columns(pl.when(known).then(pl.col(name).fill_null(0.0)) for name in counted).drop(
        "_row"
    )


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


def _pairs(numbered: pl.DataFrame, radius: float, more: Sequence[str] = ()) -> pl.DataFrame:
    """Every walker with every other in sight, seen in its own directions, and `more` of both."""
    wanted = ["_row", "walker", *AT, "x", "y", "velocity_x", "velocity_y", *more]
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
    return _along(pl.col(f"{of}_x"), pl.col(f"{of}_y"))


def _left(of: str) -> pl.Expr:
    return _across(pl.col(f"{of}_x"), pl.col(f"{of}_y"))


def _along(x: pl.Expr, y: pl.Expr) -> pl.Expr:
    return x * pl.col("heading_cos") + y * pl.col("heading_sin")


def _across(x: pl.Expr, y: pl.Expr) -> pl.Expr:
    return y * pl.col("heading_cos") - x * pl.col("heading_sin")


def _spots(moments: Sequence[float]) -> list[pl.Expr]:
    """Of pairs in groups: those about the spots that the walker reaches."""
    speed = _length(pl.col("velocity_x"), pl.col("velocity_y"))
    made = []
    for seconds in moments:
        weight = _bell(pl.col("ahead") - speed * seconds, pl.col("left"))
        moving = _where(pl.col("velocity_ahead").is_not_null(), weight).sum() + FEW
        name = f"spot_{seconds:g}s".replace(".", "_")
        made += [
            weight.sum().alias(f"{name}_others"),
            ((weight * pl.col("velocity_ahead")).sum() / moving).alias(f"{name}_flow_ahead"),
            ((weight * pl.col("velocity_left")).sum() / moving).alias(f"{name}_flow_left"),
            ((weight * pl.col("left")).sum() / (weight.sum() + FEW)).alias(f"{name}_stand_left"),
        ]
    return made


def _meetings(moments: Sequence[float]) -> list[pl.Expr]:
    """Of pairs in groups: those about the walker later, if nobody turns."""
    made = []
    for seconds in moments:
        ahead = pl.col("ahead") + pl.col("closing_ahead") * seconds
        left = pl.col("left") + pl.col("closing_left") * seconds
        weight, name = _bell(ahead, left), f"meet_{seconds:g}s".replace(".", "_")
        made += [
            weight.sum().alias(f"{name}_others"),
            (weight * ahead).sum().alias(f"{name}_ahead"),
            (weight * left).sum().alias(f"{name}_left"),
        ]
    return made


def _companions() -> list[pl.Expr]:
    """Of pairs in groups: those who walk along."""
    apart = _length(pl.col("closing_ahead"), pl.col("closing_left"))
    along = ((pl.col("distance") < COMPANION_METRES) & (apart < COMPANION_SPEED)).fill_null(value=False)
    means = [
        _where(along, pl.col(f"{name}{way}")).mean().alias(f"companions_{name}{way}")
        for name in ("", "closing_", "steady_")
        for way in ("ahead", "left")
    ]
    return [along.sum().cast(pl.Float64).alias("companions"), *means]


def _flows() -> list[pl.Expr]:
    """Of pairs in groups: the mean velocity of all, the nearer the more."""
    made = []
    for metres in FLOW_METRES:
        weight = (-pl.col("distance") / metres).exp()
        total = _where(pl.col("steady_ahead").is_not_null(), weight).sum()
        for way in ("ahead", "left"):
            mean = (weight * pl.col(f"steady_{way}")).sum() / total
            made.append(pl.when(total > 0).then(mean).alias(f"flow_{metres:g}m_{way}".replace(".", "_")))
    return made


def _where(which: pl.Expr, value: pl.Expr) -> pl.Expr:
    return pl.when(which).then(value)


def _bell(ahead: pl.Expr, left: pl.Expr) -> pl.Expr:
    return ((ahead * ahead + left * left) * (-1.0 / (2 * SPOT_METRES**2))).exp()


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
