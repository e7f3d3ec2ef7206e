"""How predictions spread, by task: shares by what came true, counts, errors, paths drawn."""

from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Circle

from pennant.gate.plots_base import (
    CAME,
    CHALLENGER,
    HALF,
    INK,
    NOT,
    PALE,
    WHOLE,
    canvas,
    panels,
    short,
    svg,
)
from pennant.gate.plots_calibration import MOST_CLASSES
from pennant.gate.tables import Floats, ScoreTable


def probabilities(tables: Sequence[ScoreTable]) -> bytes:
    """How the predictions of challenger and champion spread, by what came true."""
    with canvas(HALF, 4.8 if len(tables) > 1 else 3.4) as figure:
        axes = panels(figure, len(tables), 1, sharex=True)
        bins = np.linspace(0, 1, 26).tolist()
        for each, table in zip(axes, tables, strict=True):
            for label, colour, text in ((1.0, CAME, "came true"), (0.0, NOT, "did not")):
                values = table.prediction[table.label == label]
                each.hist(values, bins=bins, color=colour, alpha=0.55, label=f"{text} ({len(values):,} rows)")
            each.set_ylabel("rows")
            each.set_title(table.name)
            each.legend()
        axes[-1].set_xlabel("predicted probability")
        return svg(figure)


def classes(table: ScoreTable, names: Sequence[str]) -> bytes:
    """What each class was given when it came, and when another one did."""
    counted = np.bincount(table.label.astype(np.int64), minlength=len(names))
    shown = sorted(np.argsort(-counted, kind="stable")[:MOST_CLASSES].tolist())
    with canvas(WHOLE, 0.4 + 3.2 * -(-len(shown) // 3)) as figure:
        for axes, at in zip(panels(figure, len(shown), sharex=True), shown, strict=True):
            p = table.prediction[:, at]
            bins = np.linspace(0, max(float(p.max()), 0.05), 25).tolist()
            for came, colour, text in ((True, CAME, "it came"), (False, NOT, "another came")):
                values = p[(table.label == at) == came]
                axes.hist(values, bins=bins, color=colour, alpha=0.55, density=True, label=text)
            axes.set_title(short(names[at]))
            axes.set_xlabel("predicted probability")
            axes.set_yticks([])
            if at == shown[0]:
                axes.set_ylabel("density of rows")
                axes.legend()
        return svg(figure)


def counts(table: ScoreTable) -> bytes:
    """How often each count came, beside how often it was expected to."""
    expected = table.prediction.mean(axis=0)
    last = len(expected) - 1
    seen = np.bincount(np.minimum(table.label, last).astype(np.int64), minlength=last + 1) / len(table)
    until = int(np.flatnonzero((expected > 0.002) | (seen > 0)).max(initial=1)) + 1
    at = np.arange(until)
    with canvas(WHOLE, 3.8) as figure:
        left, right = figure.subplots(1, 2)
        left.bar(at, seen[:until], color=PALE, width=0.8, label="came")
        left.plot(at, expected[:until], "o-", color=INK, ms=4, lw=1.2, label="forecast, mean over rows")
        left.set_xlabel("count")
        left.set_ylabel("share of rows")
        left.set_title("Counts seen and foretold")
        left.legend()
        means = table.prediction @ np.arange(last + 1, dtype=np.float64)
        right.hist(means, bins=30, color=PALE)
        right.axvline(float(table.label.mean()), color=INK, ls="--", lw=1.4, label="mean count that came")
        right.set_xlabel("expected count")
        right.set_ylabel("rows")
        right.set_title("How far forecasts differ")
        right.legend()
        return svg(figure)


def numbers(table: ScoreTable, unit: str) -> bytes:
    """Errors, and their size against the prediction."""
    error = table.label - table.prediction
    reach = float(np.quantile(np.abs(error), 0.995)) or 1.0
    name = short(unit, 34) or "the label's unit"
    with canvas(WHOLE, 3.8) as figure:
        left, right = figure.subplots(1, 2)
        left.hist(np.clip(error, -reach, reach), bins=41, color=PALE)
        left.axvline(0, color=INK, lw=1)
        left.axvline(float(error.mean()), color=NOT, lw=1.8, label=f"mean {error.mean():+.3g}")
        left.set_xlabel(f"seen less predicted ({name})")
        left.set_ylabel("rows")
        left.set_title("Errors")
        left.legend()
        some = np.linspace(0, len(error) - 1, min(len(error), 1500)).astype(np.intp)
        right.scatter(table.prediction[some], error[some], s=8, color=CHALLENGER, alpha=0.4, linewidths=0)
        right.axhline(0, color=INK, lw=1)
        right.set_ylim(-reach, reach)
        right.set_xlabel(f"predicted ({name})")
        right.set_ylabel("seen less predicted")
        right.set_title("Errors by prediction: no pattern is good")
        return svg(figure)


def paths(table: ScoreTable, rows: Sequence[tuple[str, int]], here: Floats | None) -> bytes:
    """A few paths as they were walked and as they were foretold, with the discs of the last steps.

    Args:
        table: the challenger's.
        rows: titles and positions of the rows to draw.
        here: (n, 2) where each walker stood; None when that is not known.
    """
    with canvas(WHOLE, 0.6 + 4.2 * -(-len(rows) // 3)) as figure:
        for axes, (title, row) in zip(panels(figure, len(rows)), rows, strict=True):
            start = np.empty((0, 2)) if here is None else here[row][None]
            seen, told = (
                np.vstack([start, each[row].reshape(-1, 2)]) for each in (table.label, table.prediction)
            )
            if table.high is not None:
                discs = list(zip(table.prediction[row].reshape(-1, 2), table.high[row], strict=True))
                for centre, radius in discs[:: max(1, len(discs) // 4)] + discs[-1:]:
                    axes.add_patch(Circle(tuple(centre), radius, color=CHALLENGER, alpha=0.1, lw=0))
            axes.plot(*told.T, "o-", color=CHALLENGER, ms=4, lw=1.6, label="foretold")
            axes.plot(*seen.T, "o-", color=NOT, ms=4, lw=1.6, label="walked")
            if here is not None:
                axes.plot(*start.T, "s", color=INK, ms=8, label="start")
            axes.set_title(title)
            axes.set_aspect("equal", adjustable="datalim")
            axes.set_xlabel("x (metres)")
            axes.set_ylabel("y (metres)")
        figure.axes[0].legend(loc="best")
        return svg(figure)
