"""A member whose whole arithmetic stands in one ONNX file, run by ONNX Runtime.

The file takes the features as they are, `rows` (n, features) of doubles with NaN where missing, and gives
`prediction`; of a path also `samples` (n, modes, 2 steps). All numbers in it are doubles, so that a row alone
and in a batch, on one machine and the next, differs by rounding only. Its metadata names the features.

Both packages are an extra: who serves no such bundle need not install them. `onnx` reads the file before
ONNX Runtime does: no loops, no operators of anybody's own, nothing outside of the file.
"""

import json
from itertools import chain
from typing import Any

import numpy as np

from pennant_serving.arrays import Floats
from pennant_serving.errors import BundleRejected, ExplanationUnavailable
from pennant_serving.members.base import MemberModel, Purpose

INPUT, PREDICTION, SAMPLES = "rows", "prediction", "samples"
FEATURES = "features"
"""The key of the metadata that holds the names of the features, in order, as JSON."""
DOMAINS = ("", "ai.onnx")
"""Of operators that ONNX itself defines."""
ROWS_AT_ONCE = 2048
"""More rows are scored in turns, so that memory does not grow with the batch."""
DOUBLE = "tensor(double)"


class Network:
    """One ONNX model; `predict` may run in many threads at once.

    Args:
        where: the file's path, for errors.
        content: its bytes.
        features: the inputs of the contract, in order.
        columns: numbers per row that it must give.

    Raises:
        BundleRejected: reason `member`: the packages are missing, or the file is no such model.
    """

    def __init__(self, where: str, content: bytes, features: list[str], columns: int) -> None:
        _check(where, content)
        runtime = _package("onnxruntime", where)
        options = runtime.SessionOptions()
        # One thread a request: rows are few, and the requests themselves run side by side.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong is said by the exception
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise _refused(where, _first_line(error), "a model that ONNX Runtime loads") from error
        self._columns = columns
        self._check_contract(where, features)

    def predict(self, rows: Floats) -> Floats:
        """Predictions for (n, features): shape (n,), or (n, columns) of more than one number."""
        return self._run(PREDICTION, rows)

    def drawn(self, rows: Floats, count: int) -> Floats:
        """The first of the model's samples, shape (n, count, columns).

        Raises:
            ValueError: the model has none, or fewer.
        """
        modes = self._modes()
        if not 1 <= count <= modes:
            raise ValueError(f"count is {count}; allowed: 1 to {modes}, the samples of this model")
        return self._run(SAMPLES, rows)[:, :count]

    def _run(self, output: str, rows: Floats) -> Floats:
        given = np.ascontiguousarray(rows, dtype=np.float64)
        starts = range(0, max(len(given), 1), ROWS_AT_ONCE)
        parts = [self._session.run([output], {INPUT: given[at : at + ROWS_AT_ONCE]})[0] for at in starts]
        return np.concatenate(parts)

    def _modes(self) -> int:
        shapes = {each.name: each.shape for each in self._session.get_outputs()}
        return int(shapes[SAMPLES][1]) if SAMPLES in shapes else 0

    def _check_contract(self, where: str, features: list[str]) -> None:
        """Refuse a model of other inputs or outputs than the contract's."""
        found = [(each.name, each.type, _free(each.shape)) for each in self._session.get_inputs()]
        wanted = [(INPUT, DOUBLE, [None, len(features)])]
        if found != wanted:
            raise _refused(where, f"inputs {found}", f"inputs {wanted}")
        names = self._session.get_modelmeta().custom_metadata_map.get(FEATURES, "none")
        if names != json.dumps(features):
            raise _refused(where, f"feature names {names}", f"{json.dumps(features)}, in this order")
        outputs = {each.name: (each.type, _free(each.shape)) for each in self._session.get_outputs()}
        expected = (DOUBLE, [None] if self._columns == 1 else [None, self._columns])
        if outputs.get(PREDICTION) != expected:
            raise _refused(where, f"output {PREDICTION} {outputs.get(PREDICTION)}", f"{expected}")
        samples = outputs.get(SAMPLES)
        if samples and (samples[0] != DOUBLE or len(samples[1]) != 3 or samples[1][2] != self._columns):
            raise _refused(where, f"output {SAMPLES} {samples}", f"(n, modes, {self._columns}) doubles")


class Transformer(Network):
    """A member of kind `transformer`."""

    def contributions(self, rows: Floats) -> Floats:  # noqa: ARG002
        """Not there.

        Raises:
            ExplanationUnavailable: always: a network has no exact additive terms, and none are made up.
        """
        raise ExplanationUnavailable("transformer")

    def respond(self, link: Floats) -> Floats:  # noqa: ARG002
        """Not there, as there are no terms that would sum up to a link; see `contributions`."""
        raise ExplanationUnavailable("transformer")


class PathTransformer(Transformer):
    """One of a bundle of task trajectory, which can draw samples, too."""

    def samples(self, rows: Floats, count: int) -> Floats:
        """Paths that may be, shape (n, count, 2 steps), the same at every call.

        Raises:
            ValueError: the model has none, or fewer.
        """
        return self.drawn(rows, count)


def load_transformer(where: str, content: bytes, purpose: Purpose) -> MemberModel:
    """The member of these bytes.

    Raises:
        BundleRejected: reason `member`; see `Network`.
    """
    kind = PathTransformer if purpose.task == "trajectory" else Transformer
    return kind(where, content, purpose.names, purpose.columns)


def _package(name: str, where: str) -> Any:
    import importlib  # both cost a quarter of a second that other bundles need not pay

    try:
        return importlib.import_module(name)
    except ImportError as error:
        advice = "Install it: pip install 'pennant-serving[onnx]'."
        raise BundleRejected(
            "member", where, f"an ONNX file, and no package {name}", "an installed " + name, advice
        ) from error


def _check(where: str, content: bytes) -> None:
    """Look at the file without running it."""
    onnx = _package("onnx", where)
    try:
        model = onnx.load_model_from_string(content)
        graph = model.graph
        domains = {each.domain for each in chain(model.opset_import, graph.node)}
    except Exception as error:
        raise _refused(where, _first_line(error), "an ONNX model") from error
    foreign = sorted(domains.difference(DOMAINS))
    if foreign or model.functions:
        found = f"operators of {foreign}" if foreign else f"{len(model.functions)} functions of its own"
        raise _refused(where, found, "operators of ONNX itself")
    kinds = onnx.AttributeProto
    nested = [
        node.op_type
        for node in graph.node
        if any(each.type in {kinds.GRAPH, kinds.GRAPHS} for each in node.attribute)
    ]
    if nested:
        raise _refused(where, f"operators {sorted(set(nested))}", "a graph without loops and branches")
    constants = [one for node in graph.node for each in node.attribute for one in (each.t, *each.tensors)]
    sparse = list(graph.sparse_initializer)
    outside = [
        each.name
        for each in chain(graph.initializer, constants, *((one.values, one.indices) for one in sparse))
        if each.data_location == onnx.TensorProto.EXTERNAL or each.external_data
    ]
    if outside:
        raise _refused(where, f"numbers outside of the file: {outside[:5]}", "all numbers in the file")


def _refused(where: str, found: str, allowed: str) -> BundleRejected:
    return BundleRejected("member", where, found, allowed)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _free(shape: list[Any]) -> list[Any]:
    """The shape with None where it is open."""
    return [each if isinstance(each, int) else None for each in shape]
