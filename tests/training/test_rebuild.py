"""A version is trained again from what its bundle names: the same comes out, or it is said what does not."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

from pennant.cli.rebuild import register
from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.reference import Reference
from pennant.registry.models import Models, ModelVersion
from pennant.security.signing import ensure_keys
from pennant.settings import Settings
from pennant.training import provenance, rebuild, search
from pennant.training.fit import fit
from pennant.training.losses import Floats
from pennant.training.members.xgboost import XGBoost

ONE_SHARD = {"trials": 3, "workers": 1, "minutes": 5, "seed": 7}


def bent(x: Floats) -> Floats:
    """A truth that is half a line and half steps, so that both members ship."""
    return np.asarray(0.8 * x[:, 0] + np.where(np.abs(x[:, 1]) < 0.7, 1.5, -1.0))


@dataclass(frozen=True)
class Trained:
    """A version in MLflow, and all that made it."""

    use_case: UseCase
    version: ModelVersion
    lake: Lake
    models: Models
    settings: Settings
    snapshot: Reference

    def again(self, use_case: UseCase | None = None, lake: Lake | None = None) -> rebuild.Rebuilt:
        return rebuild.rebuild(use_case or self.use_case, self.version, lake or self.lake, self.settings)


@pytest.fixture(scope="module", autouse=True)
def one_commit() -> Iterator[None]:
    """Whoever commits while the tests run changes what trained; a test that wants it changes it itself."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(provenance, "code_commit", lambda: "a" * 40)
        yield


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, planted: Any, declared: Any, new_database: Callable[[], str]
) -> Trained:
    home = tmp_path_factory.mktemp("rebuilt")
    settings = Settings(home=home / "home", mlflow_url=f"sqlite:///{home / 'mlflow.db'}")
    ensure_keys(settings.secrets)
    lake, url = Lake(settings.lake), new_database()
    use_case = declared(
        search=ONE_SHARD,
        ensemble="best",
        calibration="best",
        slices={"strong": {"column": "strength", "at_least": 0.0}},
    )
    snapshot = planted(rows=800, truth=bent).put(lake)
    plan = search.prepare(use_case, snapshot, lake, url)
    search.run_shard(use_case, snapshot, lake, url, plan.study, 0)
    made = fit(use_case, snapshot, lake, url, plan.study, home / "bundle", settings, "ana@example.org")
    models = Models(settings)
    version = models.register(made.folder, use_case.name, made.metrics, {}, snapshot.sha256)
    return Trained(use_case, version, lake, models, settings, snapshot)


def test_the_same_snapshot_and_parameters_give_the_same_bundle_without_a_study(trained: Trained) -> None:
    made = trained.again()
    assert made.outcome == "equal"
    assert made.bundle_sha256 == made.rebuilt_sha256 == trained.version.bundle_sha256
    assert (made.files, made.made_by, made.fields, made.metrics) == ([], {}, {}, {})
    assert made.largest_difference == 0.0


def test_another_commit_and_other_packages_that_change_nothing_are_equal_and_told(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "code_commit", lambda: "f" * 40)
    versions = {**provenance.packages(), "numpy": "99.0"}
    monkeypatch.setattr(provenance, "packages", lambda *_: versions)
    made = trained.again()
    assert made.outcome == "equal"
    assert made.bundle_sha256 != made.rebuilt_sha256
    assert made.made_by["code_commit"][1] == "f" * 40
    assert made.made_by["packages.numpy"][1] == "99.0"


def test_a_member_that_fits_otherwise_is_different_and_by_how_much(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = XGBoost.fit

    def otherwise(self: Any, x: Any, y: Any, weight: Any, parameters: Any, *rest: Any) -> Any:
        return original(self, x, y, weight, {**parameters, "n_estimators": 3}, *rest)

    monkeypatch.setattr(XGBoost, "fit", otherwise)
    made = trained.again()
    assert made.outcome == "different"
    assert "members/trees.ubj" in made.files
    assert made.largest_difference > 1e-4
    assert any(name.startswith("metrics.oof.") for name in made.metrics)


def test_a_number_that_no_prediction_shows_leaves_the_predictions_the_same(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pennant.training.bundle.EXPLAINED_ROWS", 50)
    made = trained.again()
    assert (made.outcome, made.files) == ("same_predictions", ["explain.json"])


def test_a_changed_declaration_is_refused_with_its_fields(trained: Trained, declared: Any) -> None:
    said = trained.use_case.model_dump(mode="json", by_alias=True)
    said["training"]["calibration"] = "platt"
    said["features"]["form"]["high"] = 11.0
    with pytest.raises(rebuild.DeclarationChanged) as caught:
        trained.again(use_case=UseCase.model_validate(said))
    assert caught.value.fields == {
        "training.calibration": ["best", "platt"],
        "features.form.high": [10.0, 11.0],
    }


def test_a_snapshot_that_is_not_in_the_lake_is_named(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(rebuild.SnapshotGone) as caught:
        trained.again(lake=Lake(tmp_path.as_uri()))
    assert caught.value.sha256 == trained.snapshot.sha256


def test_a_bundle_with_one_byte_changed_is_not_rebuilt(trained: Trained, tmp_path: Path) -> None:
    wrong = replace(trained.version, bundle_sha256="0" * 64)
    with pytest.raises(rebuild.BundleUnusable) as caught:
        rebuild.rebuild(trained.use_case, wrong, trained.lake, replace(trained.settings, home=tmp_path))
    assert caught.value.reason == "identity"


class TestCommand:
    @pytest.fixture
    def run(self, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        folder = tmp_path / "use_cases" / trained.use_case.name
        folder.mkdir(parents=True)
        declaration = trained.use_case.model_dump(mode="json", by_alias=True, exclude_none=True)
        declaration["gate"]["slices"] = {}  # of features that the planted league does not have
        (folder / "features.py").write_text('"""Planted: its snapshot is there already."""\n')
        (folder / "use_case.yaml").write_text(yaml.safe_dump(declaration, sort_keys=False))
        monkeypatch.setenv("PENNANT_HOME", str(trained.settings.home))
        monkeypatch.setenv("PENNANT_MLFLOW_URL", trained.settings.mlflow_url)
        monkeypatch.setenv("PENNANT_USE_CASES", str(tmp_path / "use_cases"))
        app = typer.Typer()
        app.callback()(lambda: None)
        register(app)
        return lambda *given: CliRunner().invoke(app, ["rebuild", trained.use_case.name, *given])

    def test_it_succeeds_only_where_the_same_comes_out(
        self, run: Any, trained: Trained, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = run(trained.version.version, "--json")
        assert made.exit_code == 0, made.output
        assert json.loads(made.stdout)["outcome"] == "equal"
        monkeypatch.setattr("pennant.training.bundle.EXPLAINED_ROWS", 50)
        made = run(trained.version.version)
        assert made.exit_code == 3
        assert "explain.json" in made.stdout

    def test_an_unknown_version_names_those_there_are(self, run: Any) -> None:
        made = run("77")
        assert made.exit_code == 1
        assert "there is no version '77'" in str(made.exception)
