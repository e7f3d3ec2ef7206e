"""The real recordings of pedestrians, from their files to a snapshot; counts as the literature has them."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pennant.declaration.parameters import PARAMETERS
from pennant.features.labels import labels
from pennant.features.leaks import leaks
from pennant.features.paths import constant_velocity, with_motion, with_surroundings
from pennant.features.snapshot import snapshot_frame
from pennant.training.members.paths import MODES, PathResidual
from pennant.training.problem import Problem

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


def test_the_declared_baseline_is_constant_velocity(samples: pl.DataFrame, paths: Ingested) -> None:
    ahead = samples.rename({"position_x": "x", "position_y": "y"}).select(constant_velocity(12, 0.4, "cv"))
    columns = paths.use_case.baselines["constant_velocity"].columns
    told = samples.select(f"baseline__{each}" for each in columns)
    assert np.allclose(told.to_numpy(), ahead.to_numpy())


def test_a_walker_is_told_who_is_where_it_goes_whom_it_meets_and_who_walks_along() -> None:
    walkers = {  # where each is at tick 0, and its metres in a step
        "me": ((0.0, 0.0), (0.0, 0.5)),  # to the north, so that left is west
        "friend": ((1.0, 0.0), (0.0, 0.5)),  # a metre to the right
        "oncoming": ((0.0, 6.0), (0.0, -0.5)),
        "standing": ((-0.5, 3.0), (0.0, 0.0)),  # where I shall be in 2.4 s, to the left
    }
    rows = [
        {"walker": name, "place": "here", "tick": tick, "x": x + tick * dx, "y": y + tick * dy}
        for name, ((x, y), (dx, dy)) in walkers.items()
        for tick in range(-5, 1)
    ]
    told = with_surroundings(with_motion(pl.DataFrame(rows), 5, 0.4), 10.0, 0.4, (2.4,))
    me = told.row(by_predicate=(pl.col("walker") == "me") & (pl.col("tick") == 0), named=True)
    assert me["companions"] == 1
    assert (me["companions_ahead"], me["companions_left"]) == pytest.approx((0, -1))
    assert (me["companions_steady_ahead"], me["companions_steady_left"]) == pytest.approx((1.25, 0))
    assert me["spot_2_4s_stand_left"] > 0.3
    assert -0.2 < me["spot_2_4s_flow_ahead"] < 0.2
    assert me["meet_2_4s_others"] == pytest.approx(1 + np.exp(-0.5) + np.exp(-0.125))
    alone = told.filter(tick=-5).row(0, named=True)
    assert alone["spot_2_4s_others"] is None  # it has not moved yet


def test_trees_err_less_than_constant_velocity_where_they_have_not_been(samples: pl.DataFrame, paths) -> None:
    names = tuple(paths.use_case.features)
    x = samples.select(names).to_numpy().astype(np.float64)
    y = np.array(samples["label"].to_list())
    held = (samples["scene"] == "zara1").to_numpy()
    some = np.flatnonzero(~held)[::6]
    defaults = {name: each.default for name, each in PARAMETERS["path_residual"].items()}
    parameters = {**defaults, "n_estimators": 60, "learning_rate": 0.1, "max_depth": 5}
    problem = Problem("trajectory", names, steps=12)
    member = PathResidual().fit(x[some], y[some], np.ones(len(some)), parameters, 1, problem)
    each = (member.samples(x[held], MODES) - y[held][:, None]).reshape(held.sum(), MODES, 12, 2)
    apart = np.linalg.norm((member.predict(x[held]) - y[held]).reshape(-1, 12, 2), axis=2).mean()
    assert apart < 0.97 * TELLS["zara1"][0]
    assert np.linalg.norm(each, axis=3).mean(axis=2).min(axis=1).mean() < 0.22


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
