"""The pieces of HTML that the report is made of. What comes from data goes through `escape`."""

import base64
from collections.abc import Sequence
from html import escape


def section(title: str, *bodies: str, lead: str = "") -> str:
    """A titled part of the page; nothing where there is nothing to say."""
    body = "".join(bodies)
    if not body:
        return ""
    told = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return f"<section><h2>{escape(title)}</h2>{told}{body}</section>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Cells are HTML already; the heads are not."""
    top = (
        f"<thead><tr>{''.join(f'<th>{escape(each)}</th>' for each in head)}</tr></thead>" if any(head) else ""
    )
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table class="{kind}">{top}<tbody>{lines}</tbody></table></div>'


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Names and what there is to say of them, both plain text."""
    return table(["", ""], [[escape(name), escape(text)] for name, text in rows], "identity")


def figure(name: str, title: str, caption: str, svg: bytes) -> str:
    """A plot, embedded."""
    image = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return (
        f'<figure class="{name}"><h3>{escape(title)}</h3><img alt="{escape(title)}" src="{image}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def tile(title: str, value: str, note: str, mark: str) -> str:
    """One large number."""
    return (
        f'<div class="tile {mark}"><span>{escape(title)}</span><b>{escape(value)}</b>'
        f"<small>{escape(note)}</small></div>"
    )


def badge(text: str, *, good: bool) -> str:
    """A word that says whether a condition was met."""
    return f'<span class="badge {"good" if good else "warn"}">{escape(text)}</span>'


def span(low: float | None, high: float | None, *, sign: bool = True) -> str:
    """An interval in words."""
    if low is None or high is None:
        return "no interval"
    return f"{low:+.4f} to {high:+.4f}" if sign else f"{low:.4f} to {high:.4f}"


def cell(value: str, note: str) -> str:
    """A figure with its interval below it."""
    return f"{escape(value)}<small>{escape(note)}</small>"


def number(value: float) -> str:
    """Four digits after the point, fewer of large numbers."""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"
