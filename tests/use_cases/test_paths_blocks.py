"""The blocks of paths: known walks with known motion, laws of geometry, and nothing of the future."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.features.paths import constant_velocity, with_motion, with_neighbours

STEP = 0.4
MOTION = [
    "velocity_x",
    "velocity_y",
    "speed",
    "mean_speed",
    "acceleration",
    "turn",
    "curvature",
    "straightness",
]
SEEN = ["ahead", "left", "closing_ahead", "closing_left", "approach_seconds", "approach_metres"]


def walk(
    points: list[tuple[float, float]], walker: str = "w", first: int = 0, place: str = "here"
) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "walker": walker,
            "place": place,
            "tick": [first + each for each in range(len(points))],
            "x": [float(x) for x, _ in points],
            "y": [float(y) for _, y in points],
        }
    )


def crowd(seed: int, walkers: int = 6, ticks: int = 12, place: str = "here") -> pl.DataFrame:
    """Walkers at random, some of whom leave for a step and come back."""
    stream = np.random.default_rng(seed)
    parts = []
    for number in range(walkers):
        steps = stream.normal(0.3, 0.3, (ticks, 2)).cumsum(axis=0) + stream.uniform(-3, 3, 2)
        rows = walk([(x, y) for x, y in steps], f"w{number}", place=place)
        parts.append(rows.filter(pl.Series(stream.random(ticks) > 0.1)))
    return pl.concat(parts)


def made(positions: pl.DataFrame) -> pl.DataFrame:
    rows = with_neighbours(with_motion(positions, 3, STEP), 2, (1.0, 4.0), 4.8)
    return rows.sort("place", "walker", "tick")


def last(rows: pl.DataFrame) -> dict[str, float]:
    return rows.row(-1, named=True)


def test_a_straight_walk_has_its_speed_and_no_turn() -> None:
    row = last(with_motion(walk([(0.3 * each, 0.4 * each) for each in range(5)]), 3, STEP))
    assert (row["velocity_x"], row["velocity_y"]) == pytest.approx((0.75, 1.0))
    assert (row["speed"], row["mean_speed"]) == pytest.approx((1.25, 1.25))
    assert (row["heading_cos"], row["heading_sin"]) == pytest.approx((0.6, 0.8))
    assert (row["acceleration"], row["turn"], row["curvature"]) == pytest.approx((0, 0, 0), abs=1e-12)
    assert row["straightness"] == pytest.approx(1.0)
    assert (row["back_x_3"], row["back_y_3"]) == pytest.approx((-0.9, -1.2))


@pytest.mark.parametrize("side", [1, -1])
def test_on_a_circle_the_curvature_is_one_by_the_radius_left_positive(side) -> None:
    angle, radius = 0.1, 2.0
    points = [(radius * math.sin(angle * k), side * radius * (1 - math.cos(angle * k))) for k in range(6)]
    row = last(with_motion(walk(points), 4, STEP))
    assert row["turn"] == pytest.approx(side * angle)
    assert row["curvature"] == pytest.approx(side / radius, rel=0.01)
    assert row["straightness"] < 1.0


def test_who_stands_still_has_no_heading_and_no_infinite_curvature() -> None:
    row = last(with_motion(walk([(1, 1)] * 5), 3, STEP))
    assert (row["speed"], row["acceleration"]) == (0.0, 0.0)
    assert [row[name] for name in ("heading_cos", "heading_sin", "turn", "curvature", "straightness")] == [
        None
    ] * 5


def test_a_missing_step_ends_what_is_known_and_nothing_is_filled_in() -> None:
    rows = with_motion(walk([(each, 0) for each in range(8)]).filter(pl.col("tick") != 3), 3, STEP)
    after = rows.filter(pl.col("tick") == 4)
    assert after.select("velocity_x", "back_x_1", "mean_speed").row(0) == (None, None, None)
    assert after["back_x_2"].item() is None
    assert rows.filter(pl.col("tick") == 5)["velocity_x"].item() == pytest.approx(1 / STEP)
    assert rows.filter(pl.col("tick") == 5)["mean_speed"].item() is None
    assert rows.filter(pl.col("tick") == 7)["mean_speed"].item() == pytest.approx(1 / STEP)


def test_two_who_walk_towards_each_other_meet_half_way_in_half_the_time() -> None:
    me = walk([(0.4 * each, 0.0) for each in range(4)], "me")
    other = walk([(9.2 - 0.4 * each, 0.5) for each in range(4)], "other")
    row = last(made(pl.concat([me, other])).filter(pl.col("walker") == "me"))
    assert row["near_1m"] == 0.0
    assert row["neighbour_1_ahead"] is None  # 6.8 m off: out of sight
    nearer = last(
        made(pl.concat([me, other.with_columns(pl.col("x") - 3.2)])).filter(pl.col("walker") == "me")
    )
    told = [nearer[f"neighbour_1_{name}"] for name in SEEN]
    assert told == pytest.approx([3.6, 0.5, -2.0, 0.0, 1.8, 0.5])
    assert nearer["soonest_approach_seconds"] == pytest.approx(1.8)
    assert (nearer["near_4m"], nearer["neighbour_2_ahead"]) == (1.0, None)


def test_those_who_part_are_nearest_now() -> None:
    me = walk([(-0.4 * each, 0.0) for each in range(4)], "me")
    other = walk([(0.4 * each, 1.0) for each in range(4)], "other")
    row = last(made(pl.concat([me, other])).filter(pl.col("walker") == "me"))
    assert row["neighbour_1_approach_seconds"] == 0.0
    assert row["neighbour_1_approach_metres"] == pytest.approx(math.hypot(2.4, 1.0))
    assert row["neighbour_1_ahead"] == pytest.approx(-2.4)
    assert row["neighbour_1_left"] == pytest.approx(-1.0)  # it looks the other way


def test_a_neighbour_that_has_just_come_has_a_place_and_no_motion() -> None:
    me = walk([(0.4 * each, 0.0) for each in range(4)], "me")
    row = last(made(pl.concat([me, walk([(2.2, 0.0)], "new", first=3)])).filter(pl.col("walker") == "me"))
    assert row["neighbour_1_ahead"] == pytest.approx(1.0)
    assert row["neighbour_1_closing_ahead"] is None
    assert row["neighbour_1_approach_metres"] is None


def test_walkers_of_two_places_never_meet() -> None:
    both = pl.concat(
        [
            crowd(1, place="a"),
            crowd(1, place="b").with_columns((pl.lit("b") + pl.col("walker")).alias("walker")),
        ]
    )
    rows = made(both)
    assert rows.filter(pl.col("place") == "a").drop("place").equals(made(crowd(1, place="a")).drop("place"))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_neighbours_are_those_of_a_plain_loop(seed) -> None:
    rows = made(crowd(seed))
    for row in rows.iter_rows(named=True):
        others = [
            (math.hypot(each["x"] - row["x"], each["y"] - row["y"]), each)
            for each in rows.iter_rows(named=True)
            if each["tick"] == row["tick"] and each["walker"] != row["walker"]
        ]
        others = sorted(others, key=lambda each: (each[0], each[1]["walker"]))
        assert row["near_1m"] == sum(distance <= 1 for distance, _ in others)
        seen = [each for each in others if each[0] <= 4.0]
        for rank in (1, 2):
            ahead, left = row[f"neighbour_{rank}_ahead"], row[f"neighbour_{rank}_left"]
            if rank > len(seen):
                assert ahead is None
                continue
            assert math.hypot(ahead, left) == pytest.approx(seen[rank - 1][0])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), angle=st.floats(-3, 3), shift=st.floats(-50, 50))
def test_a_turned_and_moved_world_looks_the_same_to_who_walks_in_it(seed, angle, shift) -> None:
    plain = crowd(seed)
    c, s = math.cos(angle), math.sin(angle)
    turned = plain.with_columns(
        (pl.col("x") * c - pl.col("y") * s + shift).alias("x"), (pl.col("x") * s + pl.col("y") * c).alias("y")
    )
    one, other = made(plain), made(turned)
    moving = one["heading_cos"].is_not_null()
    names = ["speed", "mean_speed", "acceleration", "straightness", "near_1m", "near_4m"]
    names += [f"neighbour_{rank}_{name}" for rank in (1, 2) for name in SEEN]
    for name in names:
        before, after = one[name].filter(moving), other[name].filter(moving)
        assert before.is_null().equals(after.is_null()), name
        assert before.drop_nulls().to_numpy() == pytest.approx(after.drop_nulls().to_numpy(), abs=1e-6), name


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 10))
def test_what_comes_later_changes_nothing_before_it(seed, cut) -> None:
    positions = crowd(seed)
    now = pl.col("tick") <= cut
    other = positions.with_columns(pl.when(now).then("x").otherwise(pl.col("x") * -3 + 1).alias("x"))
    assert made(positions).filter(now).equals(made(other).filter(now))
    assert made(positions).filter(now).equals(made(positions.filter(now)))


def test_constant_velocity_goes_on_as_it_went() -> None:
    rows = with_motion(walk([(0.4 * each, -0.2 * each) for each in range(4)]), 3, STEP)
    ahead = rows.select(constant_velocity(12, STEP, "cv")).row(-1)
    expected = [value for k in range(1, 13) for value in (1.2 + 0.4 * k, -0.6 - 0.2 * k)]
    assert ahead == pytest.approx(expected)
