"""What training does with rows that no good model can come of: see docs/bad-input-training.md."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.data.lake import Lake
from pennant.declaration.loader import load_trained
from pennant.features import labels
from pennant.features.errors import UnknownClass
from pennant.features.tables import Tables
from pennant.gate.tables import ScoreTable
from pennant.gate.verdict import judge
from pennant.settings import REPOSITORY
from pennant.training import fit, parameters, rows, search, split
from pennant.training.errors import (
    DuplicateRows,
    GroupUnknown,
    LabelBeforeEvent,
    LabelNotBinary,
    OneClass,
    PlaceUnknown,
    StudyUnusable,
    TooFewRows,
    TooLittleWeight,
)
from pennant.training.fit import Fitted


@pytest.fixture(scope="module")
def database(new_database: Callable[[], str]) -> str:
    return new_database()


def fitted(use_case: Any, data: rows.TrainingRows) -> Fitted:
    """Fitted with the least of every hyper-parameter that would be searched."""
    space = parameters.space(use_case, {})
    return fit.fit_rows(
        use_case, data, space.complete({name: each.low for name, each in space.searched.items()})
    )


def read(use_case: Any, league: Any, *changes: pl.Expr) -> rows.TrainingRows:
    return rows.from_frame(use_case, league.frame.with_columns(*changes), league.as_of)


def row(number: int, then: Any, name: str) -> pl.Expr:
    return pl.when(pl.int_range(pl.len()) == number).then(then).otherwise(pl.col(name)).alias(name)


class TestFeaturesThatSayNothing:
    @pytest.mark.parametrize("value", [1.0, None], ids=["constant", "all missing"])
    def test_a_model_of_nothing_else_foretells_the_base_rate(
        self, planted: Any, declared: Any, value: float | None
    ) -> None:
        league, use_case = planted(), declared(calibration="none")
        empty = [pl.lit(value, dtype=pl.Float64).alias(name) for name in use_case.features]
        data = read(use_case, league, *empty)
        predicted = fitted(use_case, data).predict(data.x)
        assert predicted == pytest.approx(np.full(len(data.y), data.y.mean()), abs=0.03)

    def test_one_of_them_changes_nothing_for_the_others(self, planted: Any, declared: Any) -> None:
        league, use_case = planted(), declared()
        for value in (1.0, None):
            data = read(use_case, league, pl.lit(value, dtype=pl.Float64).alias("noise"))
            predicted = fitted(use_case, data).predict(data.x)
            assert np.corrcoef(predicted, league.truth(data.x))[0, 1] > 0.9


class TestRowsThatCannotBe:
    def test_an_entity_has_one_row_for_one_event(self, planted: Any, declared: Any) -> None:
        league = planted()
        twice = pl.concat([league.frame, league.frame[[7, 7, 30]]])
        with pytest.raises(DuplicateRows) as refused:
            rows.from_frame(declared(), twice, league.as_of)
        assert refused.value.rows == 3
        assert [entity for entity, _ in refused.value.examples] == ["game-000007", "game-000030"]

    @given(hours=st.floats(min_value=-2_000, max_value=2_000), number=st.integers(0, 399))
    @settings(max_examples=30, deadline=None)
    def test_a_label_is_known_after_its_event_at_the_earliest(
        self, planted: Any, declared: Any, hours: float, number: int
    ) -> None:
        league, use_case = planted(rows=400), declared(min_rows=30)
        known = pl.col("event_time") + timedelta(hours=hours)
        change = row(number, known, "label_known_at")
        if timedelta(hours=hours) >= timedelta(0):
            assert len(read(use_case, league, change).y) > 300
            return
        with pytest.raises(LabelBeforeEvent) as refused:
            read(use_case, league, change)
        assert (refused.value.rows, refused.value.entity) == (1, f"game-{number:06d}")
        assert refused.value.label_known_at < refused.value.event_time

    def test_a_fresh_row_whose_label_is_early_is_no_way_into_training(
        self, planted: Any, declared: Any
    ) -> None:
        league = planted()
        newest = league.frame.height - 1
        change = row(newest, pl.col("event_time") - timedelta(days=100), "label_known_at")
        with pytest.raises(LabelBeforeEvent) as refused:
            read(declared(), league, change)
        assert refused.value.entity == f"game-{newest:06d}"

    @pytest.mark.parametrize("label", [None, float("nan"), 0.5, float("inf")])
    def test_a_label_is_0_or_1(self, planted: Any, declared: Any, label: float | None) -> None:
        with pytest.raises(LabelNotBinary):
            read(declared(), planted(), row(5, label, "label"))


class TestTooFew:
    def test_thirty_rows_fill_no_folds(self, planted: Any, declared: Any) -> None:
        with pytest.raises(TooFewRows) as refused:
            read(declared(min_rows=30), planted(rows=32))
        assert refused.value.where.startswith("fold ")
        assert refused.value.min_rows == split.MIN_FOLD_ROWS

    def test_a_fold_of_one_class_is_named(self, planted: Any, declared: Any) -> None:
        league = planted()
        early = pl.col("event_time") < league.frame["event_time"][400]
        change = pl.when(early).then(1.0).otherwise(pl.col("label")).alias("label")
        with pytest.raises(OneClass) as refused:
            read(declared(), league, change)
        assert (refused.value.where, refused.value.label) == ("fold 1, training", 1.0)


class TestWeightsOfZero:
    def test_a_half_life_that_leaves_a_few_rows_is_refused(self, planted: Any, declared: Any) -> None:
        with pytest.raises(TooLittleWeight) as refused:
            read(declared(recency_half_life_days=0.05), planted())
        assert refused.value.worth < 2
        assert refused.value.rows > 1_400
        assert refused.value.half_life_days == 0.05

    def test_rows_whose_weight_is_exactly_zero_do_not_count(self, planted: Any, declared: Any) -> None:
        """With a half-life of 4 days nothing of 20 years ago counts; there the outcomes were turned round."""
        league = planted(rows=6_000)
        recent = pl.col("event_time") > league.frame["event_time"].max() - timedelta(days=100)
        moved = [
            pl.when(recent).then(pl.col(name)).otherwise(pl.col(name) - timedelta(days=7_300)).alias(name)
            for name in ("event_time", "moment", "label_known_at")
        ]
        turned = pl.when(recent).then(pl.col("label")).otherwise(1 - pl.col("label")).alias("label")
        use_case = declared(recency_half_life_days=4)
        data = read(use_case, league, turned, *moved)
        assert (data.weight == 0.0).sum() > 3_000
        predicted = fitted(use_case, data).predict(data.x)
        assert np.isfinite(predicted).all()
        assert np.corrcoef(predicted, league.truth(data.x))[0, 1] > 0.5

    @given(
        ages=st.lists(st.floats(0, 20 * 365), min_size=20, max_size=60),
        half_life=st.floats(min_value=0.01, max_value=10_000),
    )
    @settings(max_examples=100, deadline=None)
    def test_weights_are_finite_have_mean_one_and_are_worth_at_most_their_number(
        self, ages: list[float], half_life: float
    ) -> None:
        known = np.datetime64("2024-01-01", "us") - (np.array(ages) * 86_400e6).astype("timedelta64[us]")
        weight = split.recency_weights(known, half_life)
        assert np.isfinite(weight).all()
        assert weight.mean() == pytest.approx(1.0)
        worth = weight.sum() ** 2 / np.square(weight).sum()
        assert 1.0 - 1e-9 <= worth <= len(ages) + 1e-6
        refused = pytest.raises(TooLittleWeight) if worth < split.MIN_FOLD_ROWS else nullcontext()
        with refused:
            split.require_weight(weight, half_life, "here")


def wide(planted: Any, declared: Any, columns: int, rows: int) -> tuple[Any, pl.DataFrame, Any]:
    league, stream = planted(rows=rows), np.random.default_rng(1)
    noise = {f"x{number:05d}": stream.normal(size=rows) for number in range(columns - 1)}
    use_case = declared(features=("strength", *noise))
    frame = league.frame.with_columns(**{name: pl.Series(each) for name, each in noise.items()})
    return use_case, frame, league.as_of


def test_the_needle_among_a_thousand_columns_is_found(planted: Any, declared: Any) -> None:
    use_case, frame, as_of = wide(planted, declared, 1_000, 800)
    data = rows.from_frame(use_case, frame, as_of)
    assert np.corrcoef(fitted(use_case, data).predict(data.x), data.x[:, 0])[0, 1] > 0.3


def test_ten_thousand_columns_are_read_in_time_that_grows_no_faster_than_they_do(
    planted: Any, declared: Any
) -> None:
    seconds = {}
    for columns in (2_500, 10_000):
        given = wide(planted, declared, columns, 400)
        tries = []
        for _ in range(2):
            began = time.process_time()
            rows.from_frame(*given)
            tries.append(time.process_time() - began)
        seconds[columns] = min(tries)
    assert seconds[10_000] < 9 * seconds[2_500], "4 times the columns; quadratic would be 16"


@pytest.mark.parametrize(
    "other",
    [{"recency_half_life_days": 9_999}, {"interval_coverage": 0.8}, {"calibration": "none"}],
    ids=lambda each: next(iter(each)),
)
def test_a_study_that_another_declaration_wrote_is_neither_filled_nor_taken(
    lake: Lake, planted: Any, declared: Any, database: str, other: dict[str, object]
) -> None:
    one = {"trials": 1, "workers": 1, "minutes": 1, "seed": 7}
    use_case, changed = declared(search=one), declared(search=one, **other)
    snapshot = planted(rows=500).put(lake)
    study = search.prepare(use_case, snapshot, lake, database).study
    with pytest.raises(StudyUnusable) as refused:
        search.run_shard(changed, snapshot, lake, database, study, 0)
    assert refused.value.study == study
    assert search.run_shard(use_case, snapshot, lake, database, study, 0)["trials"] == 1
    assert search.best_parameters(use_case, snapshot, database, study, None)[1]["study"] == study
    with pytest.raises(StudyUnusable):
        search.best_parameters(changed, snapshot, database, study, None)


@pytest.mark.parametrize("member", ["constant_velocity", "path_residual"])
def test_a_path_from_nowhere_is_refused_by_name(planted_task: Any, member: str) -> None:
    world = planted_task("trajectory")
    league, lost = world.league(600), row(400, None, "position_y")
    with pytest.raises(PlaceUnknown) as refused:
        read(world.declare(members={"walks": {"kind": member}}), league, lost)
    assert (refused.value.feature, refused.value.rows) == ("position_y", 1)
    unknown = row(400, None, "back_x_1"), row(400, None, "back_y_1")  # whoever is seen first may stand still
    read(world.declare(members={"walks": {"kind": member}}), league, *unknown)


def test_rows_of_no_group_are_refused_where_folds_are_groups(planted: Any, declared: Any) -> None:
    use_case = declared()
    split_of = use_case.split.model_copy(update={"groups": "arena"})
    arenas = pl.concat_str(pl.lit("arena "), (pl.int_range(pl.len()) % 5).cast(pl.String)).alias("group")
    league = planted()
    league = replace(league, frame=league.frame.with_columns(arenas))
    with pytest.raises(GroupUnknown) as refused:
        read(use_case.model_copy(update={"split": split_of}), league, row(7, None, "group"))
    assert (refused.value.column, refused.value.rows) == ("arena", 1)


def test_an_outcome_of_no_declared_class_is_refused_and_not_taken_for_none() -> None:
    use_case = load_trained(REPOSITORY / "include" / "use_cases" / "epl_matches")
    source, group = use_case.label.source, use_case.label.group
    entity, at = use_case.spine.entity, datetime(2024, 5, 1, tzinfo=UTC)

    def known(*outcomes: str | None) -> pl.DataFrame:
        names = [f"match {number}" for number in range(len(outcomes))]
        versions = pl.DataFrame({entity: names, "FTR": outcomes}, schema_overrides={"FTR": pl.String})
        versions = versions.with_columns(event_time=pl.lit(at), known_at=pl.lit(at), batch_as_of=pl.lit(at))
        return labels.labels_of(use_case, Tables({(source, group): versions}, {source: [entity]}))

    assert known("H", None, "D", "A")["label"].to_list() == [0.0, 1.0, 2.0]
    with pytest.raises(UnknownClass) as refused:
        known("H", "abandoned", "D")
    assert (refused.value.found, refused.value.allowed) == (["abandoned"], ["H", "D", "A"])


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_of_fresh_rows_that_all_end_alike_the_gate_promotes_nobody(declared: Any, label: float) -> None:
    """Whoever said the one outcome most loudly would be the best of all."""
    use_case, days = declared(), np.datetime64("2024-01-01", "us") + np.arange(400) * np.timedelta64(4, "h")
    names = np.array([f"game-{number:04d}" for number in range(400)])

    def table(name: str, towards: float) -> ScoreTable:
        prediction = np.full(400, abs(1.0 - label - towards))
        return ScoreTable(name, names, days, np.full(400, label), prediction, name)

    rate = table("base_rate", 0.5)
    policy = use_case.gate.model_copy(update={"slices": {}, "max_calibration_error": 0.5})
    found = judge(table("new", 0.9), table("old", 0.6), {"base_rate": rate}, policy, ["base_rate"], {})
    assert (found.outcome, [each.code for each in found.deciding()]) == ("hold", ["one_outcome"])
