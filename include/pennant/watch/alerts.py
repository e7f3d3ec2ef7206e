"""One event model for everything worth telling: recorded first, then delivered.

The row in `system_alerts` is the alert; a channel is only a way to hear of it. A dead channel
fails no task and loses no alert: its delivery is marked failed and tried again by `redeliver`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from sqlalchemy import Engine, select, update
from sqlalchemy.dialects.postgresql import insert

from pennant.declaration.model import DataUseCase
from pennant.errors import PennantError
from pennant.warehouse.tables import system_alerts

Severity = Literal["info", "warning", "critical"]
_MAX_TRIES = 10


class ChannelDown(PennantError):
    """A channel did not take an alert."""

    def __init__(self, channel: str, reason: str) -> None:
        self.channel = channel
        self.reason = reason
        super().__init__(f"Channel {channel} did not take the alert: {reason}. It will be delivered again.")


@dataclass(frozen=True)
class AlertEvent:
    """What happened, how bad it is, the numbers behind it, what was done, and where to look."""

    use_case: str
    class_: str
    severity: Severity
    what: str
    action: str
    as_of: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


class Channel(Protocol):
    """A way to tell people. `deliver` raises `ChannelDown` if it could not."""

    def deliver(self, event: AlertEvent) -> None: ...


def raise_alert(
    event: AlertEvent, use_case: DataUseCase, warehouse: Engine, channels: Mapping[str, Channel]
) -> dict[str, Any]:
    """Record the alert and deliver it by the declared routes.

    Returns:
        `{"state": "sent" | "cooling_down" | "repeated", "deliveries": {channel: state}}`. `repeated` is the
        same alert of the same moment, as when a task runs twice.
    """
    row_id = _record(event, use_case, warehouse)
    if isinstance(row_id, str):
        return {"state": row_id, "deliveries": {}}
    deliveries: dict[str, dict[str, Any]] = {
        name: _deliver(event, name, channels, tries=0)
        for name in use_case.alerts.routes.get(event.severity, [])
    }
    _note(warehouse, row_id, deliveries)
    return {"state": "sent", "deliveries": {name: each["state"] for name, each in deliveries.items()}}


def redeliver(use_case: DataUseCase, warehouse: Engine, channels: Mapping[str, Channel]) -> int:
    """Deliver again what a channel did not take; gives how many arrived this time."""
    with warehouse.connect() as connection:
        rows = (
            connection.execute(select(system_alerts).where(system_alerts.c.use_case == use_case.name))
            .mappings()
            .all()
        )
    arrived = 0
    for row in rows:
        deliveries = dict(row["deliveries"])
        # A process that died between recording and delivering left no entry: that counts as failed.
        wanted = {name: {"state": "failed", "tries": 0} for name in use_case.alerts.routes[row["severity"]]}
        failed = [
            name
            for name, each in {**wanted, **deliveries}.items()
            if each["state"] == "failed" and each["tries"] < _MAX_TRIES and name in channels
        ]
        for name in failed:
            tries = deliveries.get(name, wanted.get(name, {"tries": 0}))["tries"]
            deliveries[name] = _deliver(_event(dict(row)), name, channels, tries)
            arrived += deliveries[name]["state"] == "delivered"
        if failed:
            _note(warehouse, row["id"], deliveries)
    return arrived


def _record(event: AlertEvent, use_case: DataUseCase, warehouse: Engine) -> int | str:
    since = event.as_of - timedelta(hours=use_case.alerts.cooldown_hours)
    key = f"{event.class_}:{event.severity}"
    mine = (system_alerts.c.use_case == event.use_case) & (system_alerts.c.dedup_key == key)
    with warehouse.begin() as connection:
        recent = connection.execute(
            select(system_alerts.c.as_of)
            .where(mine, system_alerts.c.as_of > since, system_alerts.c.as_of <= event.as_of)
            .limit(1)
        ).scalar()
        if recent is not None:
            return "repeated" if recent == event.as_of else "cooling_down"
        added = connection.execute(
            insert(system_alerts)
            .values(
                {
                    "use_case": event.use_case,
                    "class": event.class_,
                    "severity": event.severity,
                    "dedup_key": key,
                    "as_of": event.as_of,
                    "what": event.what,
                    "evidence": dict(event.evidence),
                    "action": event.action,
                    "links": dict(event.links),
                }
            )
            .on_conflict_do_nothing()
            .returning(system_alerts.c.id)
        ).scalar()
    return "repeated" if added is None else int(added)


def _deliver(event: AlertEvent, name: str, channels: Mapping[str, Channel], tries: int) -> dict[str, Any]:
    if name not in channels:
        return {"state": "not_configured", "tries": tries}
    try:
        channels[name].deliver(event)
    except ChannelDown as error:
        return {"state": "failed", "tries": tries + 1, "error": error.reason[:500]}
    return {"state": "delivered", "tries": tries + 1}


def _note(warehouse: Engine, row_id: int, deliveries: Mapping[str, Any]) -> None:
    with warehouse.begin() as connection:
        connection.execute(
            update(system_alerts).where(system_alerts.c.id == row_id).values(deliveries=dict(deliveries))
        )


def _event(row: Mapping[str, Any]) -> AlertEvent:
    return AlertEvent(
        use_case=row["use_case"],
        class_=row["class"],
        severity=row["severity"],
        what=row["what"],
        action=row["action"],
        as_of=row["as_of"],
        evidence=row["evidence"],
        links=row["links"],
    )
