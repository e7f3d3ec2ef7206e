"""Where a policy is served: the interface that the local process fills, and a cluster will."""

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Engine

from pennant.declaration.model import UseCase
from pennant.errors import PennantError
from pennant.release.policy import Policy
from pennant.settings import Settings


@dataclass(frozen=True)
class Served:
    """What a target answers for one use case.

    Attributes:
        policy_id: the policy that it follows; None before the first.
        arms: version by arm.
        ready: whether it takes requests for this use case.
    """

    policy_id: int | None
    arms: dict[str, str]
    ready: bool


class Target(Protocol):
    """A place that serves models."""

    def apply(self, policy: Policy) -> None:
        """Serve exactly `policy`, and return when the target itself says that it does.

        It can be called any number of times for the same policy. The policy is already the newest
        in the warehouse.

        Raises:
            ServingDown: it did not answer.
            ServingRefused: it said no.
            PolicyNotServed: it serves something else.
        """
        ...

    def served(self, use_case: str) -> Served:
        """What it serves now.

        Raises:
            ServingDown: it did not answer.
            ServingRefused: it said no.
        """
        ...


class TargetUnavailable(PennantError):
    """The declared target is not built into this version.

    Attributes:
        use_case: name of the use case.
        found: the target that the declaration names.
        allowed: the targets there are.
    """

    def __init__(self, use_case: str, found: str, allowed: list[str]) -> None:
        self.use_case = use_case
        self.found = found
        self.allowed = allowed
        super().__init__(
            f"{use_case}: release.target is {found!r}, which this version cannot serve on; "
            f"allowed is {', '.join(allowed)}; change the declaration"
        )


def target_for(use_case: UseCase, settings: Settings, warehouse: Engine) -> Target:  # noqa: ARG001
    """The target that a use case declares.

    Raises:
        TargetUnavailable: the declaration names a target that this version lacks.
    """
    from pennant.release.local import LocalTarget

    if use_case.release.target != "local":
        raise TargetUnavailable(use_case.name, use_case.release.target, ["local"])
    return LocalTarget(settings)
