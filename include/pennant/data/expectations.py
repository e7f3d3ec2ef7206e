"""Rules, evaluated by Great Expectations on one column group of a batch.

Great Expectations takes seconds to import, so a batch without rows or rules never imports it.
"""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from pennant.data.errors import ExpectationBroken
from pennant.data.quality.suites import Rule
from pennant.declaration.expectations import COLUMN_ARGUMENTS, COLUMN_LIST_ARGUMENT

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Outcome:
    """What one rule found on the rows it was given.

    `failing` holds row positions; it is empty for an expectation on the column as a whole. `observed` is
    what Great Expectations saw, where it says so.
    """

    rule: Rule
    success: bool
    failing: tuple[int, ...]
    observed: Any = None


def evaluate(use_case: str, rules: Sequence[Rule], rows: pl.DataFrame) -> list[Outcome]:
    """Evaluate the rules of one source and group on its typed rows, in their order.

    Raises:
        ExpectationBroken: an unknown expectation, wrong arguments, or one that raises on this data.
    """
    if not rules or rows.height == 0:
        return []
    gx, context = _great_expectations()
    return [_judged(gx, context, use_case, rule, rows) for rule in rules]


def _judged(gx: Any, context: Any, use_case: str, rule: Rule, rows: pl.DataFrame) -> Outcome:
    """One rule on a frame of only the columns it reads: the positions in it are those of `rows`."""
    expectation = _built(gx, use_case, rule)
    batch = (
        context.data_sources.add_or_update_pandas("batch")
        .add_dataframe_asset(f"{rule.source}.{rule.group}")
        .add_batch_definition_whole_dataframe("whole")
        .get_batch(batch_parameters={"dataframe": _frame(use_case, rule, rows)})
    )
    # Which rows fail is asked only where some do: listing them costs more than judging them.
    result = batch.validate(expectation, result_format="BOOLEAN_ONLY")
    _raise_if_broken(use_case, rule, result)
    if bool(result.success):
        return Outcome(rule, success=True, failing=())
    result = batch.validate(expectation, result_format="COMPLETE")
    _raise_if_broken(use_case, rule, result)
    found = result.to_json_dict().get("result") or {}
    positions = found.get("unexpected_index_list") or []
    return Outcome(
        rule,
        success=False,
        failing=tuple(int(position) for position in positions),
        observed=found.get("observed_value", found.get("unexpected_count")),
    )


def _frame(use_case: str, rule: Rule, rows: pl.DataFrame) -> "pd.DataFrame":
    given = [rule.with_[name] for name in COLUMN_ARGUMENTS if name in rule.with_]
    listed = rule.with_.get(COLUMN_LIST_ARGUMENT)
    columns = [str(each) for each in (*given, *(listed if isinstance(listed, list) else []))]
    try:
        made = rows.with_columns(**dict(rule.derived)) if rule.derived else rows
        chosen = made.select(columns) if columns else made
    except pl.exceptions.PolarsError as error:
        raise _broken(use_case, rule, f"{type(error).__name__}: {error}") from error
    # Moments are compared without zone, all being UTC.
    return chosen.with_columns(pl.col(pl.Datetime("us", "UTC")).dt.replace_time_zone(None)).to_pandas()


def _great_expectations() -> tuple[Any, Any]:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import; nothing may call home
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    context.variables.save()
    return gx, context


def _built(gx: Any, use_case: str, rule: Rule) -> Any:
    kind = getattr(gx.expectations, rule.expect, None)
    if kind is None:
        known = [name for name in dir(gx.expectations) if name.startswith("Expect")]
        nearest = difflib.get_close_matches(rule.expect, known, n=1)
        found = "Great Expectations has none of this name"
        raise _broken(use_case, rule, found, nearest[0] if nearest else None)
    try:
        return kind(**rule.with_)
    except (TypeError, ValueError) as error:
        raise _broken(use_case, rule, " ".join(str(error).split())) from error


def _raise_if_broken(use_case: str, rule: Rule, result: Any) -> None:
    for info in _infos(dict(result.exception_info or {})):
        if info.get("raised_exception"):
            raise _broken(use_case, rule, str(info["exception_message"]))


def _infos(exception_info: dict[str, Any]) -> list[dict[str, Any]]:
    # Either one entry, or one per metric.
    if "raised_exception" in exception_info:
        return [exception_info]
    return [info for info in exception_info.values() if isinstance(info, dict)]


def _broken(use_case: str, rule: Rule, found: str, nearest: str | None = None) -> ExpectationBroken:
    return ExpectationBroken(use_case, rule.source, rule.group, rule.expect, found=found, nearest=nearest)
