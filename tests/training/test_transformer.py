"""The transformer: its file computes what PyTorch fitted, in whatever batch.

What fits needs PyTorch, which the lock does not hold; what a file computes is tested without it.
"""

import pickle
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom

from pennant.declaration.parameters import PARAMETERS, TASKS
from pennant.training import parameters, search
from pennant.training.errors import BadParameter, ColumnsMissing, NeuralExtraMissing
from pennant.training.losses import Floats, expit
from pennant.training.members import transformer as kind
from pennant.training.members import transformer_graph as graph
from pennant.training.members.kinds import KINDS
from pennant.training.members.paths import Walks
from pennant.training.members.transformer import Fitted, FittedPaths
from pennant.training.members.transformer_layout import Layout
from pennant.training.problem import Problem, row_losses

EVENTS, MODES = 4, 3
NAMES = (*(f"{what}_{age}" for age in range(EVENTS, 0, -1) for what in ("result", "margin")), "rest", "home")
SEQUENCE = tuple((f"result_{age}", f"margin_{age}") for age in range(EVENTS, 0, -1))
WALK = (
    *("position_x", "position_y", "velocity_x", "heading_cos", "turn"),
    *(f"back_{axis}_{k}" for k in (1, 2, 3) for axis in ("x", "y")),
    *("neighbour_ahead", "neighbour_left", "crowd"),
)
WALK_SEQUENCE = tuple((f"back_x_{k}", f"back_y_{k}") for k in (3, 2, 1))
STEPS = 5
PROBLEMS = {
    "binary": Problem("binary", NAMES, sequence=SEQUENCE),
    "multiclass": Problem("multiclass", NAMES, classes=3, sequence=SEQUENCE),
    "count": Problem("count", NAMES, most=17, sequence=SEQUENCE),
    "regression": Problem("regression", NAMES, sequence=SEQUENCE),
    "trajectory": Problem("trajectory", WALK, steps=STEPS, sequence=WALK_SEQUENCE),
}
OUTPUTS = {"binary": 1, "multiclass": 3, "count": 2, "regression": 1, "trajectory": 2 * STEPS * (1 + MODES)}
DEFAULTS = {name: each.default for name, each in PARAMETERS["transformer"].items()}
SMALL = {**DEFAULTS, "hidden_dim": 8, "layers": 1, "epochs": 3, "batch_size": 64}
needs_torch = pytest.mark.skipif(
    find_spec("torch") is None, reason="PyTorch is not installed: uv pip install --python .venv torch"
)
every_task = pytest.mark.parametrize("task", list(PROBLEMS))


def features(problem: Problem, rows: int, seed: int, gaps: float = 0.15) -> Floats:
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(rows, len(problem.names)))
    x[stream.random(x.shape) < gaps] = np.nan
    if problem.task == "trajectory":
        x[:, :2] = stream.uniform(-20, 20, (rows, 2))
    return x


def labels(problem: Problem, x: Floats, seed: int) -> Floats:
    stream = np.random.default_rng(seed)
    n = len(x)
    if problem.task == "trajectory":
        walks = Walks.of(x, problem.names)
        return walks.path(stream.normal(size=(n, problem.steps, 2))).reshape(n, -1)
    if problem.task == "regression":
        return 1e6 + 1e4 * stream.normal(size=n)
    return stream.integers(0, {"binary": 2, "multiclass": 3}.get(problem.task, 6), n).astype(float)


def drawn(layout: Layout, shape: graph.Shape, outputs: int, seed: int = 0) -> dict[str, Floats]:
    """Weights that nobody fitted."""
    stream = np.random.default_rng(seed)
    dim, (events, width) = shape.dim, layout.events.shape
    sizes = {
        "event.weight": (2 * width, dim),
        "event.place": (events, dim),
        "rest.weight": (2 * len(layout.rest), dim),
        "rest.bias": (dim,),
        "head.scale": (dim,),
        "head.shift": (dim,),
        "head.weight": (dim, outputs),
        "head.bias": (outputs,),
    }
    linear = {
        "attend": (dim, 3 * dim),
        "gather": (dim, dim),
        "widen": (dim, 4 * dim),
        "narrow": (4 * dim, dim),
    }
    for number in range(shape.layers):
        for name, (rows, columns) in linear.items():
            sizes |= {f"{number}.{name}.weight": (rows, columns), f"{number}.{name}.bias": (columns,)}
        for name in ("attend", "widen"):
            sizes |= {f"{number}.{name}.scale": (dim,), f"{number}.{name}.shift": (dim,)}
    return {name: stream.normal(size=size) * 0.5 for name, size in sizes.items()}


def unfitted(task: str, seed: int = 0, problem: Problem | None = None) -> Fitted:
    """A file of drawn weights, with columns as they are."""
    problem = problem or PROBLEMS[task]
    layout = Layout.of(problem)
    shape = graph.Shape(8, 2, 2, MODES if task == "trajectory" else 0)
    count = len(layout.signs)
    scaled = graph.Scaled(np.zeros(count), np.ones(count), 1e6, 1e4)
    made = graph.whole(problem, layout, shape, scaled, drawn(layout, shape, OUTPUTS[task], seed))
    return FittedPaths(made, problem) if task == "trajectory" else Fitted(made, problem)


@every_task
@settings(deadline=None, max_examples=10)
@given(rows=st.integers(1, 40), at=st.integers(0, 39), seed=st.integers(0, 1000))
def test_a_row_alone_is_forecast_as_among_others(task: str, rows: int, at: int, seed: int) -> None:
    model, x = unfitted(task), features(PROBLEMS[task], rows, seed)
    together, alone = model.predict(x), model.predict(x[at % rows :][:1])
    assert alone[0] == pytest.approx(together[at % rows], rel=1e-12, abs=1e-12)


@every_task
def test_predictions_have_the_shape_of_the_task_also_of_no_row_and_of_rows_without_a_value(task: str) -> None:
    problem, model = PROBLEMS[task], unfitted(task)
    columns = {"multiclass": (3,), "count": (18,), "trajectory": (2 * STEPS,)}.get(task, ())
    assert model.predict(features(problem, 0, 1)).shape == (0, *columns)
    unknown = features(problem, 5000, 1)
    unknown[:, 2 if task == "trajectory" else 0 :] = np.nan
    found = model.predict(unknown)
    assert found.shape == (5000, *columns)
    assert np.isfinite(found).all()
    if problem.outcomes:
        assert (found >= 0).all()
        assert (found <= 1).all()
    if columns and problem.outcomes:
        assert found.sum(axis=1) == pytest.approx(1.0)


def test_a_count_has_the_chances_of_a_negative_binomial_law() -> None:
    problem, layout = PROBLEMS["count"], Layout.of(PROBLEMS["count"])
    shape = graph.Shape(8, 2, 1, 0)
    weights = drawn(layout, shape, 2)
    weights["head.weight"] *= 0.0
    scaled = graph.Scaled(np.zeros(len(NAMES)), np.ones(len(NAMES)), 0.0, 1.0)
    for log_mean, log_size in ((0.3, -1.0), (2.0, 3.0), (1.0, 20.0), (9.0, 2.0)):
        weights["head.bias"] = np.array([log_mean, log_size])
        found = Fitted(graph.whole(problem, layout, shape, scaled, weights), problem).predict(
            np.zeros((1, 10))
        )
        mean, size = np.exp(min(log_mean, np.log(17))), np.exp(min(log_size, 8.0))
        below = nbinom.pmf(np.arange(17), size, size / (size + mean))
        assert found[0, :17] == pytest.approx(below, abs=1e-9)
        assert found[0, 17] == pytest.approx(1.0 - below.sum(), abs=1e-9)


def test_the_file_sees_a_walk_as_other_members_do() -> None:
    problem, layout = PROBLEMS["trajectory"], Layout.of(PROBLEMS["trajectory"])
    x = features(problem, 200, 3)
    x[:20, [WALK.index("back_x_1"), WALK.index("back_y_1")]] = 0.0
    front = Fitted(graph.front(problem, layout), problem)
    made = front.network(len(layout.signs)).predict(x)
    walks = Walks.of(x, problem.names)
    assert made[:, :3] == pytest.approx(walks.back[..., 0], nan_ok=True)
    assert made[:, 3:6] == pytest.approx(walks.back[..., 1], nan_ok=True)
    legs = -np.diff(walks.back, axis=1, prepend=0.0)
    assert made[:, 6:12] == pytest.approx(np.hstack([legs[..., 0], legs[..., 1]]), nan_ok=True)
    assert made[:, 12] == pytest.approx(walks.pace)
    plain = [WALK.index(each) for each in ("turn", "neighbour_ahead", "neighbour_left", "crowd")]
    assert made[:, 13:] == pytest.approx(x[:, plain], nan_ok=True)
    assert layout.signs.tolist() == [1, 1, 1, -1, -1, -1, 1, 1, 1, -1, -1, -1, 1, -1, 1, -1, 1]


@settings(deadline=None, max_examples=15)
@given(angle=st.floats(-3.1, 3.1), east=st.floats(-50, 50), north=st.floats(-50, 50))
def test_a_turned_and_moved_world_has_its_forecasts_turned_and_moved(
    angle: float, east: float, north: float
) -> None:
    model, x = unfitted("trajectory"), features(PROBLEMS["trajectory"], 30, 5, gaps=0.0)
    other = x.copy()
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    for pair in (("position_x", "position_y"), *WALK_SEQUENCE):
        at = [WALK.index(each) for each in pair]
        other[:, at] = x[:, at] @ turn
    other[:, :2] += (east, north)
    for forecast in (model.predict, lambda rows: model.samples(rows, MODES)):
        found = forecast(x)
        expected = found.reshape(*found.shape[:-1], STEPS, 2) @ turn + (east, north)
        assert forecast(other) == pytest.approx(expected.reshape(found.shape), abs=1e-6)


def test_an_event_without_any_value_is_not_attended_to() -> None:
    model, short = unfitted("binary"), replace(PROBLEMS["binary"], sequence=SEQUENCE[1:])
    x = features(PROBLEMS["binary"], 50, 6, gaps=0.0)
    x[:, :2] = np.nan
    # The same weights where the oldest event does not exist: the places of the others stay.
    layout, whole = Layout.of(short), Layout.of(PROBLEMS["binary"])
    shape = graph.Shape(8, 2, 2, 0)
    weights = drawn(whole, shape, 1)
    weights["event.place"] = weights["event.place"][1:]
    rest = weights["rest.weight"]
    weights["rest.weight"] = np.vstack([np.zeros((2, 8)), rest[:2], np.zeros((2, 8)), rest[2:]])
    scaled = graph.Scaled(np.zeros(10), np.ones(10), 0.0, 1.0)
    shorter = Fitted(graph.whole(short, layout, shape, scaled, weights), short)
    assert model.predict(x) == pytest.approx(shorter.predict(x), abs=1e-12)


@every_task
def test_a_file_names_its_features_and_holds_neither_clock_nor_place(task: str) -> None:
    content = unfitted(task).content()
    assert content == unfitted(task).content()
    model = onnx.load_model_from_string(content)
    assert (model.producer_name, model.producer_version, model.doc_string) == ("pennant", "", "")
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 18)]
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)


def test_a_member_travels_to_another_process() -> None:
    model, x = unfitted("binary"), features(PROBLEMS["binary"], 9, 7)
    before = model.predict(x)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(x), before)


@pytest.mark.parametrize(
    ("sequence", "error"),
    [
        ((("back_x_9", "back_y_9"),), ColumnsMissing),
        ((("position_x", "position_y"),), BadParameter),
        ((("back_x_2", "back_y_2"), ("neighbour_ahead", "neighbour_left")), BadParameter),
    ],
)
def test_a_sequence_that_makes_no_tokens_is_refused(sequence: tuple, error: type) -> None:
    with pytest.raises(error):
        Layout.of(replace(PROBLEMS["trajectory"], sequence=sequence))


def network(declared):
    """A use case whose only member is a transformer."""
    members = {"network": {"kind": "transformer", "sequence": [["strength"], ["form"]]}}
    return declared(members=members)


@pytest.mark.skipif(find_spec("torch") is not None, reason="PyTorch is installed")
def test_without_the_extra_nothing_is_tried_and_the_error_says_what_to_install(declared) -> None:
    with pytest.raises(NeuralExtraMissing) as refused:
        search.search_alone(network(declared), None)
    assert refused.value.where == "training.members.network"
    assert refused.value.missing == ["torch"]
    assert "pip install 'pennant[neural]'" in str(refused.value)


def test_the_error_names_each_package_that_is_missing(declared, monkeypatch) -> None:
    monkeypatch.setattr(kind, "PACKAGES", ("numpy", "no_such_package", "nor_this_one"))
    with pytest.raises(NeuralExtraMissing) as refused:
        parameters.space(network(declared), None)
    assert refused.value.missing == ["no_such_package", "nor_this_one"]
    problem = PROBLEMS["binary"]
    x = features(problem, 40, 1)
    with pytest.raises(NeuralExtraMissing):
        KINDS["transformer"].fit(x, labels(problem, x, 1), np.ones(40), SMALL, 0, problem)


# With PyTorch


@needs_torch
@every_task
def test_the_file_computes_what_pytorch_computes(task: str) -> None:
    import torch

    from pennant.training.members.transformer_network import Network, Rows

    problem, x = PROBLEMS[task], features(PROBLEMS[task], 60, 8)
    layout = Layout.of(problem)
    shape = graph.Shape(8, 2, 2, MODES if task == "trajectory" else 0)
    weights = drawn(layout, shape, OUTPUTS[task])
    count = len(layout.signs)
    made = Fitted(graph.front(problem, layout), problem).network(count).predict(x)
    rows = Rows.of(layout.scaled(made, np.zeros(count), np.ones(count)), np.zeros(60), np.ones(60))
    tensors = {name: torch.from_numpy(each).float() for name, each in weights.items()}
    raw = Network(layout, shape, lambda raw, _: raw[:, 0]).forward(rows, tensors).double().numpy()
    found = unfitted(task).predict(x)
    if task == "binary":
        assert found == pytest.approx(expit(raw[:, 0]), abs=1e-4)
    elif task == "multiclass":
        assert np.log(found) - np.log(found[:, :1]) == pytest.approx(raw - raw[:, :1], abs=1e-3)
    elif task == "count":
        mean, size = np.exp(np.clip(raw[:, 0], -10, np.log(17))), np.exp(np.clip(raw[:, 1], -5, 8))
        assert found[:, 0] == pytest.approx((size / (size + mean)) ** size, abs=1e-4)
    elif task == "regression":
        assert found == pytest.approx(1e6 + 1e4 * raw[:, 0], rel=1e-6)
    else:
        residual = raw.reshape(60, 1 + MODES, STEPS, 2)
        paths = Walks.of(x, problem.names).path(residual).reshape(60, 1 + MODES, -1)
        assert found == pytest.approx(paths[:, 0], abs=1e-3)
        assert unfitted(task).samples(x, MODES) == pytest.approx(paths[:, 1:], abs=1e-3)


@needs_torch
@every_task
def test_equal_inputs_give_equal_bytes_and_another_seed_gives_others(task: str) -> None:
    import torch

    problem = PROBLEMS[task]
    x = features(problem, 200, 9)
    y = labels(problem, x, 9)
    threads = torch.get_num_threads()
    before = torch.random.get_rng_state()
    one, same, other = (
        KINDS["transformer"].fit(x, y, np.ones(200), SMALL, seed, problem).content() for seed in (3, 3, 4)
    )
    assert one == same
    assert one != other
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), before)


@needs_torch
@pytest.mark.parametrize("task", TASKS["transformer"])
def test_where_nothing_can_be_learned_it_says_no_more_than_is_known_without_features(task: str) -> None:
    problem = PROBLEMS[task]
    x, unseen = features(problem, 400, 11), features(problem, 400, 12)
    y, later = labels(problem, x, 11), labels(problem, unseen, 12)
    model = KINDS["transformer"].fit(x, y, np.ones(400), {**SMALL, "epochs": 30}, 5, problem)
    if task == "trajectory":
        known = Walks.of(unseen, problem.names).straight(STEPS).reshape(400, -1)
    else:
        nothing = KINDS["transformer"].fit(x * np.nan, y, np.ones(400), SMALL, 5, problem)
        known = nothing.predict(unseen * np.nan)
    mine, ignorant = (row_losses(problem, later, each).mean() for each in (model.predict(unseen), known))
    assert mine < 1.03 * ignorant


@needs_torch
def test_in_a_mirror_everybody_goes_to_the_other_side_as_far_as_was_learned() -> None:
    problem = PROBLEMS["trajectory"]
    stream = np.random.default_rng(15)
    x = features(problem, 1_500, 15, gaps=0.0)
    for k in (1, 2, 3):
        at = [WALK.index(f"back_x_{k}"), WALK.index(f"back_y_{k}")]
        x[:, at] = np.array([-0.5 * k, 0.0]) + 0.02 * stream.normal(size=(1_500, 2))
    left = x[:, WALK.index("neighbour_left")]
    aside = -np.sign(left)[:, None] * np.linspace(0.1, 0.8, STEPS)
    along = 0.5 * np.arange(1, STEPS + 1)
    y = np.stack([x[:, :1] + along, x[:, 1:2] + aside], axis=2).reshape(1_500, -1)
    model = KINDS["transformer"].fit(x, y, np.ones(1_500), {**SMALL, "epochs": 25}, 5, problem)
    straight = Walks.of(x, problem.names).straight(STEPS).reshape(1_500, -1)
    found = model.predict(x)
    assert row_losses(problem, y, found).mean() < 0.5 * row_losses(problem, y, straight).mean()
    best = np.min([row_losses(problem, y, each) for each in model.samples(x, 20).swapaxes(0, 1)], axis=0)
    assert best.mean() < row_losses(problem, y, found).mean()
    with pytest.raises(ValueError, match="allowed: 1 to 20"):
        model.samples(x, 21)
