"""Fresh rows, slices and baselines of a snapshot."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from pennant.declaration.model import UseCase
from pennant.gate.baselines import BaselineUnavailable, baseline_tables, required_baselines
from pennant.gate.score import SliceColumnMissing, fresh_rows, slice_masks

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
Declaring = Callable[..., UseCase]


def test_fresh_rows_are_those_whose_label_became_known_lately_and_no_other(
    frame: pl.DataFrame, declaring: Declaring
) -> None:
    fresh = fresh_rows(declaring(), frame, AS_OF)
    cutoff = AS_OF - timedelta(days=20)
    assert fresh.height == frame.filter(pl.col("label_known_at") > cutoff).height > 0
    assert fresh["label_known_at"].min() > cutoff


def test_the_base_rate_comes_from_the_training_rows_alone(frame: pl.DataFrame, declaring: Declaring) -> None:
    use_case = declaring()
    cutoff = AS_OF - timedelta(days=20, hours=3)
    flipped = frame.with_columns(
        pl.when(pl.col("label_known_at") > cutoff).then(1.0).otherwise(pl.col("label")).alias("label")
    )
    fresh = fresh_rows(use_case, flipped, AS_OF)
    tables = baseline_tables(use_case, flipped, fresh, AS_OF)
    expected = frame.filter(pl.col("label_known_at") <= cutoff)["label"].mean()
    assert np.allclose(tables["base_rate"].prediction, expected)
    assert len(tables["base_rate"]) == fresh.height


def test_rows_without_a_column_baseline_are_left_out_of_its_table(
    frame: pl.DataFrame, declaring: Declaring
) -> None:
    use_case = declaring()
    holed = frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 5 == 0)
        .then(float("nan"))
        .otherwise(pl.col("baseline__elo_probability"))
        .alias("baseline__elo_probability")
    )
    fresh = fresh_rows(use_case, holed, AS_OF)
    known = fresh["baseline__elo_probability"].fill_nan(None).is_not_null()
    table = baseline_tables(use_case, holed, fresh, AS_OF)["elo"]
    assert len(table) == known.sum() < fresh.height
    assert set(table.entity) == set(fresh.filter(known)["entity"])


def test_a_baseline_that_the_snapshot_does_not_have_is_named(
    frame: pl.DataFrame, declaring: Declaring
) -> None:
    use_case = declaring()
    without = frame.drop("baseline__elo_probability")
    with pytest.raises(BaselineUnavailable) as caught:
        baseline_tables(use_case, without, fresh_rows(use_case, without, AS_OF), AS_OF)
    assert caught.value.baseline == "elo"
    young = fresh_rows(use_case, frame, AS_OF)
    with pytest.raises(BaselineUnavailable, match="no training row as of"):
        baseline_tables(use_case, young, young, AS_OF)


def test_only_required_baselines_count(declaring: Declaring) -> None:
    assert required_baselines(declaring()) == ["base_rate", "elo"]


def test_slices_are_masks_of_the_rows_and_a_missing_value_is_in_none(declaring: Declaring) -> None:
    slices = {
        "low_form": {"column": "form", "below": 0.0, "max_loss_increase": 0.1},
        "middle": {"column": "form", "at_least": 0.0, "below": 1.0, "max_loss_increase": 0.1},
        "exactly": {"column": "form", "equals": 1.0, "max_loss_increase": 0.1},
    }
    rows = pl.DataFrame({"form": [-1.0, 0.0, 0.5, 1.0, None]})
    masks = slice_masks(declaring(slices=slices), rows)
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "low_form": [True, False, False, False, False],
        "middle": [False, True, True, False, False],
        "exactly": [False, False, False, True, False],
    }


def test_a_slice_of_an_unknown_column_is_named(declaring: Declaring) -> None:
    with pytest.raises(SliceColumnMissing) as caught:
        slice_masks(declaring(), pl.DataFrame({"form": [1.0]}))
    assert (caught.value.slice_name, caught.value.column, caught.value.allowed) == (
        "rested",
        "rest",
        ["form"],
    )
