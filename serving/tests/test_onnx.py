"""A member in ONNX is scored by ONNX Runtime, a row alone as in a batch; what is no arithmetic is refused."""

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pennant_serving.errors import BundleRejected, ExplanationUnavailable
from pennant_serving.manifest import Input, Outcome, Task
from pennant_serving.members import onnx as member
from pennant_serving.members.base import Purpose, Sampling
from pennant_serving.scorer import load_member

NAMES = ["home", "away", "rest"]
INPUTS = [Input(name=name, dtype="float64", unit="", low=-9, high=9, missing="allow") for name in NAMES]
COEF = np.array([[0.5], [-1.0], [0.25]])
WHERE = "members/network.onnx"
PATH = Outcome(steps=2)


def linear(change: Callable[[onnx.ModelProto], None] | None = None) -> bytes:
    """`sigmoid(rows @ coef)`, 0 for a gap; changed somehow."""
    nodes = [
        helper.make_node("IsNaN", ["rows"], ["gap"]),
        helper.make_node("Where", ["gap", "zero", "rows"], ["filled"]),
        helper.make_node("MatMul", ["filled", "coef"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["chance"]),
        helper.make_node("Squeeze", ["chance", "one"], ["prediction"]),
    ]
    numbers = {"zero": np.array(0.0), "coef": COEF, "one": np.array([1], dtype=np.int64)}
    return _model(nodes, numbers, {"prediction": ["n"]}, change)


def path(change: Callable[[onnx.ModelProto], None] | None = None) -> bytes:
    """Two steps of where the first two columns are, and three samples of them."""
    nodes = [
        helper.make_node("Gather", ["rows", "places"], ["prediction"], axis=1),
        helper.make_node("Gather", ["rows", "more"], ["flat"], axis=1),
        helper.make_node("Reshape", ["flat", "shape"], ["samples"]),
    ]
    numbers = {
        "places": np.array([0, 1, 0, 1]),
        "more": np.array([0, 1] * 6),
        "shape": np.array([0, 3, 4]),
    }
    return _model(nodes, numbers, {"prediction": ["n", 4], "samples": ["n", 3, 4]}, change)


def _model(nodes, numbers, outputs, change) -> bytes:
    rows = helper.make_tensor_value_info("rows", TensorProto.DOUBLE, ["n", len(NAMES)])
    given = [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape) for name, shape in outputs.items()
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, "network", [rows], given, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {"features": json.dumps(NAMES)})
    if change is not None:
        change(model)
    return model.SerializeToString()


def loaded(content: bytes, task: Task = "binary", outcome: Outcome | None = None):
    return load_member("transformer", WHERE, content, INPUTS, task, outcome)


def rows(count: int, seed: int = 0) -> np.ndarray:
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(count, 3))
    x[stream.random(x.shape) < 0.2] = np.nan
    return x


def test_a_member_answers_what_its_file_computes_for_rows_alone_in_batches_and_in_threads() -> None:
    model, x = loaded(linear()), rows(5000)
    wanted = 1.0 / (1.0 + np.exp(-(np.nan_to_num(x) @ COEF)[:, 0]))
    assert model.predict(x) == pytest.approx(wanted, abs=1e-12)
    assert model.predict(x[:0]).shape == (0,)
    with ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda at: model.predict(x[at : at + 1])[0], range(400)))
    assert np.array(alone) == pytest.approx(wanted[:400], abs=1e-12)


def test_rows_of_another_memory_order_and_type_are_the_same_rows() -> None:
    model, x = loaded(linear()), rows(10).astype(np.float32)
    assert model.predict(np.asfortranarray(x)) == pytest.approx(model.predict(x.astype(np.float64)))


def test_a_path_has_samples_and_nothing_else_has() -> None:
    model, x = loaded(path(), "trajectory", PATH), np.nan_to_num(rows(7))
    assert isinstance(model, Sampling)
    assert model.predict(x) == pytest.approx(x[:, [0, 1, 0, 1]])
    assert model.samples(x, 2) == pytest.approx(np.tile(x[:, None, :2], (1, 2, 2)))
    for count in (0, 4):
        with pytest.raises(ValueError, match="allowed: 1 to 3"):
            model.samples(x, count)
    assert not isinstance(loaded(linear()), Sampling)


def test_nothing_is_made_up_where_a_member_has_no_terms() -> None:
    with pytest.raises(ExplanationUnavailable) as refused:
        loaded(linear()).contributions(rows(1))
    assert refused.value.kind == "transformer"


def _foreign(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _foreign_node(model: onnx.ModelProto) -> None:
    model.graph.node[3].domain = "com.microsoft"


def _function(model: onnx.ModelProto) -> None:
    body = [helper.make_node("Identity", ["a"], ["b"])]
    model.functions.append(
        helper.make_function("ai.onnx", "Own", ["a"], ["b"], body, [helper.make_opsetid("", 18)])
    )


def _loop(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["never"], body=inner))


def _outside(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[1]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    tensor.ClearField("raw_data")


def _outside_attribute(model: onnx.ModelProto) -> None:
    value = numpy_helper.from_array(COEF, "held")
    value.data_location = TensorProto.EXTERNAL
    model.graph.node.append(helper.make_node("Constant", [], ["held"], value=value))


def _input_name(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "x"
    model.graph.node[0].input[0] = model.graph.node[1].input[2] = "x"


def _input_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.ones((4, 1)), "coef"))


def _input_more(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("secret", TensorProto.DOUBLE, ["n"]))


def _one_row(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _other_names(model: onnx.ModelProto) -> None:
    helper.set_model_props(model, {"features": json.dumps(NAMES[::-1])})


def _no_names(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def _output_name(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[4].output[0] = "answer"


def _output_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("chance", TensorProto.DOUBLE, ["n", 1]))


def _unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[3].op_type = "Sigmoidal"


CHANGES = {
    _foreign: "operators of ['com.microsoft']",
    _foreign_node: "operators of ['com.microsoft']",
    _function: "1 functions",
    _loop: "operators ['Loop']",
    _outside: "numbers outside of the file: ['coef']",
    _outside_attribute: "numbers outside of the file: ['held']",
    _input_name: "inputs [('x'",
    _input_size: "[None, 4]",
    _input_more: "'secret'",
    _one_row: "[1, 3]",
    _other_names: 'feature names ["rest", "away", "home"]',
    _no_names: "feature names none",
    _output_name: "output prediction None",
    _output_shape: "output prediction None",
    _unknown_operator: "Sigmoidal",
}


@pytest.mark.parametrize(
    ("change", "found"), CHANGES.items(), ids=[each.__name__.strip("_") for each in CHANGES]
)
def test_a_file_that_is_another_thing_than_the_contract_is_refused_by_what_it_is(change, found: str) -> None:
    with pytest.raises(BundleRejected) as refused:
        loaded(linear(change))
    assert (refused.value.reason, refused.value.where) == ("member", WHERE)
    assert found in refused.value.found


@pytest.mark.parametrize("content", [b"", b"no model", linear()[:-40], b"\x00" * 64])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(BundleRejected) as refused:
        loaded(content)
    assert refused.value.reason == "member"


def test_a_model_of_another_task_is_refused() -> None:
    for content, task, outcome in (
        (linear(), "multiclass", Outcome(classes=["h", "d", "a"])),
        (linear(), "trajectory", PATH),
        (path(), "binary", None),
        (path(), "trajectory", Outcome(steps=3)),
    ):
        with pytest.raises(BundleRejected) as refused:
            loaded(content, task, outcome)
        assert refused.value.found.startswith("output prediction")


def test_samples_of_another_length_than_the_path_are_refused() -> None:
    def longer(model: onnx.ModelProto) -> None:
        model.graph.output[1].type.tensor_type.shape.dim[2].dim_value = 6
        model.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.array([0, 2, 6]), "shape"))

    with pytest.raises(BundleRejected) as refused:
        loaded(path(longer), "trajectory", PATH)
    assert refused.value.found.startswith("output samples")


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_without_the_extra_the_bundle_is_refused_with_what_to_install(monkeypatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)  # as Python marks a package that cannot be imported
    with pytest.raises(BundleRejected) as refused:
        loaded(linear())
    assert refused.value.reason == "member"
    assert refused.value.allowed == f"an installed {name}"
    assert "pip install 'pennant-serving[onnx]'" in refused.value.advice


def test_many_rows_take_no_more_memory_than_some(monkeypatch) -> None:
    monkeypatch.setattr(member, "ROWS_AT_ONCE", 7)
    model, x = loaded(path(), "trajectory", PATH), np.nan_to_num(rows(50))
    assert model.predict(x) == pytest.approx(x[:, [0, 1, 0, 1]])
    assert model.samples(x, 3).shape == (50, 3, 4)


def test_what_a_member_is_for_says_how_many_numbers_it_gives() -> None:
    purpose = Purpose("binary", Outcome(), INPUTS)
    assert member.load_transformer(WHERE, linear(), purpose).predict(rows(3)).shape == (3,)
