"""ONNX operator by operator, so that equal numbers give equal bytes.

Written here and not by PyTorch's exporter, whose graphs change with its version and carry the places of
source files. All numbers are doubles: float32 sums a row in a batch otherwise than a row alone, and that
would show in large units.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pennant_serving.members.onnx import FEATURES, INPUT

OPSET, IR = 18, 8
"""Of the year 2022: ONNX Runtime knows both since 1.14."""


class Writer:
    """Nodes and numbers of a graph, named in the order in which they come."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._numbers: list[Any] = []

    def __call__(self, operator: str, *inputs: Any, **attributes: Any) -> str:
        """Add a node; inputs that are no names are constants. Returns the name of its output."""
        names = [each if isinstance(each, str) else self.number(each) for each in inputs]
        name = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, names, [name], name=name, **attributes))
        return name

    def number(self, value: Any) -> str:
        """A constant of doubles, or of whole numbers where all of `value` are of such a type."""
        array = np.asarray(value)
        array = np.array(array, dtype=np.int64 if array.dtype.kind == "i" else np.float64, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._names:
            self._names[key] = f"c{len(self._names)}"
            self._numbers.append(numpy_helper.from_array(array, self._names[key]))
        return self._names[key]

    def take(self, of: str, places: Any, axis: int = 1) -> str:
        """Some of the columns."""
        return self("Gather", of, np.asarray(places, dtype=np.int64), axis=axis)

    def shaped(self, of: str, *shape: int) -> str:
        """Another shape of each row; how many rows there are stays open."""
        return self("Reshape", of, np.array([0, *shape], dtype=np.int64))

    def joined(self, *parts: str, axis: int = -1) -> str:
        return self("Concat", *parts, axis=axis)

    def total(self, *parts: str) -> str:
        """The sum of nodes."""
        first, *others = parts
        for each in others:
            first = self("Add", first, each)
        return first

    def model(self, names: tuple[str, ...], outputs: Mapping[str, tuple[str, list[int]]]) -> bytes:
        """The bytes of the model with these outputs: name -> node, and its shape but for the rows."""
        values = []
        nodes = list(self._nodes)
        for name, (node, shape) in outputs.items():
            nodes.append(helper.make_node("Identity", [node], [name], name=name))
            values.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["n", *shape]))
        rows = helper.make_tensor_value_info(INPUT, TensorProto.DOUBLE, ["n", len(names)])
        graph = helper.make_graph(nodes, "transformer", [rows], values, self._numbers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        model.producer_name = "pennant"
        helper.set_model_props(model, {FEATURES: json.dumps(list(names))})
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
