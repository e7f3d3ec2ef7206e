"""Time only runs forward, and the fresh rows stay fresh."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.declaration.model import Split
from pennant.training import rows, split
from pennant.training.errors import (
    ColumnsMissing,
    InfiniteValues,
    LabelNotBinary,
    OneClass,
    TooFewRows,
)

AS_OF_DAYS = 314
HOUR = np.timedelta64(3600, "s")


@given(
    gaps=st.lists(st.integers(0, 30), min_size=200, max_size=400),
    folds=st.integers(2, 5),
    embargo=st.integers(0, 48),
    delay=st.integers(0, 72),
)
@settings(deadline=None, max_examples=60)
def test_no_fold_trains_on_a_label_that_was_unknown_before_its_block_by_the_embargo(
    gaps: list[int], folds: int, embargo: int, delay: int
) -> None:
    event_time = np.datetime64("2023-01-01", "us") + np.cumsum(gaps) * HOUR
    moment, known = event_time - HOUR, event_time + delay * HOUR
    declared = Split(history_days=900, fresh_days=1, folds=folds, embargo_hours=embargo)
    try:
        found = split.expanding_folds(event_time, moment, known, declared)
    except TooFewRows:
        return  # blocks shorter than the embargo leave the first fold nothing to train on
    assert len(found) == folds
    for fold in found:
        assert known[fold.train].max() + embargo * HOUR <= moment[fold.validate].min()
        assert not np.isin(event_time[fold.validate], event_time[fold.train]).any()
    sizes = [len(fold.train) for fold in found]
    assert sizes == sorted(sizes)
    validated = np.concatenate([fold.validate for fold in found])
    assert (np.diff(validated) == 1).all()
    assert validated[-1] == len(gaps) - 1


def test_fresh_rows_and_the_embargo_before_them_are_not_trained_on(
    planted: Callable[..., Any], declared: Callable[..., Any]
) -> None:
    league, use_case = planted(), declared()
    as_of = league.as_of
    found = rows.from_frame(use_case, league.frame, as_of)
    assert found.trained_until <= as_of - timedelta(days=14, hours=3)
    kept = league.frame.filter(pl.col("label_known_at") <= as_of - timedelta(days=14, hours=3))
    assert len(found.y) == kept.height


def test_a_row_of_one_half_life_ago_counts_half() -> None:
    known = np.datetime64("2024-01-01", "us") + np.array([0, 30, 60]) * np.timedelta64(1, "D")
    weight = split.recency_weights(known, half_life_days=30)
    assert weight.mean() == pytest.approx(1.0)
    assert weight[0] * 4 == pytest.approx(weight[1] * 2) == pytest.approx(weight[2])


class TestRefusals:
    def test_too_few_rows_say_how_many_there_are(self, planted: Any, declared: Any) -> None:
        league = planted(rows=250)
        with pytest.raises(TooFewRows) as caught:
            rows.from_frame(declared(), league.frame, league.as_of)
        assert caught.value.min_rows == 300
        assert 0 < caught.value.found < 250

    def test_one_class_is_nothing_to_learn(self, planted: Any, declared: Any) -> None:
        frame = planted().frame.with_columns(pl.lit(1.0).alias("label"))
        with pytest.raises(OneClass) as caught:
            rows.from_frame(declared(), frame, frame["label_known_at"].max())
        assert caught.value.label == 1.0

    def test_a_label_of_two_is_refused(self, planted: Any, declared: Any) -> None:
        frame = planted().frame.with_columns(pl.col("label") * 2)
        with pytest.raises(LabelNotBinary) as caught:
            rows.from_frame(declared(), frame, frame["label_known_at"].max())
        assert caught.value.found == [2.0]

    def test_an_infinite_feature_is_named(self, planted: Any, declared: Any) -> None:
        frame = planted().frame
        spoiled = pl.when(pl.int_range(pl.len()) == 100).then(float("inf")).otherwise(pl.col("form"))
        with pytest.raises(InfiniteValues) as caught:
            rows.from_frame(
                declared(), frame.with_columns(spoiled.alias("form")), frame["label_known_at"].max()
            )
        assert (caught.value.feature, caught.value.rows) == ("form", 1)

    def test_an_infinite_value_among_the_fresh_rows_is_not_looked_at(
        self, planted: Any, declared: Any
    ) -> None:
        frame = planted().frame
        spoiled = pl.when(pl.int_range(pl.len()) == pl.len() - 1).then(float("inf")).otherwise(pl.col("form"))
        rows.from_frame(declared(), frame.with_columns(spoiled.alias("form")), frame["label_known_at"].max())

    def test_a_declared_feature_must_be_in_the_snapshot(self, planted: Any, declared: Any) -> None:
        frame = planted().frame.drop("rest")
        with pytest.raises(ColumnsMissing) as caught:
            rows.from_frame(declared(), frame, frame["label_known_at"].max())
        assert caught.value.missing == ["rest"]


def test_odd_features_are_allowed_and_named(planted: Any, declared: Any) -> None:
    frame = planted(missing_share=0.2).frame.with_columns(
        pl.lit(None, dtype=pl.Float64).alias("noise"),
        pl.lit(3.0).alias("form"),
        pl.col("strength") * 20,
    )
    found = rows.from_frame(declared(), frame, frame["label_known_at"].max())
    assert {(each["feature"], each["what"]) for each in found.warnings} == {
        ("noise", "all_missing"),
        ("form", "constant"),
        ("strength", "outside_declared_range"),
    }


def by_entity(**given: object) -> Split:
    return Split(history_days=900, fresh_days=1, folds=4, embargo_hours=3, groups="entity", **given)


@given(
    rows=st.lists(st.integers(1, 4), min_size=120, max_size=200),
    seed=st.integers(0, 10_000),
    classed=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_all_rows_of_an_entity_are_on_one_side_of_a_fold(rows: list[int], seed: int, classed: bool) -> None:
    stream = np.random.default_rng(seed)
    groups = stream.permutation(np.repeat([f"customer-{each}" for each in range(len(rows))], rows))
    label = (stream.random(len(groups)) < 0.4).astype(float) if classed else None
    found = split.grouped_folds(groups, label, by_entity())
    for fold in found:
        assert not np.isin(groups[fold.validate], groups[fold.train]).any()
        assert len(fold.train) + len(fold.validate) == len(groups)
    assert (np.sort(np.concatenate([fold.validate for fold in found])) == np.arange(len(groups))).all()


def test_entities_of_each_class_are_dealt_evenly() -> None:
    groups = np.array([f"customer-{each}" for each in range(200)])
    label = (np.arange(200) % 5 == 0).astype(float)
    found = split.grouped_folds(groups, label, by_entity())
    assert [label[fold.validate].sum() for fold in found] == [10.0] * 4
    assert [len(fold.validate) for fold in found] == [50] * 4


@pytest.mark.parametrize("classed", [True, False])
def test_a_group_that_is_only_trained_on_judges_nothing(classed: bool) -> None:
    groups = np.array([f"customer-{each}" for each in range(200)])
    label = (np.arange(200) % 2).astype(float) if classed else None
    found = split.grouped_folds(groups, label, by_entity(train_only=["customer-3", "customer-7"]))
    assert not any({3, 7} & set(fold.validate) for fold in found)
    assert all({3, 7} <= set(fold.train) for fold in found)


def test_groups_that_are_all_only_trained_on_are_refused() -> None:
    groups = np.repeat(["park", "square"], 60)
    with pytest.raises(TooFewRows) as caught:
        split.grouped_folds(groups, None, by_entity(train_only=["park", "square"]))
    assert caught.value.found == 0


def test_what_counts_together_is_as_declared_else_an_entity_or_a_day(planted: Any, declared: Any) -> None:
    league, use_case = planted(), declared()
    found = rows.from_frame(use_case, league.frame, league.as_of)
    assert (found.clusters == found.event_time.astype("datetime64[D]")).all()
    walkers = [f"walker-{each % 30}" for each in range(league.frame.height)]
    told = league.frame.with_columns(pl.Series("cluster", walkers))
    found = rows.from_frame(use_case, told, league.as_of)
    assert found.clusters.tolist() == walkers[: len(found.y)]
    alone = use_case.model_copy(update={"split": by_entity(fresh_share=0.2)})
    grouped = league.frame.with_columns(pl.col("entity").alias("group"))
    found = rows.from_frame(alone, grouped, league.as_of)
    assert len(set(found.clusters)) == len(found.y)
