"""Model versions in MLflow: bundles logged, registered once, and found again.

MLflow takes four seconds to import, so it is imported by the methods that talk to it. Aliases are
moved by `pennant.registry.aliases` only; the methods for that have a leading underscore here.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sqlalchemy import make_url

from pennant.registry.errors import ArtifactsUnreachable, BundleIncomplete, RegistryDown, VersionUnknown
from pennant.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

LEDGER_TAG = "pennant.ledger"
"""Tag of a registered model: `<seq>:<hash>` of the newest ledger entry that its aliases follow."""
_SHA, _URI = "bundle_sha256", "bundle_uri"
_ABSENT = "RESOURCE_DOES_NOT_EXIST"
_PRESENT = "RESOURCE_ALREADY_EXISTS"


@dataclass(frozen=True)
class ModelVersion:
    """One registered bundle.

    Attributes:
        use_case: name of the use case and of the registered model.
        version: MLflow's version number, as text.
        bundle_uri: fsspec URI of the folder that holds bundle.json.
        bundle_sha256: sha256 of the bundle's SHA256SUMS.
        tags: every tag of the version.
    """

    use_case: str
    version: str
    bundle_uri: str
    bundle_sha256: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AliasesHeld:
    """Where MLflow's aliases point, and the seq of the ledger entry they were last brought to."""

    aliases: dict[str, str]
    ledger_seq: int


class Models:
    """The registered models of one MLflow server (or database: `sqlite:///...`)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def register(
        self,
        bundle_folder: Path,
        use_case_name: str,
        metrics: Mapping[str, object],
        tags: Mapping[str, str],
        snapshot_sha256: str,
    ) -> ModelVersion:
        """Log the bundle as a pyfunc model and register it; the same bundle gives the same version.

        Args:
            bundle_folder: folder with bundle.json, SHA256SUMS and what they list.
            use_case_name: registered model and experiment.
            metrics: numbers, shown in MLflow's run; inner tables become dotted names, the rest is left out.
            tags: tags of the version.
            snapshot_sha256: the training snapshot's content hash, kept as a tag.

        Raises:
            BundleIncomplete: the folder is no bundle.
            ArtifactsUnreachable: the experiment keeps its files where only MLflow can read them.
            RegistryDown: MLflow did not answer.
        """
        for name in ("bundle.json", "SHA256SUMS"):
            if not (bundle_folder / name).is_file():
                raise BundleIncomplete(str(bundle_folder), name)
        sha256 = hashlib.sha256((bundle_folder / "SHA256SUMS").read_bytes()).hexdigest()
        with self._asking() as client:
            found = self._registered(client, use_case_name, sha256)
            if found:
                return found[0]
            run_id, model_id, uri = self._log(client, bundle_folder, use_case_name, sha256, metrics)
            _create(lambda: client.create_registered_model(use_case_name))
            given = {**tags, _SHA: sha256, _URI: uri, "snapshot_sha256": snapshot_sha256}
            made = client.create_model_version(
                use_case_name,
                f"models:/{model_id}",
                run_id,
                {k: str(v) for k, v in given.items()},
                # A tracking server asks for it by name beside the source; a database does not.
                model_id=model_id,
            )
            first = self._registered(client, use_case_name, sha256)[0]
            if str(made.version) != first.version:
                # Two processes registered the same bundle at once: both keep the lower version.
                client.delete_model_version(use_case_name, str(made.version))
            return first

    def version(self, use_case: str, version: str) -> ModelVersion:
        """Look a version up.

        Raises:
            VersionUnknown: there is no such version; says which there are.
            RegistryDown: MLflow did not answer.
        """
        from mlflow.exceptions import MlflowException

        with self._asking() as client:
            try:
                if str(version).isdecimal():
                    return _read(client.get_model_version(use_case, str(version)))
            except MlflowException as error:
                if error.error_code != _ABSENT:
                    raise
            known = sorted((int(each.version) for each in _search(client, use_case)), reverse=True)
            raise VersionUnknown(use_case, str(version), [str(each) for each in known[:20]])

    def alias(self, use_case: str, alias: str) -> ModelVersion | None:
        """Look up the version that MLflow's alias points at; None when it points at none."""
        held = self.held(use_case).aliases.get(alias)
        return None if held is None else self.version(use_case, held)

    def held(self, use_case: str) -> AliasesHeld:
        """Where the aliases point; nothing for a model that was never registered."""
        from mlflow.exceptions import MlflowException

        with self._asking() as client:
            try:
                model = client.get_registered_model(use_case)
            except MlflowException as error:
                if error.error_code != _ABSENT:
                    raise
                return AliasesHeld({}, 0)
        seq = str(model.tags.get(LEDGER_TAG, "0")).partition(":")[0]
        aliases = {str(alias): str(version) for alias, version in dict(model.aliases).items()}
        return AliasesHeld(aliases, int(seq) if seq.isdecimal() else 0)

    def tag(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Set tags on a version, for example the gate's verdict."""
        with self._asking() as client:
            for key, value in tags.items():
                client.set_model_version_tag(version.use_case, version.version, key, value)

    def log_report(self, version: ModelVersion, files: Mapping[str, bytes]) -> None:
        """Put files under `reports/` of the run that made the version; the same name is written over.

        Args:
            version: a registered version.
            files: content by relative path, for example `gate/evidence.html`.
        """
        with self._asking() as client, tempfile.TemporaryDirectory(prefix="pennant-report-") as folder:
            for name, content in files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            run_id = client.get_model_version(version.use_case, version.version).run_id
            client.log_artifacts(str(run_id), folder, "reports")

    def _set_alias(self, use_case: str, alias: str, version: str | None) -> None:
        """Point MLflow's alias at `version`, or remove it. For `pennant.registry.aliases` only."""
        from mlflow.exceptions import MlflowException

        with self._asking() as client:
            if version is not None:
                client.set_registered_model_alias(use_case, alias, version)
                return
            try:
                client.delete_registered_model_alias(use_case, alias)
            except MlflowException as error:
                if error.error_code != _ABSENT:
                    raise

    def _mark(self, use_case: str, seq: int, digest: str) -> None:
        """Record that the aliases follow the ledger up to `seq`. For `pennant.registry.aliases` only."""
        from mlflow.exceptions import MlflowException

        with self._asking() as client:
            try:
                client.set_registered_model_tag(use_case, LEDGER_TAG, f"{seq}:{digest}")
            except MlflowException as error:
                if error.error_code != _ABSENT:
                    raise

    def _registered(self, client: "MlflowClient", use_case: str, sha256: str) -> list[ModelVersion]:
        found = _search(client, use_case, f" and tags.{_SHA} = '{sha256}'")
        return sorted((_read(each) for each in found), key=lambda each: int(each.version))

    def _log(
        self, client: "MlflowClient", folder: Path, use_case: str, sha256: str, metrics: Mapping[str, object]
    ) -> tuple[str, str, str]:
        """Log the bundle; returns the run's id, the logged model's id and the bundle's own URI."""
        import mlflow

        experiment = self._experiment(client, use_case)
        same = client.search_runs([experiment], f"tags.{_SHA} = '{sha256}'", max_results=1)
        # A run that a killed process left behind is taken up again.
        begun: dict[str, Any] = (
            {"run_id": same[0].info.run_id} if same else {"experiment_id": experiment, "tags": {_SHA: sha256}}
        )
        with mlflow.start_run(**begun, run_name=f"{use_case} {sha256[:8]}") as run:
            mlflow.log_metrics(dict(_numbers(metrics)))
            info = mlflow.pyfunc.log_model(
                name="model",
                loader_module="pennant_serving.flavor",
                data_path=str(folder),
                # Without a list MLflow spends eight seconds guessing one.
                pip_requirements=[f"pennant-serving=={installed_version('pennant-serving')}"],
            )
        place = f"{info.artifact_path}/{info.flavors['python_function']['data']}"
        return run.info.run_id, str(info.model_id), plain_uri(place)

    def _experiment(self, client: "MlflowClient", use_case: str) -> str:
        wanted = f"{self.settings.artifacts.rstrip('/')}/{use_case}"
        _create(lambda: client.create_experiment(use_case, artifact_location=wanted))
        experiment = client.get_experiment_by_name(use_case)
        location = str(experiment.artifact_location)
        if location.startswith(("mlflow-artifacts:", "http:", "https:")):
            raise ArtifactsUnreachable(use_case, location)
        return str(experiment.experiment_id)

    @contextmanager
    def _asking(self) -> "Iterator[MlflowClient]":
        """A client of the server, with a server that does not answer told apart from one that refuses."""
        # MLflow's own seven retries wait for minutes; tasks retry with Airflow's backoff instead.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        import mlflow
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException
        from sqlalchemy.exc import OperationalError

        logging.getLogger("mlflow").setLevel(logging.ERROR)
        uri = self.settings.mlflow
        mlflow.set_tracking_uri(uri)
        try:
            yield mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        except (RequestException, OperationalError) as error:
            raise RegistryDown(_address(uri), str(error)) from error
        except MlflowException as error:
            if "failed with exception" in str(error) or error.error_code == "TEMPORARILY_UNAVAILABLE":
                raise RegistryDown(_address(uri), str(error)) from error
            raise


def plain_uri(uri: str) -> str:
    """The URI as fsspec reads it: a local path is not percent-encoded there.

    >>> plain_uri("file:///tmp/a%20b")
    'file:///tmp/a b'
    """
    if uri.startswith("file:"):
        return "file://" + unquote(uri.removeprefix("file://").removeprefix("file:"))
    return uri if "://" in uri else f"file://{uri}"


def _numbers(metrics: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and isfinite(value):
            yield f"{prefix}{name}", float(value)


def _create(make: Callable[[], object]) -> None:
    """Run `make`; that the thing exists already is fine."""
    from mlflow.exceptions import MlflowException

    try:
        make()
    except MlflowException as error:
        if error.error_code != _PRESENT:
            raise


def _search(client: "MlflowClient", use_case: str, more: str = "") -> list[Any]:
    return list(client.search_model_versions(f"name = '{use_case}'{more}"))


def _read(found: Any) -> ModelVersion:
    tags = {str(key): str(value) for key, value in dict(found.tags).items()}
    return ModelVersion(found.name, str(found.version), tags.get(_URI, ""), tags.get(_SHA, ""), tags)


def _address(uri: str) -> str:
    return make_url(uri).render_as_string() if "://" in uri else uri
