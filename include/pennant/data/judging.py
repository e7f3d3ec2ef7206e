"""The judgement of a landed batch: which rows pass, which are set aside and why, what else is out of line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from pennant.data.batches import Manifest
from pennant.data.expectations import Outcome, evaluate
from pennant.data.identities import unresolved
from pennant.data.items import group_columns
from pennant.data.quality import columns as contract
from pennant.data.quality.results import Check
from pennant.data.quality.statistics import Numbers, numbers_of, outliers
from pennant.data.quality.suites import Rule
from pennant.data.reading import POLARS_TYPES, TEXT, value_of
from pennant.declaration.model import DataUseCase, Source

UNREADABLE = "rows can be read"
BUDGET = "max_quarantined_share"
_WORST = 3


@dataclass(frozen=True)
class JudgedGroup:
    """One group's items by fate: typed rows that passed, and items set aside with `reasons`."""

    passed: pl.DataFrame
    aside: pl.DataFrame
    outcomes: list[Outcome]


@dataclass(frozen=True)
class Judged:
    """A batch by fate; `stopping` are the `stop` rules that failed, `warnings` the others and their rows."""

    passed: dict[str, pl.DataFrame]
    aside: pl.DataFrame
    reasons: dict[str, int]
    warnings: dict[str, int]
    stopping: list[str]
    checks: list[Check]
    numbers: Numbers
    unresolved: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def worst(self) -> list[str]:
        """The three worst lines, in words: those with the most reasons, then the first ones."""
        chosen = self.aside.sort(pl.col("reasons").list.len(), descending=True, maintain_order=True)
        return [in_words(row) for row in chosen.head(_WORST).iter_rows(named=True)]


def in_words(row: Mapping[str, Any]) -> str:
    """One row that was set aside, for people: where it stands, what it is, what is wrong with it."""
    shown = [
        f"{name.removeprefix(TEXT)}={value}"
        for name, value in row.items()
        if name.startswith(TEXT) and value is not None
    ]
    reasons = "; ".join(row["reasons"])
    return f"line {row['line']} of {row['part']} ({', '.join(shown[:5])}): {reasons}"


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


def judge(
    use_case: DataUseCase,
    raw: Manifest,
    items: pl.DataFrame,
    rules: Sequence[Rule],
    earlier: Sequence[Mapping[str, Any]],
) -> Judged:
    """Judge the items of a batch.

    Args:
        use_case: the declaration.
        raw: what the batch says of itself.
        items: its items.
        rules: every rule of the use case.
        earlier: statistics of the batches before it, newest first.

    Raises:
        ExpectationBroken: a rule cannot be evaluated.
    """
    source = use_case.sources[raw.name.source]
    groups = {name: _group(use_case, raw, name, items, rules) for name in source.groups}
    aside = pl.concat([each.aside for each in groups.values()], how="diagonal")
    passed = {name: each.passed for name, each in groups.items()}
    counts = Counter(reason for found in aside["reasons"].to_list() for reason in found)
    window = raw.name.window
    numbers = numbers_of(passed, (window.as_of - window.start).total_seconds() / 86_400)
    outcomes = [(name, each) for name, group in groups.items() for each in group.outcomes]
    checks = [_unreadable(items), *(_check(name, each) for name, each in outcomes)]
    checks += _of_the_batch(use_case, raw, passed, numbers, earlier)
    failed = [each for each in checks if not each.success]
    return Judged(
        passed=passed,
        aside=aside,
        reasons=dict(sorted(counts.items())),
        warnings={each.rule: each.failing for each in failed if each.on_failure == "warn"},
        stopping=[each.rule for each in failed if each.on_failure == "stop"],
        checks=checks,
        numbers=numbers,
        unresolved=_unknown_names(use_case, source, passed),
    )


def _group(
    use_case: DataUseCase, raw: Manifest, group_name: str, items: pl.DataFrame, rules: Sequence[Rule]
) -> JudgedGroup:
    source = use_case.sources[raw.name.source]
    items = items.filter(pl.col("group") == group_name)
    readable = pl.col("faults").list.len() == 0
    # An item that became empty is a correction to nothing: there is no value to judge.
    valued = items.filter(readable & ~pl.col("empty"))
    emptied = items.filter(readable & pl.col("empty"))
    mine = [rule for rule in rules if rule.source == raw.name.source and rule.group == group_name]
    outcomes = evaluate(use_case.name, mine, typed_rows(valued, source, group_name))
    valued = valued.with_columns(reasons=_reasons(outcomes, valued.height))
    sound = pl.col("reasons").list.len() == 0
    passed = pl.concat([valued.filter(sound), emptied], how="diagonal")
    unread = items.filter(~readable).with_columns(reasons=pl.col("faults"))
    aside = pl.concat([unread, valued.filter(~sound)], how="diagonal").drop("faults", "empty")
    typed = typed_rows(passed, source, group_name).sort("known_at", "event_time", *source.key)
    return JudgedGroup(typed, aside, outcomes)


def _reasons(outcomes: Sequence[Outcome], height: int) -> pl.Series:
    """Per row, the names of the rules that set it aside (or stop the batch for it)."""
    none = pl.Series("reasons", [[]], dtype=pl.List(pl.String)).new_from_index(0, height)
    named = [each for each in outcomes if each.failing and each.rule.on_failure != "warn"]
    if not named:
        return none
    marks = []
    for each in named:
        where = pl.Series([False]).new_from_index(0, height).scatter(list(each.failing), True)
        marks.append(pl.DataFrame({"w": where}).select(pl.when("w").then(pl.lit(each.rule.name)))["literal"])
    frame = pl.DataFrame({str(number): mark for number, mark in enumerate(marks)})
    return frame.select(pl.concat_list(pl.all()).list.drop_nulls().alias("reasons"))["reasons"]


def _unreadable(items: pl.DataFrame) -> Check:
    failing = items.filter(pl.col("faults").list.len() > 0).height
    return Check(UNREADABLE, "quarantine", failing == 0, failing)


def _check(group: str, outcome: Outcome) -> Check:
    whole = not outcome.success and not outcome.failing
    # A rule on the column as a whole names no rows to set aside: it can only stop the batch, or warn.
    action = "stop" if whole and outcome.rule.on_failure == "quarantine" else outcome.rule.on_failure
    return Check(
        f"{group}: {outcome.rule.name}", action, outcome.success, len(outcome.failing), outcome.observed
    )


def _of_the_batch(
    use_case: DataUseCase,
    raw: Manifest,
    passed: Mapping[str, pl.DataFrame],
    numbers: Numbers,
    earlier: Sequence[Mapping[str, Any]],
) -> list[Check]:
    """The provider's columns, volume, distribution and freshness: what is out of line with the past."""
    source, validation = use_case.sources[raw.name.source], use_case.validation
    before = next((each["columns"] for each in earlier if each.get("columns")), None)
    changed = contract.changes(source, raw.request.get("columns") or [], before)
    checks = (
        []
        if validation.contract.added == "ignore"
        else [Check(words, validation.contract.added, success=False, failing=0) for words in changed]
    )
    for rule, volume in ((validation.volume, True), (validation.distribution, False)):
        held = [each.get("numbers", {}) for each in earlier]
        found = outliers(numbers, held, rule, volume=volume)
        checks += [Check(words, rule.on_failure, success=False, failing=0) for words in found if rule]
    times = [rows["event_time"].max() for rows in passed.values() if rows.height]
    newest = max((each for each in times if isinstance(each, datetime)), default=None)
    limit = validation.freshness_hours
    if limit is not None and newest is not None:
        old = (raw.name.window.as_of - newest).total_seconds() / 3600
        words = f"the newest event is at most {limit:g} h old"
        checks.append(Check(words, "warn", old <= limit, 0, f"{old:.1f} h"))
    return checks


def _unknown_names(
    use_case: DataUseCase, source: Source, passed: Mapping[str, pl.DataFrame]
) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for rows in passed.values():
        found |= unresolved(rows, source, use_case.identities)
    return found
