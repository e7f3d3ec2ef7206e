"""Members for paths: planted walks in which one gives way to whoever stands ahead, left or right."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.declaration.parameters import PARAMETERS
from pennant.training.errors import ColumnsMissing
from pennant.training.losses import Floats
from pennant.training.members.paths import MODES, ConstantVelocity, CorrectedPaths, PathResidual
from pennant.training.problem import Problem

STEPS, BACK = 12, 3
NAMES = (
    *("position_x", "position_y", "velocity_x", "velocity_y", "heading_cos", "heading_sin"),
    *(f"back_{axis}_{k}" for k in range(1, BACK + 1) for axis in ("x", "y")),
    *("neighbour_1_ahead", "neighbour_1_left", "turn", "crowd"),
)
PROBLEM = Problem("trajectory", NAMES, steps=STEPS)
PARAMETERS_OF_TREES = {name: each.default for name, each in PARAMETERS["path_residual"].items()}
FEW_ROUNDS = {**PARAMETERS_OF_TREES, "n_estimators": 60}


def walks(rows: int, seed: int, direction: float | None = None, pace: float = 0.5) -> tuple[Floats, Floats]:
    """Features and paths; who has somebody ahead on the left goes to the right, and the other way round.

    Where `crowd` is 1, the end of the path is anybody's guess, else it is known to centimetres.
    """
    stream = np.random.default_rng(seed)
    angle = stream.uniform(-np.pi, np.pi, rows) if direction is None else np.full(rows, direction)
    cos, sin = np.cos(angle), np.sin(angle)
    here = stream.uniform(-10, 10, (rows, 2))
    length = pace * stream.uniform(0.8, 1.2, rows)
    ahead, left = stream.uniform(1, 3, rows), stream.uniform(-2, 2, rows)
    crowd = (stream.random(rows) < 0.5).astype(np.float64)
    step = np.arange(1, STEPS + 1)
    noise = np.where(crowd == 1, 1.0, 0.02) * stream.normal(size=rows)
    aside = (-np.sign(left) * 0.6 + noise)[:, None] * (step / STEPS) ** 2
    along = length[:, None] * step
    x = here[:, :1] + along * cos[:, None] - aside * sin[:, None]
    y = here[:, 1:] + along * sin[:, None] + aside * cos[:, None]
    back = [-k * length * each for k in range(1, BACK + 1) for each in (cos, sin)]
    velocity = [length * cos / 0.4, length * sin / 0.4]
    features = [*here.T, *velocity, cos, sin, *back, ahead, left, np.zeros(rows), crowd]
    return np.stack(features, axis=1), np.stack([x, y], axis=2).reshape(rows, -1)


def apart(paths: Floats, truth: Floats) -> Floats:
    """Mean distance over the steps, in metres."""
    difference = (paths - truth).reshape(*paths.shape[:-1], STEPS, 2)
    return np.asarray(np.hypot(difference[..., 0], difference[..., 1]).mean(axis=-1))


def turned(x: Floats, paths: Floats, angle: float, by: tuple[float, float]) -> tuple[Floats, Floats]:
    """The same walks in a world turned about its origin and then moved."""
    x = x.copy()
    for name in ("position", "velocity", "heading", *(f"back_{k}" for k in range(1, BACK + 1))):
        pair = [NAMES.index(each) for each in _pair(name)]
        x[:, pair] = _turn(x[:, pair], angle)
    x[:, [0, 1]] += by
    return x, (_turn(paths.reshape(*paths.shape[:-1], -1, 2), angle) + by).reshape(paths.shape)


def _pair(name: str) -> tuple[str, str]:
    if name == "heading":
        return "heading_cos", "heading_sin"
    if name.startswith("back_"):
        return f"back_x_{name[5:]}", f"back_y_{name[5:]}"
    return f"{name}_x", f"{name}_y"


def _turn(points: Floats, angle: float) -> Floats:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))


@pytest.fixture(scope="module")
def fitted() -> CorrectedPaths:
    """Trained on walks to the east only."""
    x, y = walks(2000, 1, direction=0.0)
    return PathResidual().fit(x, y, np.ones(len(x)), FEW_ROUNDS, 3, PROBLEM)


def test_constant_velocity_goes_on_as_the_last_step_did() -> None:
    x, y = walks(5, 2)
    member = ConstantVelocity().fit(x, y, np.ones(5), {}, 0, PROBLEM)
    found = member.predict(x).reshape(5, STEPS, 2)
    leg = -x[:, [NAMES.index("back_x_1"), NAMES.index("back_y_1")]]
    for step in range(STEPS):
        assert found[:, step] == pytest.approx(x[:, :2] + (step + 1) * leg)
    assert json.loads(member.content())["steps"] == STEPS


def test_a_walker_seen_once_is_forecast_to_stay() -> None:
    x, y = walks(1, 2)
    x[:, [NAMES.index(name) for name in NAMES if name.startswith(("back_", "velocity_", "heading_"))]] = (
        np.nan
    )
    member = ConstantVelocity().fit(x, y, np.ones(1), {}, 0, PROBLEM)
    assert member.predict(x).reshape(STEPS, 2) == pytest.approx(np.tile(x[0, :2], (STEPS, 1)))


def test_what_was_learned_of_walks_to_the_east_holds_for_all_directions_and_a_faster_clock(fitted) -> None:
    for pace in (0.5, 0.8):
        x, y = walks(1000, 4, pace=pace)
        straight = ConstantVelocity().fit(x, y, np.ones(len(x)), {}, 0, PROBLEM)
        assert apart(fitted.predict(x), y).mean() < 0.75 * apart(straight.predict(x), y).mean()


@settings(deadline=None, max_examples=15)
@given(angle=st.floats(-3.1, 3.1), east=st.floats(-50, 50), north=st.floats(-50, 50))
def test_a_turned_and_moved_world_has_its_forecasts_turned_and_moved(fitted, angle, east, north) -> None:
    x, _ = walks(20, 5)
    for forecast in (fitted.predict, lambda rows: fitted.samples(rows, MODES)):
        other, expected = turned(x, forecast(x), angle, (east, north))
        # Trees split at thresholds: a value on one may fall to the other side by rounding.
        near = np.isclose(forecast(other), expected, atol=1e-3).reshape(20, -1).all(axis=1)
        assert near.mean() >= 0.95


def test_in_a_mirror_everybody_gives_way_to_the_other_side(fitted) -> None:
    x, _ = walks(50, 6, direction=0.0)
    mirrored = x.copy()
    for name in NAMES:
        if name.endswith(("_y", "_left", "_sin", "turn")) or name.startswith("back_y"):
            mirrored[:, NAMES.index(name)] *= -1
    flip = np.tile([1.0, -1.0], STEPS)
    assert fitted.predict(mirrored) == pytest.approx(fitted.predict(x) * flip, abs=1e-6)


def test_the_best_of_the_samples_is_nearer_than_the_single_path_and_so_are_they_as_a_distribution(
    fitted,
) -> None:
    x, y = walks(400, 7)
    samples = fitted.samples(x, MODES)
    assert samples.shape == (400, MODES, 2 * STEPS)
    single = apart(fitted.predict(x), y)
    each = apart(samples, y[:, None])
    among = np.mean([apart(samples, samples[:, [k]]) for k in range(MODES)], axis=(0, 2))
    assert each.min(axis=1).mean() < 0.5 * single.mean()
    assert (each.mean(axis=1) - 0.5 * among).mean() < single.mean()  # the energy score


def test_samples_are_wider_where_the_end_is_anybodys_guess(fitted) -> None:
    x, _ = walks(400, 8)
    width = apart(fitted.samples(x, MODES), fitted.predict(x)[:, None]).mean(axis=1)
    crowd = x[:, NAMES.index("crowd")] == 1
    assert width[crowd].mean() > 1.5 * width[~crowd].mean()


def test_fewer_samples_are_the_commonest_and_more_than_there_are_is_refused(fitted) -> None:
    x, _ = walks(3, 9)
    assert fitted.samples(x, 5) == pytest.approx(fitted.samples(x, MODES)[:, :5])
    for count in (0, MODES + 1):
        with pytest.raises(ValueError, match=f"allowed: 1 to {MODES}"):
            fitted.samples(x, count)


def test_equal_inputs_give_equal_bytes_and_the_bytes_give_the_member_back() -> None:
    x, y = walks(300, 10)
    members = [PathResidual().fit(x, y, np.ones(300), FEW_ROUNDS, 3, PROBLEM) for _ in range(2)]
    content = members[0].content()
    assert content == members[1].content()
    again = CorrectedPaths.read(content)
    assert again.content() == content
    assert np.array_equal(again.predict(x), members[0].predict(x))
    assert np.array_equal(again.samples(x, MODES), members[0].samples(x, MODES))


def test_rows_of_weight_zero_count_for_little_and_missing_features_are_learned() -> None:
    x, y = walks(600, 11)
    wrong = np.arange(600) % 2 == 1
    y[wrong] = 2 * np.tile(x[wrong, :2], STEPS) - y[wrong]  # backwards
    x[::7, NAMES.index("neighbour_1_ahead")] = np.nan
    member = PathResidual().fit(x, y, np.where(wrong, 0.0, 2.0), FEW_ROUNDS, 3, PROBLEM)
    found = member.predict(x)
    assert np.isfinite(found).all()
    assert apart(found[~wrong], y[~wrong]).mean() < 0.6


@pytest.mark.parametrize("gone", ["position_x", "back_y_1"])
@pytest.mark.parametrize(
    "kind", [ConstantVelocity(), PathResidual()], ids=["constant_velocity", "path_residual"]
)
def test_a_walker_of_unknown_place_or_motion_is_refused_by_name(kind, gone: str) -> None:
    x, y = walks(50, 12)
    names = tuple("another" if name == gone else name for name in NAMES)
    with pytest.raises(ColumnsMissing) as refused:
        kind.fit(x, y, np.ones(50), FEW_ROUNDS, 3, Problem("trajectory", names, steps=STEPS))
    assert refused.value.missing == [gone]
