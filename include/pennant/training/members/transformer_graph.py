"""A fitted transformer as an ONNX graph: columns of features, tokens, layers, and the head of each task.

Training reads its columns through the same graph: there is no second implementation of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from pennant.training.losses import Floats
from pennant.training.members.paths import HERE, LEAST_PACE, STILL
from pennant.training.members.transformer_layout import FARTHEST, Layout
from pennant.training.members.transformer_writer import Writer
from pennant.training.problem import Problem
from pennant_serving.members.onnx import INPUT, PREDICTION, SAMPLES

NOWHERE = -1e9
"""Added to the score of an event without any value: nothing attends to it."""
LEAST_LOG_MEAN = -10.0
LOG_SIZES = (-5.0, 8.0)
"""Of a negative binomial law, variance `mean + mean ** 2 / size`; the largest is all but a Poisson law."""
EPSILON = 1e-5
"""Of the layers' normalisation."""


@dataclass(frozen=True)
class Shape:
    """Sizes of the network.

    Attributes:
        dim: of a token.
        heads: of each layer.
        layers: how many.
        modes: sample paths of a row.
    """

    dim: int
    heads: int
    layers: int
    modes: int


@dataclass(frozen=True)
class Scaled:
    """Numbers outside of the network, from the training rows.

    Attributes:
        mean: of each column.
        scale: of each column.
        label_mean: of a regression's labels; else 0.
        label_scale: of a regression's labels; else 1.
    """

    mean: Floats
    scale: Floats
    label_mean: float
    label_scale: float


@dataclass(frozen=True)
class Walker:
    """Nodes of a walker's own frame, each of shape (n, 1); see `paths.Walks`."""

    x: str
    y: str
    velocity_x: str
    velocity_y: str
    cos: str
    sin: str
    pace: str


def front(problem: Problem, layout: Layout) -> bytes:
    """A model that gives the columns alone, before they are scaled."""
    write = Writer()
    made, _ = _columns(write, problem, layout)
    return write.model(problem.names, {PREDICTION: (made, [len(layout.signs)])})


def whole(
    problem: Problem, layout: Layout, shape: Shape, scaled: Scaled, weights: Mapping[str, Floats]
) -> bytes:
    """The model from features to predictions; `weights` as in `transformer_network`."""
    write = Writer()
    made, walker = _columns(write, problem, layout)
    missing = write("IsNaN", made)
    normal = write("Div", write("Sub", made, scaled.mean), scaled.scale)
    values = write("Where", missing, 0.0, write("Clip", normal, -FARTHEST, FARTHEST))
    gaps = write("Where", missing, 1.0, 0.0)
    tokens, absent = _tokens(write, values, gaps, layout, weights)
    count = len(layout.events) + 1
    for number in range(shape.layers):
        tokens = _layer(write, tokens, absent, count, shape, weights, f"{number}.")
    last = _normal(write, write.take(tokens, 0), weights, "head.")
    raw = _linear(write, last, weights, "head.")
    return write.model(problem.names, _outputs(write, raw, problem, shape, scaled, walker))


def _columns(write: Writer, problem: Problem, layout: Layout) -> tuple[str, Walker | None]:
    """The columns of `layout`, NaN where missing; of a path, its frame, too."""
    plain = write.take(INPUT, layout.plain)
    if not layout.backs:
        return plain, None
    at = {name: place for place, name in enumerate(problem.names)}
    steps = range(1, layout.backs + 1)
    x, y = (write.take(INPUT, [at[f"back_{axis}_{k}"] for k in steps]) for axis in ("x", "y"))
    walker = _walker(write, x, y, [at[each] for each in HERE], layout.backs)
    ahead = write("Add", write("Mul", x, walker.cos), write("Mul", y, walker.sin))
    left = write("Sub", write("Mul", y, walker.cos), write("Mul", x, walker.sin))
    turned = [write("Div", each, walker.pace) for each in (ahead, left)]
    legs = []
    for each in turned:
        newest = write("Neg", write.take(each, [0]))
        earlier = np.arange(layout.backs - 1)
        older = write("Sub", write.take(each, earlier), write.take(each, earlier + 1))
        legs.append(write.joined(newest, older) if layout.backs > 1 else newest)
    return write.joined(*turned, *legs, walker.pace, plain), walker


def _walker(write: Writer, x: str, y: str, here: list[int], backs: int) -> Walker:
    """The frame of walkers whose earlier positions, from here, are x and y of shape (n, backs)."""
    steps = [write("Neg", write.take(each, [0])) for each in (x, y)]
    velocity_x, velocity_y = (write("Where", write("IsNaN", each), 0.0, each) for each in steps)
    last = _length(write, velocity_x, velocity_y)
    moving = write("Greater", last, STILL)
    divisor = write("Where", moving, last, 1.0)
    cos, sin = (
        write("Where", moving, write("Div", each, divisor), still)
        for each, still in ((velocity_x, 1.0), (velocity_y, 0.0))
    )
    lengths = write("Div", _length(write, x, y), np.arange(1.0, backs + 1.0))
    net = write("Mul", last, 0.0)
    for place in range(backs):
        length = write.take(lengths, [place])
        net = write("Where", write("IsNaN", length), net, length)
    pace = write("Add", write("Mul", write("Add", last, net), 0.5), LEAST_PACE)
    at_x, at_y = (write.take(INPUT, [each]) for each in here)
    return Walker(at_x, at_y, velocity_x, velocity_y, cos, sin, pace)


def _length(write: Writer, x: str, y: str) -> str:
    return write("Sqrt", write("Add", write("Mul", x, x), write("Mul", y, y)))


def _tokens(
    write: Writer, values: str, gaps: str, layout: Layout, weights: Mapping[str, Floats]
) -> tuple[str, str]:
    """Tokens (n, 1 + events, dim), what is no event first; what is added to scores (n, 1, 1, 1 + events)."""
    events, width = layout.events.shape
    parts = [write.shaped(write.take(each, layout.events.ravel()), events, width) for each in (values, gaps)]
    seen = write("MatMul", write.joined(*parts), weights["event.weight"])
    seen = write("Add", seen, weights["event.place"])
    absent = write("Mul", write("ReduceMin", parts[1], np.array([2]), keepdims=0), NOWHERE)
    never = write("Mul", write.take(absent, [0]), 0.0)
    if len(layout.rest):
        others = write.joined(*(write.take(each, layout.rest) for each in (values, gaps)))
        other = _linear(write, others, weights, "rest.")
    else:
        other = write("Add", never, weights["rest.bias"][None])
    tokens = write.joined(write.shaped(other, 1, weights["rest.bias"].shape[0]), seen, axis=1)
    return tokens, write.shaped(write.joined(never, absent), 1, 1, events + 1)


def _layer(
    write: Writer,
    tokens: str,
    absent: str,
    count: int,
    shape: Shape,
    weights: Mapping[str, Floats],
    name: str,
) -> str:
    """Attention and a small network of its own for each token, both added to what comes in."""
    each = shape.dim // shape.heads
    made = _linear(write, _normal(write, tokens, weights, f"{name}attend."), weights, f"{name}attend.")
    parts = write("Transpose", write.shaped(made, count, 3, shape.heads, each), perm=[2, 0, 3, 1, 4])
    asks, keys, told = (write.take(parts, place, axis=0) for place in range(3))
    scores = write("MatMul", asks, write("Transpose", keys, perm=[0, 1, 3, 2]))
    scores = write("Add", write("Mul", scores, each**-0.5), absent)
    heard = write("MatMul", write("Softmax", scores, axis=-1), told)
    heard = write.shaped(write("Transpose", heard, perm=[0, 2, 1, 3]), count, shape.dim)
    tokens = write("Add", tokens, _linear(write, heard, weights, f"{name}gather."))
    wide = _linear(write, _normal(write, tokens, weights, f"{name}widen."), weights, f"{name}widen.")
    bent = write("Mul", wide, write("Sigmoid", wide))
    return write("Add", tokens, _linear(write, bent, weights, f"{name}narrow."))


def _normal(write: Writer, of: str, weights: Mapping[str, Floats], name: str) -> str:
    scale, shift = weights[f"{name}scale"], weights[f"{name}shift"]
    return write("LayerNormalization", of, scale, shift, axis=-1, epsilon=EPSILON)


def _linear(write: Writer, of: str, weights: Mapping[str, Floats], name: str) -> str:
    return write("Add", write("MatMul", of, weights[f"{name}weight"]), weights[f"{name}bias"])


def _outputs(
    write: Writer, raw: str, problem: Problem, shape: Shape, scaled: Scaled, walker: Walker | None
) -> dict[str, tuple[str, list[int]]]:
    """Nodes and shapes of what the model gives, from the network's last numbers."""
    if walker is not None:
        size = 2 * problem.steps
        single = _path(write, write.take(raw, np.arange(size)), walker, problem.steps, 1)
        around = write.take(raw, np.arange(size, size * (shape.modes + 1)))
        paths = _path(write, around, walker, problem.steps, shape.modes)
        samples = write.shaped(paths, shape.modes, size)
        return {PREDICTION: (single, [size]), SAMPLES: (samples, [shape.modes, size])}
    if problem.task == "multiclass":
        return {PREDICTION: (write("Softmax", raw, axis=1), [problem.classes])}
    if problem.task == "count":
        return {PREDICTION: (_chances(write, raw, problem.most), [problem.most + 1])}
    if problem.task == "binary":
        made = write("Sigmoid", raw)
    else:
        made = write("Add", write("Mul", raw, scaled.label_scale), scaled.label_mean)
    return {PREDICTION: (write("Squeeze", made, np.array([1])), [])}


def _chances(write: Writer, raw: str, most: int) -> str:
    """Chances of 0 to most - 1 by a negative binomial law, and of most and more, of (log mean, log size)."""
    log_mean = write("Clip", write.take(raw, [0]), LEAST_LOG_MEAN, float(np.log(max(most, 1))))
    mean, size = write("Exp", log_mean), write("Exp", write("Clip", write.take(raw, [1]), *LOG_SIZES))
    log_all = write("Log", write("Add", mean, size))
    counts = np.arange(float(most))
    # Of k, the sum of the logs of size, size + 1, ..., size + k - 1: no operator has the gamma function.
    logs = write("Log", write("Add", size, counts))
    rising = write("CumSum", logs, np.int64(1), exclusive=1)
    none = write("Mul", size, write("Sub", write("Log", size), log_all))
    each = write("Mul", write("Sub", log_mean, log_all), counts)
    log_chance = write("Sub", write.total(rising, none, each), gammaln(counts + 1.0))
    below = write("Exp", log_chance)
    rest = write("Sub", 1.0, write("ReduceSum", below, np.array([1]), keepdims=1))
    return write.joined(below, write("Clip", rest, 0.0, 1.0))


def _path(write: Writer, residual: str, walker: Walker, steps: int, times: int) -> str:
    """Paths in metres (n, times * 2 steps) of residuals in the frame, in paces."""
    even = 2 * np.arange(times * steps)
    ahead, left = (write("Mul", write.take(residual, at), walker.pace) for at in (even, even + 1))
    x = write("Sub", write("Mul", ahead, walker.cos), write("Mul", left, walker.sin))
    y = write("Add", write("Mul", left, walker.cos), write("Mul", ahead, walker.sin))
    number = np.tile(np.arange(1.0, steps + 1.0), times)
    ends = [
        write.total(apart, here, write("Mul", velocity, number))
        for apart, here, velocity in ((x, walker.x, walker.velocity_x), (y, walker.y, walker.velocity_y))
    ]
    pairs = [write("Unsqueeze", each, np.array([2])) for each in ends]
    return write.shaped(write.joined(*pairs), 2 * times * steps)
