"""How a simulated provider misbehaves: what can go wrong with an answer, and a seeded plan of when it does.

Faults of the transport (a status, half a body) are the server's affair; faults of the content (a column that
was renamed, rows twice) are in `pennant.simulation.spoiling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256
from typing import Literal, get_args

from pennant.errors import PennantError

Transport = Literal["status", "slow", "drip", "half_body", "html", "empty", "dropped"]
_Shape = Literal["encoding", "added", "removed", "renamed", "retyped"]
_Rows = Literal["duplicate", "contradiction", "shuffled", "corrected", "skewed"]
Kind = Literal[Transport, _Shape, _Rows]
CONTENT: tuple[str, ...] = (*get_args(_Shape), *get_args(_Rows))
_NAMED = ("removed", "renamed", "retyped", "contradiction", "corrected", "skewed")


class UnplannedFault(PennantError):
    """A fault that lacks what it needs, or a share that is none.

    Attributes:
        field: which part of the plan.
        found, allowed: what stands there, what may.
    """

    def __init__(self, field: str, found: object, allowed: str) -> None:
        self.field, self.found, self.allowed = field, found, allowed
        super().__init__(f"fault plan, {field}: found {found!r}; allowed is {allowed}. Change the plan")


@dataclass(frozen=True)
class Fault:
    """How one answer goes wrong.

    `status` answers with that code and no table, and says `retry_after`; `slow` waits `seconds` before the
    body and `drip` sends it in small pieces over `seconds` (less if the provider is closed); `half_body`
    announces the whole length, sends half and closes; `html` sends a page with status 200; `empty` sends no
    bytes with status 200; `dropped` closes without an answer.

    `encoding` writes the body in `to`, and still says UTF-8. Of the records, `added` gives each a new field
    `to`, `removed` takes `column` away, `renamed` calls it `to`, `retyped` writes words where its numbers
    were, `duplicate` repeats some, `contradiction` repeats some with another value in `column`, `shuffled`
    changes their order, `corrected` changes `column` of some, and `skewed` moves the moments in `column`
    ahead by `seconds`.

    Attributes:
        kind: one of the above.
        status: HTTP status of `status`.
        seconds: how long, or how far.
        retry_after: seconds, or a moment that is sent as a date.
        column: the field of the records that is spoiled, at any depth.
        to: the new name, or the encoding.
        share: which part of the records is hit by those that hit some; at least one record is.
        seed: which ones.

    Raises:
        UnplannedFault: a kind without the column it spoils, or a share outside of 0 to 1.
    """

    kind: Kind
    status: int = 503
    seconds: float = 30.0
    retry_after: float | datetime | None = None
    column: str = ""
    to: str = "extra"
    share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what could only be noticed as a table that is not spoiled."""
        if self.kind in _NAMED and not self.column:
            raise UnplannedFault(f"{self.kind}.column", self.column, "the name of a field of the records")
        if not 0.0 <= self.share <= 1.0:
            raise UnplannedFault(f"{self.kind}.share", self.share, "a share from 0 to 1")

    @property
    def headers(self) -> dict[str, str]:
        """What a bad status says about coming back."""
        if self.retry_after is None:
            return {}
        if isinstance(self.retry_after, datetime):
            return {"Retry-After": format_datetime(self.retry_after, usegmt=True)}
        return {"Retry-After": f"{self.retry_after:g}"}


@dataclass(frozen=True)
class Rule:
    """A fault and the requests that meet it.

    Attributes:
        fault: what goes wrong.
        share: of the addresses that are asked for, how many meet it.
        times: how often in a row an address meets it, before it is answered well.
        part: only addresses that contain this text.
    """

    fault: Fault
    share: float = 1.0
    times: int = 1
    part: str = ""

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        if not 0.0 <= self.share <= 1.0:
            raise UnplannedFault("rule.share", self.share, "a share from 0 to 1")


@dataclass(frozen=True)
class Plan:
    """Which requests meet which fault, the same in every run.

    What an address meets depends on the seed, the address and how often it was asked, and on no other
    request: so workers that ask at the same time change nothing. The rules share the addresses among them:
    each address meets at most one.
    """

    rules: Sequence[Rule] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse rules that share out more addresses than there are."""
        for part in {rule.part for rule in self.rules}:
            total = sum(rule.share for rule in self.rules if rule.part in {part, ""})
            if total > 1.0 + 1e-9:
                raise UnplannedFault("rules.share", total, f"at most 1 together for addresses with {part!r}")

    def fault(self, address: str, before: int) -> Fault | None:
        """What the next request meets.

        Args:
            address: path and query.
            before: how often it was asked before.
        """
        drawn = int.from_bytes(sha256(f"{self.seed} {address}".encode()).digest()[:7]) / 2**56
        for rule in self.rules:
            if rule.part not in address:
                continue
            if drawn < rule.share:
                return replace(rule.fault, seed=rule.fault.seed + before) if before < rule.times else None
            drawn -= rule.share
        return None


@dataclass
class Course:
    """A plan as it is met by the requests to one provider; not safe for threads by itself."""

    plan: Plan | Sequence[Fault | None] = ()
    asked: dict[str, int] = field(default_factory=dict)
    count: int = 0

    def next(self, address: str) -> Fault | None:
        """The fault of this request: by its address, or the next of a list."""
        before, number = self.asked.get(address, 0), self.count
        self.asked[address], self.count = before + 1, number + 1
        if isinstance(self.plan, Plan):
            return self.plan.fault(address, before)
        return self.plan[number] if number < len(self.plan) else None
