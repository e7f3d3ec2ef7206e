"""The figures of a walk forward: each period's, all of them pooled, and paired differences with intervals."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from pennant.decisions.lines import over
from pennant.declaration.model import TrainedUseCase, UseCase
from pennant.declaration.parameters import METRICS
from pennant.gate.bets import Betting
from pennant.gate.forecasts import Forecast
from pennant.gate.walk import Period
from pennant.training.clustered import MeanInterval, clustered_mean
from pennant.training.losses import Floats, brier, log_loss, log_losses
from pennant.training.metrics import MAIN, by_row, metrics
from pennant.training.problem import Problem

ALPHA = 0.025
"""Of each side: intervals are at 95 %."""
FEW = 20
"""Fewer days than that are no clusters: then minutes are, and with fewer of those single rows."""


@dataclass(frozen=True)
class Pooled:
    """All rows of a walk in one."""

    problem: Problem
    y: Floats
    cluster: npt.NDArray[np.datetime64]
    forecasts: dict[str, Forecast]
    line: Floats | None
    market_over: Floats | None
    sampled: dict[str, Floats]


def main_metric(use_case: TrainedUseCase) -> str:
    """What models of a use case are compared by."""
    if isinstance(use_case, UseCase) and use_case.gate.metric in METRICS[use_case.task]:
        return use_case.gate.metric
    return MAIN[use_case.task]


def pooled(periods: list[Period]) -> Pooled:
    """Put periods together; a baseline that some of them lack has fewer rows."""
    widest = max((each.problem for each in periods), key=lambda problem: problem.most)
    names = list(dict.fromkeys(name for each in periods for name in each.forecasts))
    forecasts = {}
    for name in names:
        given = [_given(each, name) for each in periods]
        parts = [_wide(each.forecasts[name].p, widest) for each in periods if name in each.forecasts]
        forecasts[name] = Forecast(np.concatenate(given), np.concatenate(parts))
    lines = [each.line for each in periods if each.line is not None]
    overs = [each.market_over for each in periods if each.market_over is not None]
    return Pooled(
        widest,
        np.concatenate([each.y for each in periods]),
        clusters(np.concatenate([each.event_time for each in periods])),
        forecasts,
        np.concatenate(lines) if lines else None,
        np.concatenate(overs) if overs else None,
        {name: np.concatenate([each.sampled[name] for each in periods]) for name in periods[0].sampled},
    )


def clusters(event_time: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    """Rows that are not independent of each other: those of one day."""
    for unit in ("D", "m"):
        found = event_time.astype(f"datetime64[{unit}]")
        if len(np.unique(found)) >= FEW:
            return found
    return np.arange(len(event_time)).astype("datetime64[D]")


def figures(rows: Pooled, name: str) -> dict[str, float]:
    """All metrics of one forecast on the rows that it has; of a baseline also how many these are."""
    forecast = rows.forecasts[name]
    found = metrics(rows.problem, rows.y[forecast.given], forecast.p)
    lined = line_forecast(rows, name)
    if lined is not None:
        at, p, hit = lined
        found |= {
            "line_log_loss": log_loss(hit, p),
            "line_brier": brier(hit, p),
            "line_rows": float(at.sum()),
        }
    if name == "model":
        found |= {key: float(values.mean()) for key, values in rows.sampled.items()}
    else:
        found["rows"] = float(forecast.given.sum())
    return {key: float(value) for key, value in found.items() if np.isfinite(value)}


def line_forecast(rows: Pooled, name: str) -> tuple[npt.NDArray[np.bool_], Floats, Floats] | None:
    """A count's forecast priced at the offered lines: which rows, chance of the over, whether it came.

    Only rows with a line, a market price of it, and a result off the line; None without any.
    """
    if rows.line is None or rows.market_over is None:
        return None
    forecast = rows.forecasts[name] if name != "market" else None
    at = ~np.isnan(rows.line) & ~np.isnan(rows.market_over) & (rows.y != rows.line)
    if forecast is not None:
        at = at & forecast.given
    if not at.any():
        return None
    hit = (rows.y[at] > rows.line[at]).astype(np.float64)
    if forecast is None:
        return at, rows.market_over[at], hit
    return at, over(forecast.p[at[forecast.given]], rows.line[at])[0], hit


def difference(rows: Pooled, name: str, metric: str) -> MeanInterval | None:
    """Mean of the model's metric less the baseline's over common rows; below 0 the model is better."""
    if metric == "line_log_loss":
        own, other = line_forecast(rows, "model"), line_forecast(rows, name)
        if own is None or other is None:
            return None
        both = own[0] & other[0]
        apart = log_losses(own[2], own[1])[both[own[0]]] - log_losses(other[2], other[1])[both[other[0]]]
        return clustered_mean(apart, rows.cluster[both], ALPHA)
    model, theirs = rows.forecasts["model"], rows.forecasts[name]
    both = model.given & theirs.given
    own_rows = by_row(metric, rows.problem, rows.y[both], model.p[both[model.given]])
    their_rows = by_row(metric, rows.problem, rows.y[both], theirs.p[both[theirs.given]])
    return clustered_mean(own_rows - their_rows, rows.cluster[both], ALPHA)


def to_json(
    use_case: TrainedUseCase,
    periods: list[Period],
    start: datetime,
    until: datetime,
    record: Betting | None = None,
) -> dict[str, Any]:
    """A walk as JSON, in the shape that `docs/backtest.md` describes."""
    metric = main_metric(use_case)
    whole = pooled(periods)
    others = [name for name in whole.forecasts if name != "model"]
    told = []
    for each in periods:
        part = pooled([each])
        told.append(
            {
                "period": each.name,
                "rows": len(each.y),
                "metrics": figures(part, "model"),
                "baselines": {name: figures(part, name) for name in part.forecasts if name != "model"},
                "trained_rows": each.trained_rows,
                "members": each.weights,
            }
        )
    differences = {name: _told(metric, difference(whole, name, metric)) for name in others}
    if whole.line is not None:
        lined = {
            f"{name}_at_the_line": difference(whole, name, "line_log_loss") for name in {*others, "market"}
        }
        differences |= {
            name: _told("line_log_loss", each) for name, each in sorted(lined.items()) if each is not None
        }
    baselines = {name: figures(whole, name) for name in others}
    if (market := line_forecast(whole, "market")) is not None and "market" not in baselines:
        baselines["market"] = {"line_log_loss": log_loss(market[2], market[1])}
    betting = {} if record is None else {"betting": {**record.numbers, "verdict": record.text}}
    return {
        "use_case": use_case.name,
        "metric": metric,
        "from": start.isoformat(),
        "to": until.isoformat(),
        "periods": told,
        "pooled": {
            "rows": len(whole.y),
            "metrics": figures(whole, "model"),
            "baselines": baselines,
            "differences": differences,
        },
        **betting,
        "difference_is": "the model's metric less the baseline's, at 95 %; below 0 the model is better",
    }


def _told(metric: str, found: MeanInterval | None) -> dict[str, Any]:
    if found is None:
        return {"metric": metric, "mean": None, "low": None, "high": None}
    return {"metric": metric, "mean": found.mean, "low": found.low, "high": found.high, "rows": found.rows}


def _given(period: Period, name: str) -> npt.NDArray[np.bool_]:
    if name in period.forecasts:
        return period.forecasts[name].given
    return np.zeros(len(period.y), dtype=bool)


def _wide(p: Floats, problem: Problem) -> Floats:
    """A count's distribution with as many columns as the widest; its last one stays where it was."""
    missing = problem.most + 1 - p.shape[1] if problem.task == "count" else 0
    return np.pad(p, ((0, 0), (0, missing))) if missing > 0 else p
