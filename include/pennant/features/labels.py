"""Labels as they were known at a moment: what happened, or that it does not count."""

import operator
from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl

from pennant.data.lake import Lake
from pennant.declaration import expression
from pennant.declaration.model import DataUseCase, FuturePath, Label
from pennant.features.errors import UnknownClass, UnknownColumns
from pennant.features.tables import Tables, load_tables

_COMPARED: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def labels(use_case: DataUseCase, lake: Lake, as_of: datetime) -> pl.DataFrame:
    """Return the labels known at `as_of`, newest version, one row per entity.

    Columns: `entity`, `event_time`, `known_at` (of this version), `first_known_at` (of the first one),
    `label` (null when void) and `void` (a tie, say). Events without a result are not listed.

    The label is a float: 0 or 1, a count, a number, or the index of the class. For a trajectory it is a list
    of floats: x and y of each future step in turn, in metres.
    """
    return labels_of(use_case, load_tables(use_case, lake, as_of))


def labels_of(use_case: DataUseCase, tables: Tables) -> pl.DataFrame:
    """Return the labels that a set of tables knows; see `labels`.

    Raises:
        UnknownColumns: the label's expression or the entity names no column of the label's group.
        UnknownClass: an outcome that counts is none of the declared classes.
    """
    declared = use_case.label
    versions = tables.versions(declared.source, declared.group)
    entity = use_case.spine.entity
    needed = [entity, *_columns(declared)]
    missing = [each for each in needed if each not in versions.columns]
    if missing:
        raise UnknownColumns(f"label of {use_case.name}", missing, versions.columns)
    void = _value(declared.drop_when) == 1.0 if declared.drop_when else pl.lit(False)
    if declared.path is not None:
        return _paths(versions.with_columns(void.alias("void")), entity, declared.path)
    made = versions.with_columns(_label(declared).alias("label"), void.alias("void"))
    given = pl.col("label").is_not_null() & pl.col("void").is_not_null()
    first = pl.col("known_at").filter(given).min().over(entity).alias("first_known_at")
    newest = made.with_columns(first).unique(subset=[entity], keep="last", maintain_order=True)
    _check_classes(use_case, newest)
    newest = newest.filter(given)  # after choosing: a result that was taken back is none
    return newest.select(
        pl.col(entity).cast(pl.String).alias("entity"),
        "event_time",
        "known_at",
        "first_known_at",
        pl.when(~pl.col("void")).then("label").alias("label"),
        "void",
    ).sort("event_time", "entity")


def _check_classes(use_case: DataUseCase, newest: pl.DataFrame) -> None:
    """An outcome that nobody declared must not vanish as if there were none yet."""
    declared = use_case.label
    if not declared.classes:
        return
    told = pl.col(str(declared.expression)).cast(pl.String)
    counts = ~pl.col("void").fill_null(value=False)
    odd = newest.filter(counts, told.is_not_null(), pl.col("label").is_null()).select(told.alias("told"))
    if odd.height:
        found = odd["told"].unique().sort().head(5).to_list()
        raise UnknownClass(use_case.name, found, declared.classes, odd.height)


def _label(declared: Label) -> pl.Expr:
    """The label as a float; null where a column it names is null, or a class is none of the declared."""
    text = str(declared.expression)
    if not declared.classes:
        return _value(text)
    numbers = {name: float(index) for index, name in enumerate(declared.classes)}
    return pl.col(text).cast(pl.String).replace_strict(numbers, default=None, return_dtype=pl.Float64)


def _paths(versions: pl.DataFrame, entity: str, path: FuturePath) -> pl.DataFrame:
    """Where each walker is in the steps after each of its rows; rows whose path ends earlier have no label.

    A step is found at its time to a tenth of a step; rows of one walker are told apart by their time.
    """
    told = versions.with_columns(first_known_at=pl.col("known_at").min().over(entity))
    newest = told.unique(subset=[entity], keep="last", maintain_order=True)
    rows = newest.sort(*path.walker, "event_time", entity)
    future: list[pl.Expr] = []
    whole = pl.lit(True)
    late = {name: pl.col(name) for name in ("known_at", "first_known_at")}
    tolerance = timedelta(seconds=path.step_seconds / 10)
    for step in range(1, path.steps + 1):
        ahead = [pl.col(name).shift(-step).over(path.walker) for name in path.columns]
        gone = pl.col("event_time").shift(-step).over(path.walker) - pl.col("event_time")
        wanted = timedelta(seconds=path.step_seconds * step)
        whole &= ((gone - wanted).abs() <= tolerance).fill_null(value=False)
        for name, so_far in late.items():
            late[name] = pl.max_horizontal(so_far, pl.col(name).shift(-step).over(path.walker))
        future += [each.cast(pl.Float64) for each in ahead]
    made = rows.select(
        pl.col(entity).cast(pl.String).alias("entity"),
        "event_time",
        *(each.alias(name) for name, each in late.items()),
        pl.concat_list(future).alias("label"),
        "void",
        whole.alias("_whole"),
    )
    known = ~pl.col("label").list.eval(pl.element().is_null()).list.any() & pl.col("void").is_not_null()
    sound = made.filter(pl.col("_whole"), known).drop("_whole")
    return sound.with_columns(pl.when(~pl.col("void")).then("label")).sort("event_time", "entity")


def _columns(declared: Label) -> list[str]:
    if declared.path is not None:
        return [*declared.path.columns, *declared.path.walker]
    texts = [each for each in (declared.expression, declared.drop_when) if each]
    return [column for text in texts for column in _parsed(text).columns]


def _value(text: str) -> pl.Expr:
    """The expression as floats; null where a column it names is null."""
    parsed = _parsed(text)
    left = pl.col(parsed.left)
    if parsed.operator is None:
        return left.cast(pl.Float64)
    right = pl.col(parsed.right) if isinstance(parsed.right, str) else pl.lit(parsed.right)
    return _COMPARED[parsed.operator](left, right).cast(pl.Float64)


def _parsed(text: str) -> expression.Expression:
    parsed = expression.parse(text)
    if parsed is None:
        raise UnknownColumns("label expression", [text], ["column", "a > b", "a == b", "a < 9"])
    return parsed
