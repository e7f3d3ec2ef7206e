"""A real MLflow, a real PostgreSQL, signed bundles, and the real serving app that follows them."""

import base64
import hashlib
import json
import math
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, insert

from pennant.data.lake import Lake
from pennant.declaration.document import read
from pennant.declaration.loader import validated
from pennant.declaration.model import UseCase
from pennant.platform import serving
from pennant.platform.ports import unused_ports
from pennant.registry.models import Models
from pennant.release.canary import Answer
from pennant.release.local import LocalTarget
from pennant.release.policy import Policy, current
from pennant.release.target import Served
from pennant.security.signing import sign
from pennant.settings import REPOSITORY, Settings
from pennant.warehouse.engine import connect
from pennant.warehouse.tables import predictions

_names = count(1)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("release home")
    made = Settings(home=home, mlflow_url=f"sqlite:///{home / 'mlflow.db'}", serving_port=unused_ports(1)[0])
    serving.prepare_keys(made.secrets)
    return made


@pytest.fixture(scope="session")
def models(settings: Settings) -> Models:
    return Models(settings)


@pytest.fixture(scope="session")
def lake(settings: Settings) -> Lake:
    return Lake(settings.lake)


@pytest.fixture(scope="session")
def database(new_warehouse: Callable[[], str]) -> str:
    """URL of the warehouse that all releases of these tests share: its ledger and lake belong together."""
    return new_warehouse()


@pytest.fixture(scope="session")
def warehouse(database: str) -> Iterator[Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


@pytest.fixture
def use_case() -> UseCase:
    """The simulated league under a name of its own, with a canary that five answers are enough for."""
    declared = validated(read(REPOSITORY / "include" / "use_cases" / "league_demo" / "use_case.yaml"))
    plan = declared.release.model_copy(
        update={
            "canary_share": 0.3,
            "min_canary_predictions": 5,
            "max_mean_shift": 0.25,
            "max_error_share": 0.1,
            "canary_deadline_hours": 2.0,
        }
    )
    return declared.model_copy(update={"name": f"league_{next(_names)}", "release": plan})


@pytest.fixture
def versions(models: Models, settings: Settings) -> Callable[[str, int], None]:
    """Registers versions 1..n of a use case, each a signed bundle that answers otherwise."""

    def create(name: str, wanted: int) -> None:
        with models._asking() as client:
            client.create_registered_model(name)
            for number in range(1, wanted + 1):
                folder = settings.home / "bundles" / name / str(number)
                sha256 = write_bundle(folder, name, number / 10, settings)
                tags = {"bundle_sha256": sha256, "bundle_uri": f"file://{folder}"}
                client.create_model_version(name, folder.as_uri(), tags=tags)

    return create


@pytest.fixture
def named_versions(models: Models) -> Callable[[str, int], None]:
    """Registers versions 1..n whose bundles nobody reads, for targets that load nothing."""

    def create(name: str, wanted: int) -> None:
        with models._asking() as client:
            client.create_registered_model(name)
            for number in range(1, wanted + 1):
                uri = f"file:///bundles/{name}/{number}"
                tags = {"bundle_sha256": f"{number:064d}", "bundle_uri": uri}
                client.create_model_version(name, uri, tags=tags)

    return create


def write_bundle(folder: Path, use_case: str, intercept: float, settings: Settings) -> str:
    """A logistic bundle with one input, signed with this installation's key; returns its hash."""
    moment = "2025-01-01T00:00:00+00:00"
    member = {"impute": [0.0], "mean": [0.0], "scale": [1.0], "coef": [1.0], "intercept": intercept}
    manifest = {
        "format": 1,
        "use_case": use_case,
        "task": "binary",
        "as_of": moment,
        "trained_until": moment,
        "inputs": [{"name": "x", "dtype": "float64", "unit": "1", "low": -9, "high": 9, "missing": "refuse"}],
        "members": [{"name": "linear", "kind": "logistic", "file": "members/linear.json", "weight": 1.0}],
        "calibration": {"method": "none"},
        "intervals": {"coverage": 0.9, "method": "member_and_fold_spread", "half_width_logit": 0.5},
        "snapshot": "0" * 64,
        "code_commit": "test",
        "author": "test",
    }
    inputs = [-1.0, 0.0, 1.0]
    (folder / "members").mkdir(parents=True)
    (folder / "members" / "linear.json").write_text(json.dumps(member))
    (folder / "bundle.json").write_text(json.dumps(manifest))
    (folder / "explain.json").write_text(json.dumps({"importances": {"x": 0.5}}))

    def answers(shift: float) -> list[float]:
        return [1 / (1 + math.exp(-(intercept + each + shift))) for each in inputs]

    golden = {
        "x": inputs,
        "expected": answers(0),
        "expected_low": answers(-0.5),
        "expected_high": answers(0.5),
    }
    reference = {"x": inputs, "prediction": answers(0), "label": [0.0, 1.0, 1.0]}
    pq.write_table(pa.table(golden), folder / "golden.parquet")
    pq.write_table(pa.table(reference), folder / "reference.parquet")
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    lines = (
        f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.relative_to(folder).as_posix()}\n"
        for each in files
    )
    sums = "".join(lines).encode()
    (folder / "SHA256SUMS").write_bytes(sums)
    signature = sign(settings.secrets / "signing.key", sums)
    assert base64.b64decode(signature)
    (folder / "signature").write_text(signature)
    return hashlib.sha256(sums).hexdigest()


@pytest.fixture
def answered(warehouse: Engine) -> Callable[[Policy, str, Sequence[Answer]], None]:
    """Logs predictions of an arm, as the serving app does."""

    def log(policy: Policy, arm: str, answers: Sequence[Answer]) -> None:
        now = datetime.now(UTC)
        rows = [
            {
                "day": now.date(),
                "prediction_id": f"{policy.id} {arm} {number}",
                "use_case": policy.use_case,
                "entity": f"game {number}",
                "version": policy.versions[arm],
                "arm": arm,
                "policy_id": policy.id,
                "features": {},
                "prediction": each.prediction,
                "low": each.low,
                "high": each.high,
                "answered_at": now,
            }
            for number, each in enumerate(answers)
        ]
        with warehouse.begin() as connection:
            connection.execute(insert(predictions), rows)

    return log


class RecordingTarget:
    """Follows the newest policy when it is told to, as every target does, and keeps count."""

    def __init__(self, warehouse: Engine) -> None:
        self.warehouse = warehouse
        self.following: dict[str, Policy] = {}
        self.applied: list[int] = []

    def apply(self, policy: Policy) -> None:
        newest = current(self.warehouse, policy.use_case)
        assert newest == policy, "a target is only ever asked to serve the policy in force"
        self.following[policy.use_case] = policy
        self.applied.append(policy.id)

    def served(self, use_case: str) -> Served:
        policy = self.following.get(use_case)
        return Served(policy.id, policy.versions, ready=True) if policy else Served(None, {}, ready=False)


@pytest.fixture
def recording(warehouse: Engine) -> RecordingTarget:
    return RecordingTarget(warehouse)


@pytest.fixture(scope="session")
def local(settings: Settings, database: str) -> Iterator[LocalTarget]:
    """The local target with the real serving app behind it."""
    log = settings.home / "serving.log"
    given = serving.environment(settings, database) | {"PENNANT_SERVING_POLL_SECONDS": "3600"}
    with log.open("wb") as output:
        process = subprocess.Popen(serving.command(), env=given, stdout=output, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(timeout=5) as client:
            deadline = time.monotonic() + 60
            while (reason := serving.unhealthy(settings.serving, client)) is not None:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, reason
                time.sleep(0.05)
        yield LocalTarget(settings)
    finally:
        process.terminate()
        process.wait(30)
