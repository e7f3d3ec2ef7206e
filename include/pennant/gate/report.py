"""The evidence as one self-contained HTML page: verdict, why and numbers first, plots and tables below."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from pennant.declaration.model import UseCase
from pennant.gate.outcome import Comparison, Reason, Verdict
from pennant.gate.score import describe_slice
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
    use_case: UseCase,
    data: Mapping[str, Any],
    verdict: Verdict,
    evidence_sha256: str,
    pictures: Mapping[str, bytes],
) -> bytes:
    """Make the page. Everything that comes from data is escaped; nothing is loaded from elsewhere.

    Args:
        use_case: the declaration.
        data: the evidence.
        verdict: what the gate said.
        evidence_sha256: the evidence's hash.
        pictures: SVG plots by name, and `importances_of`, what the SHAP values explain.
    """
    title = f"{use_case.title}: version {data['challenger']['version']}"
    sections = [
        _top(use_case, data, verdict, title),
        _section("Why", _reasons(verdict.reasons)),
        _plots(verdict, pictures),
        _comparisons(verdict),
        _slices(use_case, verdict),
        _identity(data, evidence_sha256),
    ]
    body = "\n".join(section for section in sections if section)
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
        f"as of {escape(_day(data['as_of']))} · {escape(against)}</p><h1>{escape(title)}</h1>"
        f'<div class="verdict"><span class="pill">{verdict.outcome.upper()}</span>'
        f"<div><strong>{_WORDS[verdict.outcome]}</strong><p>{escape(first)}</p></div></div>"
        f'<div class="tiles">{"".join(_tiles(use_case, verdict))}</div></header>'
    )


def _tiles(use_case: UseCase, verdict: Verdict) -> list[str]:
    name = METRIC_NAMES[verdict.metric]
    unit = METRIC_UNITS[verdict.metric]
    found = []
    if verdict.challenger_loss is not None:
        span = _span(verdict.challenger_low, verdict.challenger_high, sign=False)
        found.append(_tile(f"Challenger {name}", f"{verdict.challenger_loss:.4f}", f"{span} {unit}", ""))
    shown = [each for each in verdict.comparisons if each.required][:2]
    for each in shown:
        what = "the champion" if each.kind == "champion" else each.name
        mark = "good" if each.passed else "warn"
        found.append(_tile(f"Gain over {what}", f"{each.mean:+.4f}", _span(each.low, each.high), mark))
    if verdict.calibration is not None:
        limit = use_case.gate.max_calibration_error
        mark = "good" if verdict.calibration.error <= limit else "warn"
        found.append(_tile("Calibration error", f"{verdict.calibration.error:.3f}", f"limit {limit:g}", mark))
    needs = f"on {verdict.days} days; needs {use_case.gate.min_rows}"
    found.append(
        _tile(
            "Fresh rows", f"{verdict.n:,}", needs, "good" if verdict.n >= use_case.gate.min_rows else "warn"
        )
    )
    return found


def _tile(title: str, value: str, note: str, mark: str) -> str:
    return (
        f'<div class="tile {mark}"><span>{escape(title)}</span><b>{escape(value)}</b>'
        f"<small>{escape(note)}</small></div>"
    )


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


def _plots(verdict: Verdict, pictures: Mapping[str, bytes]) -> str:
    explained = pictures.get("importances_of", b"").decode()
    captions = {
        "gain": (
            "Gain over champion and baselines",
            f"Paired differences with {1 - 2 * verdict.alpha:.0%} intervals, clustered by day. "
            "The lower end has to pass the dashed bar (the dot, where only the mean counts); "
            "grey is shown and not required.",
        ),
        "calibration": (
            "Calibration",
            "Where a point lies on the diagonal, probabilities mean what they say.",
        ),
        "scores": (
            "Predictions by outcome",
            "The further the two colours lie apart, the more the model knows.",
        ),
        "importances": (
            "What the model uses",
            f"SHAP values of {explained}, on up to 500 fresh rows. Grey dots: the value is missing.",
        ),
    }
    cards = [
        f'<figure class="{name}"><h3>{title}</h3><img alt="{title}" src="{_inline(pictures[name])}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for name, (title, caption) in captions.items()
        if name in pictures
    ]
    return f'<div class="plots">{"".join(cards)}</div>' if cards else ""


def _comparisons(verdict: Verdict) -> str:
    if not verdict.comparisons:
        return ""
    name = METRIC_NAMES[verdict.metric]
    head = [
        "Forecaster",
        "Role",
        f"Its {name}",
        "Challenger",
        "Gain",
        "Interval",
        "Must exceed",
        "Rows",
        "Left out",
        "",
    ]
    return _section("Paired comparisons", _table(head, [_comparison(each) for each in verdict.comparisons]))


def _comparison(each: Comparison) -> list[str]:
    role = "champion" if each.kind == "champion" else ("required baseline" if each.required else "shown only")
    figure = "lower end" if each.rule == "lower_bound" else "mean"
    result = "" if not each.required else _badge("passed" if each.passed else "not passed", good=each.passed)
    return [
        escape(each.name),
        role,
        f"{each.other_loss:.4f}",
        f"{each.challenger_loss:.4f}",
        f"{each.mean:+.4f}",
        _span(each.low, each.high),
        f"{each.needs_above:g} ({figure})" if each.required else "",
        f"{each.n:,}",
        f"{each.left_out:,}",
        result,
    ]


def _slices(use_case: UseCase, verdict: Verdict) -> str:
    if not verdict.slices:
        return ""
    rows = [
        [
            escape(each.name),
            f"<code>{escape(describe_slice(use_case.gate.slices[each.name]))}</code>",
            f"{each.n:,}",
            "" if each.increase is None else f"{each.increase:+.4f}",
            _span(each.low, each.high),
            f"{each.limit:+g}",
            escape(each.reference),
            _badge("kept" if each.passed else "worse", good=each.passed) if each.judged else "too few rows",
        ]
        for each in verdict.slices
    ]
    head = ["Slice", "Rows where", "Rows", "Loss increase", "Interval", "Limit", "Compared with", ""]
    return _section("Slices", _table(head, rows))


def _identity(data: Mapping[str, Any], evidence_sha256: str) -> str:
    challenger, champion, policy = data["challenger"], data["champion"], data["policy"]
    approval = "a person" if policy["approval"] == "person" else "not asked for"
    rows = [
        ["Evidence", f"<code>{evidence_sha256}</code>"],
        ["Challenger", _version(challenger)],
        ["Champion", _version(champion) if champion else "none"],
        ["Snapshot", f"<code>{escape(data['snapshot'])}</code>"],
        ["Scores", f"<code>{escape(data['scores']['sha256'])}</code>"],
        [
            "Fresh rows",
            f"labels known after {escape(_day(data['fresh_from']))}, until {escape(_day(data['as_of']))}",
        ],
        [
            "Policy",
            f"{escape(policy['policy'])}, margin {policy['margin']:g}, alpha {policy['alpha']:g} one-sided, "
            f"at least {policy['min_rows']} rows, approval: {approval}",
        ],
    ]
    return _section("Identity", _table(["", ""], rows, kind="identity"))


def _version(of: Mapping[str, Any]) -> str:
    more = (
        f", by {escape(of['author'])}, trained until {escape(_day(of['trained_until']))}"
        if "author" in of
        else ""
    )
    return f"version {escape(of['version'])}{more}<br><code>{escape(of['bundle_sha256'])}</code>"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Cells are HTML already; the heads are not."""
    top = (
        f"<thead><tr>{''.join(f'<th>{escape(each)}</th>' for each in head)}</tr></thead>" if any(head) else ""
    )
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table class="{kind}">{top}<tbody>{lines}</tbody></table></div>'


def _badge(text: str, *, good: bool) -> str:
    return f'<span class="badge {"good" if good else "warn"}">{escape(text)}</span>'


def _span(low: float | None, high: float | None, *, sign: bool = True) -> str:
    if low is None or high is None:
        return "no interval"
    return f"{low:+.4f} to {high:+.4f}" if sign else f"{low:.4f} to {high:.4f}"


def _day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"


def _inline(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
