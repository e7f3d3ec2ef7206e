"""The certificate as a page for people: what was planted, how often the gate was wrong, what it can find."""

import base64
import io
from collections.abc import Sequence
from html import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pennant.gate.certificate import Certificate, Rate
from pennant.gate.sentences import METRIC_NAMES, METRIC_UNITS
from pennant.gate.style import STYLE

INK, GREY, GRID, GOOD, BAD, BLUE = "#1f2937", "#6b7280", "#e5e7eb", "#15803d", "#b91c1c", "#2563eb"
_DRAWN = {
    "svg.hashsalt": "pennant",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
}


def page_of(name: str, title: str, made: Certificate) -> bytes:
    """The page; all that is data is escaped, pictures are inside, nothing is loaded from elsewhere.

    Args:
        name: of the use case.
        title: of the use case, for people.
        made: the certificate.
    """
    figures = [
        _figure(_false(made), "False promotions", _under_false(made)),
        _figure(_missed(made), "What it finds", _under_missed(made)),
    ]
    body = "\n".join(
        [_top(title, made), '<div class="plots">', *figures, "</div>", _notes(made), _table(made)]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(name)}: the gate's certificate</title><style>{STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    ).encode()


def _top(title: str, made: Certificate) -> str:
    verdict = (
        "Every planted challenger met what the gate owes it."
        if made.passed
        else f"What the gate owes was not met by: {', '.join(made.failed)}."
    )
    word, kind = ("CERTIFIED", "promote") if made.passed else ("NOT CERTIFIED", "refuse")
    own = "the use case's own data" if made.source == "own data" else "SYNTHETIC rows"
    unit = METRIC_UNITS[made.metric]
    tiles = [
        ("Equally good, promoted", *_tile(made, "a_a", f"declared alpha {made.alpha:g}")),
        ("Clearly better, promoted", *_tile(made, "clearly_better", _gain_of(made, "clearly_better"))),
        ("Smallest gain worth having", f"{made.delta:.3g}", unit),
        ("Judgements", f"{made.simulations:,}", f"per scenario, each of {made.rows} fresh rows"),
    ]
    shown = "".join(
        f'<div class="tile"><span>{escape(head)}</span><b>{escape(value)}</b><small>{escape(low)}</small>'
        "</div>"
        for head, value, low in tiles
    )
    how = f"{made.policy.replace('_', '-').capitalize()} by {METRIC_NAMES[made.metric]}, planted on {own}"
    return (
        f'<header class="{kind}"><p class="eyebrow">{escape(title)} / the gate\'s certificate</p>'
        f'<h1>{escape(how)}</h1><div class="verdict"><span class="pill">{word}</span>'
        f'<p>{escape(verdict)}<br>{escape(made.about)}.</p></div><div class="tiles">{shown}</div></header>'
    )


def _tile(made: Certificate, scenario: str, below: str) -> tuple[str, str]:
    for each in made.rates:
        if each.scenario == scenario:
            return f"{each.rate:.1%}", f"{each.low:.1%} to {each.high:.1%}; {below}"
    return "-", "not planted"


def _gain_of(made: Certificate, scenario: str) -> str:
    gains = [each.gain for each in made.rates if each.scenario == scenario and each.gain is not None]
    return f"by {gains[0]:.3g}" if gains else ""


def _false(made: Certificate) -> bytes | None:
    """Rates of promotion that must not be over alpha."""
    rates = [each for each in made.rates if each.demand == "at_most"]
    if not rates:
        return None
    with mpl.rc_context(_DRAWN):
        figure = Figure(figsize=(6.4, 0.42 * len(rates) + 1.3), layout="constrained")
        axes = figure.subplots()
        _spans(axes, rates)
        axes.axvline(made.alpha, color=BAD, lw=1.4, ls="--")
        axes.text(made.alpha, -0.75, f" alpha {made.alpha:.0%}", color=BAD, fontsize=9, va="center")
        widest = max(each.high for each in rates)
        axes.set_xlim(0, min(1.0, max(2 * made.alpha, 1.1 * widest)))
        axes.set_xlabel("promoted, 99 % interval")
        axes.xaxis.set_major_formatter(
            lambda value, _: f"{value:.0%}" if made.alpha >= 0.02 else f"{value:.1%}"
        )
        return _svg(figure)


def _spans(axes: Axes, rates: Sequence[Rate]) -> None:
    for at, each in enumerate(rates):
        colour = BAD if not each.passed else GOOD
        axes.plot([each.low, each.high], [at, at], color=colour, lw=2.4, solid_capstyle="butt")
        axes.plot(each.rate, at, "o", color=colour, ms=6, clip_on=False)
    axes.set_yticks(range(len(rates)), [each.scenario for each in rates])
    axes.set_ylim(len(rates) - 0.5, -1.1)
    axes.grid(axis="y", visible=False)


def _missed(made: Certificate) -> bytes | None:
    """Rates of promotion by planted gain, beside what the best test of this size would find."""
    found = [
        (each.gain, each)
        for each in made.rates
        if each.gain is not None and (each.demand == "at_least" or each.scenario == "a_a")
    ]
    gains, rates = [gain for gain, _ in found], [each for _, each in found]
    asked = [(gain, each.attainable, each.limit) for gain, each in found if each.attainable is not None]
    if not asked:
        return None
    at, best, least = (list(column) for column in zip(*asked, strict=True))
    with mpl.rc_context(_DRAWN):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(at, best, ":s", color=GREY, lw=1.2, ms=4, label="best possible test")
        axes.plot(at, least, "--", color=BAD, lw=1.2, label="demanded")
        axes.vlines(gains, [each.low for each in rates], [each.high for each in rates], color=BLUE, lw=2.4)
        axes.plot(gains, [each.rate for each in rates], "o-", color=BLUE, lw=1.4, ms=6, label="this gate")
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel(f"planted gain, {METRIC_NAMES[made.metric]} ({METRIC_UNITS[made.metric]})")
        axes.set_ylabel("promoted")
        axes.legend(frameon=False, loc="lower right")
        return _svg(figure)


def _under_false(made: Certificate) -> str:
    asked = [each for each in made.rates if each.demand == "at_most"]
    over = [each.scenario for each in asked if each.over and each.passed]
    told = "Every interval ends under alpha." if not any(each.over for each in asked) else ""
    if over:
        told = f"Of {', '.join(over)} it reaches over alpha: a rate above it is not ruled out."
    return (
        "How often a challenger was promoted that must not be: equal ones, worse ones, and those that spoil "
        f"a slice. A scenario fails when its whole interval lies above alpha. {told}"
    )


def _under_missed(made: Certificate) -> str:
    first = next((each for each in made.rates if each.scenario in {"better", "clearly_better"}), None)
    if first is None or first.gain is None:
        return ""
    return (
        f"On {made.rows} rows the gate misses {1 - first.rate:.0%} of the challengers that are better by "
        f"{first.gain:.3g}; the best test of this size would miss {1 - (first.attainable or 0):.0%}. More "
        "fresh rows find more."
    )


def _notes(made: Certificate) -> str:
    if not made.notes:
        return ""
    lines = "".join(f'<li class="note"><i>i</i><span>{escape(note)}</span></li>' for note in made.notes)
    return f'<section><h2>What these rows do not tell</h2><ul class="reasons">{lines}</ul></section>'


def _table(made: Certificate) -> str:
    heads = ("", "scenario", "planted", "counted", "rate", "99 % interval", "demanded", "what else decided")
    head = "".join(f"<th>{each}</th>" for each in heads)
    lines = "".join(_row(each) for each in made.rates)
    return (
        '<section><h2>Every scenario</h2><div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div></section>"
    )


def _row(each: Rate) -> str:
    badge, word = ("good", "met") if each.passed else ("warn", "NOT MET")
    if each.demand == "shown":
        badge, word = "", "shown"
    demands = {"at_most": f"at most {each.limit:.1%}", "at_least": f"at least {each.limit:.1%}"}
    held = list(each.held_by.items())[:3] if each.counted == "promote" else []
    others = ", ".join(f"{code} {times / each.n:.1%}" for code, times in held)
    cells = [
        f'<span class="badge {badge}">{word}</span>',
        f'<code style="white-space:nowrap">{escape(each.scenario)}</code>',
        escape(each.planted),
        each.counted,
        f"{each.rate:.2%}",
        f"{each.low:.2%} to {each.high:.2%}",
        demands.get(each.demand, each.demand),
        escape(others),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _figure(picture: bytes | None, title: str, below: str) -> str:
    if picture is None:
        return ""
    content = base64.b64encode(picture).decode()
    return (
        f'<figure><h3>{escape(title)}</h3><img alt="{escape(title)}" '
        f'src="data:image/svg+xml;base64,{content}">'
        f"<figcaption>{escape(below)}</figcaption></figure>"
    )


def _svg(figure: Figure) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None})
    return sink.getvalue()
