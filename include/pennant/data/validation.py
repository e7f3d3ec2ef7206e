"""From a raw batch to a validated one: judged, then written whole, with a page for people.

A validated batch is a Parquet file per column group and `batch.json`, written last: without it the
batch is not validated, and what an interrupted run left is written again.
"""

import io
import json
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy import Engine

from pennant.data import records
from pennant.data.batches import BatchName, Manifest, parse_manifest, read_items
from pennant.data.errors import BatchStopped
from pennant.data.judging import BUDGET, Judged, judge, typed_rows
from pennant.data.lake import Lake, sha256_of
from pennant.data.quality import results
from pennant.data.quality.page import page
from pennant.data.quality.suites import rules_of
from pennant.declaration.model import DataUseCase
from pennant.reference import Reference
from pennant.settings import Settings

__all__ = ["BatchResult", "typed_rows", "validate"]

_MOST_EARLIER = 60


@dataclass(frozen=True)
class BatchResult:
    """What validation made of a batch. Rows are counted by column group."""

    rows: int
    """Rows that passed."""
    quarantined: int
    reasons: dict[str, int]
    """Quarantined rows by reason; a row with two reasons counts under both."""
    reference: Reference
    """The validated batch's `batch.json`."""
    report: Reference
    """Its page."""
    warnings: dict[str, int] = field(default_factory=dict)
    """Rules with `on_failure: warn` that failed, with the rows that did."""
    worst: list[str] = field(default_factory=list)
    """The three worst lines, in words."""
    unresolved: dict[str, dict[str, int]] = field(default_factory=dict)
    """Names that no table of identities knows, by column, with their rows."""


def validate(
    use_case: DataUseCase, manifest: Reference, lake: Lake, warehouse: Engine, settings: Settings
) -> BatchResult:
    """Validate one landed batch. Doing it again gives the same result and changes nothing.

    Raises:
        BatchStopped: a `stop` rule failed or too many rows were quarantined. Nothing validated is
            written; the failing rows are in quarantine.
        ExpectationBroken: a rule cannot be evaluated.
        RulesBroken: the use case's expectations.py cannot be used.
        LakeCorrupt: the raw batch is not the one that landed.
    """
    raw = parse_manifest(lake.get(manifest))
    lake.sweep()
    result = _result(raw.name, lake)
    if result is None:
        rules = rules_of(use_case, settings.use_cases)
        earlier = results.earlier(warehouse, raw.name, _MOST_EARLIER)
        judged = judge(use_case, raw, read_items(raw.name, raw, lake), rules, earlier)
        result = _settle(use_case, raw, judged, earlier, lake, warehouse)
    with warehouse.begin() as connection:
        records.batch_judged(connection, raw.name, "validated", result.quarantined, result.reasons)
    return result


def _settle(
    use_case: DataUseCase, raw: Manifest, judged: Judged, earlier: list[Any], lake: Lake, warehouse: Engine
) -> BatchResult:
    """Write the outcome: quarantine, page, groups, then `batch.json`; or stop the batch."""
    name, aside = raw.name, judged.aside
    stopping = list(judged.stopping)
    if raw.rows and aside.height / raw.rows > use_case.validation.max_quarantined_share:
        stopping.append(BUDGET)
    with warehouse.begin() as connection:
        records.hold_batch(connection, name)
        if (done := _result(name, lake)) is not None:
            return done
        kept = lake.replace(f"{name.path('quarantine')}.parquet", _parquet(aside)) if aside.height else None
        shown = page(use_case, raw, judged, stopping, earlier)
        report = lake.replace(f"reports/data/{name.use_case}/{name.source}/{name.batch_id}.html", shown)
        results.write(connection, name, judged.checks)
        statistics = {"columns": raw.request.get("columns"), "numbers": judged.numbers}
        records.batch_described(connection, name, statistics, report.uri)
        if not stopping:
            return _commit(raw, judged, lake, kept, report)
        records.batch_judged(connection, name, "stopped", aside.height, judged.reasons)
    raise BatchStopped(
        name.use_case,
        name.source,
        name.batch_id,
        rules=stopping,
        quarantined=aside.height,
        rows=raw.rows,
        reasons=judged.reasons,
        quarantine_uri=kept.uri if kept else None,
        worst=judged.worst,
        report=report,
    )


def _commit(
    raw: Manifest, judged: Judged, lake: Lake, quarantine: Reference | None, report: Reference
) -> BatchResult:
    name = raw.name
    groups: dict[str, dict[str, object]] = {}
    for group, rows in judged.passed.items():
        if rows.height:
            stored = lake.replace(f"{name.path('validated')}/{group}.parquet", _parquet(rows))
            groups[group] = {"rows": rows.height, "sha256": stored.sha256}
    body = {
        "format": 1,
        "use_case": name.use_case,
        "source": name.source,
        "batch_id": name.batch_id,
        "raw_sha256": raw.sha256,
        "groups": groups,
        "rows": sum(rows.height for rows in judged.passed.values()),
        "quarantined": judged.aside.height,
        "quarantine_sha256": quarantine.sha256 if quarantine else None,
        "reasons": judged.reasons,
        "warnings": judged.warnings,
        "worst": judged.worst,
        "unresolved": judged.unresolved,
        "report": report.to_json(),
    }
    lake.put(f"{name.path('validated')}/batch.json", json.dumps(body, indent=1, sort_keys=True).encode())
    result = _result(name, lake)
    assert result is not None  # noqa: S101  (it was written one line above)
    return result


def _result(name: BatchName, lake: Lake) -> BatchResult | None:
    path = f"{name.path('validated')}/batch.json"
    if not lake.exists(path):
        return None
    content = lake.get(lake.uri(path))
    body = json.loads(content)
    return BatchResult(
        rows=body["rows"],
        quarantined=body["quarantined"],
        reasons=body["reasons"],
        reference=Reference(uri=lake.uri(path), sha256=sha256_of(content)),
        report=Reference.from_json(body["report"]),
        warnings=body["warnings"],
        worst=body["worst"],
        unresolved=body["unresolved"],
    )


def _parquet(rows: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    rows.write_parquet(body)
    return body.getvalue()
