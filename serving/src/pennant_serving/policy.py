"""Traffic policies: which version answers for which entity."""

import hashlib
import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Arm(BaseModel):
    """One version of a policy; weight 0 keeps it loaded without sending it anything."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    arm: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    bundle_uri: str
    bundle_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    weight: Annotated[float, Field(ge=0.0, le=1.0)]


class Policy(BaseModel):
    """The newest row of `traffic_policies` of one use case."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: int
    use_case: str
    salt: str
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [each.arm for each in self.arms]
        if len(set(names)) != len(names):
            raise ValueError(f"an arm stands twice in {names}")
        total = math.fsum(each.weight for each in self.arms)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the weights sum to {total!r}; they must sum to 1")
        return self

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "Policy":
        return cls.model_validate(row)

    def choose(self, entity: str) -> str:
        """Name of the arm that answers for `entity`: the same one as long as the salt stays.

        The entity lands on a point of [0, 1) by the SHA-256 of "<salt>:<entity>". Arms lie there in
        alphabetical order, so "challenger" starts at 0: when its share grows, whoever it answered for
        before it answers for still.
        """
        digest = hashlib.sha256(f"{self.salt}:{entity}".encode()).digest()
        point = int.from_bytes(digest[:7]) / (1 << 56)
        reached = 0.0
        weighted = sorted((each for each in self.arms if each.weight > 0), key=lambda each: each.arm)
        for each in weighted:
            reached += each.weight
            if point < reached:
                return each.arm
        return weighted[-1].arm
