"""The evidence as one self-contained HTML page: verdict, why and numbers first, plots and tables below."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pennant.declaration.model import UseCase
from pennant.gate import report_explained, report_facts, report_tables
from pennant.gate.outcome import Reason, Verdict
from pennant.gate.report_captions import CALIBRATION, SCORES, SCORES_TITLE
from pennant.gate.report_html import badge, facts, figure, section, span, table, tile
from pennant.gate.report_shown import Shown
from pennant.gate.sentences import METRIC_NAMES, METRIC_UNITS
from pennant.gate.style import STYLE

_WORDS = {
    "promote": "The challenger may replace what is served.",
    "hold": "Nothing changes: what is served stays.",
    "refuse": "Something is wrong; the comparison means nothing.",
}
_NOTES = {
    "baseline_shown",
    "slice_shown",
    "champion_saw_rows",
    "inputs_added",
    "takes_less_unfelt",
    "rows_unanswered",
    "leaks_not_searched",
}
"""Findings that inform and argue for nothing."""
_MARKS = {"promote": ("✓", "good"), "hold": ("!", "warn"), "refuse": ("✕", "bad")}


def render(
    use_case: UseCase, data: Mapping[str, Any], verdict: Verdict, evidence_sha256: str, shown: Shown
) -> bytes:
    """Make the page. Everything that comes from data is escaped; nothing is loaded from elsewhere.

    Args:
        use_case: the declaration.
        data: the evidence.
        verdict: what the gate said.
        evidence_sha256: the evidence's hash.
        shown: what was measured, explained and drawn beside it.
    """
    title = f"{use_case.title}: version {data['challenger']['version']}"
    sections = [
        _top(use_case, data, verdict, title),
        section("Why", _reasons(verdict.reasons)),
        _compared(use_case, verdict, shown),
        _predictions(use_case, shown),
        _slices(use_case, verdict, shown),
        _beside(use_case, data, verdict),
        report_explained.explanation(shown),
        report_explained.rows(shown, use_case),
        _model(use_case, shown),
        section("Data and splits", facts(report_facts.data(use_case, data, shown.manifest))),
        section("Limits", _list(report_facts.limits(use_case, shown.manifest))),
        _identity(data, evidence_sha256, shown),
    ]
    body = "\n".join(each for each in sections if each)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )
    return page.encode()


def _top(use_case: UseCase, data: Mapping[str, Any], verdict: Verdict, title: str) -> str:
    champion = data["champion"]
    against = f"against champion version {champion['version']}" if champion else "no champion yet"
    first = verdict.deciding()[0].text if verdict.deciding() else ""
    return (
        f'<header class="{verdict.outcome}"><p class="eyebrow">Pennant gate · {escape(use_case.name)} · '
        f"as of {escape(report_facts.day(data['as_of']))} · {escape(against)}</p><h1>{escape(title)}</h1>"
        f'<div class="verdict"><span class="pill">{verdict.outcome.upper()}</span>'
        f"<div><strong>{_WORDS[verdict.outcome]}</strong><p>{escape(first)}</p></div></div>"
        f'<div class="tiles">{"".join(_tiles(use_case, verdict))}</div></header>'
    )


def _tiles(use_case: UseCase, verdict: Verdict) -> list[str]:
    name = METRIC_NAMES[verdict.metric]
    unit = METRIC_UNITS[verdict.metric]
    found = []
    if verdict.challenger_loss is not None:
        ends = span(verdict.challenger_low, verdict.challenger_high, sign=False)
        found.append(tile(f"Challenger {name}", f"{verdict.challenger_loss:.4f}", f"{ends} {unit}", ""))
    for each in [each for each in verdict.comparisons if each.required][:2]:
        what = "the champion" if each.kind == "champion" else each.name
        mark = "good" if each.passed else "warn"
        found.append(tile(f"Gain over {what}", f"{each.mean:+.4f}", span(each.low, each.high), mark))
    if verdict.calibration is not None:
        limit = use_case.gate.max_calibration_error
        mark = "good" if verdict.calibration.error <= limit else "warn"
        kind = "Calibration error" if verdict.calibration.kind == "probabilities" else "Intervals off by"
        found.append(tile(kind, f"{verdict.calibration.error:.3f}", f"limit {limit:g}", mark))
    enough = verdict.n >= use_case.gate.min_rows
    needs = f"on {verdict.days} {report_facts.counted(use_case)}; needs {use_case.gate.min_rows}"
    return [*found, tile("Fresh rows", f"{verdict.n:,}", needs, "good" if enough else "warn")]


def _reasons(reasons: Sequence[Reason]) -> str:
    order = {"refuse": 0, "hold": 1, "promote": 2}
    items = []
    for reason in sorted(reasons, key=lambda each: (order[each.argues_for], each.code in _NOTES)):
        mark, kind = ("i", "note") if reason.code in _NOTES else _MARKS[reason.argues_for]
        items.append(
            f'<li class="{kind}"><i>{mark}</i><div>{escape(reason.text)}'
            f"<code>{escape(reason.code)}</code></div></li>"
        )
    return f'<ul class="reasons">{"".join(items)}</ul>'


def _compared(use_case: UseCase, verdict: Verdict, shown: Shown) -> str:
    parts = []
    if "gain" in shown.pictures:
        caption = (
            f"Paired differences on the same rows, with {1 - 2 * verdict.alpha:.0%} intervals; rows of one "
            f"{report_facts.unit(use_case)} count together. Green passed, red did not, grey is shown and not "
            "required. The lower end has to pass the dashed bar (the dot, where only the mean counts)."
        )
        parts.append(figure("gain", "Gain over champion and baselines", caption, shown.pictures["gain"]))
    if verdict.comparisons:
        parts.append(report_tables.comparisons(verdict))
    if shown.measures is not None:
        parts.append("<h3>Every metric</h3>" + report_tables.measures(shown.measures))
    return section("How good it is", *parts)


def _predictions(use_case: UseCase, shown: Shown) -> str:
    parts = []
    if "calibration" in shown.pictures:
        caption = CALIBRATION[use_case.task]
        parts.append(figure("calibration", "Calibration", caption, shown.pictures["calibration"]))
    if "scores" in shown.pictures:
        title, caption = SCORES_TITLE[use_case.task], SCORES[use_case.task]
        parts.append(figure("scores", title, caption, shown.pictures["scores"]))
    if not parts:
        return ""
    half = " halves" if use_case.task == "binary" else ""
    return section("What it says", f'<div class="plots{half}">{"".join(parts)}</div>')


def _slices(use_case: UseCase, verdict: Verdict, shown: Shown) -> str:
    parts = []
    if "slices" in shown.pictures:
        caption = (
            "The dashed bar is the declared floor. Blue: kept; red: broken; grey: too few rows to judge."
        )
        parts.append(figure("half", "Loss in each slice", caption, shown.pictures["slices"]))
    if verdict.slices:
        parts.append(report_tables.slices(use_case, verdict))
    covered = shown.manifest.get("metrics", {}).get("coverage", {})
    if "coverage" in shown.pictures:
        caption = (
            "Measured out of fold, on rows that no model had seen, with 95% intervals. Red: the promised "
            "share lies outside."
        )
        if use_case.task == "count":
            caption += " Intervals of whole counts cannot but hold some more than they promise."
        parts.append(figure("half", "Coverage of intervals", caption, shown.pictures["coverage"]))
        parts.append(report_tables.coverage(covered, use_case.training.interval_coverage, use_case.task))
    said = shown.manifest.get("metrics", {}).get("calibration", {})
    if said:
        parts.append("<h3>What was said and what came, out of fold</h3>" + report_tables.said(said))
    return section("Slices", *parts)


def _beside(use_case: UseCase, data: Mapping[str, Any], verdict: Verdict) -> str:
    rows = [
        [
            escape(name),
            escape(text),
            badge("kept" if mark == "good" else "not kept", good=mark == "good") if mark else "",
        ]
        for name, text, mark in report_facts.beside(use_case, data, verdict)
    ]
    approval = [["Approval", escape(report_facts.approval(use_case)), ""]]
    return section("Beside the scores", table(["", "", ""], rows + approval, kind="identity"))


def _model(use_case: UseCase, shown: Shown) -> str:
    members = report_facts.members(shown.manifest)
    head = ["Member", "Kind", "Weight", "Loss out of fold", "Hyper-parameters"]
    listed = table(head, [[escape(cell) for cell in row] for row in members]) if members else ""
    return section("The model", facts(report_facts.model(use_case, shown.manifest)), listed)


def _identity(data: Mapping[str, Any], sha256: str, shown: Shown) -> str:
    champion, policy = data["champion"], data["policy"]
    rows = [
        [escape(name), f"<code>{escape(text)}</code>"]
        for name, text in report_facts.identity(data, sha256, shown.manifest)
    ]
    told = (
        f"{policy['policy']}, margin {policy['margin']:g}, alpha {policy['alpha']:g} one-sided, at least "
        f"{policy['min_rows']} rows"
    )
    rows += [
        ["Challenger", _version(data["challenger"])],
        ["Champion", _version(champion) if champion else "none"],
        ["Policy", escape(told)],
    ]
    lead = "What to say to have exactly this again; pennant rebuild trains it and reports any difference."
    return section("Identity and rebuilding", table(["", ""], rows, kind="identity"), lead=lead)


def _version(of: Mapping[str, Any]) -> str:
    more = (
        f", by {escape(of['author'])}, trained until {escape(report_facts.day(of['trained_until']))}"
        if "author" in of
        else ""
    )
    return f"version {escape(of['version'])}{more}<br><code>{escape(of['bundle_sha256'])}</code>"


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in items)}</ul>"
