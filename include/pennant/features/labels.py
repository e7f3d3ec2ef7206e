"""Labels as they were known at a moment: what happened, or that it does not count."""

from datetime import datetime

import polars as pl

from pennant.data.lake import Lake
from pennant.declaration import expression
from pennant.declaration.model import Label, UseCase
from pennant.features.errors import UnknownColumns
from pennant.features.tables import Tables, load_tables


def labels(use_case: UseCase, lake: Lake, as_of: datetime) -> pl.DataFrame:
    """Return the labels known at `as_of`, newest version, one row per entity.

    Columns: `entity`, `event_time`, `known_at` (of this version), `first_known_at` (of the first one),
    `label` (float, null when void), `void` (a tie, say). Events without a result are not listed.
    """
    return labels_of(use_case, load_tables(use_case, lake, as_of))


def labels_of(use_case: UseCase, tables: Tables) -> pl.DataFrame:
    """Return the labels that a set of tables knows; see `labels`.

    Raises:
        UnknownColumns: the label's expression or the entity names no column of the label's group.
    """
    declared = use_case.label
    versions = tables.versions(declared.source, declared.group)
    entity = use_case.spine.entity
    needed = [entity, *_columns(declared)]
    missing = [each for each in needed if each not in versions.columns]
    if missing:
        raise UnknownColumns(f"label of {use_case.name}", missing, versions.columns)
    value = _value(declared.expression)
    void = _value(declared.drop_when) == 1.0 if declared.drop_when else pl.lit(False)
    made = versions.with_columns(value.alias("label"), void.alias("void"))
    given = pl.col("label").is_not_null() & pl.col("void").is_not_null()
    first = pl.col("known_at").filter(given).min().over(entity).alias("first_known_at")
    newest = made.with_columns(first).unique(subset=[entity], keep="last", maintain_order=True)
    newest = newest.filter(given)  # after choosing: a result that was taken back is none
    return newest.select(
        pl.col(entity).cast(pl.String).alias("entity"),
        "event_time",
        "known_at",
        "first_known_at",
        pl.when(~pl.col("void")).then("label").alias("label"),
        "void",
    ).sort("event_time", "entity")


def _columns(declared: Label) -> list[str]:
    texts = [declared.expression, *([declared.drop_when] if declared.drop_when else [])]
    return [column for text in texts for column in _parsed(text).columns]


def _value(text: str) -> pl.Expr:
    """The expression as floats; null where a column it names is null."""
    parsed = _parsed(text)
    left = pl.col(parsed.left)
    if parsed.right is None:
        return left.cast(pl.Float64)
    right = pl.col(parsed.right)
    compared = left > right if parsed.operator == ">" else left == right
    return compared.cast(pl.Float64)


def _parsed(text: str) -> expression.Expression:
    parsed = expression.parse(text)
    if parsed is None:
        raise UnknownColumns("label expression", [text], ["column", "a > b", "a == b"])
    return parsed
