"""The page of a discovery: what was kept and why, what was left out and why, and the lines to paste."""

from collections.abc import Callable
from datetime import datetime
from html import escape

import numpy as np

from pennant.data.quality.style import STYLE
from pennant.features.discovery import Kept, Search, fate
from pennant.features.selection import Cluster, Floats
from pennant.reference import Reference

SHOWN = 40
"""Clusters in the table of those that were left out."""
_WIDE, _LEFT, _ROW = 1080, 300, 26
_LOSS = {"binary": "log loss in nats", "multiclass": "log loss in nats", "count": "Poisson log loss in nats"}
_MORE = """
pre{background:#0f172a;color:#e2e8f0;border-radius:10px;padding:16px 18px;overflow-x:auto;
 font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace}
svg{max-width:100%;height:auto}svg text{font:12.5px system-ui,"DejaVu Sans",sans-serif;fill:#1f2937}
svg .soft{fill:#6b7280}.left td{vertical-align:middle}.note{color:var(--soft);margin:10px 0 0}
"""


def page(done: Search, as_of: datetime, snapshot: Reference, snippet: str) -> bytes:
    """The page as HTML. All that is data is escaped; nothing is loaded from elsewhere."""
    kept = done.kept()
    sections = [
        _top(done, as_of, snapshot, kept),
        _picture(done),
        _kept(kept, done),
        _gains(done),
        _snippet(snippet) if kept else "",
        _left_out(done),
    ]
    name = done.use_case.name
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(name)}: {len(kept)} of {len(done.tried)} candidates kept</title>"
        f"<style>{STYLE}{_MORE}</style></head><body><main>{''.join(sections)}</main></body></html>"
    ).encode()


def _top(done: Search, as_of: datetime, snapshot: Reference, kept: list[Kept]) -> str:
    state = "good" if kept else ""
    capped = f" of {done.possible} possible" if done.possible > len(done.tried) + len(done.thin) else ""
    folds = f"{done.selection.folds} of {done.use_case.split.folds}"
    late = " Time ran out before the rest." if done.selection.folds < done.use_case.split.folds else ""
    tiles = [
        ("Candidates tried", f"{len(done.tried)}", f"{len(done.thin)} more too thin{capped}"),
        ("Clusters that say the same", f"{len(done.selection.clusters)}", "rank correlation above 0.85"),
        ("Kept", f"{len(kept)}", "steady over folds, beyond chance"),
        ("Folds", folds, f"{done.rows:,} training rows"),
    ]
    shown = "".join(
        f'<div class="tile"><span>{name}</span><b>{value}</b><small>{small}</small></div>'
        for name, value, small in tiles
    )
    words = f"{len(kept)} KEPT" if kept else "NOTHING TO ADD"
    return (
        f'<header class="{state}"><p class="eyebrow">{escape(done.use_case.title)} / discovery</p>'
        f'<h1>As of {as_of:%d %b %Y %H:%M} UTC</h1><p><span class="pill">{words}</span></p>'
        f"<p>Looked at labels and values known until {done.cutoff:%d %b %Y %H:%M} UTC; all that is later "
        f"is the gate's and stayed unseen.{late}</p><p>{_verdict(done)}</p>"
        f"<p>Snapshot <code>{escape(snapshot.sha256)}</code></p>"
        f'<div class="tiles">{shown}</div></header>'
    )


def _verdict(done: Search) -> str:
    """What folds that had no say in the choice make of it."""
    chosen = [each for each in done.selection.gains.values() if each.any()]
    if not done.selection.kept:
        return "None of them says more than the declared features do, again and again."
    if not chosen:
        return "No fold could score a choice made before it: whether they help is for the gate to say."
    mean, low, high = _interval(np.concatenate(chosen))
    words = "they help" if low > 0 else "they harm" if high < 0 else "that they help is not shown"
    return (
        f"In the folds that followed a choice it saved {mean:+.4f} per row ({low:+.4f} to {high:+.4f}, "
        f"{_unit(done)}): {words}."
    )


def _unit(done: Search) -> str:
    return _LOSS.get(done.use_case.task, "squared error")


def _picture(done: Search) -> str:
    """Rise of the loss by cluster: a dot per fold, the mean, the interval's end, the shadows' best."""
    looked = [each for each in done.selection.clusters if each.rises]
    shown = sorted(looked, key=lambda each: (each not in done.selection.kept, -each.mean))[:16]
    if not shown:
        return ""
    ends = [value for each in shown for value in (*each.rises.values(), each.low)]
    low, high = min(0.0, *ends), max(*ends, *done.selection.shadows.values(), 1e-9)

    def place(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDE - _LEFT - 20)

    shadow = float(np.mean(list(done.selection.shadows.values())))
    height = _ROW * len(shown) + 44
    marks = [
        f'<line x1="{place(at):.1f}" x2="{place(at):.1f}" y1="8" y2="{height - 34}" stroke="{colour}" '
        f'stroke-dasharray="{dash}"/>'
        for at, colour, dash in ((0.0, "#94a3b8", "0"), (shadow, "#b45309", "4 3"))
    ]
    rows = [_dots(done, each, 20 + _ROW * number, place) for number, each in enumerate(shown)]
    middle = (
        f'<text class="soft" x="{place(0.0):.0f}" y="{height - 18}" text-anchor="middle">0</text>'
        f'<text class="soft" x="{_WIDE - 20}" y="{height - 18}" text-anchor="end">{high:.4f}</text>'
    )
    return (
        "<section><h2>What the loss rises by when a column is dealt anew</h2>"
        f'<svg viewBox="0 0 {_WIDE} {height}" width="{_WIDE}" role="img" aria-label="rise of the loss">'
        f"{''.join(marks)}{''.join(rows)}{middle}</svg>"
        f'<p class="note">{_unit(done)}, on the later rows of each fold. Small dots: one fold each. Large: '
        "the mean, with the end of its interval after correction for how many were tried. Blue is kept. "
        "Dashed: the best of the shadows, columns that can only fit by luck.</p></section>"
    )


def _dots(done: Search, each: Cluster, y: int, at: Callable[[float], float]) -> str:
    colour = "#1d4ed8" if each in done.selection.kept else "#94a3b8"
    name = escape(_short(done.tried[each.leader].name))
    small = "".join(
        f'<circle cx="{at(rise):.1f}" cy="{y}" r="3" fill="{colour}" opacity=".45"/>'
        for rise in each.rises.values()
    )
    return (
        f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end">{name}</text>'
        f'<line x1="{at(each.low):.1f}" x2="{at(each.mean):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
        f'stroke-width="2"/>{small}<circle cx="{at(each.mean):.1f}" cy="{y}" r="5" fill="{colour}"/>'
    )


def _kept(kept: list[Kept], done: Search) -> str:
    if not kept:
        return ""
    lines = [
        f"<tr><td><b>{escape(each.name)}</b><br>{escape(each.words)}</td>"
        f'<td class="n">{each.gain:.4f}</td><td class="n">{each.low:.4f}</td>'
        f"<td>{len(each.folds)} of {done.selection.folds}</td>"
        f"<td>{escape(', '.join(each.same)) or 'none'}</td></tr>"
        for each in kept
    ]
    head = (
        '<th>feature</th><th class="n">worth</th><th class="n">at least</th>'
        "<th>beat every shadow in folds</th><th>left out for it: says the same</th>"
    )
    return _table("Kept, and why", head, lines)


def _gains(done: Search) -> str:
    gains = done.selection.gains
    if not gains:
        return ""
    lines = [_saved(str(fold + 1), each) for fold, each in gains.items()]
    note = (
        "Each fold is scored with what the folds before it would have kept: no fold judges its own choice. "
        "Above zero is better than the declared features alone."
    )
    head = '<th>fold</th><th class="n">rows</th><th class="n">loss saved</th><th class="n">95 % interval</th>'
    return _table("What it would have saved", head, lines, note)


def _saved(fold: str, each: Floats) -> str:
    if not each.any():
        shown = '<td class="n" colspan="2">nothing was chosen by then</td>'
    else:
        mean, low, high = _interval(each)
        shown = f'<td class="n">{mean:+.4f}</td><td class="n">{low:+.4f} to {high:+.4f}</td>'
    return f'<tr><td>{fold}</td><td class="n">{len(each):,}</td>{shown}</tr>'


def _interval(each: Floats) -> tuple[float, float, float]:
    """Mean and 95 % interval."""
    mean, half = float(each.mean()), 1.96 * float(each.std()) / max(len(each), 1) ** 0.5
    return mean, mean - half, mean + half


def _left_out(done: Search) -> str:
    rest = [each for each in done.selection.clusters if each not in done.selection.kept]
    rest = sorted(rest, key=lambda each: (not each.rises, -each.mean))
    lines = [_why_not(done, each) for each in rest[:SHOWN]]
    names = list(done.use_case.features)
    lines += [
        f'<tr><td>{escape(done.tried[at].name)}</td><td class="n">1</td><td></td>'
        f"<td>declared already: says what {escape(names[nearest])} says</td></tr>"
        for at, nearest in done.selection.declared_twice.items()
    ]
    note = f"{len(rest) - SHOWN} more are in the JSON beside this page." if len(rest) > SHOWN else ""
    head = '<th>candidate</th><th class="n">says the same</th><th class="n">worth</th><th>why not</th>'
    return _table("Left out, and why", head, lines, note)


def _why_not(done: Search, each: Cluster) -> str:
    worth = f"{each.mean:.4f}" if each.rises else ""
    return (
        f'<tr><td>{escape(done.tried[each.leader].name)}</td><td class="n">{len(each.members)}</td>'
        f'<td class="n">{worth}</td><td>{escape(fate(done, each))}</td></tr>'
    )


def _snippet(text: str) -> str:
    return f"<section><h2>To paste</h2><pre>{escape(text)}</pre></section>"


def _table(title: str, head: str, lines: list[str], note: str = "") -> str:
    below = f'<p class="note">{note}</p>' if note else ""
    return (
        f'<section><h2>{title}</h2><div class="scroll"><table class="left"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>{below}</section>"
    )


def _short(name: str) -> str:
    return name if len(name) <= 38 else f"{name[:36]}.."
