"""A snapshot looked through for leaks: by changing the future, and by its numbers; with a page for people."""

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from pennant.data.lake import Lake
from pennant.data.quality.style import STYLE
from pennant.declaration.model import DataUseCase
from pennant.features.build import BASELINE
from pennant.features.errors import LeakFound
from pennant.features.leaks import Leak, leaks
from pennant.features.signs import Sign, Strength, signs, strengths
from pennant.features.snapshot import load_snapshot
from pennant.reference import Reference
from pennant.settings import Settings

MOMENTS = 6
"""After so many moments is the future changed in a training run; each costs two builds of all features."""
_BAR = 360


@dataclass(frozen=True)
class LeakResult:
    """What an examination found; `reference` is its page."""

    reference: Reference
    leaks: list[Leak]
    signs: list[Sign]


def examine(
    use_case: DataUseCase,
    lake: Lake,
    settings: Settings,
    as_of: datetime,
    snapshot: Reference,
    moments: int = MOMENTS,
) -> LeakResult:
    """Look for leaks in the features of a snapshot, and write the page.

    Args:
        use_case: the declaration.
        lake: where the batches and the snapshot are.
        settings: where the use case's features.py lies.
        as_of: the snapshot's moment.
        snapshot: the snapshot.
        moments: after how many moments the future is changed.
    """
    found = leaks(use_case, lake, settings, as_of, moments)
    rows = load_snapshot(lake, snapshot)
    measured = strengths(use_case, rows)
    suspicious = signs(use_case, rows, measured)
    body = page(use_case, as_of, snapshot, found, suspicious, measured, moments)
    path = f"reports/leaks/{use_case.name}/{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}.html"
    return LeakResult(lake.replace(path, body), found, suspicious)


def raise_if_leaking(use_case: DataUseCase, result: LeakResult) -> None:
    """Raise what was found.

    Raises:
        LeakFound: a feature reads what is not yet known.
    """
    if result.leaks:
        raise LeakFound(use_case.name, result.leaks, result.reference)


def page(
    use_case: DataUseCase,
    as_of: datetime,
    snapshot: Reference,
    found: list[Leak],
    suspicious: list[Sign],
    measured: list[Strength],
    moments: int,
) -> bytes:
    """The page: verdict, leaks, signs, and how much each feature says alone. All that is data is escaped."""
    state = "stopped" if found else "aside" if suspicious else "good"
    words = f"{len({leak.feature for leak in found})} FEATURES LEAK" if found else "NO LEAK FOUND"
    body = (
        f'<header class="{state}"><p class="eyebrow">{escape(use_case.title)} / leaks</p>'
        f'<h1>As of {as_of:%d %b %Y %H:%M} UTC</h1><p><span class="pill">{words}</span></p>'
        f"<p>All that became known after {moments} moments was changed, and every feature was built again. A "
        f"feature of an earlier prediction that moves has read the future.</p>"
        f"<p>Snapshot <code>{escape(snapshot.sha256)}</code></p></header>"
        f"{_leaks(found)}{_signs(suspicious)}{_strengths(measured)}"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(use_case.name)}: {words.lower()}</title>"
        f"<style>{STYLE}</style></head><body><main>{body}</main></body></html>"
    ).encode()


def _leaks(found: list[Leak]) -> str:
    if not found:
        return ""
    lines = [
        f'<tr><td class="why">{escape(leak.feature)}</td><td><code>{escape(leak.origin)}</code></td>'
        f"<td>{escape(leak.entity)}</td><td>{leak.moment:%d %b %Y %H:%M:%S}</td>"
        f'<td class="n">{_number(leak.before)}</td><td class="n">{_number(leak.after)}</td></tr>'
        for leak in found
    ]
    head = "<th>feature</th><th>read</th><th>of</th><th>at (UTC)</th>"
    return _table("What moved", f'{head}<th class="n">before</th><th class="n">after</th>', lines)


def _signs(suspicious: list[Sign]) -> str:
    if not suspicious:
        return ""
    lines = [f"<tr><td>{escape(each.column)}</td><td>{escape(each.words)}</td></tr>" for each in suspicious]
    return _table("Worth a look: strong alone, which is no proof", "<th>feature</th><th>why</th>", lines)


def _strengths(measured: list[Strength]) -> str:
    if not measured:
        return ""
    lines = [
        f"<tr><td>{escape(each.column.removeprefix(BASELINE))}</td>"
        f"<td>{'baseline' if each.column.startswith(BASELINE) else ''}</td>"
        f'<td class="n">{each.value:.3f}</td><td>{_bar(each)}</td><td class="n">{each.rows:,}</td></tr>'
        for each in measured
    ]
    head = '<th>column</th><th></th><th class="n">strength</th><th>0 to 1, with a 99 % interval</th>'
    return _table("How much each column says about the label alone", f'{head}<th class="n">rows</th>', lines)


def _bar(each: Strength) -> str:
    colour = "#94a3b8" if each.column.startswith(BASELINE) else "#1d4ed8"
    return (
        f'<svg width="{_BAR}" height="14" role="img" aria-label="{each.low:.3f} to {each.high:.3f}">'
        f'<rect y="3" width="{max(each.value * _BAR, 1):.1f}" height="8" rx="3" fill="{colour}"/>'
        f'<line x1="{each.low * _BAR:.1f}" x2="{each.high * _BAR:.1f}" y1="7" y2="7" stroke="#1f2937"/></svg>'
    )


def _table(title: str, head: str, lines: list[str]) -> str:
    return (
        f'<section><h2>{title}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"
