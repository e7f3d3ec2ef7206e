"""Law 10 for every task: a bundle that is not whole, or says nonsense, is refused with the reason."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from member_cases import rows_of
from serving_bundles import Signer, seal
from task_bundles import TASKS, confidence_of, scorer_of, write_task_bundle

from pennant_serving.bundle import load
from pennant_serving.errors import BundleRejected
from pennant_serving.flavor import _load_pyfunc

every = pytest.mark.parametrize("task", TASKS)


@pytest.fixture(scope="module")
def of_tasks(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("tasks")
    for task in TASKS:
        write_task_bundle(home / task, signer, task, confidence=confidence_of(task))
    return {task: home / task for task in TASKS}


@pytest.fixture
def copy(of_tasks: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda task: Path(shutil.copytree(of_tasks[task], tmp_path / "copy"))


def refused(folder: Path, signer: Signer) -> BundleRejected:
    with pytest.raises(BundleRejected) as caught:
        load(folder, signer.public)
    return caught.value


@every
def test_a_bundle_of_every_task_is_proven_and_scores_as_its_scorer_does(
    of_tasks: dict[str, Path], signer: Signer, task: str
) -> None:
    bundle, rows = load(of_tasks[task], signer.public), rows_of(task, 30, 11)
    scores = bundle.predict(rows)
    assert bundle.task == task
    assert scores.prediction.tobytes() == scorer_of(task).predict(rows).prediction.tobytes()
    assert 0 <= scores.confidence.min() <= scores.confidence.max() <= 1


@every
def test_one_golden_number_that_comes_out_otherwise_refuses_the_bundle(
    copy: Callable[[str], Path], signer: Signer, task: str
) -> None:
    folder = copy(task)
    table = pq.read_table(folder / "golden.parquet")
    expected = [name for name in table.column_names if name.startswith("expected")]
    assert ("expected" in expected) == (task in {"binary", "regression"})
    assert any(name.startswith("expected_high") for name in expected) == (task != "trajectory")
    for name in (expected[0], expected[len(expected) // 2], expected[-1]):
        numbers = table.column(name).to_numpy().copy()
        numbers[5] += 1e-5
        pq.write_table(table.set_column(table.column_names.index(name), name, [numbers]),
                       folder / "golden.parquet")  # fmt: skip
        seal(folder, signer)
        error = refused(folder, signer)
        assert (error.reason, error.where) == ("golden", "golden.parquet row 5")
        assert error.allowed.startswith(f"{name} ")
    pq.write_table(table.drop_columns([expected[-1]]), folder / "golden.parquet")
    seal(folder, signer)
    assert refused(folder, signer).reason == "golden"


@every
def test_any_changed_byte_of_any_file_refuses_the_bundle(
    copy: Callable[[str], Path], signer: Signer, task: str
) -> None:
    folder = copy(task)
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        original = path.read_bytes()
        middle = len(original) // 2
        changed = original[:middle] + bytes([original[middle] ^ 1]) + original[middle + 1 :]
        path.write_bytes(changed)
        refused(folder, signer)
        path.write_bytes(original)
    load(folder, signer.public)


def change(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update({key: value})


STACKING = {"method": "stacking", "coefficients": [0.5], "intercept": []}
SLICE = {"name": "s", "column": 0, "equals": 1.0, "low": None, "high": None, "weights": [0.5, 0.4]}
LEVELS = [float(n) for n in range(101)]
NONSENSE: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    ("multiclass", change("outcome", {"classes": []}), "2 or more"),
    ("multiclass", change("outcome", {"classes": ["H", "H", "A"]}), "twice"),
    ("multiclass", change("task", "binary"), "a binary bundle has none"),
    ("multiclass", change("calibration", {"method": "temperature", "temperature": 0.0}), "greater than 0"),
    ("multiclass", change("calibration", {"method": "temperature", "sharpness": 1.0}), "Field required"),
    ("multiclass", change("calibration", {"method": "platt", "slope": 1, "intercept": 0}), "multiclass has"),
    ("count", change("outcome", {"most": 0}), "1 or more"),
    (
        "count",
        change("intervals", {"method": "split_conformal", "coverage": 0.9, "half_widths": [1]}),
        "has [",
    ),
    (
        "count",
        change("intervals", {"method": "conformalised_quantiles", "coverage": 0.9, "offset": 0.5}),
        "whole number",
    ),
    (
        "regression",
        change("intervals", {"method": "conformalised_quantiles", "coverage": 0.9, "offset": 0.5}),
        "has one",
    ),
    (
        "regression",
        change("intervals", {"method": "split_conformal", "coverage": 0.9, "half_widths": [1, 2]}),
        "allowed: 1",
    ),
    ("trajectory", change("outcome", {"steps": 0}), "1 or more"),
    (
        "trajectory",
        change("ensemble", {**STACKING, "coefficients": [1, 1, 1], "intercept": [1]}),
        "allowed: 0",
    ),
    ("binary", change("ensemble", STACKING), "1 coefficients"),
    ("binary", change("ensemble", {**STACKING, "coefficients": [1, 1, -1]}), "greater than or equal to 0"),
    ("binary", change("ensemble", {"method": "voting"}), "does not match"),
    ("binary", change("ensemble", {"method": "selection", "slices": [SLICE]}), "2 weights"),
    (
        "binary",
        change("ensemble", {"method": "selection", "slices": [{**SLICE, "weights": [0.5, 0.4, 0.0]}]}),
        "sum to 0.9",
    ),
    (
        "binary",
        change("ensemble", {"method": "selection", "slices": [{**SLICE, "low": 1.0}]}),
        "either equals",
    ),
    (
        "binary",
        change("ensemble", {"method": "selection", "slices": [{**SLICE, "column": 9, "weights": [1, 0, 0]}]}),
        "column 9",
    ),
    ("binary", lambda manifest: manifest["members"][0].update(weight=0.9), "must sum to 1"),
    ("binary", lambda manifest: manifest["members"][0].update(kind="pickle"), "xgboost"),
    ("binary", change("confidence", {"width": LEVELS[:100], "disagreement": LEVELS}), "101 items"),
    ("binary", change("confidence", {"width": LEVELS[::-1], "disagreement": LEVELS}), "falls"),
]


@pytest.mark.parametrize(("task", "wrong", "said"), NONSENSE)
def test_a_manifest_that_says_nonsense_is_refused(
    copy: Callable[[str], Path], signer: Signer, task: str, wrong: Callable[[dict[str, Any]], None], said: str
) -> None:
    folder = copy(task)
    manifest = json.loads((folder / "bundle.json").read_text())
    wrong(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    seal(folder, signer)
    error = refused(folder, signer)
    assert error.reason == "manifest"
    assert said in error.allowed


def test_a_member_of_another_task_or_an_absent_file_refuses_the_bundle(
    copy: Callable[[str], Path], signer: Signer
) -> None:
    folder = copy("count")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["members"][0]["kind"] = "ridge"
    (folder / "bundle.json").write_text(json.dumps(manifest))
    seal(folder, signer)
    error = refused(folder, signer)
    assert (error.reason, error.found) == ("member", "kind ridge in a bundle of task count")
    manifest["members"][0].update(kind="xgboost", file="members/absent")
    (folder / "bundle.json").write_text(json.dumps(manifest))
    seal(folder, signer)
    assert refused(folder, signer).found == "a file members/absent that is absent"


def test_a_member_that_cannot_do_without_what_may_be_missing_refuses_the_bundle(
    copy: Callable[[str], Path], signer: Signer
) -> None:
    folder = copy("trajectory")
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["inputs"][1]["missing"] = "allow"
    (folder / "bundle.json").write_text(json.dumps(manifest))
    seal(folder, signer)
    error = refused(folder, signer)
    assert (error.reason, error.where) == ("manifest", "bundle.json: inputs")
    assert "position_y" in error.found


@every
def test_mlflow_scores_every_task_with_a_column_for_each_number(
    of_tasks: dict[str, Path], signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    import pandas as pd

    (tmp_path / "key.pub").write_bytes(signer.public)
    monkeypatch.setenv("PENNANT_SERVING_PUBLIC_KEY", str(tmp_path / "key.pub"))
    model, rows = _load_pyfunc(str(of_tasks[task])), rows_of(task, 4, 2)
    found = model.predict(pd.DataFrame(rows, columns=[each.name for each in model.bundle.inputs]))
    scores = model.bundle.predict(rows)
    told = [name for name in found.columns if name.startswith("prediction")]
    np.testing.assert_array_equal(found[told].to_numpy(), scores.prediction.reshape(4, -1))
