"""A walk forward trains on what was known at each period's start, and on nothing else."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from pennant.declaration.loader import load
from pennant.features.tables import Tables
from pennant.gate import walk
from pennant.gate.forecasts import Forecast
from pennant.gate.walk_page import page_of
from pennant.gate.walk_results import pooled, to_json
from pennant.gate.walk_rows import forecast_rows
from pennant.settings import REPOSITORY
from pennant.training.losses import expit
from pennant.training.problem import Problem

START = datetime(2023, 1, 1, tzinfo=UTC)
DAYS, ROWS = 400, 2_000
FROM, TO = datetime(2023, 10, 1, tzinfo=UTC), START + timedelta(days=DAYS)
CORRECTED = 900
MOMENT = pl.Datetime("us", "UTC")


@pytest.fixture(scope="module")
def use_case():
    declared = load(REPOSITORY / "include" / "use_cases" / "league_demo")
    search = declared.training.search.model_copy(update={"trials": 2, "workers": 1})
    training = declared.training.model_copy(update={"search": search})
    return declared.model_copy(update={"training": training})


def world(use_case, leak_from: datetime | None = None) -> walk.Material:
    """Games whose first feature is the planted logit; one of them is corrected in the last period.

    With `leak_from`, the second feature is the label itself from that moment on.
    """
    stream = np.random.default_rng(8)
    names = list(use_case.features)
    x = stream.normal(size=(ROWS, len(names)))
    label = stream.random(ROWS) < expit(x[:, 0])
    event = [START + timedelta(days=DAYS * (row + 0.5) / ROWS) for row in range(ROWS)]
    frame = pl.DataFrame({"entity": [f"g{row:05d}" for row in range(ROWS)]}).with_columns(
        pl.Series("event_time", event, MOMENT)
    )
    frame = frame.with_columns(
        (pl.col("event_time") - timedelta(hours=1)).alias("moment"),
        *(pl.Series(name, column) for name, column in zip(names, x.T, strict=True)),
        *(pl.lit(0.5).alias(f"baseline__{each}") for each in ("elo_probability", "true_probability")),
    )
    if leak_from is not None:
        leaked = pl.when(pl.col("event_time") > leak_from).then(pl.Series("leak", 9.0 * label))
        frame = frame.with_columns(leaked.otherwise(pl.col(names[1])).alias(names[1]))
    goals = frame.select(
        pl.col("entity").alias("game_id"),
        "event_time",
        (pl.col("event_time") + timedelta(hours=3)).alias("known_at"),
        pl.Series("home_goals", label.astype(np.int64)),
        pl.lit(0).cast(pl.Int64).alias("away_goals"),
    ).with_columns(
        batch_as_of="known_at",
        # Nobody wins where the label is 0: the other side has to.
        away_goals=pl.when(pl.col("home_goals") == 0).then(1).otherwise(0).cast(pl.Int64),
    )
    late = goals[CORRECTED].with_columns(
        pl.lit(TO - timedelta(days=1)).cast(MOMENT).alias("known_at"),
        (1 - pl.col("home_goals")).alias("home_goals"),
        (1 - pl.col("away_goals")).alias("away_goals"),
    )
    versions = pl.concat([goals, late]).sort("known_at", "event_time", "game_id")
    tables = Tables({("games", "result"): versions}, {"games": ["game_id"]})
    return walk.Material(use_case, frame, tables, TO + timedelta(days=1))


def test_a_period_trains_on_labels_known_at_its_start_as_they_were_known_then(use_case) -> None:
    given = world(use_case)
    for job in walk.jobs(given, FROM, TO):
        assert job.train["label_known_at"].max() <= job.as_of
        assert job.test["event_time"].min() > job.as_of
        right, wrong = (
            given.tables.frames["games", "result"].filter(game_id=f"g{CORRECTED:05d}")["home_goals"]
        ).to_list()
        held = job.train.filter(entity=f"g{CORRECTED:05d}")["label"].to_list()
        assert held == [float(right)] != [float(wrong)]


def test_periods_cover_the_span_once_and_in_order(use_case) -> None:
    periods = walk.periods_of(use_case, FROM, TO)
    assert (periods[0].start, periods[-1].as_of) == (FROM, TO)
    assert all(one.as_of == other.start for one, other in pairwise(periods))
    given = world(use_case)
    asked = [name for job in walk.jobs(given, FROM, TO) for name in job.test["entity"]]
    between = pl.col("event_time").is_between(FROM, TO, closed="right")
    assert asked == given.features.filter(between)["entity"].to_list()


def test_a_leak_that_is_only_in_the_period_changes_nothing_that_was_chosen(use_case) -> None:
    job, leaked = (next(walk.jobs(world(use_case, since), FROM, TO)) for since in (None, FROM))
    assert not job.test.equals(leaked.test)
    assert job.train.equals(leaked.train)
    assert walk.run(job).weights == walk.run(leaked).weights


def test_figures_are_those_of_all_rows_and_differences_are_paired(use_case, tmp_path) -> None:
    given = world(use_case)
    work = list(walk.jobs(given, FROM, TO))
    told: list[str] = []
    periods = walk.walked(work, 1, lambda period: told.append(period.name))
    assert told == [job.period for job in work]
    found = json.loads(json.dumps(to_json(use_case, periods, FROM, TO), allow_nan=False))
    whole = found["pooled"]
    assert whole["rows"] == sum(each["rows"] for each in found["periods"])
    mean = sum(each["rows"] * each["metrics"]["log_loss"] for each in found["periods"]) / whole["rows"]
    assert whole["metrics"]["log_loss"] == pytest.approx(mean)
    for name, told_of in whole["differences"].items():
        apart = whole["metrics"]["log_loss"] - whole["baselines"][name]["log_loss"]
        assert told_of["mean"] == pytest.approx(apart)
        assert told_of["low"] < told_of["mean"] < told_of["high"] < 0  # the planted truth is learned
    page = page_of(use_case, periods, found).decode()
    assert "better than base_rate" in page
    assert page.count("<img") == 3
    assert pooled(periods).y.shape == (whole["rows"],)


def test_the_same_walk_twice_and_by_several_processes_gives_the_same_figures(use_case) -> None:
    given = world(use_case)
    work = list(walk.jobs(given, FROM, TO))
    alone, together = (
        to_json(use_case, walk.walked(work, workers, lambda _: None), FROM, TO) for workers in (1, 2)
    )
    assert alone == together


def test_each_forecast_is_written_once_and_the_figures_can_be_made_of_them(use_case) -> None:
    periods = walk.walked(list(walk.jobs(world(use_case), FROM, TO)), 1, lambda _: None)
    rows = forecast_rows(periods)
    assert rows["entity"].is_unique().all()
    assert rows["period"].unique(maintain_order=True).to_list() == [each.name for each in periods]
    assert (rows["moment"] < rows["event_time"]).all()
    loss = -pl.when(pl.col("label") == 1.0).then("prediction").otherwise(1.0 - pl.col("prediction")).log()
    found = to_json(use_case, periods, FROM, TO)["pooled"]["metrics"]["log_loss"]
    assert rows.select(loss.mean()).item() == pytest.approx(found, abs=1e-9)


def test_forecasts_of_several_numbers_have_a_column_each_and_counts_may_grow_longer() -> None:
    def period(name: str, most: int) -> walk.Period:
        problem = Problem("count", (), most=most)
        at = np.array(["2025-07-01T12:00"], dtype="datetime64[us]")
        p = np.full((1, most + 1), 1.0 / (most + 1))
        forecasts = {"model": Forecast(np.ones(1, dtype=bool), p)}
        none = (None, None, {"one": 1.0}, 100, None, None, {})
        return walk.Period(name, [name], at, at, np.array([1.0]), problem, forecasts, *none)

    rows = forecast_rows([period("a", 1), period("b", 2)])
    assert rows.select("label", "prediction_0", "prediction_1", "prediction_2").rows() == [
        (1.0, 0.5, 0.5, None),
        (1.0, pytest.approx(1 / 3), pytest.approx(1 / 3), pytest.approx(1 / 3)),
    ]
