"""What is said of each row, by task: the model's part of an answer, and its numbers for the log.

| task | keys of the answer | `prediction` in the log |
| --- | --- | --- |
| binary | prediction, low, high | the probability |
| multiclass | probabilities, low, high (by class), most_likely | the probability of the most likely class |
| count | distribution, mean, low, high, at_line where a line was asked for | the expected count |
| regression | prediction, low, high, unit | the number |
| trajectory | path, radius | metres from where the walker is to the end of the path |

`confidence` and `disagreement` follow where the bundle holds percentiles. `low` and `high` of the log are
those of the number in `prediction`; a path has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pennant_serving.arrays import Floats, mean_count
from pennant_serving.bundle import Bundle
from pennant_serving.lines import price_at
from pennant_serving.members.walks import HERE
from pennant_serving.scorer import Scores

Payload = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """One row's answer.

    Attributes:
        payload: the task's keys of the answer.
        numbers: prediction, low and high for the columns of the log.
    """

    payload: Payload
    numbers: tuple[float, float | None, float | None]

    @property
    def plain(self) -> bool:
        """Whether the three numbers are the whole answer."""
        return self.payload.keys() == {"prediction", "low", "high"}


def said(bundle: Bundle, rows: Floats, scores: Scores, lines: Sequence[float | None] = ()) -> list[Said]:
    """What the bundle says of each row.

    Args:
        bundle: gave the scores.
        rows: what was scored, shape (n, inputs).
        scores: of the rows.
        lines: of a count, the line to price each row at; empty for none.
    """
    of = {
        "binary": _numbers, "regression": _numbers, "multiclass": _classes, "count": _counts,
        "trajectory": _paths,
    }[bundle.task]  # fmt: skip
    found = of(bundle, rows, scores)
    for each, line, distribution in zip(found, lines, scores.prediction, strict=False):
        if line is not None:
            each.payload["at_line"] = _priced(distribution, line)
    if bundle.confidence is not None:
        sure = zip(found, scores.confidence.tolist(), scores.disagreement.tolist(), strict=True)
        for each, confidence, disagreement in sure:
            each.payload.update(confidence=confidence, disagreement=disagreement)
    return found


def _numbers(bundle: Bundle, rows: Floats, scores: Scores) -> list[Said]:  # noqa: ARG001 - one form for all
    unit = {"unit": bundle.outcome.unit} if bundle.task == "regression" else {}
    columns = (scores.prediction.tolist(), scores.low.tolist(), scores.high.tolist())
    return [
        Said({"prediction": number, "low": low, "high": high, **unit}, (number, low, high))
        for number, low, high in zip(*columns, strict=True)
    ]


def _classes(bundle: Bundle, rows: Floats, scores: Scores) -> list[Said]:  # noqa: ARG001
    names = bundle.outcome.classes
    best = scores.prediction.argmax(axis=1).tolist()
    columns = (scores.prediction.tolist(), scores.low.tolist(), scores.high.tolist())
    made = []
    for at, *ends in zip(best, *columns, strict=True):
        chances, low, high = (dict(zip(names, each, strict=True)) for each in ends)
        payload = {"probabilities": chances, "low": low, "high": high, "most_likely": names[at]}
        made.append(Said(payload, (ends[0][at], ends[1][at], ends[2][at])))
    return made


def _counts(bundle: Bundle, rows: Floats, scores: Scores) -> list[Said]:  # noqa: ARG001
    columns = (
        scores.prediction.tolist(),
        mean_count(scores.prediction).tolist(),
        scores.low.tolist(),
        scores.high.tolist(),
    )
    return [
        Said({"distribution": chances, "mean": mean, "low": low, "high": high}, (mean, low, high))
        for chances, mean, low, high in zip(*columns, strict=True)
    ]


def _paths(bundle: Bundle, rows: Floats, scores: Scores) -> list[Said]:
    paths = scores.prediction.reshape(len(rows), -1, 2)
    ways = np.hypot(*(paths[:, -1] - _here(bundle, rows, paths)).T).tolist()
    return [
        Said({"path": path, "radius": radius}, (way, None, None))
        for path, radius, way in zip(paths.tolist(), scores.low.tolist(), ways, strict=True)
    ]


def _here(bundle: Bundle, rows: Floats, paths: Floats) -> Floats:
    """Where the walkers are; the first step of the path where no input says it."""
    names = [each.name for each in bundle.inputs]
    if not all(name in names for name in HERE):
        return paths[:, 0]
    here = rows[:, [names.index(name) for name in HERE]]
    return np.where(np.isnan(here).any(axis=1, keepdims=True), paths[:, 0], here)


def _priced(distribution: Floats, line: float) -> dict[str, float]:
    priced = price_at(distribution[None], line)
    shares = {name: float(getattr(priced, name)[0]) for name in ("over", "under", "push")}
    return {"line": line, **shares}
