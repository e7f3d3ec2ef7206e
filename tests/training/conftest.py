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
