"""The tables of a report: comparisons, every metric, slices, coverage."""

from collections.abc import Mapping
from html import escape
from typing import Any

from pennant.declaration.model import UseCase
from pennant.gate.outcome import Comparison, SliceResult, Verdict
from pennant.gate.plots_calibration import as_promised
from pennant.gate.report_html import badge, cell, number, span, table
from pennant.gate.report_measures import WORDS, Measures
from pennant.gate.score import describe_slice
from pennant.gate.sentences import METRIC_NAMES


def comparisons(verdict: Verdict) -> str:
    """Each forecaster that the challenger was held against."""
    name = METRIC_NAMES[verdict.metric]
    head = ["Forecaster", "Role", f"Its {name}", "Challenger", "Gain", "Interval", "Must exceed"]
    rows = [_comparison(each) for each in verdict.comparisons]
    return table([*head, "Rows", "Left out", ""], rows)


def measures(found: Measures) -> str:
    """Every metric of every forecaster, each with its interval below."""
    names = list(found.of)
    head = ["Metric", *(f"{name} ({found.rows[name]:,} rows)" for name in names)]
    rows = []
    for metric in found.metrics:
        title, unit, better = WORDS[metric]
        row = [cell(title, f"{unit}; {better}")]
        for name in names:
            each = found.of[name].get(metric)
            if each is None:
                row.append("")
                continue
            interval = (
                "" if each.low is None or each.high is None else f"{number(each.low)} to {number(each.high)}"
            )
            row.append(cell(number(each.value), interval))
        rows.append(row)
    told = f"{found.level:.0%} intervals, by {found.clusters}. A calibration error has none."
    return table(head, rows, "measures") + f'<p class="note">{escape(told)}</p>'


def slices(use_case: UseCase, verdict: Verdict) -> str:
    """Each declared slice against its limits."""
    head = ["Slice", "Rows where", "Rows", "Loss", "Floor", "Increase", "Limit", "Compared with", ""]
    return table(head, [_slice(use_case, each) for each in verdict.slices])


def coverage(told: Mapping[str, Mapping[str, float]], promised: float, task: str) -> str:
    """How often the intervals of each slice held what came, out of fold."""
    rows = []
    for name, each in told.items():
        held = as_promised(each, promised, task)
        wide = each["low"] > promised
        word = ("not less" if wide else "as promised") if held else "too wide" if wide else "too narrow"
        ends = f"{each['low']:.1%} to {each['high']:.1%}"
        share = cell(f"{each['share']:.1%}", ends)
        slice_name = "all rows" if name == "all" else escape(name)
        rows.append([slice_name, f"{int(each['rows']):,}", share, f"{promised:.0%}", badge(word, good=held)])
    return table(["Slice", "Rows", "Inside their interval", "Promised", ""], rows)


def said(told: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Mean probability and share that came, by slice and class, out of fold."""
    rows = []
    for name, classes in told.items():
        for of, each in classes.items():
            held = each["low"] <= each["said"] <= each["high"]
            came = cell(f"{each['share']:.1%}", f"{each['low']:.1%} to {each['high']:.1%}")
            rows.append(
                [
                    "all rows" if name == "all" else escape(name),
                    "it comes true" if of == "1" and len(classes) == 1 else escape(of),
                    f"{int(each['rows']):,}",
                    f"{each['said']:.1%}",
                    came,
                    badge("as said" if held else "off", good=held),
                ]
            )
    return table(["Slice", "Outcome", "Rows", "Said, on average", "Came", ""], rows)


def _comparison(each: Comparison) -> list[str]:
    role = "champion" if each.kind == "champion" else ("required baseline" if each.required else "shown only")
    bound = "lower end" if each.rule == "lower_bound" else "mean"
    result = "" if not each.required else badge("passed" if each.passed else "not passed", good=each.passed)
    return [
        escape(each.name),
        role,
        f"{each.other_loss:.4f}",
        f"{each.challenger_loss:.4f}",
        f"{each.mean:+.4f}",
        span(each.low, each.high),
        f"{each.needs_above:g} ({bound})" if each.required else "",
        f"{each.n:,}",
        f"{each.left_out:,}",
        result,
    ]


def _slice(use_case: UseCase, each: SliceResult) -> list[str]:
    result = badge("kept" if each.passed else "broken", good=each.passed) if each.judged else "too few rows"
    ends = "" if each.loss_low is None else span(each.loss_low, each.loss_high, sign=False)
    return [
        escape(each.name),
        f"<code>{escape(describe_slice(use_case.gate.slices[each.name]))}</code>",
        f"{each.rows:,}",
        "" if each.loss is None else cell(f"{each.loss:.4f}", ends),
        "" if each.max_loss is None else f"{each.max_loss:g}",
        "" if each.increase is None else cell(f"{each.increase:+.4f}", span(each.low, each.high)),
        f"{each.limit:+g}",
        escape(each.reference),
        result,
    ]
