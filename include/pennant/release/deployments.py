"""The rows of `deployments`: one release of one version, and how far it has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Engine, RowMapping, Select, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pennant.release.errors import DeploymentUnknown
from pennant.warehouse.tables import deployments

State = Literal["requested", "canary", "promoted", "turned_back", "failed"]
OPEN: tuple[State, ...] = ("requested", "canary")


@dataclass(frozen=True)
class Deployment:
    """One release.

    Attributes:
        state: `requested`, `canary`, and then one of `promoted`, `turned_back` (the canary, or a
            rollback, sent it back) and `failed` (it was never started).
        details: `judged_against`, `evidence_sha256`, `why`, `actor`; later `policy_id`, `observation`,
            `reason`.
    """

    id: int
    use_case: str
    version: str
    state: State
    as_of: datetime
    details: dict[str, object]

    @property
    def judged_against(self) -> str | None:
        """The champion that this version was judged against; None when there was none."""
        found = self.details.get("judged_against")
        return None if found is None else str(found)

    def text(self, key: str) -> str:
        """A detail as text; empty when it is not there."""
        return str(self.details.get(key) or "")

    def to_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "use_case": self.use_case,
            "version": self.version,
            "state": self.state,
            "as_of": self.as_of.isoformat(),
            "details": self.details,
        }


def insert_request(
    warehouse: Engine, use_case: str, version: str, as_of: datetime, details: Mapping[str, object]
) -> Deployment:
    """Write a request down; the same request again gives the row that is there."""
    row = {"use_case": use_case, "version": version, "as_of": as_of, "state": "requested"}
    with warehouse.begin() as connection:
        connection.execute(insert(deployments).values(**row, details=dict(details)).on_conflict_do_nothing())
        query = select(deployments).where(
            deployments.c.use_case == use_case, deployments.c.version == version, deployments.c.as_of == as_of
        )
        return _read(connection.execute(query).mappings().one())


def get(source: Engine | Connection, deployment_id: int) -> Deployment:
    """One release as it stands now.

    Raises:
        DeploymentUnknown: there is none with this id.
    """
    found = _all(source, select(deployments).where(deployments.c.id == deployment_id))
    if not found:
        raise DeploymentUnknown(deployment_id)
    return found[0]


def of(source: Engine | Connection, use_case: str, states: Sequence[State] | None = None) -> list[Deployment]:
    """Releases of a use case in the order of their `as_of`, in some states when they are named."""
    query = select(deployments).where(deployments.c.use_case == use_case)
    if states is not None:
        query = query.where(deployments.c.state.in_(states))
    return _all(source, query.order_by(deployments.c.as_of, deployments.c.id))


def step_to(warehouse: Engine, deployment: Deployment, state: State, **details: object) -> Deployment:
    """Set the state of an open release and add details; a closed one stays as it is."""
    change = (
        update(deployments)
        .where(deployments.c.id == deployment.id, deployments.c.state.in_(OPEN))
        .values(state=state, details=deployments.c.details.op("||")(details), updated_at=func.now())
    )
    with warehouse.begin() as connection:
        connection.execute(change)
        return get(connection, deployment.id)


def close_open(warehouse: Engine, use_case: str, reason: str) -> None:
    """Close every release that is on its way: canaries are turned back, requests have failed."""
    for each in of(warehouse, use_case, OPEN):
        step_to(warehouse, each, "turned_back" if each.state == "canary" else "failed", reason=reason)


def _all(source: Engine | Connection, query: Select[Any]) -> list[Deployment]:
    if isinstance(source, Connection):
        return [_read(each) for each in source.execute(query).mappings()]
    with source.connect() as connection:
        return [_read(each) for each in connection.execute(query).mappings()]


def _read(row: RowMapping) -> Deployment:
    return Deployment(
        row["id"], row["use_case"], row["version"], row["state"], row["as_of"], dict(row["details"])
    )
