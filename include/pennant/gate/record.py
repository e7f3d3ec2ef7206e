"""What the gate measured, as rows of `model_performance` with source `gate`."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from pennant.declaration.model import UseCase
from pennant.gate.outcome import Verdict
from pennant.warehouse.tables import model_performance


def record_performance(
    warehouse: Engine,
    use_case: UseCase,
    version: str,
    as_of: datetime,
    evidence_sha256: str,
    verdict: Verdict,
) -> int:
    """Write the challenger's figures on the fresh rows; a second time they replace themselves.

    Metrics: the gate's own (the loss that was promised), `calibration_error`, `auc`, and
    `gain_over:<name>` for the champion and each baseline. Gives the number of rows.
    """
    window = {"window_start": as_of - timedelta(days=use_case.split.fresh_days), "window_end": as_of}
    same = {"use_case": use_case.name, "version": version, "source": "gate", **window}
    details = {"evidence_sha256": evidence_sha256, "outcome": verdict.outcome}
    rows = [{**same, **each, "details": {**details, **each["details"]}} for each in _figures(verdict)]
    if not rows:
        return 0
    statement = insert(model_performance).values(rows)
    update = {name: statement.excluded[name] for name in ("rows", "value", "low", "high", "details")}
    with warehouse.begin() as connection:
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["use_case", "version", "source", "window_start", "window_end", "metric"],
                set_=update,
            )
        )
    return len(rows)


def _figures(verdict: Verdict) -> list[dict[str, Any]]:
    def figure(
        metric: str,
        rows: int,
        value: float,
        low: float | None = None,
        high: float | None = None,
        **details: Any,
    ) -> dict[str, Any]:
        return {"metric": metric, "rows": rows, "value": value, "low": low, "high": high, "details": details}

    found = []
    if verdict.challenger_loss is not None:
        low, high = verdict.challenger_low, verdict.challenger_high
        found.append(figure(verdict.metric, verdict.n, verdict.challenger_loss, low, high))
    if verdict.calibration is not None:
        found.append(figure("calibration_error", verdict.n, verdict.calibration.error))
    if verdict.auc is not None:
        found.append(figure("auc", verdict.n, verdict.auc))
    for each in verdict.comparisons:
        if each.n:
            name = each.kind if each.kind == "champion" else each.name
            details = {"other": each.name, "other_loss": each.other_loss, "passed": each.passed}
            found.append(figure(f"gain_over:{name}", each.n, each.mean, each.low, each.high, **details))
    return found
