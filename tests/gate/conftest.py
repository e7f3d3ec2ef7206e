"""Score tables with planted truth, and one real stage: lake, MLflow, PostgreSQL and trained bundles."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine

from pennant.data.lake import Lake
from pennant.declaration.loader import load
from pennant.declaration.model import Gate, UseCase
from pennant.gate.tables import Floats, ScoreTable, Unscorable
from pennant.gate.verdict import Verdict, judge
from pennant.reference import Reference
from pennant.registry.models import Models, ModelVersion
from pennant.security.signing import ensure_keys
from pennant.settings import REPOSITORY, Settings

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
FEATURES = ("strength", "form", "rest", "noise")


def policy_of(**changes: object) -> Gate:
    """A gate policy; `changes` replaces parts of it."""
    base: dict[str, object] = {
        "metric": "log_loss",
        "policy": "superiority",
        "margin": 0.0,
        "alpha": 0.05,
        "min_rows": 150,
        "max_calibration_error": 0.12,
        "approval": "none",
    }
    return Gate.model_validate({**base, **changes})


@pytest.fixture
def policy() -> Gate:
    return policy_of()


def planted_frame(rows: int = 2600, seed: int = 5) -> pl.DataFrame:
    """A snapshot whose label depends on strength and, turned by rest, on form; 26 rows a day."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, len(FEATURES)))
    logit = 1.2 * x[:, 0] - 1.3 * np.where(x[:, 2] > 0, x[:, 1], -x[:, 1]) + 0.1
    label = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(float)
    x[rng.random(rows) < 0.03, 3] = np.nan
    start = AS_OF - timedelta(days=100, hours=4)
    event_time = [start + timedelta(days=100) * (at / rows) for at in range(rows)]
    rating = 1 / (1 + np.exp(-0.5 * x[:, 0]))
    holed = [None if at % 11 == 0 else float(value) for at, value in enumerate(rating)]
    return pl.DataFrame(
        {
            "entity": [f"game-{at:05d}" for at in range(rows)],
            "event_time": pl.Series(event_time, dtype=pl.Datetime("us", "UTC")),
        }
    ).with_columns(
        (pl.col("event_time") - timedelta(hours=1)).alias("moment"),
        pl.Series("label", label),
        (pl.col("event_time") + timedelta(hours=3)).alias("label_known_at"),
        *(pl.Series(name, column) for name, column in zip(FEATURES, x.T, strict=True)),
        pl.Series("baseline__elo_probability", holed, dtype=pl.Float64),
    )


def declared(features: tuple[str, ...] = FEATURES, **gate: object) -> UseCase:
    """league_demo on planted features; `gate` replaces parts of its policy."""
    base = load(REPOSITORY / "include" / "use_cases" / "league_demo").model_dump(mode="json", by_alias=True)
    slices = {"rested": {"column": "rest", "at_least": 1.0, "max_loss_increase": 0.1}}
    changes = {
        "features": {name: {"unit": "sd", "low": -9, "high": 9, "missing": "allow"} for name in features},
        "split": {"history_days": 400, "fresh_days": 20, "folds": 3, "embargo_hours": 3},
        "baselines": {
            "base_rate": {"kind": "base_rate"},
            "elo": {"kind": "column", "column": "elo_probability"},
            "market": {"kind": "column", "column": "elo_probability", "required": False},
        },
        "gate": {**base["gate"], "slices": slices, **gate},
    }
    return UseCase.model_validate({**base, **changes})


@dataclass(frozen=True)
class Truth:
    """Rows whose true logits `z` are known."""

    entity: NDArray[np.str_]
    event_time: NDArray[np.datetime64]
    z: Floats
    label: Floats

    def table(self, name: str, prediction: Floats, bundle: str = "") -> ScoreTable:
        return ScoreTable(name, self.entity, self.event_time, self.label, prediction, bundle)

    def skilled(self, name: str = "challenger", bundle: str = "a" * 64) -> ScoreTable:
        """Says the true probability."""
        return self.table(name, sigmoid(self.z), bundle)

    def unskilled(self, name: str = "champion", bundle: str = "b" * 64) -> ScoreTable:
        """Says little more than a half."""
        return self.table(name, sigmoid(0.1 * self.z), bundle)

    def base_rate(self) -> ScoreTable:
        return self.table("base_rate", np.full(len(self.z), 0.5))


def sigmoid(z: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-z)), dtype=np.float64)


def plant(rows: int = 400, days: int = 40, seed: int = 3) -> Truth:
    """Rows spread evenly over days, with strong true logits."""
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.standard_normal(rows)
    label = (rng.random(rows) < sigmoid(z)).astype(float)
    day = np.arange(rows) * days // max(rows, 1)
    event_time = np.datetime64("2024-02-01T18:00", "us") + day.astype("timedelta64[D]")
    return Truth(np.array([f"game-{at:04d}" for at in range(rows)], dtype=np.str_), event_time, z, label)


def decide(
    challenger: ScoreTable | Unscorable,
    champion: ScoreTable | Unscorable | None,
    baselines: Sequence[ScoreTable],
    policy: Gate,
) -> Verdict:
    """Judge with every baseline required, and no slices."""
    tables = {each.name: each for each in baselines}
    return judge(challenger, champion, tables, policy, sorted(tables), {})


@pytest.fixture(scope="session")
def truth() -> Truth:
    return plant()


@pytest.fixture(scope="session")
def planting() -> Callable[..., Truth]:
    return plant


@pytest.fixture(scope="session")
def deciding() -> Callable[..., Verdict]:
    return decide


@pytest.fixture(scope="session")
def declaring() -> Callable[..., UseCase]:
    return declared


@pytest.fixture(scope="session")
def policy_with() -> Callable[..., Gate]:
    return policy_of


@pytest.fixture(scope="session")
def frame() -> pl.DataFrame:
    return planted_frame()


@dataclass(frozen=True)
class Stage:
    """What a real judgement needs, with a good and a poor model trained on the same snapshot."""

    settings: Settings
    lake: Lake
    models: Models
    warehouse: Engine
    use_case: UseCase
    snapshot: Reference
    good: ModelVersion
    poor: ModelVersion


def put_snapshot(lake: Lake, frame: pl.DataFrame, as_of: datetime = AS_OF) -> Reference:
    """Write a snapshot as the features room does."""
    sink = io.BytesIO()
    said = {"use_case": "league_demo", "as_of": as_of.isoformat(), "code": "planted"}
    frame.write_parquet(sink, metadata=said)
    digest = hashlib.sha256(sink.getvalue()).hexdigest()
    whole = {**said, "rows": frame.height, "columns": frame.columns}
    lake.put(f"snapshots/{digest}/snapshot.json", json.dumps(whole).encode())
    return lake.put(f"snapshots/{digest}/data.parquet", sink.getvalue())


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, new_warehouse: Callable[[], str]) -> Iterator[Stage]:
    from pennant.training.fit import fit
    from pennant.training.search import prepare, run_shard
    from pennant.warehouse.engine import connect

    home = tmp_path_factory.mktemp("gate home")
    settings = Settings(home=home, mlflow_url=f"sqlite:///{home / 'mlflow.db'}")
    ensure_keys(settings.secrets)
    lake, models, url = Lake(settings.lake), Models(settings), new_warehouse()
    snapshot = put_snapshot(lake, planted_frame())
    by_hand = {"trees": {"n_estimators": 60, "max_depth": 3, "learning_rate": 0.1}, "linear": {"c": 1.0}}

    def train(features: tuple[str, ...], folder: Path) -> ModelVersion:
        use_case = declared(features)
        plan = prepare(use_case, snapshot, lake, url, by_hand)
        for shard in plan.shards:
            run_shard(use_case, snapshot, lake, url, plan.study, shard)
        made = fit(use_case, snapshot, lake, url, plan.study, folder, settings, "ana@example.org", by_hand)
        return models.register(made.folder, use_case.name, made.metrics, {}, snapshot.sha256)

    good, poor = train(FEATURES, home / "good"), train(("rest", "noise"), home / "poor")
    engine = connect(url)
    yield Stage(settings, lake, models, engine, declared(), snapshot, good, poor)
    engine.dispose()
