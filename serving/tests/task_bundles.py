"""Writes bundles of every task out of members that training fitted; golden numbers are the scorer's."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from member_cases import CASES, STEPS, Case, Fitted, fitted, rows_of
from serving_bundles import Signer, seal

from pennant_serving.golden import expected_columns
from pennant_serving.manifest import Manifest
from pennant_serving.scorer import Scorer, read_scorer

TASKS = ("binary", "multiclass", "count", "regression", "trajectory")
SPREAD = {"method": "member_and_fold_spread", "coverage": 0.9, "half_width_logit": 0.3}
INTERVALS: dict[str, dict[str, Any]] = {
    "binary": SPREAD,
    "multiclass": SPREAD,
    "count": {"method": "conformalised_quantiles", "coverage": 0.8, "offset": 1},
    "regression": {"method": "split_conformal", "coverage": 0.9, "half_widths": [2.5]},
    "trajectory": {
        "method": "split_conformal", "coverage": 0.9, "half_widths": [0.1 * n for n in range(1, STEPS + 1)],
    },
}  # fmt: skip
CALIBRATIONS: dict[str, dict[str, Any]] = {
    "binary": {"method": "platt", "slope": 1.2, "intercept": -0.1},
    "multiclass": {"method": "temperature", "temperature": 1.4},
    "count": {"method": "temperature", "temperature": 0.8},
}


def members_of(task: str) -> list[Fitted]:
    """One member of each kind that can do the task, all of the same labels."""
    kinds: dict[str, Case] = {}
    for case in CASES:
        if case.task == task and case.shape == "narrow":
            kinds.setdefault(case.kind, case)
    return [fitted(case) for case in kinds.values()]


def manifest_of(task: str, use_case: str = "toy", **change: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    """bundle.json and the member files, by path."""
    found = members_of(task)
    files = {f"members/{each.case.kind}": each.content for each in found}
    weights = np.arange(1.0, len(found) + 1) / np.arange(1.0, len(found) + 1).sum()
    manifest: dict[str, Any] = {
        "format": 1, "use_case": use_case, "task": task, "outcome": found[0].outcome.model_dump(),
        "as_of": "2024-04-01T00:00:00+00:00", "trained_until": "2024-03-01T00:00:00+00:00",
        "inputs": [each.model_dump() for each in found[0].inputs],
        "members": [
            {"name": each.case.kind, "kind": each.case.kind, "file": f"members/{each.case.kind}", "weight": w}
            for each, w in zip(found, weights.tolist(), strict=True)
        ],
        "calibration": CALIBRATIONS.get(task, {"method": "none"}), "intervals": INTERVALS[task],
        "snapshot": "0" * 64, "code_commit": "abc", "author": "tester",
    }  # fmt: skip
    return {**manifest, **change}, files


def scorer_of(task: str, **change: Any) -> Scorer:
    manifest, files = manifest_of(task, **change)
    return read_scorer(Manifest.model_validate(manifest), files)


def confidence_of(task: str, **change: Any) -> dict[str, list[float]]:
    """Percentiles over rows, as the bundle writer takes them."""
    scores = scorer_of(task, **change).predict(rows_of(task, 300, 9))
    at = np.linspace(0, 100, 101)
    return {name: np.percentile(getattr(scores, name), at).tolist() for name in ("width", "disagreement")}


def write_task_bundle(folder: Path, signer: Signer | None, task: str, **change: Any) -> str:
    """Write and seal a bundle of a task; returns its hash."""
    manifest, files = manifest_of(task, **change)
    scorer = read_scorer(Manifest.model_validate(manifest), files)
    (folder / "members").mkdir(parents=True)
    for path, content in files.items():
        (folder / path).write_bytes(content)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    names = [each["name"] for each in manifest["inputs"]]
    (folder / "explain.json").write_text(json.dumps({"importances": dict.fromkeys(names, 0.1)}))
    rows = rows_of(task, 20, 77)
    columns = {name: rows[:, at] for at, name in enumerate(names)}
    expected = expected_columns(scorer.predict(rows), task)  # type: ignore[arg-type]
    pq.write_table(pa.table({**columns, **expected}), folder / "golden.parquet")
    pq.write_table(pa.table(columns), folder / "reference.parquet")
    return seal(folder, signer)
