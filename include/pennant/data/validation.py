"""From a raw batch to a validated one: types, declared expectations, quarantine with reasons.

A validated batch is a Parquet file per column group and `batch.json`, written last: without it the
batch is not validated, and what an interrupted run left is written again.
"""

import io
import json
from collections import Counter
from dataclasses import dataclass, field

import polars as pl
from sqlalchemy import Engine

from pennant.data import records
from pennant.data.batches import BatchName, Manifest, parse_manifest, read_items
from pennant.data.errors import BatchStopped
from pennant.data.expectations import evaluate
from pennant.data.items import group_columns
from pennant.data.lake import Lake, sha256_of
from pennant.data.reading import POLARS_TYPES, TEXT, value_of
from pennant.declaration.model import Source, UseCase
from pennant.reference import Reference


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
    warnings: dict[str, int] = field(default_factory=dict)
    """Rules with `on_failure: warn` that failed, with the rows that did."""


@dataclass(frozen=True)
class _JudgedGroup:
    """One group's items by fate: typed rows that passed, and items set aside with `reasons`."""

    passed: pl.DataFrame
    quarantined: pl.DataFrame
    warnings: dict[str, int]
    stopping: list[str]


@dataclass(frozen=True)
class _Judged:
    """Items of a batch by fate. `stopping` names the `stop` rules that failed."""

    passed: dict[str, pl.DataFrame]
    quarantined: pl.DataFrame
    reasons: dict[str, int]
    warnings: dict[str, int]
    stopping: list[str]


def validate(use_case: UseCase, manifest: Reference, lake: Lake, warehouse: Engine) -> BatchResult:
    """Validate one landed batch. Doing it again gives the same result and changes nothing.

    Raises:
        BatchStopped: a `stop` rule failed or too many rows were quarantined. Nothing validated is
            written; the failing rows are in quarantine.
        ExpectationBroken: a declared expectation cannot be evaluated.
        LakeCorrupt: the raw batch is not the one that landed.
    """
    raw = parse_manifest(lake.get(manifest))
    lake.sweep()
    result = _result(raw.name, lake)
    if result is None:
        judged = _judge(use_case, raw, lake)
        result = _settle(use_case, raw, judged, lake, warehouse)
    with warehouse.begin() as connection:
        records.batch_judged(connection, raw.name, "validated", result.quarantined, result.reasons)
    return result


def typed_rows(items: pl.DataFrame, source: Source, group_name: str) -> pl.DataFrame:
    """Items of one group as typed rows: key (text), `event_time`, `known_at`, own columns, `provider`."""
    zone = source.event_time.time_zone
    kinds = source.groups[group_name].columns
    return items.select(
        *(pl.col(TEXT + name).alias(name) for name in source.key),
        "event_time",
        "known_at",
        *(
            value_of(name, kinds[name], zone).cast(POLARS_TYPES[kinds[name]]).alias(name)
            for name in group_columns(source, group_name)
        ),
        "provider",
    )


def _judge(use_case: UseCase, raw: Manifest, lake: Lake) -> _Judged:
    source = use_case.sources[raw.name.source]
    items = read_items(raw.name, raw, lake)
    judged = {
        name: _judge_group(use_case, raw.name.source, name, items.filter(pl.col("group") == name))
        for name in source.groups
    }
    quarantined = pl.concat([each.quarantined for each in judged.values()], how="diagonal")
    counts = Counter(reason for found in quarantined["reasons"].to_list() for reason in found)
    return _Judged(
        passed={name: each.passed for name, each in judged.items()},
        quarantined=quarantined,
        reasons=dict(sorted(counts.items())),
        warnings={rule: rows for each in judged.values() for rule, rows in each.warnings.items()},
        stopping=[rule for each in judged.values() for rule in each.stopping],
    )


def _judge_group(use_case: UseCase, source_name: str, group_name: str, items: pl.DataFrame) -> _JudgedGroup:
    source = use_case.sources[source_name]
    readable = pl.col("faults").list.len() == 0
    # An item that became empty is a correction to nothing: there is no value to judge.
    valued = items.filter(readable & ~pl.col("empty"))
    emptied = items.filter(readable & pl.col("empty"))
    rules = [
        rule
        for rule in use_case.validation.expectations
        if rule.source == source_name and rule.group == group_name
    ]
    warnings: dict[str, int] = {}
    stopping: list[str] = []
    reasons: list[list[str]] = [[] for _ in range(valued.height)]
    for outcome in evaluate(use_case.name, rules, typed_rows(valued, source, group_name)):
        if outcome.success:
            continue
        if outcome.on_failure == "warn":
            warnings[f"{group_name}: {outcome.rule}"] = len(outcome.failing)
            continue
        if outcome.on_failure == "stop" or not outcome.failing:
            # A rule on the column as a whole names no rows to set aside.
            stopping.append(f"{group_name}: {outcome.rule}")
        for position in outcome.failing:
            reasons[position].append(outcome.rule)
    valued = valued.with_columns(reasons=pl.Series(reasons, dtype=pl.List(pl.String)))
    sound = pl.col("reasons").list.len() == 0
    passed = pl.concat([valued.filter(sound), emptied], how="diagonal")
    unread = items.filter(~readable).with_columns(reasons=pl.col("faults"))
    aside = pl.concat([unread, valued.filter(~sound)], how="diagonal").drop("faults", "empty")
    typed = typed_rows(passed, source, group_name).sort("known_at", "event_time", *source.key)
    return _JudgedGroup(typed, aside, warnings, stopping)


def _settle(use_case: UseCase, raw: Manifest, judged: _Judged, lake: Lake, warehouse: Engine) -> BatchResult:
    """Write the outcome: quarantine, then the groups, then `batch.json`; or stop the batch."""
    name, aside = raw.name, judged.quarantined
    allowed = use_case.validation.max_quarantined_share
    rules = list(judged.stopping)
    if raw.rows and aside.height / raw.rows > allowed:
        rules.append("max_quarantined_share")
    with warehouse.begin() as connection:
        records.hold_batch(connection, name)
        if (earlier := _result(name, lake)) is not None:
            return earlier
        kept = lake.replace(f"{name.path('quarantine')}.parquet", _parquet(aside)) if aside.height else None
        if rules:
            records.batch_judged(connection, name, "stopped", aside.height, judged.reasons)
        else:
            return _commit(raw, judged, lake, kept)
    raise BatchStopped(
        name.use_case,
        name.source,
        name.batch_id,
        rules=rules,
        quarantined=aside.height,
        rows=raw.rows,
        reasons=judged.reasons,
        quarantine_uri=kept.uri if kept else None,
    )


def _commit(raw: Manifest, judged: _Judged, lake: Lake, quarantine: Reference | None) -> BatchResult:
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
        "quarantined": judged.quarantined.height,
        "quarantine_sha256": quarantine.sha256 if quarantine else None,
        "reasons": judged.reasons,
        "warnings": judged.warnings,
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
        warnings=body["warnings"],
    )


def _parquet(rows: pl.DataFrame) -> bytes:
    body = io.BytesIO()
    rows.write_parquet(body)
    return body.getvalue()
