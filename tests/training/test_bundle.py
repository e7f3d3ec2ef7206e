"""A bundle is a function of its inputs, holds nothing of the fresh rows, and proves itself to serving."""

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.reference import Reference
from pennant.security.signing import SigningKeyError, ensure_keys
from pennant.settings import Settings
from pennant.training import search
from pennant.training.errors import StudyUnusable
from pennant.training.fit import FittedBundle, fit
from pennant_serving import bundle as serving
from pennant_serving.errors import BundleRejected

ONE_SHARD = {"trials": 3, "workers": 1, "minutes": 5, "seed": 7}


@dataclass(frozen=True)
class Training:
    """Everything one needs to train on a planted snapshot."""

    lake: Lake
    settings: Settings
    url: str
    folder: Path

    def train(
        self, use_case: UseCase, snapshot: Reference, name: str = "bundle", author: str = "author@example.org"
    ) -> FittedBundle:
        plan = search.prepare(use_case, snapshot, self.lake, self.url)
        for shard in plan.shards:
            search.run_shard(use_case, snapshot, self.lake, self.url, plan.study, shard)
        out, url, settings = self.folder / name, self.url, self.settings
        return fit(use_case, snapshot, self.lake, url, plan.study, out, settings, author)

    def load(self, folder: Path) -> serving.Bundle:
        return serving.load(folder, (self.settings.secrets / "signing.pub").read_bytes())


@pytest.fixture(scope="module")
def module_training(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Training:
    folder = tmp_path_factory.mktemp("bundles")
    settings = Settings(home=folder / "home")
    ensure_keys(settings.secrets)
    return Training(Lake((folder / "lake").as_uri()), settings, new_database(), folder)


@pytest.fixture
def training(module_training: Training, settings: Settings, tmp_path: Path) -> Training:
    """Folder and keys of its own; lake and database are shared, as each snapshot has its own study."""
    return Training(module_training.lake, settings, module_training.url, tmp_path)


@pytest.fixture(scope="module")
def trained(module_training: Training, planted: Any, declared: Any) -> FittedBundle:
    """A bundle of a league with missing values; tests may read it, not change it."""
    use_case = declared(search=ONE_SHARD)
    return module_training.train(use_case, planted(missing_share=0.1).put(module_training.lake))


def files_of(folder: Path) -> dict[str, bytes]:
    found = (each for each in folder.rglob("*") if each.is_file())
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in found}


def test_the_same_inputs_give_the_same_bytes(training: Training, planted: Any, declared: Any) -> None:
    use_case = declared(search=ONE_SHARD)
    snapshot = planted(rows=600).put(training.lake)
    first, second = training.train(use_case, snapshot, "first"), training.train(use_case, snapshot, "second")
    assert first.sha256 == second.sha256
    assert files_of(first.folder) == files_of(second.folder)


def test_a_search_made_anew_on_an_empty_database_gives_the_same_bundle(
    training: Training, planted: Any, declared: Any, new_database: Callable[[], str]
) -> None:
    use_case = declared(search=ONE_SHARD)
    snapshot = planted(rows=600).put(training.lake)
    elsewhere = Training(training.lake, training.settings, new_database(), training.folder)
    assert (
        training.train(use_case, snapshot, "here").sha256
        == elsewhere.train(use_case, snapshot, "there").sha256
    )


def test_no_fresh_row_touches_parameters_members_weights_or_calibration(
    training: Training, planted: Any, declared: Any
) -> None:
    league, use_case = planted(rows=800), declared(search=ONE_SHARD)
    fresh = pl.col("label_known_at") > league.as_of - timedelta(days=14)
    leaky = league.frame.with_columns(
        pl.when(fresh).then(pl.col("label") * 6 - 3).otherwise(pl.col("noise")).alias("noise"),
        pl.when(fresh).then(1 - pl.col("label")).otherwise(pl.col("label")).alias("label"),
    )
    honest = training.train(use_case, league.put(training.lake), "honest")
    leaked = training.train(use_case, type(league)(leaky, league.truth).put(training.lake), "leaked")
    assert honest.sha256 != leaked.sha256, "another snapshot is another bundle"
    assert honest.metrics == leaked.metrics
    one, other = files_of(honest.folder), files_of(leaked.folder)
    described, again = json.loads(one["bundle.json"]), json.loads(other["bundle.json"])
    for name in ("parameters", "members", "calibration", "intervals", "metrics", "warnings", "trained_until"):
        assert described[name] == again[name], name
    bytewise = {path for path in one if path not in {"bundle.json", "SHA256SUMS", "signature"}}
    assert {path: one[path] for path in bytewise} == {path: other[path] for path in bytewise}


def test_serving_loads_it_and_gives_the_golden_answers(
    module_training: Training, trained: FittedBundle
) -> None:
    loaded = module_training.load(trained.folder)
    assert loaded.sha256 == trained.sha256
    assert loaded.signed
    assert (loaded.golden.rows, loaded.golden.max_error) == (20, 0.0)
    golden = pl.read_parquet(io.BytesIO((trained.folder / "golden.parquet").read_bytes()))
    names = [each.name for each in loaded.inputs]
    scores = loaded.predict(golden.select(names).to_numpy())
    assert scores.prediction == pytest.approx(golden["expected"].to_numpy(), abs=1e-6)
    assert (golden["expected_low"] < golden["expected"]).all()
    assert (golden["expected"] < golden["expected_high"]).all()


def test_a_golden_row_lacks_everything_that_may_be_missing_and_nothing_else(trained: FittedBundle) -> None:
    golden = pl.read_parquet(io.BytesIO((trained.folder / "golden.parquet").read_bytes()))
    assert not golden["strength"].is_nan().any()
    assert (golden["form"].is_nan() & golden["rest"].is_nan() & golden["noise"].is_nan()).any()


def test_serving_scores_as_training_did(module_training: Training, trained: FittedBundle) -> None:
    loaded = module_training.load(trained.folder)
    reference = pl.read_parquet(io.BytesIO((trained.folder / "reference.parquet").read_bytes()))
    assert 1000 < reference.height <= 2000
    x = reference.select([each.name for each in loaded.inputs]).to_numpy()
    assert (loaded.predict(x).prediction == reference["prediction"].to_numpy()).all()
    assert set(reference["label"].unique()) == {0.0, 1.0}


def test_one_changed_byte_anywhere_is_refused(
    module_training: Training, trained: FittedBundle, tmp_path: Path
) -> None:
    for path, content in files_of(trained.folder).items():
        spoiled = tmp_path / path.replace("/", "_")
        shutil.copytree(trained.folder, spoiled)
        middle = len(content) // 2
        changed = bytes([content[middle] ^ 1])
        (spoiled / path).write_bytes(content[:middle] + changed + content[middle + 1 :])
        with pytest.raises(BundleRejected):
            module_training.load(spoiled)


def test_a_bundle_signed_by_another_key_is_refused(
    module_training: Training, trained: FittedBundle, tmp_path: Path
) -> None:
    ensure_keys(tmp_path / "other")
    with pytest.raises(BundleRejected) as caught:
        serving.load(trained.folder, (tmp_path / "other" / "signing.pub").read_bytes())
    assert caught.value.reason == "signature"


def test_importances_rank_the_planted_features(trained: FittedBundle) -> None:
    importances = json.loads((trained.folder / "explain.json").read_text())["importances"]
    assert sorted(importances, key=importances.get, reverse=True)[:2] == ["strength", "form"]
    assert importances["noise"] < importances["form"] / 3


def test_the_manifest_says_what_was_done(trained: FittedBundle, declared: Any) -> None:
    described = json.loads((trained.folder / "bundle.json").read_text())
    assert [each["name"] for each in described["inputs"]] == list(declared().features)
    assert sum(each["weight"] for each in described["members"]) == pytest.approx(1.0)
    assert described["calibration"]["method"] == "platt"
    assert described["search"]["trials"] == 3
    assert set(described["parameters"]) == {"trees", "linear", "overrides"}
    metrics = described["metrics"]
    assert metrics["oof"]["log_loss"] <= min(each["log_loss"] for each in metrics["members"].values())
    assert metrics["oof"]["log_loss"] == trained.metrics["oof_log_loss"]
    assert all(np.isfinite(each) for each in trained.metrics.values())
    text = (trained.folder / "bundle.json").read_text()
    assert os.sep + "home" not in text
    assert str(trained.folder) not in text


def test_fitting_again_over_a_bundle_replaces_it_whole(
    training: Training, planted: Any, declared: Any
) -> None:
    use_case = declared(search=ONE_SHARD)
    snapshot = planted(rows=600).put(training.lake)
    first = training.train(use_case, snapshot)
    (first.folder / "stray").write_text("left by somebody")
    again = training.train(use_case, snapshot, author="second@example.org")
    assert again.sha256 != first.sha256
    assert training.load(again.folder).manifest["author"] == "second@example.org"


def test_a_missing_signing_key_leaves_no_bundle(training: Training, planted: Any, declared: Any) -> None:
    (training.settings.secrets / "signing.key").unlink()
    with pytest.raises(SigningKeyError):
        training.train(declared(search=ONE_SHARD), planted(rows=600).put(training.lake))
    assert not (training.folder / "bundle").exists()


def test_overrides_other_than_the_studys_are_refused(training: Training, planted: Any, declared: Any) -> None:
    use_case, snapshot = declared(search=ONE_SHARD), planted(rows=600).put(training.lake)
    training.train(use_case, snapshot)
    plan = search.prepare(use_case, snapshot, training.lake, training.url)
    with pytest.raises(StudyUnusable):
        fit(
            use_case,
            snapshot,
            training.lake,
            training.url,
            plan.study,
            training.folder / "bundle",
            training.settings,
            "author@example.org",
            {"trees": {"max_depth": 1}},
        )


@pytest.mark.parametrize("method", ["isotonic", "none"])
def test_every_calibration_reaches_serving(
    training: Training, planted: Any, declared: Any, method: str
) -> None:
    use_case = declared(search={**ONE_SHARD, "trials": 1}, calibration=method)
    loaded = training.load(training.train(use_case, planted(rows=600).put(training.lake)).folder)
    assert loaded.manifest["calibration"]["method"] == method
    assert loaded.golden.max_error == 0.0
