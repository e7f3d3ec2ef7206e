"""The page of one batch: what happened, which rules failed, the failing rows, the numbers over time.

One self-contained HTML file: everything that comes from data is escaped, nothing is loaded from elsewhere.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from pennant.data.batches import Manifest
from pennant.data.quality.results import Check
from pennant.data.quality.style import STYLE
from pennant.data.reading import TEXT
from pennant.declaration.model import DataUseCase

if TYPE_CHECKING:
    from pennant.data.judging import Judged

MOST_ROWS = 200
"""Failing rows that are shown; the others are in the quarantine file."""
_ACTIONS = {"quarantine": "set aside", "stop": "stopped the batch", "warn": "warned"}


def page(
    use_case: DataUseCase,
    raw: Manifest,
    judged: "Judged",
    stopping: Sequence[str],
    earlier: Sequence[Mapping[str, Any]],
) -> bytes:
    """Make the page of a batch."""
    aside, name = judged.aside.height, raw.name
    state = "stopped" if stopping else "aside" if aside or judged.warnings else "good"
    words = {"stopped": "STOPPED", "aside": "VALIDATED, WITH FINDINGS", "good": "VALIDATED"}[state]
    window = f"{name.window.start:%d %b %Y %H:%M} to {name.window.as_of:%d %b %Y %H:%M} UTC"
    tiles = [
        _tile("rows landed", f"{raw.rows:,}", _answers(raw)),
        _tile("passed", f"{raw.rows - aside:,}", "in use" if not stopping else "none in use: stopped"),
        _tile("set aside", f"{aside:,}", f"{aside / max(raw.rows, 1):.2%} of the rows", bad=aside > 0),
        _tile(
            "unknown names", f"{sum(len(each) for each in judged.unresolved.values())}", "kept as they are"
        ),
    ]
    stops = f"<p>Stopped by {escape(', '.join(stopping))}. Nothing of it is in use.</p>" if stopping else ""
    body = (
        f'<header class="{state}"><p class="eyebrow">{escape(use_case.title)} / {escape(name.source)}</p>'
        f'<h1>{escape(window)}</h1><p><span class="pill">{words}</span></p>{stops}'
        f'<div class="tiles">{"".join(tiles)}</div></header>'
        f"{_checks(judged.checks, raw.rows)}{_rows(judged)}{_names(judged)}"
        f"{_numbers(judged.numbers, earlier)}{_origin(raw)}"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(name.use_case)} {escape(name.source)}: {words.lower()}</title>"
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    ).encode()


def _tile(title: str, value: str, note: str, *, bad: bool = False) -> str:
    kind = "tile warn" if bad else "tile"
    return (
        f'<div class="{kind}"><span>{escape(title)}</span><b>{value}</b><small>{escape(note)}</small></div>'
    )


def _answers(raw: Manifest) -> str:
    count = len(raw.request.get("parts") or [])
    return f"{count} answer{'' if count == 1 else 's'} of the provider"


def _checks(checks: Sequence[Check], rows: int) -> str:
    lines = []
    for each in sorted(checks, key=lambda check: (check.success, -check.failing)):
        state = (
            '<span class="badge good">holds</span>'
            if each.success
            else (f'<span class="badge bad">{_ACTIONS[each.on_failure]}</span>')
        )
        share = each.failing / max(rows, 1)
        width = max(share * 100, 1.5) if each.failing else 0
        bar = f'<div class="bar"><i style="width:{width:.1f}%"></i></div>' if each.failing else ""
        told = each.observed is not None and each.observed != each.failing
        seen = escape(str(each.observed)) if told else ""
        failing = f"{each.failing:,}" if each.failing else ""
        lines.append(
            f"<tr><td>{state}</td><td>{escape(each.rule)}</td>"
            f'<td class="n">{failing}</td><td>{bar}</td><td>{seen}</td></tr>'
        )
    return (
        '<section><h2>What was looked at</h2><div class="scroll"><table><thead><tr><th>state</th><th>rule</th>'
        '<th class="n">rows</th><th>share</th><th>seen</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _rows(judged: "Judged") -> str:
    if not judged.aside.height:
        return ""
    shown = judged.aside.head(MOST_ROWS)
    columns = [
        name for name in shown.columns if name.startswith(TEXT) and shown[name].null_count() < shown.height
    ]
    head = "".join(f"<th>{escape(name.removeprefix(TEXT))}</th>" for name in columns)
    lines = []
    for row in shown.iter_rows(named=True):
        cells = "".join(f"<td>{escape(_cell(row[name]))}</td>" for name in columns)
        reasons = escape("; ".join(row["reasons"]))
        lines.append(
            f'<tr><td class="n">{row["line"]}</td><td>{escape(str(row["group"]))}</td>'
            f'<td class="why">{reasons}</td>{cells}</tr>'
        )
    more = judged.aside.height - shown.height
    note = f"<p>{more:,} more are in the quarantine file.</p>" if more > 0 else ""
    return (
        '<section><h2>Rows set aside</h2><div class="scroll"><table><thead><tr><th class="n">line</th>'
        f"<th>group</th><th>why</th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>{note}</section>"
    )


def _cell(value: object) -> str:
    return "" if value is None else str(value)[:60]


def _names(judged: "Judged") -> str:
    if not judged.unresolved:
        return ""
    lines = [
        f'<tr><td>{escape(column)}</td><td>{escape(name)}</td><td class="n">{count:,}</td></tr>'
        for column, found in judged.unresolved.items()
        for name, count in found.items()
    ]
    return (
        "<section><h2>Names that no table of identities knows</h2><p>They stay as they are. Add them to the "
        'declaration under <code>identities</code>.</p><div class="scroll"><table><thead><tr><th>column</th>'
        f'<th>name</th><th class="n">rows</th></tr></thead><tbody>{"".join(lines)}</tbody></table></div></section>'
    )


def _numbers(numbers: Mapping[str, float], earlier: Sequence[Mapping[str, Any]]) -> str:
    held = [each.get("numbers", {}) for each in reversed(earlier)]
    lines = []
    for name, value in numbers.items():
        past = [float(each[name]) for each in held if each.get(name) is not None]
        lines.append(
            f'<tr><td>{escape(name)}</td><td class="n">{value:,.4g}</td><td>{_spark([*past, value])}</td></tr>'
        )
    if not lines:
        return ""
    return (
        "<section><h2>Its numbers, and those of the batches before it</h2>"
        '<div class="scroll"><table><thead><tr><th>number</th><th class="n">this batch</th>'
        f"<th>oldest to this one</th></tr></thead><tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _spark(values: Sequence[float]) -> str:
    """A line of the last values as inline SVG, the last one marked; empty for a single value."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    points = [
        (4 + 152 * at / (len(values) - 1), 24 - 20 * (value - low) / span) for at, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (
        f'<svg width="160" height="28" role="img" aria-label="from {values[0]:.4g} to {values[-1]:.4g}">'
        f'<polyline points="{line}" fill="none" stroke="#64748b" stroke-width="1.5"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#b45309"/></svg>'
    )


def _origin(raw: Manifest) -> str:
    lines = [
        f"<tr><td>{escape(str(each['part']))}</td><td>{escape(str(each['provider']))}</td>"
        f"<td><code>{escape(str(each['address']))}</code></td>"
        f'<td class="n">{each["bytes"]:,}</td><td><code>{escape(str(each["sha256"])[:16])}</code></td></tr>'
        for each in raw.request.get("parts") or []
    ]
    return (
        f"<section><h2>Where it came from</h2><p>Asked {escape(str(raw.request.get('retrieved_at')))}; "
        f"raw batch <code>{escape(raw.sha256)}</code></p>"
        '<div class="scroll"><table><thead><tr><th>part</th><th>provider</th><th>address</th>'
        f'<th class="n">bytes</th><th>sha256</th></tr></thead><tbody>{"".join(lines)}</tbody></table></div></section>'
    )
