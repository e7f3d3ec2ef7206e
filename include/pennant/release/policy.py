"""Traffic policies: which version answers which share. Append-only; the newest is in force."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from math import fsum, isfinite
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, func, select
from sqlalchemy.dialects.postgresql import insert

from pennant.registry.models import ModelVersion
from pennant.release.errors import PolicyConflict, PolicyInvalid
from pennant.warehouse.lock import held
from pennant.warehouse.tables import traffic_policies

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
ARMS = (CHAMPION, CHALLENGER, PREVIOUS)


@dataclass(frozen=True)
class Arm:
    """One version that is loaded, and the share of entities in [0, 1] that it answers.

    `previous` is loaded with weight 0, for an instant return.
    """

    arm: str
    version: str
    bundle_uri: str
    bundle_sha256: str
    weight: float


@dataclass(frozen=True)
class Policy:
    """One published policy. `salt` makes an entity's arm stick for as long as the policy does."""

    id: int
    use_case: str
    salt: str
    arms: list[Arm]
    why: str
    request_key: str
    created_at: datetime

    @property
    def versions(self) -> dict[str, str]:
        """Version by arm."""
        return {each.arm: each.version for each in self.arms}


def arm_of(name: str, version: ModelVersion, weight: float) -> Arm:
    """The arm `name` that serves `version`."""
    return Arm(name, version.version, version.bundle_uri, version.bundle_sha256, weight)


def current(warehouse: Engine | Connection, use_case: str) -> Policy | None:
    """The policy in force; None before the first release."""
    query = select(traffic_policies).where(traffic_policies.c.use_case == use_case)
    row = _one(warehouse, query.order_by(traffic_policies.c.id.desc()).limit(1))
    return _read(row) if row else None


def published(warehouse: Engine | Connection, use_case: str, request_key: str) -> Policy | None:
    """The policy that was published under a key, whether in force or not."""
    query = select(traffic_policies).where(traffic_policies.c.use_case == use_case)
    row = _one(warehouse, query.where(traffic_policies.c.request_key == request_key))
    return _read(row) if row else None


def publish(warehouse: Engine, use_case: str, arms: Sequence[Arm], why: str, request_key: str) -> Policy:
    """Publish a policy; with a key that is known already, give back what it published.

    Args:
        warehouse: the database that the serving app reads.
        use_case: name of the use case.
        arms: one `champion`, at most one `challenger` and one `previous`; the weights sum to 1.
        why: the reason, for people.
        request_key: names the request: the same request publishes once.

    Raises:
        PolicyInvalid: the arms cannot share the traffic.
        PolicyConflict: the key was used for other arms.
    """
    _check(use_case, arms)
    row = {
        "use_case": use_case,
        "salt": hashlib.sha256(f"{use_case} {request_key}".encode()).hexdigest()[:16],
        "arms": [asdict(each) for each in arms],
        "why": why,
        "request_key": request_key,
    }
    # One publisher at a time: ids then grow in the order of commits, and the newest id is the newest.
    with held(warehouse, f"policy:{use_case}") as connection:
        with connection.begin():
            connection.execute(insert(traffic_policies).values(row).on_conflict_do_nothing())
        made = published(connection, use_case, request_key)
        connection.rollback()
    assert made is not None  # noqa: S101 - policies are never deleted
    if made.arms != list(arms):
        raise PolicyConflict(use_case, request_key, made.id)
    return made


def age_hours(warehouse: Engine, policy: Policy) -> float:
    """Wall hours since the policy was published, by the database's clock."""
    query = select(func.extract("epoch", func.clock_timestamp() - traffic_policies.c.created_at))
    with warehouse.connect() as connection:
        seconds = connection.execute(query.where(traffic_policies.c.id == policy.id)).scalar_one()
    return float(seconds) / 3600


def _check(use_case: str, arms: Sequence[Arm]) -> None:
    names = [each.arm for each in arms]
    for each in arms:
        if each.arm not in ARMS:
            raise PolicyInvalid(use_case, "arm", each.arm, f"one of {', '.join(ARMS)}")
        if not isfinite(each.weight) or not 0 <= each.weight <= 1:
            raise PolicyInvalid(use_case, f"weight of {each.arm}", each.weight, "a share from 0 to 1")
        if each.arm == PREVIOUS and each.weight != 0:
            raise PolicyInvalid(use_case, "weight of previous", each.weight, "0: it is only kept loaded")
        if not each.bundle_uri or not each.bundle_sha256:
            raise PolicyInvalid(
                use_case, f"bundle of {each.arm}", each.bundle_uri, "a bundle's address and hash"
            )
    if len(set(names)) != len(names) or names.count(CHAMPION) != 1:
        raise PolicyInvalid(use_case, "arms", names, "one champion, and each other arm once")
    total = fsum(each.weight for each in arms)
    if abs(total - 1) > 1e-9:
        raise PolicyInvalid(use_case, "sum of the weights", total, "1")


def _one(source: Engine | Connection, query: Select[Any]) -> Row[Any] | None:
    if isinstance(source, Connection):
        return source.execute(query).first()
    with source.connect() as connection:
        return connection.execute(query).first()


def _read(row: Row[Any]) -> Policy:
    held_arms = [Arm(**each) for each in row.arms]
    return Policy(row.id, row.use_case, row.salt, held_arms, row.why, row.request_key, row.created_at)
