"""A transformer over an entity's last events, or over the points of a path, for every task.

Each event that the declaration names in `sequence` is a token: its values, scaled, and which of them are
missing. All other features are one token more. What comes out of that one, after the layers, is the logit
of a chance, scores of classes, mean and size of a negative binomial law, a number, or of a path what it
differs by from constant velocity in the walker's own frame (see `paths`), as one path and as 20 samples.

PyTorch fits it (the extra `neural`); the file is ONNX, and every prediction, here and in serving, is what
ONNX Runtime makes of that file.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

from pennant.training.errors import NeuralExtraMissing
from pennant.training.losses import Floats
from pennant.training.members.base import Parameters
from pennant.training.members.transformer_layout import Layout
from pennant.training.problem import Problem
from pennant_serving.members.onnx import Network

PACKAGES = ("torch", "onnx", "onnxruntime")
"""What the extra `neural` installs."""


def require_neural(where: str) -> None:
    """Check that the packages of the extra are installed, without importing them.

    Args:
        where: what asks for them, e.g. `training.members.network`.

    Raises:
        NeuralExtraMissing: one is not.
    """
    missing = [each for each in PACKAGES if find_spec(each) is None]
    if missing:
        raise NeuralExtraMissing(where, missing)


@dataclass(frozen=True)
class Fitted:
    """A network as ONNX; `predict` is what serving does."""

    model: bytes
    problem: Problem

    def predict(self, x: Floats) -> Floats:
        """Predictions for `x`; see `pennant.training.problem` for their shapes."""
        return self._network.predict(x)

    def content(self) -> bytes:
        """The ONNX file."""
        return self.model

    @cached_property
    def _network(self) -> Network:
        columns = self.problem.outcomes if self.problem.task != "binary" else 1
        if self.problem.task == "trajectory":
            columns = 2 * self.problem.steps
        return self.network(columns or 1)

    def network(self, columns: int) -> Network:
        """What runs the file, which gives so many numbers a row."""
        return Network("transformer", self.model, list(self.problem.names), columns)

    def __getstate__(self) -> dict[str, object]:
        """Without the open session, which cannot travel to another process."""
        return {"model": self.model, "problem": self.problem}


class FittedPaths(Fitted):
    """The same of paths, which has samples, too."""

    def samples(self, x: Floats, count: int) -> Floats:
        """Paths that may be, shape (n, count, 2 steps), in metres; the same at every call.

        Raises:
            ValueError: `count` is less than 1 or more than the network has.
        """
        return self._network.drawn(x, count)


class Transformer:
    """Kind `transformer`."""

    suffix = "onnx"

    def fit(
        self, x: Floats, y: Floats, weight: Floats, parameters: Parameters, seed: int, problem: Problem
    ) -> Fitted:
        """Fit on rows in order of time; `parameters` must hold every name of the kind.

        Raises:
            NeuralExtraMissing: PyTorch, ONNX or ONNX Runtime is not installed.
            ColumnsMissing: a feature of `problem.sequence`, or one that a walker's frame needs, is not there.
            BadParameter: events that are not alike.
        """
        require_neural("members of kind transformer")
        from pennant.training.members import transformer_graph as graph
        from pennant.training.members.transformer_losses import MODES, aim
        from pennant.training.members.transformer_network import Network as Learner
        from pennant.training.members.transformer_network import Rows

        layout = Layout.of(problem)
        front = Fitted(graph.front(problem, layout), problem).network(len(layout.signs))
        columns = front.predict(x).reshape(len(x), -1)
        mean, scale = layout.scaling(columns)
        wanted = aim(problem, x, y, weight, seed)
        heads = int(parameters["heads"])
        dim = -(-int(parameters["hidden_dim"]) // heads) * heads
        shape = graph.Shape(dim, heads, int(parameters["layers"]), MODES if layout.backs else 0)
        rows = Rows.of(layout.scaled(columns, mean, scale), wanted.label, wanted.weight)
        weights = Learner(layout, shape, wanted.loss).fit(rows, wanted.bias, parameters, seed)
        scaled = graph.Scaled(mean, scale, wanted.mean, wanted.scale)
        model = graph.whole(problem, layout, shape, scaled, weights)
        return FittedPaths(model, problem) if layout.backs else Fitted(model, problem)
