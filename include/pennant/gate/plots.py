"""Plots of one judgement as SVG bytes that are the same for the same data."""

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pennant.gate.calibration import Calibration
from pennant.gate.outcome import Comparison
from pennant.gate.sentences import METRIC_NAMES, METRIC_UNITS
from pennant.gate.shap_values import Explained
from pennant.gate.tables import Floats, ScoreTable

INK, GREY, GRID = "#1f2937", "#6b7280", "#e5e7eb"
CHALLENGER, OTHER, GOOD, BAD = "#2563eb", "#9ca3af", "#15803d", "#b91c1c"
_STYLE = {
    "svg.hashsalt": "pennant",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "xtick.color": GREY,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
}


def forest(comparisons: Sequence[Comparison], metric: str) -> bytes:
    """Gain over the champion and each baseline, with its interval and the bar it had to clear."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.2, 1.15 + 0.62 * max(len(comparisons), 1)), layout="constrained")
        axes = figure.subplots()
        shown = list(reversed(comparisons))
        for at, each in enumerate(shown):
            colour = OTHER if not each.required else (GOOD if each.passed else BAD)
            if each.low is not None and each.high is not None:
                axes.plot([each.low, each.high], [at, at], color=colour, lw=3, solid_capstyle="butt")
            axes.plot(each.mean, at, "o", color=colour, ms=8)
            axes.annotate(
                f"{each.mean:+.4f}",
                (each.mean, at),
                (0, 9),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"},
            )
            if each.required:
                axes.plot([each.needs_above] * 2, [at - 0.32, at + 0.32], color=INK, lw=1.6, ls=(0, (2, 1)))
        axes.axvline(0, color=GREY, lw=1)
        axes.set_yticks(range(len(shown)), [_who(each) for each in shown])
        axes.set_ylim(-0.6, len(shown) - 0.25)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(
            f"{METRIC_NAMES[metric]} gained by the challenger ({METRIC_UNITS[metric]}); right is better"
        )
        return _svg(figure)


def reliability(found: Calibration, limit: float) -> bytes:
    """Share that came true against predicted probability, bin by bin, with the rows of each bin."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.2, 4.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
        above.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="perfect")
        predicted = np.array([each.predicted for each in found.bins])
        observed = np.array([each.observed for each in found.bins])
        rows = np.array([each.rows for each in found.bins])
        half = 1.96 * np.sqrt(np.maximum(observed * (1 - observed), 0.25 / np.maximum(rows, 1)) / rows)
        above.errorbar(
            predicted,
            observed,
            yerr=half,
            fmt="o",
            color=CHALLENGER,
            ecolor="#93c5fd",
            elinewidth=2,
            ms=6,
            label="challenger, 95 % of chance",
        )
        above.set_ylabel("share that came true")
        above.set_ylim(-0.03, 1.03)
        above.set_title(
            f"calibration error {found.error:.3f}, limit {limit:g}", loc="left", fontsize=10, color=INK
        )
        above.legend(frameon=False, loc="upper left")
        widths = np.array([max(each.high - each.low, 0.004) for each in found.bins])
        below.bar(
            [each.low for each in found.bins], rows, width=widths, align="edge", color="#bfdbfe", ec="white"
        )
        below.set_ylabel("rows")
        below.set_xlabel("predicted probability (bins of equal mass)")
        below.set_xlim(0, 1)
        return _svg(figure)


def score_distributions(tables: Sequence[ScoreTable]) -> bytes:
    """How the predictions of challenger and champion spread, by what came true."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(6.2, 1.1 + 1.75 * len(tables)), layout="constrained")
        panels = np.atleast_1d(figure.subplots(len(tables), 1, sharex=True))
        bins = np.linspace(0, 1, 26).tolist()
        for axes, table in zip(panels, tables, strict=True):
            for label, colour, text in ((1.0, CHALLENGER, "label 1"), (0.0, "#f59e0b", "label 0")):
                values = table.prediction[table.label == label]
                axes.hist(values, bins=bins, color=colour, alpha=0.55, label=f"{text} ({len(values)} rows)")
            axes.set_ylabel("rows")
            axes.set_title(table.name, loc="left", fontsize=10, color=INK)
            axes.legend(frameon=False, fontsize=8.5)
        panels[-1].set_xlabel("predicted probability")
        return _svg(figure)


def importances(explained: Explained) -> bytes:
    """SHAP values: mean size per feature, and each row's value coloured by the feature's value."""
    order = np.argsort(np.abs(explained.values).mean(axis=0))[-12:]
    names = [explained.names[at] for at in order]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(12.8, max(2.6, 1.3 + 0.42 * len(order))), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1.6])
        left.barh(
            range(len(order)), np.abs(explained.values[:, order]).mean(axis=0), color="#93c5fd", height=0.62
        )
        left.set_yticks(range(len(order)), names)
        left.set_xlabel("mean |SHAP value| (logit)")
        left.grid(axis="y", visible=False)
        for at, feature in enumerate(order):
            _swarm(right, at, explained.values[:, feature], explained.inputs[:, feature])
        right.axvline(0, color=GREY, lw=1)
        right.set_xlabel("SHAP value (logit): left lowers, right raises the probability")
        scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, 1), "coolwarm")
        bar = figure.colorbar(scale, ax=right, ticks=[0, 1], aspect=40, pad=0.01)
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("feature value", labelpad=-8)
        bar.outline.set_visible(False)
        return _svg(figure)


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
    known = ~np.isnan(inputs)
    ranks = np.full(len(inputs), np.nan)
    _, codes = np.unique(inputs[known], return_inverse=True)
    ranks[known] = codes / max(int(codes.max(initial=0)), 1)
    axes.scatter(values[~known], row + offset[~known], s=7, color="#d1d5db", linewidths=0)
    axes.scatter(
        values[known], row + offset[known], s=7, c=ranks[known], cmap="coolwarm", vmin=0, vmax=1, linewidths=0
    )


def _who(each: Comparison) -> str:
    kind = "champion" if each.kind == "champion" else ("required" if each.required else "shown only")
    name = "champion" if each.name.startswith("champion") else each.name
    return f"{name}\n{each.n} rows" if kind == "champion" else f"{name}\n{kind}, {each.n} rows"


def _svg(figure: Figure) -> bytes:
    sink = io.BytesIO()
    nothing: Mapping[str, None] = {"Date": None, "Creator": None}
    figure.savefig(sink, format="svg", metadata=nothing)
    return sink.getvalue()
