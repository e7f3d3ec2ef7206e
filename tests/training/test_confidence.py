"""Confidence falls as an interval widens and as members part; it is measured against the reference rows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from pennant.data.lake import Lake
from pennant.security.signing import ensure_keys
from pennant.settings import Settings
from pennant.training import search
from pennant.training.confidence import percentiles
from pennant.training.fit import fit
from pennant_serving import bundle as serving


@pytest.fixture(scope="module")
def uneven(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str], planted_task: Any
) -> tuple[Path, Any]:
    """A regression whose labels spread five times as far where `strength` is above 0."""
    folder = tmp_path_factory.mktemp("confidence")
    settings, lake, url = Settings(home=folder / "home"), Lake((folder / "lake").as_uri()), new_database()
    ensure_keys(settings.secrets)
    world = planted_task("regression", uneven=True)
    use_case, snapshot = world.declare(interval="quantiles", ensemble="voting"), world.league(1500).put(lake)
    plan = search.prepare(use_case, snapshot, lake, url)
    search.run_shard(use_case, snapshot, lake, url, plan.study, 0)
    out = folder / "bundle"
    fit(use_case, snapshot, lake, url, plan.study, out, settings, "author@example.org")
    return out, world


def test_rows_whose_members_part_and_whose_interval_is_wide_are_told_with_less_confidence(
    uneven: tuple[Path, Any],
) -> None:
    folder, world = uneven
    x, _ = world.draw(2000, 5)
    scores = serving.load(folder, None, allow_unsigned=True).predict(x)
    wild = x[:, 0] > 0
    assert scores.confidence[wild].mean() < scores.confidence[~wild].mean() - 0.1
    # Far outside of what was seen, a line goes on and trees stand still.
    near, far = np.zeros((1, 4)), np.array([[9.0, -9.0, 9.0, 0.0]])
    loaded = serving.load(folder, None, allow_unsigned=True)
    here, there = loaded.predict(near), loaded.predict(far)
    assert there.disagreement[0] > 5 * here.disagreement[0]
    assert there.confidence[0] < here.confidence[0]


def test_confidence_never_rises_with_width_or_disagreement(uneven: tuple[Path, Any]) -> None:
    folder, world = uneven
    scores = serving.load(folder, None, allow_unsigned=True).predict(world.draw(2000, 6)[0])
    worse = (scores.width[:, None] >= scores.width) & (scores.disagreement[:, None] >= scores.disagreement)
    assert (scores.confidence[:, None] <= scores.confidence + 1e-12)[worse].all()
    for each in (scores.width, scores.disagreement):
        assert spearmanr(each, scores.confidence).statistic < -0.4


def test_the_reference_rows_spread_over_all_confidences(uneven: tuple[Path, Any]) -> None:
    folder, _ = uneven
    loaded = serving.load(folder, None, allow_unsigned=True)
    reference = pl.read_parquet(folder / "reference.parquet").select([each.name for each in loaded.inputs])
    found = loaded.predict(reference.to_numpy())
    assert found.confidence.mean() == pytest.approx(0.5, abs=0.02)
    told = json.loads((folder / "bundle.json").read_text())["confidence"]
    assert np.percentile(found.width, np.arange(101)) == pytest.approx(told["width"])
    assert np.percentile(found.disagreement, np.arange(101)) == pytest.approx(told["disagreement"])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_percentiles_never_fall_and_reach_from_least_to_most(values: list[float]) -> None:
    told = percentiles(np.array(values), np.array(values))
    if len(set(values)) == 1:
        assert told is None, "nothing orders rows that are all alike"
        return
    assert told is not None
    found = told["width"]
    assert len(found) == 101
    assert (np.diff(found) >= 0).all()
    assert (found[0], found[-1]) == (min(values), max(values))


def test_one_member_with_one_width_is_told_without_a_confidence(
    planted_task: Any, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    settings, lake, url = Settings(home=tmp_path / "home"), Lake((tmp_path / "lake").as_uri()), new_database()
    ensure_keys(settings.secrets)
    world = planted_task("regression")
    use_case = world.declare(members={"linear": {"kind": "ridge"}}, interval="split_conformal")
    snapshot = world.league(400).put(lake)
    plan = search.prepare(use_case, snapshot, lake, url)
    search.run_shard(use_case, snapshot, lake, url, plan.study, 0)
    fit(use_case, snapshot, lake, url, plan.study, tmp_path / "bundle", settings, "author@example.org")
    assert "confidence" not in json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    loaded = serving.load(tmp_path / "bundle", None, allow_unsigned=True)
    assert np.isnan(loaded.predict(world.draw(10, 1)[0]).confidence).all()
