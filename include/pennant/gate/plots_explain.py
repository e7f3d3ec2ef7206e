"""What a model uses, as SVG: importances, dependence, interactions, their stillness, and single rows."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pennant.gate.explain import Explained, Interactions, Stability
from pennant.gate.plots_base import (
    CHALLENGER,
    DOWN,
    GREY,
    INK,
    OTHER,
    PALE,
    UP,
    WHOLE,
    canvas,
    panels,
    short,
    svg,
)
from pennant.gate.tables import Floats

FEATURES = 12
"""Shown in one picture; the others are said to be left out."""
DEPENDENCE = 6
PAIRS = 10
MAP = 8
BARS = 8
_BOX = {"boxstyle": "square,pad=0.08", "fc": "white", "ec": "none", "alpha": 0.85}


def importances(explained: Explained) -> bytes:
    """Mean size of each feature's terms, and each row's term coloured by the feature's value."""
    means = np.abs(explained.values).mean(axis=(0, 1))
    order = np.argsort(means, kind="stable")[-FEATURES:]
    names = [short(explained.names[at]) for at in order]
    outputs = _few(explained.outputs)
    with canvas(WHOLE, max(3.0, 1.4 + 0.4 * len(order))) as figure:
        axes = figure.subplots(1, 1 + len(outputs), sharey=True, width_ratios=[1.2, *[1.6] * len(outputs)])
        axes[0].barh(range(len(order)), means[order], color=PALE, height=0.62)
        axes[0].set_yticks(range(len(order)), names)
        axes[0].set_xlabel("mean size of the term")
        axes[0].grid(axis="y", visible=False)
        for panel, output in zip(axes[1:], outputs, strict=True):
            for at, feature in enumerate(order):
                _swarm(panel, at, explained.values[:, output, feature], explained.inputs[:, feature])
            panel.axvline(0, color=GREY, lw=1)
            panel.set_xlabel("lowers ← term → raises")
            if len(explained.outputs) > 1:
                panel.set_title(short(explained.outputs[output]))
        _value_bar(figure, axes[-1], ["low", "high"], "feature's value")
        return svg(figure)


def dependence(explained: Explained) -> bytes:
    """Each top feature's term against its value, coloured by the feature it interacts with most."""
    ranked = [name for name, mean in explained.ranking() if mean > 0.0][:DEPENDENCE]
    with canvas(WHOLE, 0.3 + 3.5 * -(-len(ranked) // 3)) as figure:
        for axes, name in zip(panels(figure, len(ranked)), ranked, strict=True):
            feature = explained.names.index(name)
            output = explained.output_of(feature)
            terms, x = explained.values[:, output, feature], explained.inputs[:, feature]
            partner = explained.interactions.partner(name) if explained.interactions else None
            colour = None if partner is None else _ranks(explained.inputs[:, explained.names.index(partner)])
            _dots(axes, x, terms, colour)
            axes.axhline(0, color=GREY, lw=1)
            axes.set_xlabel(short(name))
            of = f" of {short(explained.outputs[output], 14)}" if len(explained.outputs) > 1 else ""
            axes.set_ylabel(f"term{of}")
            axes.set_title(f"colour: {short(partner, 28)}" if partner else "")
        if explained.interactions and ranked:
            _value_bar(figure, figure.axes[: len(ranked)], ["low", "high"], "value of the other feature")
        return svg(figure)


def interactions(found: Interactions) -> bytes:
    """The strongest pairs, and a map of the features in them."""
    pairs = found.pairs()[:PAIRS]
    named = list(dict.fromkeys(name for a, b, _ in pairs for name in (a, b)))[:MAP]
    at = [found.names.index(name) for name in named]
    with canvas(WHOLE, max(3.6, 1.2 + 0.4 * max(len(pairs), len(named)))) as figure:
        left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
        shown = list(reversed(pairs))
        left.barh(range(len(shown)), [each for *_, each in shown], color=PALE, height=0.62)
        left.set_yticks(range(len(shown)), [f"{short(a, 20)} with {short(b, 20)}" for a, b, _ in shown])
        left.set_xlabel("mean size of what both do together")
        left.set_title("Strongest pairs")
        left.grid(axis="y", visible=False)
        strength = found.strength[np.ix_(at, at)]
        image = right.imshow(strength, cmap="Blues", vmin=0)
        right.set_xticks(range(len(at)), [short(name, 18) for name in named], rotation=40, ha="right")
        right.set_yticks(range(len(at)), [short(name, 18) for name in named])
        right.grid(visible=False)
        right.set_title("Diagonal: what each does alone")
        for row, column in np.ndindex(*strength.shape):
            colour = "white" if strength[row, column] > 0.6 * strength.max() else INK
            text = f"{strength[row, column]:.2g}"
            right.text(column, row, text, ha="center", va="center", fontsize=9, color=colour)
        figure.colorbar(image, ax=right, shrink=0.8, aspect=24).outline.set_visible(False)
        return svg(figure)


def stability(found: Stability) -> bytes:
    """Importance of each top feature in each fold's own model."""
    means = found.importances.mean(axis=0)
    order = np.argsort(means, kind="stable")[-FEATURES:]
    shades = mpl.colormaps["viridis"](np.linspace(0.1, 0.85, len(found.folds)))
    with canvas(WHOLE, max(3.0, 1.4 + 0.4 * len(order))) as figure:
        axes = figure.subplots()
        spread = found.importances[:, order]
        axes.hlines(range(len(order)), spread.min(axis=0), spread.max(axis=0), color=OTHER, lw=2)
        for fold, (name, shade) in enumerate(zip(found.folds, shades, strict=True)):
            axes.plot(spread[fold], range(len(order)), "o", color=shade, ms=7, label=name)
        axes.set_yticks(range(len(order)), [short(found.names[at]) for at in order])
        axes.set_xlim(0, None)
        axes.set_xlabel("mean size of the term in each fold's own model, on rows it had not seen")
        axes.grid(axis="y", visible=False)
        figure.legend(loc="outside right upper", title="Judged on")
        return svg(figure)


def row(explained: Explained, at: int, outputs: Sequence[int]) -> bytes:
    """How one prediction comes about: from the baseline, feature by feature, to what was said.

    Args:
        explained: the terms.
        at: position of the row among the explained ones.
        outputs: those to show, side by side.
    """
    terms = explained.values[at][list(outputs)]
    order = np.argsort(-np.abs(terms).sum(axis=0), kind="stable")
    kept, rest = order[:BARS], order[BARS:]
    names = [_with_value(explained.names[each], float(explained.inputs[at, each])) for each in kept]
    if len(rest):
        names.append(f"{len(rest)} others")
    with canvas(8.6, 1.9 + 0.36 * len(names)) as figure:
        axes = panels(figure, len(outputs), 2, sharey=True)
        for panel, output, values in zip(axes, outputs, terms, strict=True):
            steps = np.concatenate([values[kept], [values[rest].sum()] if len(rest) else []])
            _falls(panel, float(explained.baseline[at, output]), steps)
            if len(explained.outputs) > 1:
                panel.set_title(short(explained.outputs[output]))
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.4, -1.0)
        return svg(figure)


def _falls(axes: Axes, start: float, steps: Floats) -> None:
    """Bars that begin where the one before ended."""
    ends = start + np.cumsum(steps)
    starts = np.concatenate([[start], ends[:-1]])
    colours = [UP if each > 0 else DOWN for each in steps]
    axes.barh(range(len(steps)), steps, left=starts, color=colours, height=0.6, alpha=0.8)
    span = max(float(np.ptp(np.concatenate([[start], ends]))), 1e-9)
    for at, (begin, end, step) in enumerate(zip(starts, ends, steps, strict=True)):
        right = max(begin, end)
        axes.text(right + 0.02 * span, at, f"{step:+.3g}", va="center", fontsize=9, color=INK, bbox=_BOX)
    axes.axvline(start, color=GREY, lw=1.2, ls=(0, (2, 2)))
    axes.axvline(ends[-1], color=INK, lw=1.6)
    align = ("right", "left") if start < ends[-1] else ("left", "right")
    for value, word, side in ((start, "baseline", align[0]), (float(ends[-1]), "said", align[1])):
        axes.text(value, -0.62, f" {word} {value:.3g} ", ha=side, fontsize=9, color=INK)
    middle = 0.5 * (max(start, ends.max()) + min(start, ends.min()))
    axes.set_xlim(middle - 0.95 * span, middle + 0.95 * span)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="y", visible=False)


def _with_value(name: str, value: float) -> str:
    return f"{short(name, 26)} " + ("missing" if np.isnan(value) else f"= {value:.4g}")


def _few(outputs: Sequence[str]) -> list[int]:
    """Panels that fit beside one another."""
    return list(range(min(len(outputs), 3)))


def _dots(axes: Axes, x: Floats, terms: Floats, colour: Floats | None) -> None:
    """Rows with a value; those without stand in grey at the left edge."""
    known = ~np.isnan(x)
    if known.any():
        if colour is None:
            axes.scatter(x[known], terms[known], s=12, color=CHALLENGER, alpha=0.6, linewidths=0)
        else:
            shown, gone = known & ~np.isnan(colour), known & np.isnan(colour)
            axes.scatter(x[gone], terms[gone], s=12, color="#d1d5db", linewidths=0)
            axes.scatter(
                x[shown], terms[shown], s=12, c=colour[shown], cmap="coolwarm", vmin=0, vmax=1, linewidths=0
            )
    if (~known).any():
        low, high = axes.get_xlim() if known.any() else (0.0, 1.0)
        edge = np.full(int((~known).sum()), low - 0.03 * (high - low))
        axes.scatter(edge, terms[~known], s=14, marker="|", color=GREY)


def _value_bar(figure: Figure, axes: Any, words: list[str], label: str) -> None:
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), "coolwarm")
    bar = figure.colorbar(scale, ax=axes, ticks=[0, 1], aspect=40, pad=0.01)
    bar.ax.set_yticklabels(words)
    bar.set_label(label, labelpad=-8)
    bar.outline.set_visible(False)


def _swarm(axes: Axes, row: int, values: Floats, inputs: Floats) -> None:
    """One row of dots, spread sideways where many have the same value; the same data, the same dots."""
    bins = np.linspace(values.min(), values.max() + 1e-12, 60)
    place = np.digitize(values, bins)
    offset = np.zeros(len(values))
    for each in np.unique(place):
        inside = np.flatnonzero(place == each)
        ranks = np.arange(len(inside))
        offset[inside] = np.where(ranks % 2, 1, -1) * ((ranks + 1) // 2)
    offset *= 0.32 / max(float(np.abs(offset).max()), 8.0)
    heights = _ranks(inputs)
    known = ~np.isnan(heights)
    axes.scatter(values[~known], row + offset[~known], s=7, color="#d1d5db", linewidths=0)
    axes.scatter(
        values[known],
        row + offset[known],
        s=7,
        c=heights[known],
        cmap="coolwarm",
        vmin=0,
        vmax=1,
        linewidths=0,
    )


def _ranks(inputs: Floats) -> Floats:
    """0 for the smallest value to 1 for the largest, equal ones alike; NaN where missing."""
    known = ~np.isnan(inputs)
    ranks = np.full(len(inputs), np.nan)
    _, codes = np.unique(inputs[known], return_inverse=True)
    ranks[known] = codes / max(int(codes.max(initial=0)), 1)
    return ranks
