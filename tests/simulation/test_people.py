"""Simulated customers and pedestrians: their tables read like the real ones, and the planted truth holds."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from pennant.data.connectors.base import Answer
from pennant.data.connectors.kinds import connector_of
from pennant.declaration.loader import load
from pennant.settings import REPOSITORY
from pennant.simulation import customers, walkers

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def read(use_case: str, source: str, content: bytes, **options: Any) -> pl.DataFrame:
    declared = load(REPOSITORY / "include/use_cases" / use_case).sources[source]
    declared = declared.model_copy(update={"options": declared.options | options})
    answer = Answer("x.y", "here", "biwi_eth", 0, content, "text/csv", declared.kind, NOW)
    return connector_of(declared).read(declared, answer)


def test_customers_are_read_like_the_real_ones() -> None:
    rows = read("telco_churn", "customers", customers.table())
    declared = load(REPOSITORY / "include/use_cases/telco_churn").sources["customers"]
    wanted = {name for group in declared.groups.values() for name in group.columns} | set(declared.key)
    assert wanted <= set(rows.columns)
    assert rows["customerID"].n_unique() == rows.height == customers.COUNT
    assert rows["customerID"].str.contains("^[0-9]{4}-[A-Z]{5}$").all()
    assert (rows["TotalCharges"].str.strip_chars() == "").sum() == (rows["tenure"] == "0").sum() > 20
    assert rows["MonthlyCharges"].cast(pl.Float64).is_between(10, 200).all()


def test_the_planted_effects_are_found_again_by_a_logistic_fit() -> None:
    rows = customers.simulate(5, 40_000)
    terms, left = customers.design(rows).to_numpy(), (rows["Churn"] == "Yes").to_numpy().astype(float)
    found = np.zeros(terms.shape[1])
    for _ in range(12):  # Newton's method
        chance = 1.0 / (1.0 + np.exp(-terms @ found))
        curvature = terms.T @ (terms * (chance * (1.0 - chance))[:, None])
        found += np.linalg.solve(curvature, terms.T @ (left - chance))
    error = np.sqrt(np.diag(np.linalg.inv(curvature)))
    assert (np.abs(found - np.array(list(customers.EFFECTS.values()))) < 4 * error).all()
    assert left.mean() == pytest.approx(customers.truth(5, 40_000)["p_churn"].mean(), abs=0.01)
    assert 0.2 < left.mean() < 0.33


def test_the_same_seed_gives_the_same_people_and_another_gives_others() -> None:
    assert customers.table(1, 50) == customers.table(1, 50) != customers.table(2, 50)
    assert walkers.table(1, 50) == walkers.table(1, 50) != walkers.table(2, 50)
    assert walkers.table(1, 80).startswith(walkers.table(1, 50))
    assert "p_churn" not in customers.simulate().columns


def test_pedestrians_are_read_like_a_recording() -> None:
    rows = read("pedestrian_paths", "positions", walkers.table(), recordings=["biwi_eth"])
    seen = walkers.simulate().seen
    assert rows["misfit"].null_count() == rows.height == seen.height
    assert rows["x"].cast(pl.Float64).equals(seen["x"])
    assert rows["walker"].n_unique() == seen["pedestrian"].n_unique() > 100
    assert rows["observed"].cast(pl.Int64).max() >= 20


def errors(walk: walkers.Walk) -> pl.DataFrame:
    """How far the next position is from the truth and from a straight line, metres."""
    rows = walk.seen.join(walk.expected, on=["frame", "pedestrian"])
    steps = [
        pl.col(name).shift(by).over("pedestrian").alias(f"{name}_{by}") for name in "xy" for by in (-1, 1)
    ]
    rows = rows.with_columns(steps).drop_nulls()
    line = [(2 * pl.col(name) - pl.col(f"{name}_1") - pl.col(f"{name}_-1")) ** 2 for name in "xy"]
    true = [(pl.col(f"next_{name}") - pl.col(f"{name}_-1")) ** 2 for name in "xy"]
    return rows.with_columns(sum(line).sqrt().alias("line"), sum(true).sqrt().alias("true"))


def test_a_next_step_is_the_truth_and_the_planted_noise() -> None:
    found = errors(walkers.simulate(3, 800))
    assert (found["true"] ** 2).mean() == pytest.approx(2 * walkers.NOISE**2, rel=0.06)
    assert found["line"].mean() > 2 * found["true"].mean()


def test_pedestrians_keep_apart_because_they_push() -> None:
    def close(walk: walkers.Walk) -> int:
        pairs = walk.seen.join(walk.seen, on="frame").filter(
            pl.col("pedestrian") < pl.col("pedestrian_right")
        )
        apart = (pl.col("x") - pl.col("x_right")) ** 2 + (pl.col("y") - pl.col("y_right")) ** 2
        return pairs.filter(apart < 0.4**2).height

    assert close(walkers.simulate(3, 800)) < 0.6 * close(walkers.simulate(3, 800, push=0.0))
