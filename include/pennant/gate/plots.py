"""What was compared, as SVG: gains over champion and baselines, and slices against their limits."""

from collections.abc import Sequence

from pennant.gate.outcome import Comparison, SliceResult
from pennant.gate.plots_base import BAD, CHALLENGER, GOOD, GREY, INK, OTHER, canvas, short, svg
from pennant.gate.sentences import METRIC_NAMES, METRIC_UNITS

_BOX = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"}


def forest(comparisons: Sequence[Comparison], metric: str) -> bytes:
    """Gain over the champion and each baseline, with its interval and the bar it had to clear."""
    with canvas(9.2, 1.4 + 0.66 * max(len(comparisons), 1)) as figure:
        axes = figure.subplots()
        shown = list(reversed(comparisons))
        for at, each in enumerate(shown):
            colour = OTHER if not each.required else (GOOD if each.passed else BAD)
            if each.low is not None and each.high is not None:
                axes.plot([each.low, each.high], [at, at], color=colour, lw=3, solid_capstyle="butt")
            axes.plot(each.mean, at, "o", color=colour, ms=8)
            where = ((each.mean, at), (0, 9))
            axes.annotate(
                f"{each.mean:+.4f}", *where, textcoords="offset points", ha="center", fontsize=9.5, bbox=_BOX
            )
            if each.required:
                axes.plot([each.needs_above] * 2, [at - 0.32, at + 0.32], color=INK, lw=1.6, ls=(0, (2, 1)))
        axes.axvline(0, color=GREY, lw=1)
        axes.set_yticks(range(len(shown)), [_who(each) for each in shown])
        axes.set_ylim(-0.6, len(shown) - 0.25)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=6)
        axes.grid(axis="y", visible=False)
        name = METRIC_NAMES[metric]
        axes.set_xlabel(f"{name} gained by the challenger ({METRIC_UNITS[metric]}); right is better")
        return svg(figure)


def slices(found: Sequence[SliceResult], metric: str) -> bytes:
    """The challenger's loss in each slice with its interval, and the floor where one is declared."""
    shown = [each for each in reversed(found) if each.loss is not None]
    losses = [each.loss for each in reversed(found) if each.loss is not None]
    ends = [end for each in shown for end in (each.loss, each.loss_low, each.loss_high) if end is not None]
    span = max(max(ends) - min(ends), 0.1 * abs(max(ends)), 1e-9)
    with canvas(9.2, 1.4 + 0.5 * max(len(shown), 1)) as figure:
        axes = figure.subplots()
        for at, each in enumerate(shown):
            colour = OTHER if not each.judged else CHALLENGER if each.passed else BAD
            if each.loss_low is not None and each.loss_high is not None:
                axes.plot(
                    [each.loss_low, each.loss_high], [at, at], color=colour, lw=3, solid_capstyle="butt"
                )
            axes.plot([losses[at]], [at], "o", color=colour, ms=8)
            if each.max_loss is not None and each.max_loss > max(ends) + 2 * span:
                words, where = f"floor {each.max_loss:g} →", (1.0, at + 0.08)
                axes.annotate(words, where, xycoords=("axes fraction", "data"), ha="right", va="bottom")
            elif each.max_loss is not None:
                axes.plot([each.max_loss] * 2, [at - 0.3, at + 0.3], color=INK, lw=1.6, ls=(0, (2, 1)))
        axes.set_yticks(range(len(shown)), [f"{short(each.name)}\n{each.rows:,} rows" for each in shown])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.margins(x=0.1)
        axes.grid(axis="y", visible=False)
        name = METRIC_NAMES[metric]
        axes.set_xlabel(f"{name} of the challenger ({METRIC_UNITS[metric]}); left is better")
        return svg(figure)


def _who(each: Comparison) -> str:
    kind = "champion" if each.kind == "champion" else ("required" if each.required else "shown only")
    name = "champion" if each.name.startswith("champion") else short(each.name)
    rows = f"{each.n:,} rows"
    return f"{name}\n{rows}" if kind == "champion" else f"{name}\n{kind}, {rows}"
