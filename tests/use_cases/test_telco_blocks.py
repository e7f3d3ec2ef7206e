"""The blocks of customers' features; above all that target encoding tells nobody its own label."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennant.features.customers import (
    EncodingRefused,
    bands,
    flag,
    fold_of,
    fold_target_encoding,
    one_hot,
    ratio,
    service_count,
)


def customers(categories: list[str | None], labels: list[float]) -> pl.DataFrame:
    entities = [f"c{number}" for number in range(len(labels))]
    return pl.DataFrame({"entity": entities, "plan": pl.Series(categories, dtype=pl.String), "label": labels})


def coin(number: int, salt: str) -> float:
    """A fair coin that is the same in every run."""
    return float(fold_of(pl.Series([str(number)]), 2, salt)[0])


def correlation(left: pl.Series, right: pl.Series) -> float:
    return float(pl.DataFrame({"left": left, "right": right}).select(pl.corr("left", "right")).item())


@pytest.fixture(scope="module")
def noise() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labels that are coins, and a column with about two rows per category: fitted naively, it knows them."""
    rows = [
        customers(
            [str(fold_of(pl.Series([str(each)]), 1000, f"plan {salt}")[0]) for each in range(2000)],
            [coin(each, f"label {salt}") for each in range(2000)],
        )
        for salt in ("train", "apply")
    ]
    return rows[0], rows[1]


def test_planted_noise_gains_nothing_out_of_fold_and_much_when_fitted_on_itself(noise) -> None:
    train, apply = noise
    encoded = fold_target_encoding(train, apply, "plan", strength=1.0)
    naive = train.select(pl.col("label").mean().over("plan")).to_series()
    assert correlation(naive, train["label"]) > 0.6
    # 2,000 coins: a correlation of 0.05 and more, either way, comes by chance once in 40 times.
    assert abs(correlation(encoded.train, train["label"])) < 0.05
    assert abs(correlation(encoded.apply, apply["label"])) < 0.05


def test_a_category_that_matters_is_found_in_training_and_in_new_rows() -> None:
    categories = ["good" if each % 2 else "bad" for each in range(1000)]
    labels = [float(coin(each, "x") + coin(each, "y") >= (1 if each % 2 else 2)) for each in range(1000)]
    train = customers(categories, labels)
    encoded = fold_target_encoding(train, pl.DataFrame({"plan": ["good", "bad", "new"]}), "plan")
    assert correlation(encoded.train, train["label"]) > 0.4
    good, bad, new = encoded.apply
    assert good == pytest.approx(0.75, abs=0.06)
    assert bad == pytest.approx(0.25, abs=0.06)
    assert new == encoded.prior == pytest.approx(train["label"].mean())


def test_a_rows_own_label_does_not_touch_its_own_value() -> None:
    train = customers([str(each % 7) for each in range(60)], [coin(each, "z") for each in range(60)])
    apply = pl.DataFrame({"plan": ["1"]})
    before = fold_target_encoding(train, apply, "plan").train
    for row in range(0, 60, 7):
        turned = train.with_columns(
            pl.when(pl.col("entity") == f"c{row}")
            .then(1.0 - pl.col("label"))
            .otherwise("label")
            .alias("label")
        )
        after = fold_target_encoding(turned, apply, "plan").train
        assert after[row] == pytest.approx(before[row], abs=1e-12)
        assert not after.equals(before)


def test_the_labels_of_new_rows_are_not_read() -> None:
    train = customers(["a", "b"] * 20, [1.0, 0.0] * 20)
    told, silent = customers(["a", "b"], [0.0, 1.0]), pl.DataFrame({"plan": ["a", "b"]})
    one, other = (fold_target_encoding(train, each, "plan").apply for each in (told, silent))
    assert one.equals(other)


@given(
    labels=st.lists(st.floats(0, 50, allow_nan=False), min_size=30, max_size=60),
    strength=st.floats(0.1, 1000),
)
def test_an_encoding_lies_between_the_smallest_and_the_largest_label(labels, strength) -> None:
    train = customers([str(each % 4) if each % 5 else None for each in range(len(labels))], labels)
    encoded = fold_target_encoding(train, train, "plan", strength=strength)
    for values in (encoded.train, encoded.apply):
        assert values.null_count() == 0
        assert min(labels) - 1e-6 <= values.min() <= values.max() <= max(labels) + 1e-6


@given(seed=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_value(seed) -> None:
    train = customers([str(each % 3) for each in range(40)], [float(each % 2) for each in range(40)])
    order = list(range(40))
    seed.shuffle(order)
    plain = fold_target_encoding(train, train, "plan").train
    mixed = fold_target_encoding(train[order], train, "plan").train
    assert mixed.to_list() == pytest.approx([plain[each] for each in order])


REFUSED = {
    "train": (customers([], []), {}),
    "label": (customers(["a", "b"], [1.0, None]), {}),
    "entity": (pl.concat([customers(["a"], [1.0])] * 2), {}),
    "folds": (customers(["a"] * 9, [1.0] * 9), {"folds": 1}),
    "strength": (customers(["a"] * 9, [1.0] * 9), {"strength": 0.0}),
}


@pytest.mark.parametrize("argument", REFUSED)
def test_an_encoding_that_could_tell_a_row_its_label_is_refused(argument) -> None:
    train, options = REFUSED[argument]
    with pytest.raises(EncodingRefused) as refused:
        fold_target_encoding(train, train, "plan", **options)
    assert refused.value.argument == argument


@given(value=st.integers(-10, 100))
def test_every_number_is_in_one_band(value) -> None:
    shown = pl.DataFrame({"tenure": [value]}).select(bands("tenure", (6, 12, 24, 48), "band")).row(0)
    assert sum(shown) == 1.0
    assert shown.index(1.0) == sum(value >= edge for edge in (6, 12, 24, 48))


def test_missing_values_stay_missing_and_edges_have_to_ascend() -> None:
    rows = pl.DataFrame({"tenure": [None, 0]}, schema={"tenure": pl.Int64})
    assert rows.select(bands("tenure", (6,), "band")).rows() == [(None, None), (1.0, 0.0)]
    with pytest.raises(ValueError, match="ascend"):
        bands("tenure", (12, 6), "band")


def test_flags_counts_and_ratios_of_a_row() -> None:
    rows = pl.DataFrame(
        {
            "contract": ["One year", "Two year", None, "Ten years"],
            "tv": ["Yes", "No", "Yes", "No internet service"],
            "backup": ["Yes", "Yes", None, "No"],
            "total": [30.0, 0.0, 5.0, 1.0],
            "months": [3, 0, None, 4],
        }
    )
    shown = rows.select(
        *one_hot("contract", {"One year": "one", "Two year": "two"}),
        flag("contract", "One year", "Two year").alias("bound"),
        service_count(["tv", "backup"]).alias("services"),
        ratio(pl.col("total"), pl.col("months")).alias("mean"),
    )
    assert shown.rows() == [
        (1.0, 0.0, 1.0, 2.0, 10.0),
        (0.0, 1.0, 1.0, 1.0, None),
        (None, None, None, None, None),
        (0.0, 0.0, 0.0, 0.0, 0.25),
    ]
