"""Models: the same bundle is one version, found again where serving can read it."""

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from pennant.registry.errors import ArtifactsUnreachable, BundleIncomplete, RegistryDown, VersionUnknown
from pennant.registry.models import Models, ModelVersion
from pennant.settings import Settings


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder of the bundle's shape; what is in its files is not MLflow's business."""
    folder = tmp_path / "a bundle"
    (folder / "members").mkdir(parents=True)
    (folder / "bundle.json").write_text(json.dumps({"format": 1}))
    (folder / "members" / "trees.ubj").write_bytes(tmp_path.name.encode())
    (folder / "SHA256SUMS").write_text(f"{tmp_path.name}  members/trees.ubj\n")
    (folder / "signature").write_text("x")
    return folder


def _register(models: Models, bundle: Path, name: str) -> ModelVersion:
    metrics = {"log_loss": 0.5, "folds": {"1": 0.4}, "kind": "text", "bad": float("nan")}
    return models.register(bundle, name, metrics, {"author": "ann"}, "5" * 64)


def test_the_same_bundle_is_registered_once(models: Models, bundle: Path) -> None:
    first = _register(models, bundle, "once")
    assert _register(models, bundle, "once") == first
    assert first.bundle_sha256 == hashlib.sha256((bundle / "SHA256SUMS").read_bytes()).hexdigest()
    assert models.version("once", first.version) == first
    assert first.tags["author"] == "ann"
    assert first.tags["snapshot_sha256"] == "5" * 64


def test_another_bundle_is_another_version(models: Models, bundle: Path) -> None:
    first = _register(models, bundle, "twice")
    (bundle / "SHA256SUMS").write_text("other")
    assert int(_register(models, bundle, "twice").version) == int(first.version) + 1


def test_the_bundle_of_a_version_is_read_without_mlflow(models: Models, bundle: Path) -> None:
    uri = _register(models, bundle, "readable").bundle_uri
    files, root = fsspec.core.url_to_fs(uri)
    assert uri.startswith("file://")
    assert " " in uri, "the home of this test has a space in its name"
    for path in ("bundle.json", "SHA256SUMS", "members/trees.ubj", "signature"):
        assert files.cat_file(f"{root}/{path}") == (bundle / path).read_bytes()


def test_mlflow_knows_how_to_load_it_and_it_holds_no_pickle(models: Models, bundle: Path) -> None:
    version = _register(models, bundle, "loadable")
    _, root = fsspec.core.url_to_fs(version.bundle_uri)
    logged = Path(root).parents[1]
    assert "loader_module: pennant_serving.flavor" in (logged / "MLmodel").read_text()
    assert [each for each in logged.rglob("*") if each.suffix in {".pkl", ".pickle", ".joblib"}] == []


def test_two_registrations_at_once_agree_on_one_version(models: Models, bundle: Path) -> None:
    found: list[str] = []
    ready = threading.Barrier(2)

    def register() -> None:
        ready.wait()
        found.append(_register(models, bundle, "race").version)

    threads = [threading.Thread(target=register) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 2
    assert len(set(found)) == 1


def test_a_report_lies_beside_the_run_of_its_version(models: Models, bundle: Path) -> None:
    version = _register(models, bundle, "reported")
    models.log_report(version, {"gate/evidence.html": b"<p>better</p>"})
    with models._asking() as client:
        run = client.get_run(client.get_model_version("reported", version.version).run_id)
        assert [each.path for each in client.list_artifacts(run.info.run_id, "reports/gate")] == [
            "reports/gate/evidence.html"
        ]
    assert run.data.metrics == {"log_loss": 0.5, "folds.1": 0.4}


def test_tags_are_set_on_the_version(models: Models, bundle: Path) -> None:
    version = _register(models, bundle, "tagged")
    models.tag(version, {"verdict": "promote"})
    assert models.version("tagged", version.version).tags["verdict"] == "promote"


def test_a_folder_that_is_no_bundle_is_refused(models: Models, tmp_path: Path) -> None:
    with pytest.raises(BundleIncomplete) as caught:
        _register(models, tmp_path, "empty")
    assert caught.value.missing == "bundle.json"


def test_a_model_that_nobody_registered_has_no_aliases(models: Models, model: Callable[[int], str]) -> None:
    assert models.alias("nobody", "champion") is None
    assert models.alias(model(1), "champion") is None
    with pytest.raises(VersionUnknown) as caught:
        models.version("nobody", "1")
    assert caught.value.allowed == []


def test_artifacts_that_only_mlflow_can_read_are_refused(models: Models, bundle: Path) -> None:
    with models._asking() as client:
        client.create_experiment("proxied", artifact_location="mlflow-artifacts:/proxied")
    with pytest.raises(ArtifactsUnreachable) as caught:
        _register(models, bundle, "proxied")
    assert caught.value.found == "mlflow-artifacts:/proxied"


def test_a_registry_that_is_down_is_named(
    models: Models, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://127.0.0.1:{free_port}"
    with pytest.raises(RegistryDown) as caught:
        Models(Settings(home=models.settings.home, mlflow_url=address)).held("any")
    assert caught.value.address == address
