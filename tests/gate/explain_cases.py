"""Tasks of planted truth, each trained once and judged against its baseline."""

import hashlib
import io
import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.gate import card, report
from pennant.gate.baselines import baseline_tables, required_baselines
from pennant.gate.contender import Contender, Opened
from pennant.gate.outcome import Verdict
from pennant.gate.report_shown import Shown, gather
from pennant.gate.score import fresh_rows, slice_masks
from pennant.gate.tables import ScoreTable, Unscorable
from pennant.gate.verdict import judge
from pennant.reference import Reference
from pennant.registry.models import ModelVersion
from pennant.security.signing import PUBLIC_NAME, ensure_keys
from pennant.settings import Settings
from pennant.training import fit, parameters, rows
from pennant_serving.bundle import load

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
TASKS = ("binary", "multiclass", "count", "regression", "trajectory")
FEATURES = ("strength", "form", "rest", "noise")
WALKED = ("position_x", "position_y", "back_x_1", "back_y_1", "back_x_2", "back_y_2")
STEPS, ROWS = 3, 900
TREES = {"max_depth": 3, "n_estimators": 30, "learning_rate": 0.2}
LINES = {"binary": "logistic", "multiclass": "logistic", "count": "poisson", "regression": "ridge"}


@dataclass(frozen=True)
class Case:
    """A task with two trained bundles, judged."""

    use_case: UseCase
    fresh: pl.DataFrame
    ours: Contender
    tables: dict[str, ScoreTable | Unscorable]
    verdict: Verdict
    data: dict[str, Any]
    shown: Shown
    seconds: float

    @property
    def opened(self) -> Opened:
        assert isinstance(self.ours.found, Opened)
        return self.ours.found

    def gather(self) -> Shown:
        return gather(self.use_case, self.verdict, self.fresh, self.ours, self.tables)

    def page(self, shown: Shown | None = None, use_case: UseCase | None = None) -> str:
        shown, use_case = shown or self.shown, use_case or self.use_case
        return report.render(use_case, self.data, self.verdict, "e" * 64, shown).decode()

    def card(self, shown: Shown | None = None, use_case: UseCase | None = None) -> str:
        return card.render(use_case or self.use_case, self.data, self.verdict, "e" * 64, shown or self.shown)


def draw(task: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Strength matters, form is turned by rest, noise is nothing."""
    rng = np.random.default_rng(3)
    if task == "trajectory":
        here, step = rng.uniform(-5, 5, (ROWS, 2)), rng.normal(0.4, 0.2, (ROWS, 2))
        ahead = step[:, None] * np.arange(1, STEPS + 1)[None, :, None] * 1.1
        future = here[:, None] + ahead + 0.1 * rng.normal(size=(ROWS, STEPS, 2))
        return np.hstack([here, -step, -2 * step]), future.reshape(ROWS, -1)
    x = rng.normal(size=(ROWS, len(FEATURES)))
    z = 1.3 * x[:, 0] + np.where(x[:, 2] > 0, x[:, 1], -x[:, 1])
    if task == "multiclass":
        logits = np.column_stack([z, np.zeros(ROWS), -z])
        return x, np.argmax(logits + rng.gumbel(size=logits.shape), axis=1).astype(float)
    if task == "count":
        return x, rng.poisson(np.exp(1.2 + 0.4 * z)).astype(float)
    if task == "binary":
        return x, (rng.random(ROWS) < 1 / (1 + np.exp(-z))).astype(float)
    return x, 400.0 + 50.0 * z + 20.0 * rng.normal(size=ROWS)


def frame_of(task: str) -> pl.DataFrame:
    x, y = draw(task)
    names = WALKED if task == "trajectory" else FEATURES
    start = np.datetime64("2024-02-22T20:00", "us")
    moments = start + (np.arange(ROWS) * (100 * 86_400_000_000 // ROWS)).astype("timedelta64[us]")
    frame = pl.DataFrame({"entity": [f"row-{at:04d}" for at in range(ROWS)], "event_time": moments})
    time_of = pl.col("event_time").dt.replace_time_zone("UTC")
    frame = frame.with_columns(event_time=time_of, label=pl.Series(y.tolist()))
    frame = frame.with_columns(
        moment=pl.col("event_time") - pl.duration(hours=1),
        label_known_at=pl.col("event_time") + pl.duration(hours=3),
    )
    columns = dict(zip(names, x.T, strict=True))
    if task == "trajectory":
        columns |= {f"baseline__stays_{at}": x[:, at % 2] for at in range(2 * STEPS)}
    return frame.with_columns(pl.Series(name, each) for name, each in columns.items())


def declare(base: UseCase, task: str, members: dict[str, Any]) -> UseCase:
    features: tuple[str, ...] = FEATURES
    label = base.label.model_dump(mode="json")
    baselines: dict[str, Any] = {"average": {"kind": "base_rate"}}
    metric = {"multiclass": "rps", "regression": "squared_error", "trajectory": "ade"}.get(task, "log_loss")
    if task == "multiclass":
        label |= {"classes": ["home", "draw", "away"]}
    if task == "trajectory":
        features = WALKED
        path = {"columns": ["x", "y"], "walker": ["walker"], "steps": STEPS, "step_seconds": 0.4}
        label |= {"expression": None, "path": path}
        baselines = {"stays": {"kind": "column", "columns": [f"stays_{at}" for at in range(2 * STEPS)]}}
    plain = base.model_dump(mode="json", by_alias=True)
    band = {"column": features[0], "below": 0.0}
    gate = {
        **plain["gate"],
        "metric": metric,
        "slices": {"low": {**band, "max_loss_increase": 0.5, "max_loss": 5000.0}},
        "max_bundle_megabytes": 5.0,
        "max_latency_ms": 50.0,
    }
    span = {"unit": "sd", "low": -50, "high": 50, "missing": "refuse" if task == "trajectory" else "allow"}
    training = {
        "members": members,
        "search": {"trials": 1, "workers": 1, "minutes": 5, "seed": 7},
        "slices": {"low": band, "high": {"column": features[0], "at_least": 0.0}},
        "calibration": "none",
        "interval_coverage": 0.8,
        "min_rows": 300,
        "recency_half_life_days": 10_000,
    }
    split = {"history_days": 400, "fresh_days": 25, "folds": 3, "embargo_hours": 3}
    changed = {"task": task, "label": label, "baselines": baselines, "gate": gate, "training": training}
    return UseCase.model_validate(
        {**plain, **changed, "features": dict.fromkeys(features, span), "split": split}
    )


def put(lake: Lake, frame: pl.DataFrame) -> Reference:
    """Write a snapshot as the features room does."""
    sink, said = io.BytesIO(), {"use_case": "league_demo", "as_of": AS_OF.isoformat(), "code": "planted"}
    frame.write_parquet(sink, metadata=said)
    digest = hashlib.sha256(sink.getvalue()).hexdigest()
    whole = {**said, "rows": frame.height, "columns": frame.columns}
    lake.put(f"snapshots/{digest}/snapshot.json", json.dumps(whole).encode())
    return lake.put(f"snapshots/{digest}/data.parquet", sink.getvalue())


def judged(use_case: UseCase, frame: pl.DataFrame, ours: Contender) -> Case:
    """Against a champion that says what the baseline says."""
    fresh = fresh_rows(use_case, frame, AS_OF)
    baselines = baseline_tables(use_case, frame, fresh, AS_OF)
    weak = next(iter(baselines.values()))
    champion = replace(weak, name="champion (version 1)", bundle_sha256="b" * 64)
    tables = {"challenger": ours.scores(use_case, fresh), "champion": champion}
    masks = slice_masks(use_case, fresh)
    required = required_baselines(use_case)
    verdict = judge(tables["challenger"], tables["champion"], baselines, use_case.gate, required, masks)
    measured = {"megabytes": 0.4, "latency_ms": 7.5, "rounds_ms": [7.4, 7.5], "rows": 300, "why_not": ""}
    data = {
        "use_case": use_case.name,
        "as_of": AS_OF.isoformat(),
        "fresh_from": AS_OF.isoformat(),
        "snapshot": "5" * 64,
        "challenger": ours.described(),
        "champion": {"version": "1", "bundle_sha256": "b" * 64},
        "policy": use_case.gate.model_dump(mode="json"),
        "scores": {"sha256": "c" * 64},
        "measured": measured,
        "leaks": {"features": []},
        "verdict": verdict.to_json(),
    }
    everything = {**tables, **baselines}
    start = time.perf_counter()
    shown = gather(use_case, verdict, fresh, ours, everything)
    seconds = time.perf_counter() - start
    return Case(use_case, fresh, ours, everything, verdict, data, shown, seconds)


def contender(use_case: UseCase, frame: pl.DataFrame, home: Path) -> Contender:
    """The use case's own members, trained on the rows before the fresh ones; no MLflow, no PostgreSQL."""
    settings, lake, folder = Settings(home=home), Lake((home / "lake").as_uri()), home / "bundle"
    ensure_keys(settings.secrets)
    snapshot = put(lake, frame)
    data = rows.read(use_case, snapshot, lake)
    choice = fit.Choice(parameters.space(use_case, None).complete({}), {"overrides": None})
    made = fit.written(use_case, snapshot, data, choice, folder, settings, "ana@example.org")
    bundle = load(made.folder, (settings.secrets / PUBLIC_NAME).read_bytes())
    version = ModelVersion(use_case.name, "2", folder.as_uri(), made.sha256)
    return Contender(version, "challenger", Opened(bundle, made.folder))


def build(task: str, base: UseCase, home: Path) -> Case:
    """Train and judge."""
    frame = frame_of(task)
    boosted = "trees_count" if task == "count" else "xgboost"
    members: dict[str, Any] = {"trees": {"kind": boosted, "fixed": TREES}}
    line: dict[str, Any] = {"line": {"kind": LINES.get(task)}}
    if task == "trajectory":
        members = {"trees": {"kind": "path_residual", "fixed": TREES}}
        line = {"line": {"kind": "constant_velocity"}}
    use_case = declare(base, task, {**members, **line})
    return judged(use_case, frame, contender(use_case, frame, home))
