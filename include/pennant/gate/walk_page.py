"""A walk forward as a page for people: each period beside the baselines, intervals, calibration."""

import base64
import io
from html import escape
from typing import Any

import numpy as np

from pennant.data.quality.style import STYLE
from pennant.declaration.model import TrainedUseCase
from pennant.gate.bets import Betting
from pennant.gate.walk import Period
from pennant.gate.walk_results import Pooled, line_forecast, pooled
from pennant.training.losses import Floats

_COLOURS = ("#1d4ed8", "#b45309", "#047857", "#7c3aed", "#be123c", "#475569")


def page_of(
    use_case: TrainedUseCase, periods: list[Period], found: dict[str, Any], record: Betting | None = None
) -> bytes:
    """The page; all that is data is escaped, pictures are inside."""
    metric, whole = found["metric"], found["pooled"]
    plots = [_by_period(found), _differences(found)]
    plots += [_calibration(pooled(periods), use_case), _bankroll(record)]
    body = (
        f'<header class="good"><p class="eyebrow">{escape(use_case.title)} / backtest</p>'
        f"<h1>{escape(found['from'][:10])} to {escape(found['to'][:10])}</h1>"
        f"<p>{whole['rows']:,} settled events; periods: {len(found['periods'])}. Each was predicted by a "
        f"model trained on what was known at its start. {_verdict(found)}</p></header>"
        f"{''.join(each for each in plots if each)}{_table(found)}"
        f"<section><h2>All figures of the model</h2>{_figures(whole['metrics'])}</section>"
    )
    title = f"{use_case.name}: backtest, {metric}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE} img {{ max-width: 100% }}</style></head>"
        f"<body><main>{body}</main></body></html>"
    ).encode()


def _verdict(found: dict[str, Any]) -> str:
    told = []
    for name, each in found["pooled"]["differences"].items():
        if each["low"] is None or each["metric"] != found["metric"]:
            continue
        word = (
            "better than" if each["high"] < 0 else "worse than" if each["low"] > 0 else "not told apart from"
        )
        told.append(f"{word} {escape(name)}")
    return (
        f"By {escape(found['metric'])}, on the rows that both have, the model is {', '.join(told)}."
        if told
        else ""
    )


def _by_period(found: dict[str, Any]) -> str:
    metric, periods = found["metric"], found["periods"]
    names = ["model", *found["pooled"]["baselines"]]
    figure, axes = _axes(9, 3.6)
    at = np.arange(len(periods))
    for number, name in enumerate(names):
        values = [_comparable(each, name, metric) for each in periods]
        if not np.isfinite(np.array(values, dtype=float)).any():
            continue
        style = {"lw": 2.4, "marker": "o"} if name == "model" else {"lw": 1.2, "marker": "."}
        axes.plot(at, values, color=_COLOURS[number % len(_COLOURS)], label=name, **style)
    axes.set_xticks(at, [each["period"].replace("/", "\nto ") for each in periods], fontsize=7)
    axes.set_ylabel(metric)
    axes.legend(frameon=False, fontsize=8, ncols=4)
    return _picture(figure, "Period by period: lower is better")


def _comparable(each: dict[str, Any], name: str, metric: str) -> float:
    """A figure on the rows that the model has, too; of a baseline with fewer it would mislead."""
    if name == "model":
        return float(each["metrics"].get(metric, np.nan))
    told = each["baselines"].get(name, {})
    return float(told[metric]) if metric in told and told["rows"] == each["rows"] else float("nan")


def _differences(found: dict[str, Any]) -> str:
    told = {name: each for name, each in found["pooled"]["differences"].items() if each["low"] is not None}
    if not told:
        return ""
    figure, axes = _axes(9, 0.5 * len(told) + 1.1)
    for number, each in enumerate(told.values()):
        colour = "#047857" if each["high"] < 0 else "#be123c" if each["low"] > 0 else "#64748b"
        axes.plot([each["low"], each["high"]], [number, number], color=colour, lw=2)
        axes.plot(each["mean"], number, "o", color=colour)
    axes.axvline(0.0, color="#94a3b8", lw=1)
    axes.set_yticks(
        range(len(told)), [f"{name} ({each['metric']})" for name, each in told.items()], fontsize=8
    )
    axes.invert_yaxis()
    return _picture(figure, "The model less each baseline, all periods, 95 %: left of 0 the model is better")


def _calibration(whole: Pooled, use_case: TrainedUseCase) -> str:
    pairs = _pairs(whole, use_case.label.classes)
    if not pairs:
        return ""
    figure, axes = _axes(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color="#94a3b8", lw=1)
    for number, (name, p, hit) in enumerate(pairs):
        parts = [each for each in np.array_split(np.argsort(p, kind="stable"), 10) if len(each)]
        said, seen = ([float(of[each].mean()) for each in parts] for of in (p, hit))
        spread = [1.96 * (s * (1 - s) / len(each)) ** 0.5 for s, each in zip(seen, parts, strict=True)]
        axes.errorbar(said, seen, spread, fmt="o-", color=_COLOURS[number % 6], lw=1.2, ms=4, label=name)
    axes.set_xlabel("said")
    axes.set_ylabel("came true")
    axes.legend(frameon=False, fontsize=8)
    return _picture(figure, f"Calibration of {use_case.name}: tenths of the events, 95 %")


def _bankroll(record: Betting | None) -> str:
    """The equity curve and its falls, with the verdict in words."""
    if record is None:
        return ""
    words = f"<section><h2>Bets by the declared limits</h2><p>{escape(record.text)}</p></section>"
    if record.curve.is_empty():
        return words
    figure, axes = _axes(9, 3.2)
    days = record.curve["day"].to_list()
    axes.plot(days, record.curve["bankroll"], color=_COLOURS[0], lw=1.6)
    axes.axhline(1.0, color="#94a3b8", lw=1)
    axes.set_ylabel("bankroll, from 1")
    falls = axes.twinx()
    falls.fill_between(days, 0.0, record.curve["drawdown"], color="#be123c", alpha=0.18, lw=0)
    falls.set_ylim(max(0.2, 2.0 * float(np.max(record.curve["drawdown"].to_numpy()))), 0.0)
    falls.set_ylabel("share of the peak lost")
    return words + _picture(figure, f"Bankroll over {record.settled.height:,} bets, and its falls")


def _pairs(whole: Pooled, classes: list[str]) -> list[tuple[str, Floats, Floats]]:
    """Chances of the model and whether they came true; by class, or at the offered line."""
    p, task = whole.forecasts["model"].p, whole.problem.task
    if task == "binary":
        return [("model", p, whole.y)]
    if task == "multiclass":
        return [(name, p[:, k], (whole.y == k).astype(np.float64)) for k, name in enumerate(classes)]
    lined = line_forecast(whole, "model") if task == "count" else None
    return [] if lined is None else [("over the line", lined[1], lined[2])]


def _table(found: dict[str, Any]) -> str:
    metric, names = found["metric"], list(found["pooled"]["baselines"])
    head = "".join(f'<th class="n">{escape(name)}</th>' for name in ("rows", "model", *names))
    parts = [*found["periods"], {"period": "all", **found["pooled"]}]
    lines = []
    for each in parts:
        cells = [f"{each['rows']:,}", _number(each["metrics"].get(metric))]
        cells += [_of_baseline(each, name, metric) for name in names]
        values = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        lines.append(f"<tr><td>{escape(each['period'])}</td>{values}</tr>")
    return (
        f'<section><h2>{escape(metric)}</h2><div class="scroll"><table><thead><tr><th>period</th>{head}'
        "</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _figures(metrics: dict[str, float]) -> str:
    lines = [
        f'<tr><td>{escape(name)}</td><td class="n">{value:.5g}</td></tr>' for name, value in metrics.items()
    ]
    return f'<div class="scroll"><table><tbody>{"".join(lines)}</tbody></table></div>'


def _of_baseline(each: dict[str, Any], name: str, metric: str) -> str:
    told = each["baselines"].get(name, {})
    fewer = "rows" in told and told["rows"] < each["rows"]
    return _number(told.get(metric)) + (f"<br><small>of {told['rows']:,.0f}</small>" if fewer else "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _axes(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _picture(figure: Any, title: str) -> str:
    body = io.BytesIO()
    figure.savefig(body, format="png", dpi=110, metadata={"Software": None})
    content = base64.b64encode(body.getvalue()).decode()
    shown = f'<img alt="{escape(title)}" src="data:image/png;base64,{content}">'
    return f"<section><h2>{escape(title)}</h2>{shown}</section>"
