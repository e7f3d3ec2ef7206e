"""The loss of what was served, window by window, against what the gate promised."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from pennant.declaration.model import UseCase
from pennant.warehouse.tables import model_performance
from pennant.watch.served import ServedRow, first_event, served
from pennant.watch.windows import Span, complete_spans

_CLIP = 1e-6


@dataclass(frozen=True)
class WindowLoss:
    """Mean loss per event of one version over one window, with a 95 % interval (normal)."""

    span: Span
    rows: int
    value: float
    low: float
    high: float
    violates: bool


def loss(metric: str, label: float, prediction: float) -> float:
    """Loss of one binary forecast: `log_loss` in nats, or `brier`, the squared error."""
    if metric == "brier":
        return (prediction - label) ** 2
    p = min(max(prediction, _CLIP), 1 - _CLIP)
    return -math.log(p if label == 1.0 else 1 - p)


def promised(warehouse: Engine, use_case: UseCase, version: str) -> float | None:
    """The loss that the gate measured for this version, or None if it never judged it."""
    query = (
        select(model_performance.c.value)
        .where(
            model_performance.c.use_case == use_case.name,
            model_performance.c.version == version,
            model_performance.c.source == "gate",
            model_performance.c.metric == use_case.gate.metric,
        )
        .order_by(model_performance.c.id.desc())
        .limit(1)
    )
    with warehouse.connect() as connection:
        found: float | None = connection.execute(query).scalar()
    return found


def measure(use_case: UseCase, warehouse: Engine, version: str, as_of: datetime) -> list[WindowLoss]:
    """Measure every complete window of `version` whose outcomes are known by `as_of`, oldest first.

    A window with fewer settled rows than declared is not measured. Each is written to `model_performance`
    once, as it was first seen.
    """
    first = first_event(warehouse, use_case.name, version)
    promise = promised(warehouse, use_case, version)
    if first is None or promise is None:
        return []
    known_until = as_of - timedelta(hours=use_case.label.delay_hours)
    measured = []
    for span in complete_spans(use_case.watch.window_days, first, known_until):
        rows = [
            each
            for each in served(warehouse, use_case.name, version, span.start, span.end, as_of)
            if each.label is not None
        ]
        if len(rows) >= use_case.watch.performance.min_rows:
            measured.append(_window(use_case, span, rows, promise))
    _record(use_case, warehouse, version, measured, promise)
    return measured


def _window(use_case: UseCase, span: Span, rows: Sequence[ServedRow], promise: float) -> WindowLoss:
    losses = [loss(use_case.gate.metric, each.label or 0.0, each.prediction) for each in rows]
    mean = sum(losses) / len(losses)
    spread = math.sqrt(sum((each - mean) ** 2 for each in losses) / max(len(losses) - 1, 1))
    half = 1.96 * spread / math.sqrt(len(losses))
    limit = promise + use_case.watch.performance.max_loss_increase
    return WindowLoss(span, len(rows), mean, mean - half, mean + half, violates=mean > limit)


def _record(
    use_case: UseCase, warehouse: Engine, version: str, measured: Sequence[WindowLoss], promise: float
) -> None:
    if not measured:
        return
    rows = [
        {
            "use_case": use_case.name,
            "version": version,
            "source": "live",
            "window_start": each.span.start,
            "window_end": each.span.end,
            "metric": use_case.gate.metric,
            "rows": each.rows,
            "value": each.value,
            "low": each.low,
            "high": each.high,
            "details": {"promised": promise, "violates": each.violates},
        }
        for each in measured
    ]
    with warehouse.begin() as connection:
        connection.execute(insert(model_performance).values(rows).on_conflict_do_nothing())
