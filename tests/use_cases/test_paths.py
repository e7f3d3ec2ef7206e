"""The real recordings of pedestrians, from their files to a snapshot; counts as the literature has them."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pennant.features.labels import labels
from pennant.features.leaks import leaks
from pennant.features.paths import constant_velocity
from pennant.features.snapshot import snapshot_frame

from .conftest import Ingested, year_windows

END = datetime(2010, 1, 1, tzinfo=UTC)
WINDOWS = {"eth": (364, 181), "univ": (24_334, 24_334), "zara1": (2_356, 2_253), "zara2": (5_910, 5_833)}
"""Full windows of 20 steps by fold: all, and those in which at least two walk."""
TELLS = {"eth": (1.075, 2.282), "univ": (0.524, 1.165), "zara1": (0.427, 0.952), "zara2": (0.324, 0.724)}
"""Mean and final displacement (m) of constant velocity, all windows."""


@pytest.fixture(scope="module")
def paths(ingest) -> Ingested:
    return ingest("pedestrian_paths", year_windows(2009, 2010))


@pytest.fixture(scope="module")
def samples(paths: Ingested) -> pl.DataFrame:
    """The snapshot, with scene and step of each sample."""
    rows = snapshot_frame(paths.use_case, paths.lake, paths.settings, END)
    seen = paths.versions("positions", "seen").select("sample", "walker", "recording", "scene", "step")
    return rows.join(seen, left_on="entity", right_on="sample", maintain_order="left")


def test_every_position_is_there_once_and_none_is_set_aside(paths: Ingested) -> None:
    seen, positions = (paths.versions("positions", group) for group in ("seen", "position"))
    assert seen.height == positions.height == seen["sample"].n_unique() == 67_885
    assert paths.results["positions"][0].quarantined == 0


def test_scenes_are_the_test_recordings_of_the_folds(paths: Ingested, mirror: Path) -> None:
    folds = json.loads((mirror / "trajectory/eth_ucy/folds.json").read_text())
    seen = paths.versions("positions", "seen").select("scene", "recording").unique()
    scenes = {scene: set(names) for scene, names in seen.group_by("scene").agg("recording").rows()}
    told = {fold: {Path(name).stem for name in parts["test"]} for fold, parts in folds.items()}
    assert {scene: names for scene, names in scenes.items() if scene != "train_only"} == told
    assert scenes["train_only"] == {"crowds_zara03", "uni_examples"}


def test_a_recording_has_a_day_of_its_own_and_steps_over_frames_without_anybody(paths: Ingested) -> None:
    seen = paths.versions("positions", "seen")
    days = seen.group_by("recording").agg(pl.col("event_time").dt.date().n_unique())
    assert days["event_time"].to_list() == [1] * 7
    assert seen["event_time"].dt.date().n_unique() == 7
    steps = seen.select("recording", "step", "event_time", "frame").unique().sort("recording", "step")
    apart = steps.select(pl.col("event_time", "step").diff().over("recording")).drop_nulls()
    assert apart.unique().rows() == [(timedelta(seconds=0.4), 1)]
    # The frames themselves have gaps, which the literature's loader steps over.
    assert steps.select(pl.col("frame").diff().over("recording").max()).item() == 600


def test_samples_are_the_full_windows_of_the_literature(samples: pl.DataFrame) -> None:
    together = pl.len().over("recording", "step") > 1
    counted = (
        samples.with_columns(together.alias("pair")).group_by("scene").agg(pl.len(), pl.col("pair").sum())
    )
    found = {scene: (windows, pairs) for scene, windows, pairs in counted.rows()}
    assert {scene: found[scene] for scene in WINDOWS} == WINDOWS
    assert samples["scene"].n_unique() == 5


def test_a_label_is_where_the_walker_is_in_each_of_the_next_12_steps(samples, paths) -> None:
    positions = paths.versions("positions", "position").join(
        paths.versions("positions", "seen").select("sample", "step"), on="sample"
    )
    where = {
        (walker, step): (x, y) for walker, step, x, y in positions.select("walker", "step", "x", "y").rows()
    }
    for row in samples.sample(200, seed=1).iter_rows(named=True):
        ahead = [where[row["walker"], row["step"] + each] for each in range(1, 13)]
        assert row["label"] == pytest.approx([value for point in ahead for value in point])
        assert row["label_known_at"] == row["event_time"] + timedelta(seconds=4.8)


def test_features_stay_in_their_declared_ranges(samples: pl.DataFrame, paths: Ingested) -> None:
    for name, declared in paths.use_case.features.items():
        values = samples[name]
        assert declared.missing == "allow" or values.null_count() == 0, name
        assert declared.low <= values.min() <= values.max() <= declared.high, name
    assert samples.select("velocity_x", "mean_speed", "back_x_7").null_count().row(0) == (0, 0, 0)


@pytest.mark.parametrize("scene", TELLS)
def test_constant_velocity_errs_as_published(samples: pl.DataFrame, scene: str) -> None:
    rows = samples.filter(pl.col("scene") == scene)
    ahead = rows.rename({"position_x": "x", "position_y": "y"}).select(constant_velocity(12, 0.4, "cv"))
    truth = np.array(rows["label"].to_list())
    apart = np.linalg.norm((ahead.to_numpy() - truth).reshape(-1, 12, 2), axis=2)
    assert (apart.mean(), apart[:, -1].mean()) == pytest.approx(TELLS[scene], abs=0.002)


def test_no_feature_of_a_walker_looks_ahead(paths: Ingested) -> None:
    assert leaks(paths.use_case, paths.lake, paths.settings, END, moments=2) == []


def test_a_position_that_nobody_could_have_run_to_is_set_aside_and_ends_the_samples_around_it(
    ingest, mirror: Path, tmp_path: Path
) -> None:
    folder = "trajectory/eth_ucy/all"
    shutil.copytree(mirror / folder, tmp_path / folder)
    file = tmp_path / folder / "crowds_zara03.txt"
    lines = file.read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if line.startswith("200.0\t1.0\t"))
    frame, walker, x, y = lines[number].split("\t")
    lines[number] = "\t".join([frame, walker, str(float(x) + 9), y])
    file.write_text("\n".join([*lines, "210.0\tnobody\t1.0\t2.0", "220.0\t3.0\t1.0\t2.0"]) + "\n")
    broken = ingest("pedestrian_paths", year_windows(2009, 2010), tmp_path)
    found = broken.results["positions"][0]
    assert found.reasons["a step longer than anybody runs"] == 2  # there and back
    assert found.reasons["unreadable date: tick"] == 2  # both groups of the row without a number
    kept = set(broken.versions("positions", "position")["sample"])
    assert not kept & {"crowds_zara03/1/200", "crowds_zara03/1/210"}
    labelled = labels(broken.use_case, broken.lake, END).filter(~pl.col("void"))
    theirs = labelled.filter(pl.col("entity").str.starts_with("crowds_zara03/1/"))
    frames = theirs["entity"].str.split("/").list.last().cast(pl.Int64)
    assert not any(80 <= each < 220 for each in frames)


def test_a_later_snapshot_built_on_an_earlier_one_has_the_bytes_of_one_built_anew(paths, built_on) -> None:
    assert built_on(paths, END, datetime(2010, 6, 1, tzinfo=UTC)) > 0
