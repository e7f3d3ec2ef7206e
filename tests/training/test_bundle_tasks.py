"""A bundle of every task: written, loaded by serving, scored alike, and told about itself."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.declaration.parameters import METRICS
from pennant.reference import Reference
from pennant.security.signing import ensure_keys
from pennant.settings import Settings
from pennant.training import fit, parameters, rows, search
from pennant.training.bundle import EXPLAINED_ROWS, CannotDoWithout
from pennant_serving import bundle as serving
from pennant_serving.errors import BundleRejected

SLICES = {"low": {"column": "strength", "below": 0}, "high": {"column": "strength", "at_least": 0}}
WORLDS = {
    "multiclass": ("multiclass", {"calibration": "temperature", "slices": SLICES}),
    "count": ("count", {"calibration": "temperature", "slices": SLICES}),
    "regression": ("regression", {"slices": SLICES}),
    "regression_quantiles": ("regression", {"interval": "quantiles", "slices": SLICES}),
    "trajectory": ("trajectory", {}),
    "stacked": ("multiclass", {"ensemble": "stacking"}),
    "voted": ("count", {"ensemble": "voting"}),
    "selected": ("regression", {"ensemble": "selection", "slices": SLICES}),
}
TOLD = ("multiclass", "count", "regression", "regression_quantiles", "trajectory")


@dataclass(frozen=True)
class Made:
    """A bundle on disk, and all that it was made of."""

    use_case: UseCase
    snapshot: Reference
    lake: Lake
    settings: Settings
    url: str
    study: str
    fitted: fit.FittedBundle
    world: Any

    def again(self, folder: Path) -> fit.FittedBundle:
        author = "author@example.org"
        return fit.fit(
            self.use_case, self.snapshot, self.lake, self.url, self.study, folder, self.settings, author
        )

    def load(self, folder: Path | None = None) -> serving.Bundle:
        key = (self.settings.secrets / "signing.pub").read_bytes()
        return serving.load(folder or self.fitted.folder, key)

    @property
    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.fitted.folder / "bundle.json").read_text())
        return found

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(io.BytesIO((self.fitted.folder / f"{name}.parquet").read_bytes()))


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str], planted_task: Any
) -> Callable[[str], Made]:
    """Bundles by their name in WORLDS, each made once."""
    folder = tmp_path_factory.mktemp("tasks")
    settings, lake, url = Settings(home=folder / "home"), Lake((folder / "lake").as_uri()), new_database()
    ensure_keys(settings.secrets)
    found: dict[str, Made] = {}

    def make(name: str) -> Made:
        if name not in found:
            task, training = WORLDS[name]
            world = planted_task(task)
            use_case, snapshot = world.declare(**training), world.league(1000).put(lake)
            plan = search.prepare(use_case, snapshot, lake, url)
            search.run_shard(use_case, snapshot, lake, url, plan.study, 0)
            out = folder / name
            fitted = fit.fit(use_case, snapshot, lake, url, plan.study, out, settings, "author@example.org")
            found[name] = Made(use_case, snapshot, lake, settings, url, plan.study, fitted, world)
        return found[name]

    return make


def numbered(table: pl.DataFrame, name: str) -> Any:
    """The column `name`, or all of `name_0`, `name_1`, ..."""
    if name in table.columns:
        return table[name].to_numpy()
    width = sum(each.removeprefix(f"{name}_").isdecimal() for each in table.columns)
    return table.select([f"{name}_{at}" for at in range(width)]).to_numpy()


@pytest.mark.parametrize("name", WORLDS)
def test_serving_scores_fresh_rows_as_the_fitted_model_does(made: Callable[[str], Made], name: str) -> None:
    one = made(name)
    data = rows.read(one.use_case, one.snapshot, one.lake)
    model = fit.fit_rows(one.use_case, data, parameters.space(one.use_case, None).complete({}))
    x, _ = one.world.draw(300, 77)
    if one.use_case.task != "trajectory":
        x[::7, 2] = np.nan
    scores = one.load().predict(x)
    assert scores.prediction.shape == model.predict(x).shape
    assert np.abs(scores.prediction - model.predict(x)).max() < 1e-9
    assert ((scores.confidence >= 0) & (scores.confidence <= 1)).all()


@pytest.mark.parametrize("name", TOLD)
def test_the_same_inputs_give_the_same_bytes_of_every_task(
    made: Callable[[str], Made], name: str, tmp_path: Path
) -> None:
    one = made(name)
    first, second = (_bytes(each) for each in (one.fitted.folder, one.again(tmp_path / "again").folder))
    assert first == second


def _bytes(folder: Path) -> dict[str, object]:
    """All files, the commit aside: somebody may have committed in between. Hash and signature follow them."""
    found: dict[str, object] = {
        each.relative_to(folder).as_posix(): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file() and each.name not in {"bundle.json", "SHA256SUMS", "signature"}
    }
    manifest = json.loads((folder / "bundle.json").read_text())
    return {**found, "bundle.json": json.dumps({**manifest, "code_commit": ""})}


@pytest.mark.parametrize("name", ["regression_quantiles", "trajectory"])
def test_one_changed_byte_in_any_file_of_any_task_is_refused(
    made: Callable[[str], Made], name: str, tmp_path: Path
) -> None:
    one = made(name)
    paths = [each for each in sorted(one.fitted.folder.rglob("*")) if each.is_file()]
    assert len(paths) >= 7
    for path in paths:
        place = path.relative_to(one.fitted.folder)
        spoiled = tmp_path / place.as_posix().replace("/", "_")
        shutil.copytree(one.fitted.folder, spoiled)
        content = path.read_bytes()
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        (spoiled / place).write_bytes(changed)
        with pytest.raises(BundleRejected):
            one.load(spoiled)


@pytest.mark.parametrize("name", TOLD)
def test_golden_and_reference_rows_are_the_scorers_own_numbers(
    made: Callable[[str], Made], name: str
) -> None:
    one = made(name)
    loaded, names = one.load(), list(one.use_case.features)
    assert (loaded.golden.rows, loaded.golden.max_error) == (20, 0.0)
    golden, reference = one.table("golden"), one.table("reference")
    scores = loaded.predict(golden.select(names).to_numpy())
    assert (numbered(golden, "expected") == scores.prediction).all()
    assert (numbered(golden, "expected_low") == scores.low).all()
    assert ("expected_high_0" in golden.columns) == (one.use_case.task == "multiclass")
    predicted = loaded.predict(reference.select(names).to_numpy()).prediction
    assert (numbered(reference, "prediction") == predicted).all()
    data = rows.read(one.use_case, one.snapshot, one.lake)
    assert np.isin(numbered(reference, "label"), data.y).all()
    may_miss = [name for name, each in one.use_case.features.items() if each.missing == "allow"]
    assert np.isnan(golden.select(may_miss).to_numpy()).all(axis=1).sum() == 1


@pytest.mark.parametrize("name", TOLD)
def test_the_manifest_tells_outcome_metrics_and_coverage(made: Callable[[str], Made], name: str) -> None:
    one = made(name)
    told, metrics, task = one.manifest, one.manifest["metrics"], one.use_case.task
    data = rows.read(one.use_case, one.snapshot, one.lake)
    outcome = told["outcome"]
    assert outcome["classes"] == (["home", "draw", "away"] if task == "multiclass" else [])
    assert outcome["most"] == data.problem.most
    assert outcome["steps"] == (3 if task == "trajectory" else 0)
    assert set(METRICS[task]) < set(metrics["oof"])
    held_out = sum(len(fold.validate) for fold in data.folds)
    assert metrics["oof"]["rows"] == held_out
    assert all(np.isfinite(each) for each in one.fitted.metrics.values())
    assert one.fitted.metrics["rows"] == len(data.y)
    if task == "multiclass":
        assert metrics["coverage"] == {}, "no label says whether a probability was held"
        assert set(metrics["calibration"]) == {"all", "low", "high"}
        for each in metrics["calibration"]["all"].values():
            assert each["low"] - 0.05 < each["said"] < each["high"] + 0.05
        return
    covered = metrics["coverage"]
    assert set(covered) == ({"all"} if task == "trajectory" else {"all", "low", "high"})
    assert covered["all"]["rows"] == held_out - len(data.folds[0].validate)
    for each in covered.values():
        assert each["low"] <= each["share"] == each["covered"] / each["rows"] <= each["high"]
        assert each["high"] > 0.9


@pytest.mark.parametrize("name", ["multiclass", "count", "regression", "trajectory"])
def test_importances_rank_what_was_planted(made: Callable[[str], Made], name: str) -> None:
    one = made(name)
    told = json.loads((one.fitted.folder / "explain.json").read_text())
    assert told["rows"] == EXPLAINED_ROWS
    assert set(told["importances"]) == set(one.use_case.features)
    ranked = sorted(told["importances"], key=told["importances"].__getitem__, reverse=True)
    if name == "trajectory":
        assert {"position_x", "position_y"} <= set(ranked[:4])
        return
    assert ranked[:2] == ["strength", "form"]
    assert ranked[-1] == "noise"


def test_a_member_that_cannot_do_without_what_may_be_missing_leaves_no_bundle(
    planted_task: Any, tmp_path: Path, made: Callable[[str], Made]
) -> None:
    one = made("trajectory")
    loose = one.use_case.model_dump(mode="json", by_alias=True)
    for each in loose["features"].values():
        each["missing"] = "allow"
    use_case = UseCase.model_validate(loose)
    plan = search.prepare(use_case, one.snapshot, one.lake, one.url)
    search.run_shard(use_case, one.snapshot, one.lake, one.url, plan.study, 0)
    out = tmp_path / "bundle"
    with pytest.raises(CannotDoWithout) as caught:
        fit.fit(use_case, one.snapshot, one.lake, one.url, plan.study, out, one.settings, "a@example.org")
    assert caught.value.features == list(use_case.features)
    assert not out.exists()


def test_intervals_hold_fresh_labels_when_serving_says_them(made: Callable[[str], Made]) -> None:
    for name in ("count", "regression", "regression_quantiles", "trajectory"):
        one = made(name)
        x, y = one.world.draw(3000, 78)
        scores = one.load().predict(x)
        if name == "trajectory":
            off = (y - scores.prediction).reshape(len(y), -1, 2)
            held = np.hypot(off[..., 0], off[..., 1]) <= scores.low
        else:
            held = (scores.low <= y) & (y <= scores.high)
        assert held.mean() > 0.87, name


def test_a_count_bundle_tells_whole_counts(made: Callable[[str], Made]) -> None:
    one = made("count")
    scores = one.load().predict(one.world.draw(200, 79)[0])
    assert (scores.low == np.floor(scores.low)).all()
    assert (scores.low >= 0).all()
    assert isinstance(one.manifest["intervals"]["offset"], int)


def test_each_declared_ensemble_stands_in_the_bundle(made: Callable[[str], Made]) -> None:
    assert made("stacked").manifest["ensemble"]["method"] == "stacking"
    assert made("voted").manifest["ensemble"]["method"] == "weighted"
    assert {each["weight"] for each in made("voted").manifest["members"]} == {0.5}
    assert made("selected").manifest["metrics"]["ensemble"]["asked"] == "selection"
