"""The events that a transformer reads are declared for it alone, all alike, of features that exist."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

MEMBER = ("training", "members", "network")
SEQUENCE = "training.members.network.sequence"


def network(case: SimpleNamespace, **parts: Any) -> dict[str, Any]:
    first, second, *_ = case.valid["features"]
    whole = {"kind": "transformer", "sequence": [[first], [second]], **parts}
    return case.changed(case.valid, MEMBER, {name: each for name, each in whole.items() if each is not None})


def refused(case: SimpleNamespace, folder: Path, data: dict[str, Any]) -> tuple[str, Any]:
    (problem,) = case.refused(folder, case.written(data)[0])
    return problem.field, problem


def test_a_transformer_with_its_grid_loads_and_no_heavy_library_with_it(
    case: SimpleNamespace, tmp_path: Path
) -> None:
    grid = {
        "learning_rate": {"low": 0.0003, "high": 0.01, "log": True},
        "batch_size": {"low": 64, "high": 1024, "log": True, "kind": "int"},
        "hidden_dim": {"low": 16, "high": 128, "log": True, "kind": "int"},
    }
    folder = case.put(tmp_path, case.written(network(case, search=grid))[0])
    member = case.load(folder).training.members["network"]
    assert [len(each) for each in member.sequence] == [1, 1]
    assert set(member.search) == set(grid)
    program = (
        "import sys; from pathlib import Path; from pennant.declaration.loader import load; "
        f"load(Path({str(folder)!r})); "
        "assert not {'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_transformer_without_a_sequence_has_nothing_to_read(case: SimpleNamespace, tmp_path: Path) -> None:
    for missing in (None, []):
        field, problem = refused(case, tmp_path, network(case, sequence=missing))
        assert (field, problem.found) == (SEQUENCE, "no events")


def test_no_other_kind_reads_a_sequence(case: SimpleNamespace, tmp_path: Path) -> None:
    field, problem = refused(case, tmp_path, network(case, kind="logistic"))
    assert (field, problem.found) == (SEQUENCE, "2 events")
    assert "kind: transformer" in problem.allowed


def test_events_are_alike(case: SimpleNamespace, tmp_path: Path) -> None:
    first, second, third, *_ = case.valid["features"]
    for sequence, place, allowed in (
        ([[first, second], [third]], 1, "2, as the first has"),
        ([[first], [second, third]], 1, "1, as the first has"),
    ):
        field, problem = refused(case, tmp_path, network(case, sequence=sequence))
        assert (field, problem.allowed) == (f"{SEQUENCE}[{place}]", allowed)


def test_an_event_without_features_is_none(case: SimpleNamespace, tmp_path: Path) -> None:
    field, problem = refused(case, tmp_path, network(case, sequence=[[]]))
    assert (field, problem.found) == (f"{SEQUENCE}[0]", "0 features")


def test_an_unknown_feature_comes_with_the_nearest_name(case: SimpleNamespace, tmp_path: Path) -> None:
    first, second, *_ = case.valid["features"]
    field, problem = refused(case, tmp_path, network(case, sequence=[[first], [second + "s"]]))
    assert (field, problem.nearest) == (f"{SEQUENCE}[1][0]", second)


def test_a_feature_stands_in_one_place(case: SimpleNamespace, tmp_path: Path) -> None:
    first, second, *_ = case.valid["features"]
    field, problem = refused(case, tmp_path, network(case, sequence=[[first], [second], [first]]))
    assert field == f"{SEQUENCE}[2][0]"
    assert "event 0" in problem.message


@pytest.mark.parametrize(
    ("fixed", "value"), [("hidden_dim", 2), ("batch_size", 12.5), ("dropout", 1.0), ("epochs", 0)]
)
def test_sizes_that_no_network_has_are_refused(
    case: SimpleNamespace, tmp_path: Path, fixed: str, value: float
) -> None:
    field, _ = refused(case, tmp_path, network(case, fixed={fixed: value}))
    assert field == f"training.members.network.fixed.{fixed}"


def test_no_member_takes_the_place_of_what_a_person_overrides(case: SimpleNamespace, tmp_path: Path) -> None:
    named = ("training", "members", "overrides")
    field, problem = refused(case, tmp_path, case.changed(case.valid, named, {"kind": "logistic"}))
    assert (field, problem.found) == (".".join(named), "overrides")
