"""A rollout, step by step: requested, canary, promoted or turned back.

Every step can be taken again after a crash at any point: it reads where the release stands, repeats
what has the same result when repeated (an alias move under its key, a policy under its key, applying
it), and writes the new state last. Steps of one use case wait for each other.

A release is bound to the champion that it was judged against: when another one reigns by the time it
starts, or by the time it would be promoted, it is not released.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select

from pennant.declaration.model import UseCase
from pennant.registry import aliases, moves
from pennant.registry.models import Models
from pennant.release import deployments, policy
from pennant.release.canary import Answer, Decision, Observation, judge
from pennant.release.deployments import Deployment
from pennant.release.errors import RolloutRefused
from pennant.release.policy import CHALLENGER, CHAMPION, PREVIOUS, Arm, arm_of
from pennant.release.target import Target
from pennant.warehouse.lock import held
from pennant.warehouse.tables import predictions

__all__ = [
    "Observation",
    "Started",
    "finish",
    "observe",
    "pending",
    "request",
    "start",
    "turn_back",
]


REIGNING = ""
"""Stands for the champion of the moment: versions are never empty."""


@dataclass(frozen=True)
class Started:
    """Reference to a release: what travels between tasks. Every step reads the row itself."""

    deployment_id: int
    version: str
    state: str

    def to_json(self) -> dict[str, object]:
        return {"deployment_id": self.deployment_id, "version": self.version, "state": self.state}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> "Started":
        """Read what `to_json` gave."""
        return cls(int(str(value["deployment_id"])), str(value["version"]), str(value["state"]))


def request(
    warehouse: Engine,
    use_case: str,
    version: str,
    as_of: datetime,
    *,
    judged_against: str | None = REIGNING,
    evidence_sha256: str = "",
    why: str = "the gate said promote",
    actor: str = "pennant",
) -> Deployment:
    """Ask for the release of a version; the same request again is the same release.

    Args:
        warehouse: the database of the releases.
        use_case: name of the use case.
        version: what the gate let through.
        as_of: moment of the training run.
        judged_against: the champion that the gate compared it with, None when there was none; the
            reigning one when left out.
        evidence_sha256: hash of the gate's evidence.
        why: the reason, for people.
        actor: who asked for it.
    """
    champion = judged_against
    if champion == REIGNING:
        champion = aliases.ledger_state(warehouse, use_case).get("champion")
    details = {
        "judged_against": champion,
        "evidence_sha256": evidence_sha256,
        "why": why,
        "actor": actor,
    }
    return deployments.insert_request(warehouse, use_case, version, as_of, details)


def pending(warehouse: Engine, use_case: str) -> Deployment | None:
    """The release to work on: the canary that is out, else the newest request; None when there is none."""
    waiting = deployments.of(warehouse, use_case, deployments.OPEN)
    out = [each for each in waiting if each.state == "canary"]
    return next(iter(out or waiting[-1:]), None)


def start(
    use_case: UseCase, deployment: Deployment, models: Models, warehouse: Engine, target: Target
) -> Started:
    """Bring a requested release into service: the first champion at once, later ones as a canary.

    Older requests are closed: all of them were judged against the same champion, and only one can
    follow it.

    Raises:
        RolloutRefused: another canary is out.
        AliasConflict, VersionUnknown, RegistryDown: see `pennant.registry.aliases.move`.
        ServingDown, ServingRefused, PolicyNotServed: see `Target.apply`.
    """
    with held(warehouse, rollout_lock(use_case.name)):
        found = deployments.get(warehouse, deployment.id)
        if found.state == "requested":
            found = _start(use_case, found, models, warehouse, target)
    return Started(found.id, found.version, found.state)


def observe(use_case: UseCase, started: Started, warehouse: Engine) -> Observation:
    """Judge the canary by what both arms have answered. Once decided, it stays decided.

    Raises:
        RolloutRefused: the release was not started.
    """
    with held(warehouse, rollout_lock(use_case.name)):
        found = deployments.get(warehouse, started.deployment_id)
        if found.state == "requested":
            raise RolloutRefused(use_case.name, found.version, "observe", found.state, "a started release")
        if found.state != "canary":
            ended: Decision = "pass" if found.state == "promoted" else "turn_back"
            return _stored(found) or Observation(ended, found.text("reason") or found.state, {})
        decided = _stored(found)
        if decided is None:
            decided = _judge(use_case, found, warehouse)
            if decided.decision != "wait":
                deployments.step_to(warehouse, found, "canary", observation=decided.to_json())
        return decided


def finish(
    use_case: UseCase,
    started: Started,
    observation: Observation,
    models: Models,
    warehouse: Engine,
    target: Target,
) -> Deployment:
    """Promote: move the aliases, give all traffic to the new champion, keep the old one loaded.

    If another champion reigns than the one it was judged against, the release is turned back instead.

    Raises:
        RolloutRefused: the canary has not passed.
        AliasConflict, RegistryDown: see `pennant.registry.aliases.move`.
        ServingDown, ServingRefused, PolicyNotServed: see `Target.apply`.
    """
    with held(warehouse, rollout_lock(use_case.name)):
        found = deployments.get(warehouse, started.deployment_id)
        if found.state != "canary":
            return found
        seen = _stored(found)
        if seen is None or seen.decision != "pass" or observation.decision != "pass":
            what = f"a canary with {(seen or observation).reason}"
            raise RolloutRefused(use_case.name, found.version, "promote", what, "a canary that passed")
        if _stale(warehouse, found):
            return _turn_back(found, _another_champion(warehouse, found), models, warehouse, target)
        return _promote(found, seen, models, warehouse, target)


def turn_back(
    use_case: UseCase,
    started: Started,
    observation: Observation,
    models: Models,
    warehouse: Engine,
    target: Target,
) -> Deployment:
    """Give all traffic back to the champion and close the release with the numbers that ended it.

    Raises:
        RolloutRefused: it is promoted already; a rollback undoes that.
        AliasConflict, RegistryDown: see `pennant.registry.aliases.move`.
        ServingDown, ServingRefused, PolicyNotServed: see `Target.apply`.
    """
    with held(warehouse, rollout_lock(use_case.name)):
        found = deployments.get(warehouse, started.deployment_id)
        if found.state == "promoted":
            allowed = "a canary; `pennant rollback` undoes a promotion"
            raise RolloutRefused(use_case.name, found.version, "turn back", found.state, allowed)
        if found.state in ("turned_back", "failed"):
            return found
        return _turn_back(found, _stored(found) or observation, models, warehouse, target)


def champion_arms(models: Models, use_case: str, state: Mapping[str, str]) -> list[Arm]:
    """All traffic to the champion, the previous one loaded beside it."""
    arms = [arm_of(CHAMPION, models.version(use_case, state["champion"]), 1.0)]
    if "previous_champion" in state:
        arms.append(arm_of(PREVIOUS, models.version(use_case, state["previous_champion"]), 0.0))
    return arms


def _start(
    use_case: UseCase, found: Deployment, models: Models, warehouse: Engine, target: Target
) -> Deployment:
    name, version = use_case.name, found.version
    for other in deployments.of(warehouse, name, deployments.OPEN):
        if other.state == "canary":
            raise RolloutRefused(name, version, "start", f"a canary of version {other.version}", "none out")
        if other.id != found.id and other.as_of <= found.as_of:
            deployments.step_to(warehouse, other, "failed", reason="superseded", superseded_by=found.id)
    if _stale(warehouse, found):
        seen = _another_champion(warehouse, found)
        return deployments.step_to(warehouse, found, "failed", reason=seen.reason)
    state = aliases.ledger_state(warehouse, name)
    if state.get("champion") != version and state.get("challenger") != version:
        why, actor, evidence = found.text("why"), found.text("actor"), found.text("evidence_sha256")
        aliases.challenge(models, warehouse, name, version, why, actor, evidence)
    if state.get("champion") in (None, version):
        first = Observation("pass", "first_champion", {})
        return _promote(found, first, models, warehouse, target)
    share = use_case.release.canary_share
    arms = [
        arm_of(CHAMPION, models.version(name, state["champion"]), 1 - share),
        arm_of(CHALLENGER, models.version(name, version), share),
    ]
    made = policy.publish(warehouse, name, arms, f"canary of version {version}", f"canary:{found.id}")
    target.apply(made)
    return deployments.step_to(warehouse, found, "canary", policy_id=made.id)


def _judge(use_case: UseCase, found: Deployment, warehouse: Engine) -> Observation:
    made = policy.published(warehouse, use_case.name, f"canary:{found.id}")
    assert made is not None  # noqa: S101 - the state `canary` follows its policy
    columns = predictions.c
    query = select(columns.arm, columns.prediction, columns.low, columns.high).where(
        columns.use_case == use_case.name,
        columns.policy_id == made.id,
        columns.day >= made.created_at.date(),
    )
    answers: dict[str, list[Answer]] = {CHAMPION: [], CHALLENGER: []}
    with warehouse.connect() as connection:
        for row in connection.execute(query):
            answers.setdefault(row.arm, []).append(Answer(row.prediction, row.low, row.high))
    hours_out = policy.age_hours(warehouse, made)
    return judge(answers[CHALLENGER], answers[CHAMPION], use_case.release, hours_out)


def _promote(
    found: Deployment, seen: Observation, models: Models, warehouse: Engine, target: Target
) -> Deployment:
    name, key = found.use_case, f"promote:{found.id}"
    reigns = aliases.ledger_state(warehouse, name).get("champion") == found.version
    if not reigns or moves.made(warehouse, name, key):
        aliases.promote(
            models,
            warehouse,
            name,
            found.version,
            found.text("why"),
            found.text("actor"),
            found.text("evidence_sha256"),
            champion=found.judged_against,
            request_key=key,
            details=seen.to_json(),
        )
    arms = champion_arms(models, name, aliases.ledger_state(warehouse, name))
    made = policy.publish(warehouse, name, arms, f"version {found.version} is champion", key)
    target.apply(made)
    return deployments.step_to(
        warehouse, found, "promoted", policy_id=made.id, observation=seen.to_json(), reason=seen.reason
    )


def _turn_back(
    found: Deployment, seen: Observation, models: Models, warehouse: Engine, target: Target
) -> Deployment:
    """The decision first, so that it stays taken; then traffic, alias, state."""
    if found.state == "canary":
        found = deployments.step_to(warehouse, found, "canary", observation=seen.to_json())
    name, key = found.use_case, f"turn_back:{found.id}"
    state = aliases.ledger_state(warehouse, name)
    policy_id = None
    if "champion" in state and policy.published(warehouse, name, f"canary:{found.id}"):
        why = f"canary of version {found.version} turned back: {seen.reason}"
        made = policy.publish(warehouse, name, champion_arms(models, name, state), why, key)
        target.apply(made)
        policy_id = made.id
    challenges = state.get("challenger") == found.version
    aliases.move(
        models,
        warehouse,
        name,
        {"challenger": None} if challenges else {},
        {"challenger": found.version} if challenges else {},
        "turn_back",
        seen.reason,
        "pennant",
        found.text("evidence_sha256"),
        request_key=key,
        details={"version": found.version, **seen.to_json()},
    )
    return deployments.step_to(
        warehouse, found, "turned_back", policy_id=policy_id, observation=seen.to_json(), reason=seen.reason
    )


def _stale(warehouse: Engine, found: Deployment) -> bool:
    champion = aliases.ledger_state(warehouse, found.use_case).get("champion")
    return champion not in (found.judged_against, found.version)


def _another_champion(warehouse: Engine, found: Deployment) -> Observation:
    champion = aliases.ledger_state(warehouse, found.use_case).get("champion")
    against = found.judged_against or "none"
    return Observation("turn_back", f"judged against {against}, but {champion or 'none'} reigns", {})


def _stored(found: Deployment) -> Observation | None:
    value = found.details.get("observation")
    return Observation.from_json(value) if isinstance(value, Mapping) else None


def rollout_lock(use_case: str) -> str:
    """Name of the lock that orders the steps of one use case."""
    return f"rollout:{use_case}"
