"""From a feature matrix to predictions with intervals: the one implementation, for every task.

Training, the gate, MLflow and serving all score through `Scorer`, so they cannot disagree. Each step has
a module: `members/`, `combine.py`, `calibrate.py`, `intervals.py`, `confidence.py`, `explanation.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pennant_serving.arrays import CLIP, Floats, logit, sigmoid
from pennant_serving.calibrate import calibrated
from pennant_serving.combine import Combination
from pennant_serving.confidence import confidence, disagreement
from pennant_serving.errors import BundleRejected, ExplanationUnavailable
from pennant_serving.explanation import Explaining
from pennant_serving.intervals import IntervalOf
from pennant_serving.lines import AtLine, LineOutside, price_at
from pennant_serving.manifest import ConformalisedQuantiles, Input, Manifest, Outcome, Task
from pennant_serving.members.base import MemberModel, Purpose, Sampling
from pennant_serving.members.boosted import load_trees
from pennant_serving.members.kinds import LOADERS
from pennant_serving.trees import Trees

__all__ = [
    "CLIP", "AtLine", "Explanation", "ExplanationUnavailable", "Floats", "LineOutside", "MemberModel",
    "Scorer", "Scores", "load_member", "load_members", "load_quantiles", "logit", "price_at", "read_scorer",
    "sigmoid",
]  # fmt: skip

EXPLAINED: dict[Task, tuple[str, ...]] = {
    "binary": (), "count": ("log of the mean",), "regression": ("number",), "trajectory": ("x", "y"),
}  # fmt: skip
"""Names of the explained outputs; of a multiclass bundle its classes."""


@dataclass(frozen=True)
class Scores:
    """Predictions of n rows.

    Attributes:
        prediction: binary, regression (n,); multiclass (n, classes); count (n, most + 1); trajectory
            (n, 2 steps) in metres.
        low: interval ends (n,), multiclass (n, classes); trajectory (n, steps): radii in metres.
        high: likewise; trajectory: the same radii.
        width: (n,) of the interval: high less low, its mean over the classes, or the mean radius.
        disagreement: (n,) of the members, in logits (binary), total variation (multiclass, count), the unit
            (regression) or metres (trajectory); 0 of a single member.
        confidence: (n,) in [0, 1]; NaN where the bundle holds no percentiles.
    """

    prediction: Floats
    low: Floats
    high: Floats
    width: Floats
    disagreement: Floats
    confidence: Floats


@dataclass(frozen=True)
class Explanation:
    """Terms that add up to the prediction, row by row.

    Binary: `baseline + contributions.sum(axis=1)` is the logit. Else the arrays have an axis of outputs
    more, and `baseline + contributions.sum(axis=2)` is, for each output: the logit of a class's probability,
    the log of a count's mean, the number, or x and y of the last step.

    Attributes:
        baseline: (n,), or (n, outputs).
        contributions: (n, features), or (n, outputs, features).
        scores: the predictions explained.
        outputs: names of the outputs; none of a binary bundle.
        unit: of the terms.
    """

    baseline: Floats
    contributions: Floats
    scores: Scores
    outputs: tuple[str, ...] = ()
    unit: str = "logit"


def load_member(
    kind: str,
    name: str,
    content: bytes,
    inputs: list[Input],
    task: Task = "binary",
    outcome: Outcome | None = None,
) -> MemberModel:
    """Load one member file and check that it takes exactly these inputs and foretells this outcome.

    Raises:
        BundleRejected: reason `member`, with the file's problem.
    """
    if kind not in LOADERS:
        raise BundleRejected("member", name, f"kind {kind}", f"one of {', '.join(LOADERS)}")
    return LOADERS[kind](name, content, Purpose(task, outcome or Outcome(), inputs))


def load_members(manifest: Manifest, files: Mapping[str, bytes]) -> list[MemberModel]:
    """All members of a manifest from the bundle's files by path, in order.

    Raises:
        BundleRejected: a file is absent, or a member is not what the manifest says.
    """
    return [
        load_member(
            each.kind, each.file, _listed(files, each.file), manifest.inputs, manifest.task, manifest.outcome
        )
        for each in manifest.members
    ]


def load_quantiles(manifest: Manifest, files: Mapping[str, bytes]) -> Trees | None:
    """The trees of two quantiles that the intervals name, if they name any.

    Raises:
        BundleRejected: the file is absent, or foretells something else.
    """
    found = manifest.intervals
    if not isinstance(found, ConformalisedQuantiles) or found.file is None:
        return None
    purpose = Purpose(manifest.task, manifest.outcome, manifest.inputs)
    content = _listed(files, found.file)
    return load_trees(found.file, content, purpose, ("reg:quantileerror",), 2)


def read_scorer(manifest: Manifest, files: Mapping[str, bytes]) -> "Scorer":
    """The scorer of a bundle from its manifest and its files by path.

    Raises:
        BundleRejected: see `load_members` and `load_quantiles`.
    """
    return Scorer(manifest, load_members(manifest, files), load_quantiles(manifest, files))


def _listed(files: Mapping[str, bytes], path: str) -> bytes:
    if path not in files:
        raise BundleRejected("manifest", "bundle.json", f"a file {path} that is absent", "listed files")
    return files[path]


class Scorer:
    """Members, combined, calibrated, with an interval; immutable and usable from many threads.

    Args:
        manifest: bundle.json.
        members: as from `load_members`.
        quantiles: as from `load_quantiles`; needed where the intervals name a file.
    """

    def __init__(
        self, manifest: Manifest, members: list[MemberModel], quantiles: Trees | None = None
    ) -> None:
        named = getattr(manifest.intervals, "file", None)
        if (named is None) != (quantiles is None):
            raise ValueError(f"quantiles: the intervals name the file {named!r}, and trees of it are needed")
        self._manifest, self._members, self._task = manifest, members, manifest.task
        self._combination = Combination(manifest)
        self._intervals = IntervalOf(manifest, quantiles)

    def predict(self, rows: Floats) -> Scores:
        """Score `rows`, shape (n, features), NaN where a value is missing; n may be 0."""
        if len(rows) == 0:
            return self._nothing()
        weights = self._combination.weights(rows)
        predictions = [member.predict(rows) for member in self._members]
        mixed = self._combination.combine(predictions, weights)
        prediction = self._calibrated(mixed)
        ends = self._intervals.around(prediction, rows)
        apart = disagreement(self._task, predictions, mixed, weights)
        sure = confidence(self._manifest.confidence, ends.width, apart)
        return Scores(prediction, ends.low, ends.high, ends.width, apart, sure)

    def explain(self, rows: Floats) -> Explanation:
        """Additive terms per feature; `explanation.py` says how they are made.

        Raises:
            ExplanationUnavailable: a member has no exact terms.
        """
        scores = self.predict(rows)
        explaining = Explaining(self._task, self._combination, self._members, self._calibrated)
        found = explaining.terms(rows, scores.prediction)
        if self._task == "binary":
            return Explanation(found.baseline[:, 0], found.terms[:, 0], scores)
        outputs = EXPLAINED.get(self._task, tuple(self._manifest.outcome.classes))
        units = {
            "count": "log of the mean",
            "regression": self._manifest.outcome.unit,
            "trajectory": "metres",
        }
        return Explanation(found.baseline, found.terms, scores, outputs, units.get(self._task, "logit"))

    def samples(self, rows: Floats, count: int) -> Floats:
        """Paths that may be, shape (n, count, 2 steps) in metres, around the combined path; always the same.

        They are those of the heaviest member that has samples, moved by what the combination moves its path.

        Raises:
            ValueError: no member has samples, or not so many.
        """
        weights = [each.weight for each in self._manifest.members]
        for at in np.argsort(-np.array(weights), kind="stable"):
            member = self._members[at]
            if isinstance(member, Sampling):
                moved = self.predict(rows).prediction - member.predict(rows)
                return np.asarray(member.samples(rows, count) + moved[:, None], dtype=np.float64)
        raise ValueError("samples: no member of this bundle has them; a path_residual member does")

    def _calibrated(self, mixed: Floats) -> Floats:
        return calibrated(self._manifest.calibration, self._task, mixed)

    def _nothing(self) -> Scores:
        columns = self._manifest.outcome.columns(self._task)
        ends = {"multiclass": columns, "trajectory": columns // 2}.get(self._task)
        flat = self._task in {"binary", "regression"}
        prediction = np.empty(0) if flat else np.empty((0, columns))
        end = np.empty(0) if ends is None else np.empty((0, ends))
        return Scores(prediction, end, end, np.empty(0), np.empty(0), np.empty(0))
