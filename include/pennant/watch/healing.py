"""What may be done without a person: one declared action per failure class, cooled down and budgeted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pennant.declaration.model import UseCase
from pennant.registry import ledger
from pennant.warehouse.tables import deployments, healing_actions, traffic_policies

FailureClass = Literal["drift", "performance"]


@dataclass(frozen=True)
class Decision:
    """One of pending, joined, done, superseded, refused_cooldown, refused_budget, no_action in `state`."""

    action: str
    state: str
    sentence: str


@dataclass(frozen=True)
class Retrain:
    """A retrain request that no training run has served yet."""

    id: int
    class_: str
    as_of: datetime
    reason: dict[str, Any]


def decide(
    use_case: UseCase,
    class_: FailureClass,
    warehouse: Engine,
    as_of: datetime,
    reason: Mapping[str, Any],
) -> Decision:
    """Decide on the declared action of a failure class and write the decision down.

    Only a request that is within cooldown and budget becomes `pending`. While one waits, or a challenger
    is being released, another failure joins it; the others are recorded as refused, which means that a
    person is needed. The same failure at the same moment is decided once, and asking again gives that
    decision.
    """
    declared = use_case.healing.get(class_)
    if declared is None or declared.action == "none":
        return Decision("none", "no_action", "No automatic action is declared; a person is needed.")
    with warehouse.begin() as connection:
        state = _state(connection, use_case, declared.action, as_of, reason.get("version"))
        added = connection.execute(
            insert(healing_actions)
            .values(
                {
                    "use_case": use_case.name,
                    "class": class_,
                    "action": declared.action,
                    "state": state,
                    "as_of": as_of,
                    "reason": dict(reason),
                }
            )
            .on_conflict_do_nothing()
            .returning(healing_actions.c.id)
        ).scalar()
        if added is None:
            state = _decided(connection, use_case, class_, declared.action, as_of)
        elif state == "pending":
            entry = {"class": class_, "as_of": as_of.isoformat(), "reason": dict(reason), "actor": "pennant"}
            ledger.append(connection, use_case.name, f"healing_{declared.action}", entry)
    return Decision(declared.action, state, _sentence(declared.action, state))


def _state(connection: Connection, use_case: UseCase, action: str, as_of: datetime, version: object) -> str:
    """Cooldown and budget count every request of the use case, whatever its class asked for it."""
    taken = [
        (row.state, row.as_of)
        for row in connection.execute(
            select(healing_actions.c.state, healing_actions.c.as_of).where(
                healing_actions.c.use_case == use_case.name,
                healing_actions.c.action == action,
                healing_actions.c.state.in_(["pending", "done"]),
                healing_actions.c.as_of <= as_of,
            )
        )
    ]
    if any(state == "pending" for state, _ in taken) or _release_under_way(connection, use_case):
        return "joined"
    if version is not None and version != _champion(connection, use_case):
        # Measuring takes seconds: a release may have ended meanwhile, and the new champion has done nothing.
        return "superseded"
    limits = [each for each in use_case.healing.values() if each.action == action]
    cooldown = timedelta(hours=max(each.cooldown_hours for each in limits))
    if any(as_of - moment < cooldown for _, moment in taken):
        return "refused_cooldown"
    week = [moment for _, moment in taken if as_of - moment < timedelta(days=7)]
    return "refused_budget" if len(week) >= min(each.weekly_budget for each in limits) else "pending"


def _release_under_way(connection: Connection, use_case: UseCase) -> bool:
    """A challenger is on its way: another retrain would be judged against a champion that is leaving."""
    return (
        connection.execute(
            select(deployments.c.id)
            .where(deployments.c.use_case == use_case.name, deployments.c.state.in_(["requested", "canary"]))
            .limit(1)
        ).first()
        is not None
    )


def _champion(connection: Connection, use_case: UseCase) -> str | None:
    """The version that the traffic policy in force names as champion."""
    arms = connection.execute(
        select(traffic_policies.c.arms)
        .where(traffic_policies.c.use_case == use_case.name)
        .order_by(traffic_policies.c.id.desc())
        .limit(1)
    ).scalar()
    return next((str(each["version"]) for each in arms or [] if each["arm"] == "champion"), None)


def _decided(
    connection: Connection, use_case: UseCase, class_: FailureClass, action: str, as_of: datetime
) -> str:
    return str(
        connection.execute(
            select(healing_actions.c.state).where(
                healing_actions.c.use_case == use_case.name,
                healing_actions.c["class"] == class_,
                healing_actions.c.action == action,
                healing_actions.c.as_of == as_of,
            )
        ).scalar_one()
    )


def _sentence(action: str, state: str) -> str:
    return {
        "done": f"A {action} was requested and has been served.",
        "pending": f"A {action} is requested.",
        "joined": f"A {action} is requested already, or its challenger is on its way.",
        "superseded": f"No {action}: the version it was seen on is no longer the champion.",
        "refused_cooldown": f"No {action}: the last one is too recent. A person is needed if this goes on.",
        "refused_budget": f"No {action}: this week's budget is used up. A person is needed.",
    }[state]


def pending_retrains(warehouse: Engine, use_case: str) -> list[Retrain]:
    """The retrain requests that wait, oldest first."""
    query = (
        select(
            healing_actions.c.id,
            healing_actions.c["class"].label("class_"),
            healing_actions.c.as_of,
            healing_actions.c.reason,
        )
        .where(
            healing_actions.c.use_case == use_case,
            healing_actions.c.action == "retrain",
            healing_actions.c.state == "pending",
        )
        .order_by(healing_actions.c.as_of, healing_actions.c.id)
    )
    with warehouse.connect() as connection:
        return [Retrain(row.id, row.class_, row.as_of, row.reason) for row in connection.execute(query)]


def complete(warehouse: Engine, request: int, result: Mapping[str, Any]) -> None:
    """Mark a request as served, with what came of it."""
    with warehouse.begin() as connection:
        connection.execute(
            update(healing_actions)
            .where(healing_actions.c.id == request, healing_actions.c.state == "pending")
            .values(
                state="done", result={**result, "completed_at": str(connection.scalar(select(func.now())))}
            )
        )
