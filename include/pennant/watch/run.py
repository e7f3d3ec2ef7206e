"""One watch of one use case: measure the champion, alert, decide on healing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.release.policy import current
from pennant.settings import Settings
from pennant.watch import drift, performance
from pennant.watch.alerts import AlertEvent, Channel, raise_alert
from pennant.watch.healing import FailureClass, decide
from pennant.watch.windows import persistent


@dataclass(frozen=True)
class WatchReport:
    """What one watch saw of the champion: how many windows, which failures, what was decided."""

    version: str | None
    loss_windows: int
    newest_loss: float | None
    drift_windows: int
    newest_drift_share: float | None
    failures: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def watch(
    use_case: UseCase,
    lake: Lake,
    warehouse: Engine,
    settings: Settings,
    as_of: datetime,
    channels: Mapping[str, Channel],
) -> WatchReport:
    """Measure drift and performance of the served champion and act on what persists."""
    policy = current(warehouse, use_case.name)
    champion = next((arm for arm in policy.arms if arm.arm == "champion"), None) if policy else None
    if champion is None:
        return WatchReport(None, 0, None, 0, None, {})
    losses = performance.measure(use_case, warehouse, champion.version, as_of)
    drifts = drift.measure(use_case, lake, warehouse, champion, as_of)
    failures: dict[str, str] = {}
    limits = use_case.watch
    if persistent(
        [each.violates for each in losses], limits.performance.windows, limits.performance.violations
    ):
        evidence = _loss_evidence(use_case, warehouse, champion.version, losses)
        failures["performance"] = _act(
            use_case, "performance", warehouse, settings, as_of, channels, evidence
        )
    if persistent([each.violates for each in drifts], limits.drift.windows, limits.drift.violations):
        evidence = _drift_evidence(champion.version, drifts)
        failures["drift"] = _act(use_case, "drift", warehouse, settings, as_of, channels, evidence)
    return WatchReport(
        version=champion.version,
        loss_windows=len(losses),
        newest_loss=losses[-1].value if losses else None,
        drift_windows=len(drifts),
        newest_drift_share=drifts[-1].share if drifts else None,
        failures=failures,
    )


def _loss_evidence(
    use_case: UseCase, warehouse: Engine, version: str, losses: list[performance.WindowLoss]
) -> dict[str, Any]:
    newest = losses[-1]
    return {
        "version": version,
        "metric": use_case.gate.metric,
        "promised": performance.promised(warehouse, use_case, version),
        "newest window": f"{newest.value:.4f} [{newest.low:.4f}, {newest.high:.4f}], {newest.rows} rows",
        "from": newest.span.start.date().isoformat(),
        "to": newest.span.end.date().isoformat(),
    }


def _drift_evidence(version: str, drifts: list[drift.WindowDrift]) -> dict[str, Any]:
    newest = drifts[-1]
    worst = sorted(newest.scores.items(), key=lambda each: -each[1])[:3]
    return {
        "version": version,
        "drifted share": newest.share,
        "worst features": ", ".join(f"{name} {score:.2f}" for name, score in worst),
        "rows": newest.rows,
        "report": newest.report_uri or "not kept",
    }


_WHAT: dict[FailureClass, str] = {
    "performance": "The champion loses more than the gate promised.",
    "drift": "The served features no longer look like the training data.",
}


def _act(
    use_case: UseCase,
    class_: FailureClass,
    warehouse: Engine,
    settings: Settings,
    as_of: datetime,
    channels: Mapping[str, Channel],
    evidence: Mapping[str, Any],
) -> str:
    """Decide first, so that the alert can say what was done. Both do nothing when they are repeated."""
    decision = decide(use_case, class_, warehouse, as_of, evidence)
    event = AlertEvent(
        use_case=use_case.name,
        class_=class_,
        severity="warning" if decision.state in {"pending", "joined", "done", "superseded"} else "critical",
        what=_WHAT[class_],
        action=decision.sentence,
        as_of=as_of,
        evidence=evidence,
        links={"Watch Dag": f"{settings.airflow}/dags/{use_case.name}__watch"},
    )
    raise_alert(event, use_case, warehouse, channels)
    return decision.state
