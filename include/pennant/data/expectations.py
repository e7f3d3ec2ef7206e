"""Declared expectations, evaluated by Great Expectations on one column group of a batch.

Great Expectations takes seconds to import, so a batch without rows or rules never imports it.
"""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from pennant.data.errors import ExpectationBroken
from pennant.declaration.model import Expectation


@dataclass(frozen=True)
class Outcome:
    """What one expectation found on the rows it was given.

    `failing` holds row positions; it is empty for an expectation on the column as a whole.
    """

    rule: str
    on_failure: Literal["stop", "quarantine", "warn"]
    success: bool
    failing: tuple[int, ...]


def evaluate(use_case: str, expectations: Sequence[Expectation], rows: pl.DataFrame) -> list[Outcome]:
    """Evaluate the expectations of one source and group on its typed rows, in the order declared.

    Raises:
        ExpectationBroken: an unknown expectation, wrong arguments, or one that raises on this data.
    """
    if not expectations or rows.height == 0:
        return []
    first = expectations[0]
    gx, context = _great_expectations()
    # Row positions must be those of `rows`; moments are compared without zone, all being UTC.
    frame = rows.with_columns(pl.col(pl.Datetime("us", "UTC")).dt.replace_time_zone(None)).to_pandas()
    batch = (
        context.data_sources.add_or_update_pandas("batch")
        .add_dataframe_asset(f"{first.source}.{first.group}")
        .add_batch_definition_whole_dataframe("whole")
        .get_batch(batch_parameters={"dataframe": frame})
    )
    outcomes = []
    for expectation in expectations:
        result = batch.validate(_built(gx, use_case, expectation), result_format="COMPLETE")
        outcomes.append(_outcome(use_case, expectation, result))
    return outcomes


def rule_name(expectation: Expectation) -> str:
    """How a rule is called in reasons: its expectation and the column or columns it is about."""
    columns = [str(value) for name, value in sorted(expectation.with_.items()) if name.startswith("column")]
    return f"{expectation.expect}: {', '.join(columns)}" if columns else expectation.expect


def _great_expectations() -> tuple[Any, Any]:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read at import; nothing may call home
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    context.variables.save()
    return gx, context


def _built(gx: Any, use_case: str, expectation: Expectation) -> Any:
    kind = getattr(gx.expectations, expectation.expect, None)
    if kind is None:
        known = [name for name in dir(gx.expectations) if name.startswith("Expect")]
        nearest = difflib.get_close_matches(expectation.expect, known, n=1)
        found = "Great Expectations has none of this name"
        raise _broken(use_case, expectation, found, nearest[0] if nearest else None)
    try:
        return kind(**expectation.with_)
    except (TypeError, ValueError) as error:
        raise _broken(use_case, expectation, " ".join(str(error).split())) from error


def _outcome(use_case: str, expectation: Expectation, result: Any) -> Outcome:
    body = result.to_json_dict()
    raised = [
        str(info["exception_message"])
        for info in _infos(body.get("exception_info") or {})
        if info.get("raised_exception")
    ]
    if raised:
        raise _broken(use_case, expectation, raised[0])
    failing = (body.get("result") or {}).get("unexpected_index_list") or []
    return Outcome(
        rule=rule_name(expectation),
        on_failure=expectation.on_failure,
        success=bool(body["success"]),
        failing=tuple(int(position) for position in failing),
    )


def _infos(exception_info: dict[str, Any]) -> list[dict[str, Any]]:
    # Either one entry, or one per metric.
    if "raised_exception" in exception_info:
        return [exception_info]
    return [info for info in exception_info.values() if isinstance(info, dict)]


def _broken(
    use_case: str, expectation: Expectation, found: str, nearest: str | None = None
) -> ExpectationBroken:
    return ExpectationBroken(
        use_case, expectation.source, expectation.group, expectation.expect, found=found, nearest=nearest
    )
