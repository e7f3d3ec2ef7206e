"""The whole gate on a real bundle of every task: trained, signed, registered, scored, judged, kept."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.declaration.parameters import METRICS
from pennant.gate.evidence import Evidence, evaluate
from pennant.gate.tables import Floats
from pennant.reference import Reference
from pennant.registry.models import ModelVersion
from pennant.training import fit, parameters, rows
from pennant.training.metrics import by_row
from pennant.training.problem import Problem

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
FRESH_DAYS, STEPS, ROWS = 25, 3, 1200
FEATURES = ("strength", "form", "noise")
WALKED = ("position_x", "position_y", "back_x_1", "back_y_1", "back_x_2", "back_y_2")
TREES = {"max_depth": 3, "n_estimators": 30, "learning_rate": 0.2}
GOOD = {
    "multiclass": {"linear": {"kind": "logistic"}},
    "count": {"line": {"kind": "poisson"}},
    "regression": {"line": {"kind": "ridge"}},
    "trajectory": {"trees": {"kind": "path_residual", "fixed": TREES}},
}
POOR = {**GOOD, "trajectory": {"straight": {"kind": "constant_velocity"}}}
TASKS = sorted(GOOD)


def draw(task: str) -> tuple[Floats, Floats]:
    """Features and labels of a known truth."""
    rng = np.random.default_rng(11)
    if task == "trajectory":
        here, step = rng.uniform(-5, 5, (ROWS, 2)), rng.normal(0.4, 0.2, (ROWS, 2))
        time = np.arange(1, STEPS + 1)[None, :, None]
        gain = 0.12 * (step / np.hypot(*step.T)[:, None])[:, None] * time**2  # all of them hurry up
        future = here[:, None] + step[:, None] * time + gain + 0.1 * rng.normal(size=(ROWS, STEPS, 2))
        return np.hstack([here, -step, -2 * step]), future.reshape(ROWS, -1)
    x = rng.normal(size=(ROWS, len(FEATURES)))
    z = 1.1 * x[:, 0] - 0.6 * x[:, 1]
    if task == "multiclass":
        logits = np.column_stack([z, np.zeros(ROWS), -z])
        return x, np.argmax(logits + rng.gumbel(size=logits.shape), axis=1).astype(float)
    if task == "count":
        return x, rng.poisson(np.exp(1.2 + 0.5 * z)).astype(float)
    return x, 2.0 * z + rng.normal(size=ROWS)


def frame_of(task: str) -> pl.DataFrame:
    x, y = draw(task)
    start = AS_OF - timedelta(days=100, hours=4)
    moments = [start + timedelta(days=100) * (at / ROWS) for at in range(ROWS)]
    frame = pl.DataFrame(
        {
            "entity": [f"row-{at:05d}" for at in range(ROWS)],
            "event_time": pl.Series(moments, dtype=pl.Datetime("us", "UTC")),
            "label": pl.Series(y.tolist()),
        }
    ).with_columns(
        moment=pl.col("event_time") - timedelta(hours=1),
        label_known_at=pl.col("event_time") + timedelta(hours=3),
    )
    names = WALKED if task == "trajectory" else FEATURES
    frame = frame.with_columns(pl.Series(name, column) for name, column in zip(names, x.T, strict=True))
    if task == "trajectory":
        ahead = x[:, None, :2] - x[:, None, 2:4] * np.arange(1, STEPS + 1)[None, :, None]
        straight = ahead.reshape(ROWS, -1).T
        return frame.with_columns(
            pl.Series(f"baseline__straight_{at}", each) for at, each in enumerate(straight)
        )
    return frame


def declare(base: UseCase, task: str, features: tuple[str, ...], members: Any, **gate: object) -> UseCase:
    """league_demo as this task."""
    label = base.label.model_dump(mode="json")
    baselines: dict[str, Any] = {"average": {"kind": "base_rate"}}
    if task == "multiclass":
        label |= {"classes": ["home", "draw", "away"]}
    if task == "trajectory":
        path = {"columns": ["x", "y"], "walker": ["walker"], "steps": STEPS, "step_seconds": 0.4}
        label |= {"expression": None, "path": path}
        straight = [f"straight_{at}" for at in range(2 * STEPS)]
        baselines = {"straight": {"kind": "column", "columns": straight}}
    plain = base.model_dump(mode="json", by_alias=True)
    missing = "refuse" if task == "trajectory" else "allow"
    span = {"unit": "metres or sd", "low": -50, "high": 50, "missing": missing}
    slices = {"left": {"column": features[0], "below": 0.0, "max_loss_increase": 0.5, "max_loss": 50.0}}
    judged = {
        **plain["gate"],
        "metric": METRICS[task][0],
        "slices": slices,
        "max_calibration_error": 0.1,
        "min_rows": 150,
        "max_bundle_megabytes": 50.0,
    }
    return UseCase.model_validate(
        {
            **plain,
            "task": task,
            "label": label,
            "features": dict.fromkeys(features, span),
            "split": {"history_days": 400, "fresh_days": FRESH_DAYS, "folds": 3, "embargo_hours": 3},
            "training": {
                "members": members,
                "search": {"trials": 1, "workers": 1, "minutes": 5, "seed": 7},
                "calibration": "none",
                "interval_coverage": 0.9,
                "min_rows": 300,
                "recency_half_life_days": 10_000,
            },
            "baselines": baselines,
            "gate": {**judged, **gate},
        }
    )


@dataclass(frozen=True)
class Judged:
    """A task with a good and a poor model, and the gate's word on the good one."""

    use_case: UseCase
    snapshot: Reference
    good: ModelVersion
    poor: ModelVersion
    evidence: Evidence


@pytest.fixture(scope="module")
def judging(stage: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Judged]:
    """Each task once: trained with and without what matters, and judged."""
    folder, found = tmp_path_factory.mktemp("tasks"), {}

    def train(use_case: UseCase, snapshot: Reference, name: str) -> ModelVersion:
        data = rows.read(use_case, snapshot, stage.lake)
        choice = fit.Choice(parameters.space(use_case, None).complete({}), {"overrides": None})
        made = fit.written(use_case, snapshot, data, choice, folder / name, stage.settings, "ana@example.org")
        return stage.models.register(made.folder, use_case.name, made.metrics, {}, snapshot.sha256)

    def judged(task: str) -> Judged:
        if task not in found:
            names = WALKED if task == "trajectory" else FEATURES
            snapshot = put(stage.lake, frame_of(task))
            use_case = declare(stage.use_case, task, names, GOOD[task])
            weak = declare(stage.use_case, task, names if task == "trajectory" else ("noise",), POOR[task])
            good, poor = train(use_case, snapshot, f"{task} good"), train(weak, snapshot, f"{task} poor")
            evidence = judge(stage, use_case, snapshot, good, poor)
            found[task] = Judged(use_case, snapshot, good, poor, evidence)
        return found[task]

    return judged


def judge(
    stage: Any, use_case: UseCase, snapshot: Reference, one: ModelVersion, two: ModelVersion | None
) -> Evidence:
    places = (stage.lake, stage.models, stage.settings, stage.warehouse)
    return evaluate(use_case, snapshot, one, two, *places)


def put(lake: Lake, frame: pl.DataFrame, as_of: datetime = AS_OF) -> Reference:
    """Write a snapshot as the features room does."""
    sink = io.BytesIO()
    said = {"use_case": "league_demo", "as_of": as_of.isoformat(), "code": "planted"}
    frame.write_parquet(sink, metadata=said)
    digest = hashlib.sha256(sink.getvalue()).hexdigest()
    whole = {**said, "rows": frame.height, "columns": frame.columns}
    lake.put(f"snapshots/{digest}/snapshot.json", json.dumps(whole).encode())
    return lake.put(f"snapshots/{digest}/data.parquet", sink.getvalue())


@pytest.mark.parametrize("task", TASKS)
def test_the_model_that_knows_more_is_promoted_and_not_the_other_way_round(
    stage: Any, judging: Callable[[str], Judged], task: str
) -> None:
    found = judging(task)
    verdict = found.evidence.verdict
    assert verdict.outcome == "promote", found.evidence.summary()
    assert {"beats_champion", "beats_baseline", "calibrated", "slice_kept", "slice_floor_kept"} <= set(
        verdict.codes
    )
    back = judge(stage, found.use_case, found.snapshot, found.poor, found.good)
    assert back.verdict.outcome == "hold"
    assert "worse_than_champion" in back.verdict.codes
    same = judge(stage, found.use_case, found.snapshot, found.good, found.good)
    assert "challenger_is_champion" in [each.code for each in same.verdict.deciding()]


@pytest.mark.parametrize("task", TASKS)
def test_the_kept_scores_give_the_verdicts_numbers_again(
    stage: Any, judging: Callable[[str], Judged], task: str
) -> None:
    found = judging(task)
    kept = Reference.from_json(found.evidence.data["scores"])
    scores = pl.read_parquet(io.BytesIO(stage.lake.get(kept)))
    label = rows.labels_of(scores["label"])

    def loss(name: str) -> Floats:
        columns = sorted(
            (each for each in scores.columns if each.removeprefix(f"{name}_").isdecimal()),
            key=lambda each: int(each.rsplit("_", 1)[1]),
        )
        p = scores.select(columns).to_numpy() if columns else scores[name].to_numpy()
        most = p.shape[1] - 1 if task == "count" else 0
        problem = Problem(task, (), classes=3, most=most, steps=STEPS)  # type: ignore[arg-type]
        return by_row(METRICS[task][0], problem, label, p)

    verdict = found.evidence.verdict
    assert verdict.challenger_loss == pytest.approx(loss("challenger").mean(), abs=1e-12)
    gain = (loss("champion") - loss("challenger")).mean()
    assert verdict.comparisons[0].mean == pytest.approx(gain, abs=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_report_and_card_can_be_made(stage: Any, judging: Callable[[str], Judged], task: str) -> None:
    evidence = judging(task).evidence
    assert b"PROMOTE" in stage.lake.get(evidence.report)
    assert f"{evidence.verdict.challenger_loss:.4f}" in stage.lake.get(evidence.card).decode()


@pytest.mark.parametrize("task", TASKS)
def test_the_first_champion_of_a_task_has_its_baselines_to_beat(
    stage: Any, judging: Callable[[str], Judged], task: str
) -> None:
    found = judging(task)
    assert judge(stage, found.use_case, found.snapshot, found.good, None).verdict.outcome == "promote"
    poor = judge(stage, found.use_case, found.snapshot, found.poor, None).verdict
    assert (poor.outcome, "baseline_not_beaten" in poor.codes) == ("hold", True)


@pytest.mark.parametrize("task", ["multiclass", "trajectory"])
def test_a_champion_that_predicts_another_thing_goes_to_a_person(
    stage: Any, judging: Callable[[str], Judged], task: str
) -> None:
    found, other = judging(task), judging("regression")
    verdict = judge(stage, found.use_case, found.snapshot, found.good, other.good).verdict
    reason = next(each for each in verdict.reasons if each.code == "champion_unscorable")
    assert verdict.outcome == "hold"
    assert "regression" in reason.text
    assert task in reason.text


def test_a_slow_challenger_of_any_task_is_timed_in_the_serving_app(
    stage: Any, judging: Callable[[str], Judged], tmp_path: Path
) -> None:
    found = judging("count")
    gate = found.use_case.gate.model_copy(update={"max_latency_ms": 0.001})
    slow = found.use_case.model_copy(update={"gate": gate})
    evidence = judge(stage, slow, found.snapshot, found.good, found.poor)
    reason = next(each for each in evidence.verdict.reasons if each.code == "too_slow")
    assert evidence.verdict.outcome == "hold"
    assert reason.numbers["latency_ms"] == evidence.data["measured"]["latency_ms"]
    again = judge(stage, slow, found.snapshot, found.good, found.poor)
    assert again.sha256 == evidence.sha256


@pytest.mark.parametrize("task", ["multiclass", "trajectory"])
def test_without_a_fresh_row_the_gate_holds_and_keeps_its_evidence(
    stage: Any, judging: Callable[[str], Judged], task: str
) -> None:
    """A source that told nothing for weeks is no crash of the training Dag."""
    found = judging(task)
    stale = put(stage.lake, frame_of(task), AS_OF + timedelta(days=2 * FRESH_DAYS))
    for champion in (found.poor, None):
        evidence = judge(stage, found.use_case, stale, found.good, champion)
        assert (evidence.verdict.outcome, evidence.verdict.n) == ("hold", 0)
        assert "too_few_rows" in evidence.verdict.codes
        assert b"HOLD" in stage.lake.get(evidence.report)
