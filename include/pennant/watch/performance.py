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


@dataclass(frozen=True)
class WindowLoss:
    """Mean loss per event of one version over one window, with a 95 % interval (normal)."""

    span: Span
    rows: int
    value: float
    low: float
    high: float
    violates: bool


def losses(use_case: UseCase, rows: Sequence[ServedRow]) -> list[float]:
    """The loss of each settled row by the gate's metric, as the gate itself takes it."""
    import numpy as np

    from pennant.training.metrics import by_row
    from pennant.training.problem import Problem

    said = np.array([_said(use_case, each) for each in rows], dtype=np.float64)
    came = np.array([each.label if each.path is None else each.path for each in rows], dtype=np.float64)
    problem = Problem(
        use_case.task,
        (),
        classes=len(use_case.label.classes) or 2,
        most=said.shape[1] - 1 if use_case.task == "count" else 0,
        steps=use_case.label.path.steps if use_case.label.path else 0,
    )
    return [float(each) for each in by_row(use_case.gate.metric, problem, came, said)]


def _said(use_case: UseCase, row: ServedRow) -> float | list[float]:
    answer = row.answer or {}
    if use_case.task == "multiclass":
        return [answer["probabilities"][name] for name in use_case.label.classes]
    if use_case.task == "count":
        distribution: list[float] = answer["distribution"]
        return distribution
    if use_case.task == "trajectory":
        return [each for point in answer["path"] for each in point]
    return row.prediction


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
            if each.settled
        ]
        if len(rows) >= use_case.watch.performance.min_rows:
            measured.append(_window(use_case, span, rows, promise))
    _record(use_case, warehouse, version, measured, promise)
    return measured


def _window(use_case: UseCase, span: Span, rows: Sequence[ServedRow], promise: float) -> WindowLoss:
    found = losses(use_case, rows)
    mean = sum(found) / len(found)
    spread = math.sqrt(sum((each - mean) ** 2 for each in found) / max(len(found) - 1, 1))
    half = 1.96 * spread / math.sqrt(len(found))
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
