"""The local target: one serving process, which follows the newest traffic policy in the warehouse."""

from typing import Any

from pennant.release.client import ServingClient
from pennant.release.errors import PolicyNotServed
from pennant.release.policy import Policy
from pennant.release.target import Served
from pennant.settings import Settings


class LocalTarget:
    """The serving process at `settings.serving`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def apply(self, policy: Policy) -> None:
        """Have the process reload, then ask it afresh what it serves.

        Raises:
            ServingDown: it did not answer.
            ServingRefused: it said no, for example because a bundle does not verify.
            PolicyNotServed: it serves another policy, version, bundle or share.
        """
        with ServingClient(self.settings) as client:
            client.reload(policy.use_case)
            found = client.model(policy.use_case)
        wanted = {
            "policy_id": policy.id,
            "arms": {each.arm: (each.version, each.bundle_sha256, each.weight) for each in policy.arms},
        }
        serves = {
            "policy_id": found and found["policy_id"],
            "arms": {each["arm"]: _loaded(each) for each in (found["arms"] if found else [])},
        }
        if serves != wanted:
            raise PolicyNotServed(policy.use_case, wanted, serves)

    def served(self, use_case: str) -> Served:
        """What the process serves for a use case now; nothing before the first policy.

        Raises:
            ServingDown: it did not answer.
            ServingRefused: it said no.
        """
        with ServingClient(self.settings) as client:
            found = client.model(use_case)
        if found is None:
            return Served(None, {}, ready=False)
        arms = {str(each["arm"]): str(each["version"]) for each in found["arms"]}
        return Served(found["policy_id"], arms, ready=bool(arms))


def _loaded(arm: dict[str, Any]) -> tuple[str, str, float]:
    return str(arm["version"]), str(arm["bundle_sha256"]), float(arm["weight"])
