"""Ceilings are measured on the bundle in the real serving app, once, and held against the policy."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest

from pennant.data.lake import Lake
from pennant.declaration.model import Gate
from pennant.gate import ceilings
from pennant.gate.ceilings import Measured, ceiling_reasons, measured_once
from pennant.gate.contender import Opened, enter

Stage = Any
PolicyWith = Callable[..., Gate]


@pytest.fixture(scope="module")
def opened(stage: Stage) -> Opened:
    found = enter(stage.good, "challenger", stage.settings).found
    assert isinstance(found, Opened)
    return found


def measure(stage: Stage, opened: Opened, frame: pl.DataFrame, lake: Lake, gate: Gate) -> Measured | None:
    return measured_once(
        lake, "reports/x.json", gate, opened.bundle, opened.folder, frame.tail(40), stage.settings
    )


@pytest.fixture(scope="module")
def timed(stage: Stage, opened: Opened, frame: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One real measurement, and the lake that keeps it."""
    lake = Lake(tmp_path_factory.mktemp("lake").as_uri())
    gate = Gate.model_validate(
        {
            **stage.use_case.gate.model_dump(),
            "max_latency_ms": 5000.0,
            "max_bundle_megabytes": 100.0,
        }
    )
    return measure(stage, opened, frame, lake, gate), lake, gate


def test_the_latency_is_that_of_single_rows_in_the_serving_app(timed: Any, opened: Opened) -> None:
    found, _, gate = timed
    assert found.why_not == ""
    assert found.rows == ceilings.ROWS
    assert len(found.rounds_ms) == ceilings.ROUNDS
    assert found.latency_ms == sorted(found.rounds_ms)[1]  # the median: one hiccup refuses no model
    assert 0.05 < found.latency_ms < 5000
    assert [each.code for each in ceiling_reasons(gate, found)] == ["bundle_small_enough", "fast_enough"]


def test_the_size_is_that_of_all_files(timed: Any, opened: Opened) -> None:
    size = sum(path.stat().st_size for path in opened.folder.rglob("*") if path.is_file())
    assert timed[0].megabytes == pytest.approx(size / 1e6)


def test_what_was_measured_is_kept_so_that_judging_again_says_the_same(
    timed: Any, stage: Stage, opened: Opened, frame: pl.DataFrame
) -> None:
    found, lake, gate = timed
    assert measure(stage, opened, frame, lake, gate) == found
    assert json.loads(lake.get(lake.uri("reports/x.json")))["latency_ms"] == found.latency_ms


def test_nothing_of_a_measurement_is_left_running(timed: Any) -> None:
    assert timed[0] is not None
    mine = psutil.Process().children(recursive=True)
    # Serving apps of other tests may run beside; only a measurement serves one bundle alone.
    assert not [each for each in mine if "--bundle" in each.cmdline()]


def test_only_what_is_declared_is_measured(
    stage: Stage, opened: Opened, frame: pl.DataFrame, tmp_path: Path, policy_with: PolicyWith
) -> None:
    lake = Lake(tmp_path.as_uri())
    assert measure(stage, opened, frame, lake, policy_with()) is None
    size = measure(stage, opened, frame, lake, policy_with(max_bundle_megabytes=0.001))
    assert size is not None
    assert size.latency_ms is None
    (reason,) = ceiling_reasons(policy_with(max_bundle_megabytes=0.001), size)
    assert (reason.code, reason.argues_for) == ("bundle_too_large", "hold")
    assert reason.numbers == {"megabytes": size.megabytes, "limit": 0.001}


def test_a_slow_bundle_holds_with_its_numbers(policy_with: PolicyWith) -> None:
    found = Measured(1.0, 31.0, (30.0, 31.0, 90.0), 300)
    gate = policy_with(max_latency_ms=30.0)
    (reason,) = ceiling_reasons(gate, found)
    assert (reason.code, reason.argues_for) == ("too_slow", "hold")
    assert reason.numbers == {"latency_ms": 31.0, "limit": 30.0, "rows": 300}
    (kept,) = ceiling_reasons(gate, replace(found, latency_ms=30.0))
    assert (kept.code, kept.argues_for) == ("fast_enough", "promote")


def test_a_bundle_that_the_serving_app_does_not_load_is_held_and_tried_again(
    stage: Stage, opened: Opened, frame: pl.DataFrame, tmp_path: Path, policy_with: PolicyWith
) -> None:
    lake, gate = Lake(tmp_path.as_uri()), policy_with(max_latency_ms=100.0)
    nowhere = Opened(opened.bundle, tmp_path / "nowhere")
    found = measure(stage, nowhere, frame, lake, gate)
    assert found is not None
    assert "exit code 2" in found.why_not
    (reason,) = ceiling_reasons(gate, found)
    assert (reason.code, reason.argues_for) == ("latency_not_measured", "hold")
    assert not lake.exists("reports/x.json")


def test_a_row_that_the_serving_app_refuses_is_no_measurement(
    stage: Stage, opened: Opened, frame: pl.DataFrame, tmp_path: Path, policy_with: PolicyWith
) -> None:
    beyond = frame.with_columns(strength=pl.lit(1e6))
    found = measure(stage, opened, beyond, Lake(tmp_path.as_uri()), policy_with(max_latency_ms=100.0))
    assert found is not None
    assert "NotServed" in found.why_not
    assert "422" in found.why_not


def test_without_a_row_nothing_can_be_timed(
    stage: Stage, opened: Opened, frame: pl.DataFrame, tmp_path: Path, policy_with: PolicyWith
) -> None:
    found = measure(stage, opened, frame.head(0), Lake(tmp_path.as_uri()), policy_with(max_latency_ms=1.0))
    assert found is not None
    assert found.why_not
    assert found.latency_ms is None


def test_a_bundle_whose_input_no_row_has_is_not_timed_and_breaks_nothing(
    stage: Stage, opened: Opened, frame: pl.DataFrame, tmp_path: Path, policy_with: PolicyWith
) -> None:
    """The contract refuses such a challenger; that verdict has to be reached."""
    gate = policy_with(max_latency_ms=1.0)
    found = measure(stage, opened, frame.drop("form"), Lake(tmp_path.as_uri()), gate)
    assert found is not None
    assert "form" in found.why_not
    assert [each.code for each in ceiling_reasons(gate, found)] == ["latency_not_measured"]
