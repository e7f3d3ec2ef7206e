"""Building blocks for features of customers: ratios, bands, bundles of services, and target encoding.

A customer has one row and no history, so nothing here looks at other rows; the exception is
`fold_target_encoding`, which reads labels and therefore belongs inside training folds. It is no column of a
snapshot: fitted on all rows, it would tell a model the answer.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pennant.errors import PennantError


class EncodingRefused(PennantError):
    """A target encoding that cannot be fitted out of fold.

    Attributes:
        argument: what was given wrongly.
        found: what it held.
        allowed: what it may hold.
    """

    def __init__(self, argument: str, found: object, allowed: str) -> None:
        self.argument, self.found, self.allowed = argument, found, allowed
        super().__init__(f"target encoding: {argument} is {found!r}; allowed: {allowed}")


@dataclass(frozen=True)
class Encoded:
    """What `fold_target_encoding` gives, in the order of the rows it was given.

    Attributes:
        train: for each training row, what the other folds say of its category.
        apply: for each new row, what all training rows say of its category.
        prior: mean label of the training rows; a category never met gets it.
    """

    train: pl.Series
    apply: pl.Series
    prior: float


def ratio(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    """`above / below` in floats; null where `below` is 0 or either is missing."""
    divisor = below.cast(pl.Float64)
    return above.cast(pl.Float64) / pl.when(divisor != 0.0).then(divisor)


def flag(column: str, *values: str) -> pl.Expr:
    """1.0 where the column holds one of the values, 0.0 where it holds another, null where it is missing."""
    return pl.col(column).is_in(list(values)).cast(pl.Float64)


def one_hot(column: str, names: Mapping[str, str]) -> list[pl.Expr]:
    """One flag per value of a column.

    Args:
        column: of text.
        names: value -> name of its flag. A value that is not named here has only zeros, so that a value
            which appears next year changes no column.
    """
    return [flag(column, value).alias(name) for value, name in names.items()]


def bands(column: str, edges: Sequence[float], prefix: str) -> list[pl.Expr]:
    """One flag per band of a number: under the first edge, from edge to edge, from the last one on.

    Args:
        column: of numbers.
        edges: in ascending order; a band holds its lower edge and not its upper one.
        prefix: flags are called `<prefix>_0` to `<prefix>_<len(edges)>`.

    Raises:
        ValueError: the edges do not ascend.
    """
    if list(edges) != sorted(set(edges)) or not edges:
        raise ValueError(f"edges of bands have to ascend; found {list(edges)}")
    value = pl.col(column)
    # More edges up to a value, higher its band; so every number is in one and only one.
    number = pl.sum_horizontal((value >= edge).cast(pl.Int64) for edge in edges)
    number = pl.when(value.is_not_null()).then(number)
    return [(number == each).cast(pl.Float64).alias(f"{prefix}_{each}") for each in range(len(edges) + 1)]


def service_count(columns: Iterable[str], yes: str = "Yes") -> pl.Expr:
    """How many of the services a customer has; null where one of them is missing."""
    held = [(pl.col(name) == yes).cast(pl.Float64) for name in columns]
    return pl.sum_horizontal(held, ignore_nulls=False)


def fold_of(entities: pl.Series, folds: int, salt: str = "") -> pl.Series:
    """Number of the fold of each entity, from a hash of its name: the same in every run and order."""
    numbers = [
        int.from_bytes(hashlib.sha256(f"{salt}\x1f{each}".encode()).digest()[:8]) % folds for each in entities
    ]
    return pl.Series("fold", numbers, dtype=pl.Int64)


def fold_target_encoding(
    train: pl.DataFrame,
    apply: pl.DataFrame,
    column: str,
    label: str = "label",
    folds: int = 5,
    strength: float = 20.0,
) -> Encoded:
    """Mean label of each category, shrunk to the overall mean, and never of the row itself.

    A category with n rows and mean m gets `(n * m + strength * prior) / (n + strength)` (the m-estimate of
    Micci-Barreca, SIGKDD Explorations 3, 2001). For a training row n, m and the prior come from the other
    folds only: its own label, and those dealt to the same fold, do not touch its value. So a column of pure
    noise gains nothing. For the rows of `apply` they come from all of `train`; labels of `apply` are not
    read.

    Args:
        train: `entity`, the column and the label; the rows of one training fold, never of a whole snapshot.
        apply: the rows to encode with what `train` tells; needs the column only.
        column: of text or whole numbers; a missing value is a category of its own.
        label: 0.0 or 1.0, or any number; not missing.
        folds: inner folds, dealt by a hash of `entity`.
        strength: how many rows the overall mean counts for.

    Raises:
        EncodingRefused: no rows, a missing label, an entity twice, fewer than two folds, or one fold
            that holds every row.
    """
    _check(train, label, folds, strength)
    rows = train.select(pl.col(column).alias("category"), pl.col(label).cast(pl.Float64).alias("label"))
    rows = rows.with_columns(fold_of(train["entity"], folds, column))
    if rows["fold"].n_unique() < 2:
        raise EncodingRefused("train", f"{rows.height} rows in one fold", "rows in two folds or more")
    every = ["label_sum", "label_count"]
    by_fold = rows.group_by("category", "fold").agg(_sums("label"))
    totals = by_fold.group_by("category").agg(pl.sum(*every))
    fold_sums = by_fold.group_by("fold").agg(pl.sum(*every))
    overall = totals.select(pl.sum(*every)).row(0)
    joined = (
        rows.select("category", "fold")
        .join(totals, on="category", how="left", nulls_equal=True, maintain_order="left")
        .join(
            by_fold,
            on=["category", "fold"],
            how="left",
            nulls_equal=True,
            maintain_order="left",
            suffix="_own",
        )
        .join(fold_sums, on="fold", how="left", maintain_order="left", suffix="_fold")
    )
    elsewhere = (overall[0] - pl.col("label_sum_fold")) / (overall[1] - pl.col("label_count_fold"))
    others = [pl.col(name) - pl.col(f"{name}_own") for name in every]
    made = joined.select(_shrunk(others[0], others[1], elsewhere, strength)).to_series()
    prior = overall[0] / overall[1]
    asked = apply.select(pl.col(column).alias("category"))
    asked = asked.join(totals, on="category", how="left", nulls_equal=True, maintain_order="left")
    known = [pl.col(name).fill_null(0.0) for name in every]
    shown = asked.select(_shrunk(known[0], known[1], pl.lit(prior), strength)).to_series()
    return Encoded(made.alias(column), shown.alias(column), prior)


def _sums(label: str) -> list[pl.Expr]:
    return [pl.col(label).sum().alias("label_sum"), pl.len().cast(pl.Float64).alias("label_count")]


def _shrunk(total: pl.Expr, count: pl.Expr, prior: pl.Expr, strength: float) -> pl.Expr:
    return ((total + strength * prior) / (count + strength)).alias("value")


def _check(train: pl.DataFrame, label: str, folds: int, strength: float) -> None:
    if train.is_empty():
        raise EncodingRefused("train", "no rows", "at least two rows")
    if missing := train[label].null_count():
        raise EncodingRefused("label", f"missing in {missing} rows", "a number in every row")
    if doubled := train.filter(pl.col("entity").is_duplicated())["entity"].unique().sort().to_list():
        raise EncodingRefused("entity", f"{doubled[:3]} twice", "one row each")
    if folds < 2:
        raise EncodingRefused("folds", folds, "2 or more: with one, a row would be told its own label")
    if not strength > 0:
        raise EncodingRefused("strength", strength, "more than 0")
