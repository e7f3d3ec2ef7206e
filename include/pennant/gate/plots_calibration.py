"""Do forecasts mean what they say: shares and probabilities, counts and distributions, steps and discs."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from pennant.gate.calibration import Calibration, calibration, inside
from pennant.gate.plots_base import (
    BAD,
    CHALLENGER,
    GREY,
    HALF,
    INK,
    OTHER,
    PALE,
    WHOLE,
    canvas,
    panels,
    short,
    svg,
)
from pennant.gate.tables import Floats, ScoreTable
from pennant.training.clustered import clustered_mean

MOST_CLASSES = 6
PIT_BINS = 10


def reliability(found: Calibration, limit: float) -> bytes:
    """Share that came true against predicted probability, bin by bin, with the rows of each bin."""
    with canvas(HALF, 4.8) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
        _diagonal(above, found)
        above.set_ylabel("share that came true")
        above.set_title(f"calibration error {found.error:.3f}, limit {limit:g}")
        above.legend(loc="upper left")
        rows = [each.rows for each in found.bins]
        widths = [max(each.high - each.low, 0.004) for each in found.bins]
        below.bar(
            [each.low for each in found.bins], rows, width=widths, align="edge", color="#bfdbfe", ec="white"
        )
        below.set_ylabel("rows")
        below.set_xlabel("predicted probability (bins of equal mass)")
        below.set_xlim(0, 1)
        return svg(figure)


def by_class(table: ScoreTable, classes: Sequence[str]) -> bytes:
    """The same for each class; of many classes the commonest."""
    counts = np.bincount(table.label.astype(np.int64), minlength=len(classes))
    shown = sorted(np.argsort(-counts, kind="stable")[:MOST_CLASSES].tolist())
    lines = -(-len(shown) // 3)
    with canvas(WHOLE, 0.4 + 4.0 * lines) as figure:
        for axes, at in zip(panels(figure, len(shown), sharex=True, sharey=True), shown, strict=True):
            found = calibration((table.label == at).astype(np.float64), table.prediction[:, at])
            _diagonal(axes, found)
            axes.set_title(f"{short(classes[at])}: came {counts[at]:,} times, error {found.error:.3f}")
            axes.set_xlabel("predicted probability")
            axes.set_xlim(0, 1)
            if at == shown[0]:
                axes.set_ylabel("share that came true")
                axes.legend(loc="upper left")
        return svg(figure)


def counts(table: ScoreTable) -> bytes:
    """Where what came stood in what was forecast (PIT), and how often intervals of each width held it."""
    with canvas(WHOLE, 4.4) as figure:
        left, right = figure.subplots(1, 2)
        share = pit(table.label, table.prediction)
        left.bar((np.arange(PIT_BINS) + 0.5) / PIT_BINS, share, width=0.94 / PIT_BINS, color=PALE)
        left.axhline(1 / PIT_BINS, color=INK, ls="--", lw=1.2, label="perfect: every bar as high")
        spread = 1.96 * np.sqrt((1 / PIT_BINS) * (1 - 1 / PIT_BINS) / len(table))
        left.axhspan(
            1 / PIT_BINS - spread, 1 / PIT_BINS + spread, color=GREY, alpha=0.14, lw=0, label="chance"
        )
        left.set_xlabel("where the count stood in its forecast: 0 far below, 1 far above")
        left.set_ylabel("share of rows")
        left.set_ylim(0, max(2.4 / PIT_BINS, float(share.max()) * 1.25))
        left.legend(loc="upper left", ncols=2)
        left.set_title("Probability integral transform")
        _coverage_of_counts(right, table)
        return svg(figure)


def numbers(table: ScoreTable, unit: str) -> bytes:
    """What was seen against what was predicted, and how often intervals held it, from small to large."""
    name = short(unit, 34) or "the label's unit"
    with canvas(WHOLE, 4.6) as figure:
        left, right = figure.subplots(1, 2)
        p, y = table.prediction, table.label
        some = np.linspace(0, len(p) - 1, min(len(p), 1500)).astype(np.intp)
        left.scatter(p[some], y[some], s=8, color=OTHER, alpha=0.45, linewidths=0, label="a row")
        ends = np.quantile(np.concatenate([p, y]), [0.002, 0.998])
        left.plot(ends, ends, color=INK, ls="--", lw=1.2, label="perfect")
        groups = _groups(p)
        middles = [(p[each].mean(), y[each].mean()) for each in groups]
        left.plot(
            *zip(*middles, strict=True), "o-", color=CHALLENGER, ms=6, label="mean of a tenth of the rows"
        )
        left.set_xlim(*ends)
        left.set_ylim(*ends)
        left.set_xlabel(f"predicted ({name})")
        left.set_ylabel(f"seen ({name})")
        left.set_title("Predicted and seen")
        left.legend(loc="upper left")
        if table.intervals and table.coverage is not None:
            held = inside(table)
            _held(right, [held[each] for each in groups], [f"{p[each].mean():.3g}" for each in groups], table)
            right.set_xlabel(f"mean prediction of each tenth ({name})")
        else:
            right.set_visible(False)
        return svg(figure)


def steps(tables: Mapping[str, ScoreTable], alpha: float) -> bytes:
    """Distance by step, with intervals; and how often each step lay in its disc."""
    with canvas(WHOLE, 4.4) as figure:
        left, right = figure.subplots(1, 2)
        colours = (CHALLENGER, "#d97706", OTHER, "#7c3aed")
        ours = next(iter(tables.values()))
        moments = np.arange(1, ours.problem.steps + 1)
        lines = ("-", "--", ":", "-.")
        for (name, table), (colour, line) in zip(
            list(tables.items())[:4], zip(colours, lines, strict=True), strict=False
        ):
            off = (table.label - table.prediction).reshape(len(table), -1, 2)
            found = [
                clustered_mean(each, table.clusters(), alpha) for each in np.hypot(*np.moveaxis(off, 2, 0)).T
            ]
            left.plot(
                moments, [each.mean for each in found], f"o{line}", color=colour, ms=4, label=short(name)
            )
            low, high = ([getattr(each, end) or np.nan for each in found] for end in ("low", "high"))
            left.fill_between(moments, low, high, color=colour, alpha=0.18, lw=0)
        left.set_xticks(moments)
        left.set_xlabel("step")
        left.set_ylabel("mean distance (metres)")
        left.set_ylim(0, None)
        left.set_title(f"Error by step, bands: {1 - 2 * alpha:.0%} intervals")
        left.legend(loc="upper left")
        if ours.intervals and ours.coverage is not None:
            held = inside(ours)
            _held(right, list(held.T), [str(each) for each in moments], ours)
            right.set_xlabel("step")
        else:
            right.set_visible(False)
        return svg(figure)


def as_promised(each: Mapping[str, float], promised: float, task: str) -> bool:
    """Whether the promised share lies in the range; of whole counts, intervals cannot but hold more."""
    return promised <= each["high"] and (task == "count" or each["low"] <= promised)


def coverage(told: Mapping[str, Mapping[str, float]], promised: float, task: str) -> bytes:
    """Out of fold, how often the intervals of each slice held what came."""
    shown = list(told.items())[::-1]
    with canvas(9.2, 1.4 + 0.5 * len(shown)) as figure:
        axes = figure.subplots()
        for at, (_, each) in enumerate(shown):
            good = as_promised(each, promised, task)
            axes.plot([each["low"], each["high"]], [at, at], color=CHALLENGER if good else BAD, lw=3)
            axes.plot([each["share"]], [at], "o", color=CHALLENGER if good else BAD, ms=8)
        axes.axvline(promised, color=INK, lw=1.6, ls=(0, (2, 1)))
        names = [
            f"{'all rows' if name == 'all' else short(name)}\n{int(each['rows']):,} rows"
            for name, each in shown
        ]
        axes.set_yticks(range(len(shown)), names)
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(
            f"share of labels inside their intervals; the dashed line is the promised {promised:.0%}"
        )
        return svg(figure)


def pit(label: Floats, prediction: Floats) -> Floats:
    """Share of rows in each tenth of the non-randomised probability integral transform, shape (10,).

    Czado, Gneiting and Held 2009, "Predictive model assessment for count data", Biometrics 65, formula 2: a
    count's share is spread evenly between what was given to less and what was given to it as well.
    """
    rises = np.hstack([np.zeros((len(label), 1)), np.cumsum(prediction, axis=1)])
    at = np.minimum(label, prediction.shape[1] - 1).astype(np.int64)
    rows = np.arange(len(label))
    low, high = rises[rows, at][:, None], np.minimum(rises[rows, at + 1], 1.0)[:, None]
    edges = np.linspace(0.0, 1.0, PIT_BINS + 1)
    below = np.clip((edges - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    return np.asarray(np.diff(below.mean(axis=0)), dtype=np.float64)


def _coverage_of_counts(axes: Axes, table: ScoreTable) -> None:
    """Promised against held for central intervals of the forecasts themselves."""
    rises = np.cumsum(table.prediction, axis=1)
    wanted = np.array([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    held, given = [], []
    rows = np.arange(len(table))
    for share in wanted:
        low, high = ((rises < edge).sum(axis=1) for edge in ((1 - share) / 2, (1 + share) / 2))
        held.append(((table.label >= low) & (table.label <= high)).mean())
        top = rises[rows, np.minimum(high, rises.shape[1] - 1)]
        given.append((top - np.where(low > 0, rises[rows, np.maximum(low - 1, 0)], 0.0)).mean())
    axes.plot([0.25, 1], [0.25, 1], color=GREY, ls="--", lw=1, label="perfect")
    axes.plot(given, held, "o-", color=CHALLENGER, ms=6, label="forecast distributions")
    if table.coverage is not None and table.intervals:
        axes.plot([table.coverage], [inside(table).mean()], "D", color=BAD, ms=8, label="served interval")
    axes.set_xlabel("share that the interval is meant to hold (of whole counts)")
    axes.set_ylabel("share of labels inside")
    axes.set_title("Coverage of central intervals")
    axes.legend(loc="upper left")


def _diagonal(axes: Axes, found: Calibration) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--", label="perfect")
    predicted = np.array([each.predicted for each in found.bins])
    observed = np.array([each.observed for each in found.bins])
    rows = np.array([each.rows for each in found.bins])
    half = 1.96 * np.sqrt(np.maximum(observed * (1 - observed), 0.25 / np.maximum(rows, 1)) / rows)
    axes.errorbar(
        predicted,
        observed,
        yerr=half,
        fmt="o",
        color=CHALLENGER,
        ecolor=PALE,
        elinewidth=2,
        ms=6,
        label="challenger, 95% of chance",
    )
    axes.set_ylim(-0.03, 1.03)


def _held(axes: Axes, parts: Sequence[Floats], names: Sequence[str], table: ScoreTable) -> None:
    """Share of labels inside the served intervals, part by part, beside the promised one."""
    promised = table.coverage or 0.0
    share = np.array([each.mean() for each in parts])
    rows = np.array([len(each) for each in parts])
    half = 1.96 * np.sqrt(np.maximum(share * (1 - share), 0.25 / rows) / rows)
    at = np.arange(len(parts))
    axes.errorbar(at, share, yerr=half, fmt="o", color=CHALLENGER, ecolor=PALE, elinewidth=2, ms=6)
    axes.axhline(promised, color=INK, lw=1.4, ls=(0, (2, 1)), label=f"promised: {promised:.0%}")
    axes.set_xticks(at, names)
    axes.set_ylim(max(0.0, min(0.5, float((share - half).min()) - 0.05)), 1.03)
    axes.set_ylabel("share of labels inside")
    axes.set_title("Coverage of the served intervals, with 95% of chance")
    axes.legend(loc="lower left")


def _groups(p: Floats) -> list["np.ndarray[tuple[int], np.dtype[np.intp]]"]:
    """Ten groups of rows of equal size, from the smallest prediction to the largest."""
    return [each for each in np.array_split(np.argsort(p, kind="stable"), 10) if len(each)]
