"""A league whose truth is known, as a snapshot in a lake."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from pennant.data.lake import Lake
from pennant.declaration.loader import load
from pennant.declaration.model import UseCase
from pennant.reference import Reference
from pennant.security.signing import ensure_keys
from pennant.settings import REPOSITORY, Settings
from pennant.training.losses import Floats, expit

START = datetime(2023, 1, 1, tzinfo=UTC)
TRAINING_DAYS, FRESH_DAYS = 300, 14
AS_OF = START + timedelta(days=TRAINING_DAYS + FRESH_DAYS)
FEATURES = ("strength", "form", "rest", "noise")


def linear_truth(x: Floats) -> Floats:
    """Logit of the planted probability."""
    return np.asarray(0.9 * x[:, 0] - 0.5 * x[:, 1] + 0.2 * x[:, 2] + 0.1)


@dataclass(frozen=True)
class League:
    """A planted snapshot."""

    frame: pl.DataFrame
    truth: Callable[[Floats], Floats]
    as_of: datetime = AS_OF

    def put(self, lake: Lake) -> Reference:
        """Write the snapshot as the features room does."""
        identity = {"use_case": "league_demo", "as_of": self.as_of.isoformat(), "code": "planted"}
        sink = io.BytesIO()
        pq.write_table(self.frame.to_arrow().replace_schema_metadata(identity), sink)
        digest = hashlib.sha256(sink.getvalue()).hexdigest()
        described = {**identity, "rows": self.frame.height, "columns": self.frame.columns}
        lake.put(f"snapshots/{digest}/snapshot.json", json.dumps(described).encode())
        return lake.put(f"snapshots/{digest}/data.parquet", sink.getvalue())


def plant(
    rows: int = 1500,
    seed: int = 0,
    truth: Callable[[Floats], Floats] = linear_truth,
    missing_share: float = 0.0,
) -> League:
    """Rows evenly over training and fresh days, features standard normal, labels drawn from the truth."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, len(FEATURES)))
    label = (rng.random(rows) < expit(truth(x))).astype(float)
    x[rng.random(rows) < missing_share, 2] = np.nan
    span = AS_OF - START - timedelta(hours=4)
    event_time = [START + span * (index / rows) for index in range(rows)]
    frame = pl.DataFrame(
        {
            "entity": [f"game-{index:06d}" for index in range(rows)],
            "event_time": pl.Series(event_time, dtype=pl.Datetime("us", "UTC")),
        }
    ).with_columns(
        (pl.col("event_time") - timedelta(hours=1)).alias("moment"),
        pl.Series("label", label),
        (pl.col("event_time") + timedelta(hours=3)).alias("label_known_at"),
        *(pl.Series(name, column) for name, column in zip(FEATURES, x.T, strict=True)),
        pl.lit(0.5).alias("baseline__elo_probability"),
    )
    return League(frame, truth)


def declare(features: tuple[str, ...] = FEATURES, **training: object) -> UseCase:
    """league_demo with planted features and a small search; `training` replaces parts of it."""
    base = load(REPOSITORY / "include" / "use_cases" / "league_demo")
    search = {
        "trees": {
            "max_depth": {"low": 1, "high": 3, "kind": "int"},
            "learning_rate": {"low": 0.03, "high": 0.3, "log": True},
            "n_estimators": {"low": 10, "high": 40, "kind": "int"},
        },
        "linear": {"c": {"low": 0.01, "high": 10, "log": True}},
    }
    kinds = {"trees": "xgboost", "linear": "logistic"}
    changes: dict[str, object] = {
        "features": {
            name: {
                "unit": "sd",
                "low": -10,
                "high": 10,
                "missing": "refuse" if name == "strength" else "allow",
            }
            for name in features
        },
        "split": {"history_days": 400, "fresh_days": FRESH_DAYS, "folds": 3, "embargo_hours": 3},
        "training": {
            "members": {name: {"kind": kinds[name], "search": each} for name, each in search.items()},
            "search": {"trials": 6, "workers": 2, "minutes": 5, "seed": 7},
            "calibration": "platt",
            "interval_coverage": 0.9,
            "min_rows": 300,
            "recency_half_life_days": 10_000,
            **training,
        },
    }
    return UseCase.model_validate({**base.model_dump(mode="json", by_alias=True), **changes})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake((tmp_path / "lake").as_uri())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(home=tmp_path / "home")
    ensure_keys(made.secrets)
    return made


@pytest.fixture(scope="session")
def planted() -> Callable[..., League]:
    return plant


@pytest.fixture(scope="session")
def declared() -> Callable[..., UseCase]:
    return declare


TASK_MEMBERS: dict[str, dict[str, object]] = {
    "binary": {
        "trees": {"kind": "xgboost", "fixed": {"max_depth": 2, "n_estimators": 30}},
        "linear": {"kind": "logistic"},
    },
    "multiclass": {
        "trees": {"kind": "xgboost", "fixed": {"max_depth": 2, "n_estimators": 30}},
        "linear": {"kind": "logistic"},
    },
    "count": {
        "splines": {"kind": "poisson"},
        "trees": {"kind": "trees_count", "fixed": {"max_depth": 2, "n_estimators": 40}},
    },
    "regression": {
        "trees": {"kind": "xgboost", "fixed": {"max_depth": 2, "n_estimators": 60}},
        "linear": {"kind": "ridge"},
    },
    "trajectory": {
        "straight": {"kind": "constant_velocity"},
        "trees": {"kind": "path_residual", "fixed": {"max_depth": 2, "n_estimators": 15}},
    },
}
WALKED = ("position_x", "position_y", "back_x_1", "back_y_1", "back_x_2", "back_y_2")
STEPS = 3


@dataclass(frozen=True)
class Planted:
    """A task of known truth: rows of it, and a declaration that trains on them.

    Attributes:
        task: its kind.
        uneven: labels of a number spread five times as far where `strength` is above 0.
    """

    task: str
    uneven: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        return WALKED if self.task == "trajectory" else FEATURES

    def draw(self, rows: int, seed: int, widen: float = 0.0) -> tuple[Floats, Floats]:
        """Features and labels; noise is `1 + widen` times as large in the last row as in the first."""
        rng = np.random.default_rng(seed)
        growth = 1.0 + widen * np.linspace(0.0, 1.0, rows)
        if self.task == "trajectory":
            here, step = rng.uniform(-5, 5, (rows, 2)), rng.normal(0.4, 0.2, (rows, 2))
            noise = rng.normal(0.0, 0.1, (rows, STEPS, 2)).cumsum(axis=1) * growth[:, None, None]
            future = here[:, None] + step[:, None] * np.arange(1, STEPS + 1)[None, :, None] + noise
            return np.hstack([here, -step, -2 * step]), future.reshape(rows, -1)
        x = rng.normal(size=(rows, len(FEATURES)))
        z = linear_truth(x)
        if self.task == "binary":
            return x, (rng.random(rows) < expit(z)).astype(float)
        if self.task == "multiclass":
            shares = np.exp(np.column_stack([z, np.zeros(rows), -z]))
            below = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
            return x, (rng.random(rows)[:, None] > below).sum(axis=1).astype(float)
        if self.task == "count":
            return x, rng.negative_binomial(4, 4 / (4 + np.exp(1.2 + 0.4 * z))).astype(float)
        spread = np.where(x[:, 0] > 0, 2.0, 0.4) if self.uneven else np.ones(rows)
        return x, 2.0 * z + spread * growth * rng.normal(size=rows)

    def league(self, rows: int = 1200, seed: int = 0, widen: float = 0.0) -> League:
        """The rows of `draw` in time, as a snapshot."""
        x, y = self.draw(rows, seed, widen)
        plain = plant(rows).frame.drop(*FEATURES, "label", strict=False)
        label = pl.Series("label", y.tolist() if y.ndim > 1 else y)
        columns = [pl.Series(name, column) for name, column in zip(self.features, x.T, strict=True)]
        return League(plain.with_columns(label, *columns), linear_truth)

    def declare(self, **training: object) -> UseCase:
        """league_demo as this task, nothing searched; `training` replaces parts of it."""
        search = {"trials": 1, "workers": 1, "minutes": 5, "seed": 7}
        plain = {"members": TASK_MEMBERS[self.task], "search": search, "calibration": "none"}
        base = declare(self.features, **{**plain, **training})
        label = base.label.model_dump(mode="json")
        if self.task == "multiclass":
            label |= {"classes": ["home", "draw", "away"]}
        if self.task == "trajectory":
            path = {"columns": ["x", "y"], "walker": ["walker"], "steps": STEPS, "step_seconds": 0.4}
            label |= {"expression": None, "path": path}
        needed = WALKED[:2] if self.task == "trajectory" else ()
        features = {
            name: {
                "unit": "metres or sd",
                "low": -50,
                "high": 50,
                "missing": "refuse" if name in needed else "allow",
            }
            for name in self.features
        }
        changes = {"task": self.task, "label": label, "features": features}
        return UseCase.model_validate({**base.model_dump(mode="json", by_alias=True), **changes})


@pytest.fixture(scope="session")
def planted_task() -> type[Planted]:
    return Planted
