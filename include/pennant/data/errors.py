"""What can go wrong between a provider and a validated batch, each error built from data."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pennant.errors import PennantError
from pennant.reference import Reference


class SourceDown(PennantError):
    """The provider gave no complete answer, after every attempt.

    Attributes:
        source: name of the source, `<use case>.<source>`.
        address: URL or path that was asked.
        found: what happened, for example `ConnectError: connection refused` or `status 503`.
        attempts: how often it was tried.
    """

    def __init__(self, source: str, address: str, found: str, attempts: int) -> None:
        self.source, self.address, self.found, self.attempts = source, address, found, attempts
        super().__init__(
            f"source {source} is down: {address} gave {found} (attempts: {attempts}). Nothing was stored. "
            f"Look at the address and at PENNANT_DATA_MIRROR, then run the same window again."
        )


class BreakerOpen(SourceDown):
    """The provider failed so often that it is left alone for a while.

    Attributes:
        state: `open`, or `half_open` while one worker tries it.
        seconds: until somebody may try again.
        last_error: what went wrong last.
    """

    def __init__(self, source: str, address: str, state: str, seconds: float, last_error: str | None) -> None:
        self.state, self.seconds, self.last_error = state, seconds, last_error
        found = f"a circuit breaker that is {state} for {seconds:.0f} s more; last error: {last_error}"
        super().__init__(source, address, found=found, attempts=0)


class Throttled(SourceDown):
    """The next turn to ask comes later than the fetch may wait.

    Attributes:
        seconds: until it.
        why: the provider's wish (`Retry-After`, a quota that is used up), or the declared rate.
    """

    def __init__(self, source: str, address: str, seconds: float, why: str, attempts: int) -> None:
        self.seconds, self.why = seconds, why
        found = f"no turn for {seconds:.0f} s more, because of {why}"
        super().__init__(source, address, found=found, attempts=attempts)


class PastUnavailable(PennantError):
    """A provider that only tells how things stand now was asked for a window that is over.

    Attributes:
        source: name of the source, `<use case>.<source>`.
        kind: kind of the provider.
        as_of: end of the window that was asked for.
        asked_at: when it was asked.
        allowed_hours: how long after its end a window can still be asked for.
    """

    def __init__(
        self, source: str, kind: str, as_of: datetime, asked_at: datetime, allowed_hours: float
    ) -> None:
        self.source, self.kind, self.as_of, self.asked_at = source, kind, as_of, asked_at
        self.allowed_hours = allowed_hours
        super().__init__(
            f"source {source}: {kind} only tells how things stand now, so its past can't be rebuilt: the "
            f"window ended {as_of:%Y-%m-%d %H:%M} UTC and it was asked {asked_at:%Y-%m-%d %H:%M} UTC, more "
            f"than {allowed_hours:g} h later. Let the schedule ask in time (schedules.history_until in the "
            f"past, no backfill), or declare a provider that keeps its history."
        )


class SourceMisdeclared(PennantError):
    """A source's declaration is not what its connector needs.

    Attributes:
        source: name of the source, `<use case>.<source>`.
        problems: what is wrong, each with what is allowed.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source, self.problems = source, tuple(problems)
        super().__init__(
            f"source {source} cannot be asked: {'; '.join(problems)}. Mend it in the declaration."
        )


class SourceMalformed(PennantError):
    """The provider answered, but not with the declared table.

    Attributes:
        source: name of the source, `<use case>.<source>`.
        address: URL or path that was read.
        problem: one of `empty`, `html`, `truncated`, `too_large`, `not_text`, `not_records`,
            `missing_column`, `doubled_column`, `retyped_column`, `no_dates`,
            `too_many` (an archive of several tables), `endless` (pages without an end).
        column: the column in question, if one is.
        found: what stands there.
        allowed: what may stand there.
        nearest: the column of the table whose name is nearest to a missing one.
    """

    def __init__(
        self,
        source: str,
        address: str,
        problem: str,
        *,
        column: str | None = None,
        found: str = "",
        allowed: str = "",
        nearest: str | None = None,
    ) -> None:
        self.source, self.address, self.problem = source, address, problem
        self.column, self.found, self.allowed, self.nearest = column, found, allowed, nearest
        where = f", column {column!r}" if column else ""
        hint = f" Nearest name in the table: {nearest!r}." if nearest else ""
        super().__init__(
            f"source {source} is malformed ({problem}){where}: {address} gave {found or 'nothing'}; "
            f"allowed is {allowed or 'the declared table'}.{hint} Nothing was stored. Ask the provider, or "
            f"change the source in the declaration, then run the same window again."
        )


class BatchStopped(PennantError):
    """A batch failed validation as a whole: a `stop` rule, or too many quarantined rows.

    Attributes:
        use_case, source, batch_id: which batch.
        rules: the `stop` rules that failed, or `("max_quarantined_share",)`.
        quarantined, rows: how many of the batch's rows failed.
        reasons: count of rows by reason.
        quarantine_uri: where the failing rows are kept, with their reasons; None if there are none.
        worst: the three worst lines, in words.
        report: the batch's page.
    """

    def __init__(  # noqa: PLR0913
        self,
        use_case: str,
        source: str,
        batch_id: str,
        *,
        rules: Sequence[str],
        quarantined: int,
        rows: int,
        reasons: dict[str, int],
        quarantine_uri: str | None,
        worst: Sequence[str] = (),
        report: Reference | None = None,
    ) -> None:
        self.use_case, self.source, self.batch_id = use_case, source, batch_id
        self.rules, self.quarantined, self.rows = tuple(rules), quarantined, rows
        self.reasons, self.quarantine_uri = dict(reasons), quarantine_uri
        self.worst, self.report = tuple(worst), report
        super().__init__(
            f"batch {use_case}/{source}/{batch_id} stopped by {', '.join(self.rules)}: {quarantined} of "
            f"{rows} rows failed, by reason {self.reasons}. The failing rows are kept in "
            f"{quarantine_uri or 'no file'}; nothing of the batch was validated. Look at them, correct the "
            f"declaration if it is wrong, then run the same window again."
        )


class RulesBroken(PennantError):
    """A use case's `expectations.py` cannot be used.

    Attributes:
        file: the file.
        found: what stands there.
        allowed: what may stand there.
    """

    def __init__(self, file: Path, found: str, allowed: str) -> None:
        self.file, self.found, self.allowed = file, found, allowed
        super().__init__(
            f"{file}: found {found}; allowed: {allowed}. Mend the file, then run the window again."
        )


class ExpectationBroken(PennantError):
    """A declared expectation could not be evaluated, which is not the same as failing.

    Attributes:
        use_case, source, group, expectation: which one.
        found: the error that Great Expectations gave.
        nearest: the expectation whose name is nearest, if the name is unknown.
    """

    def __init__(
        self, use_case: str, source: str, group: str, expectation: str, found: str, nearest: str | None = None
    ) -> None:
        self.use_case, self.source, self.group = use_case, source, group
        self.expectation, self.found, self.nearest = expectation, found, nearest
        hint = f" Nearest name: {nearest}." if nearest else ""
        super().__init__(
            f"use case {use_case}: expectation {expectation} on {source}.{group} cannot be evaluated: "
            f"{found}.{hint} Correct it in the declaration under validation.expectations."
        )


class NothingAside(PennantError):
    """There is no such row in quarantine.

    Attributes:
        place: the quarantine file.
        found: what was asked for.
        allowed: what there is.
    """

    def __init__(self, place: str, found: str, allowed: str) -> None:
        self.place, self.found, self.allowed = place, found, allowed
        super().__init__(f"{place}: found {found}; allowed: {allowed}")


class NotReleasable(PennantError):
    """A row in quarantine cannot flow on like this.

    Attributes:
        place: the quarantine file.
        number: of the row.
        reason: why not.
    """

    def __init__(self, place: str, number: int, reason: str) -> None:
        self.place, self.number, self.reason = place, number, reason
        super().__init__(f"{place}, row {number} stays in quarantine: {reason}")


class LakeError(PennantError):
    """Base of the lake's errors; `uri` names the object."""

    def __init__(self, uri: str, message: str) -> None:
        self.uri = uri
        super().__init__(message)


class LakeConflict(LakeError):
    """Other content stands under this path already; the lake never changes what it holds."""

    def __init__(self, uri: str, held: str, given: str) -> None:
        self.held, self.given = held, given
        super().__init__(
            uri,
            f"lake: {uri} holds other content (sha256 {held}) than was given (sha256 {given}). Objects of "
            f"the lake never change. Write under another path, or find out who wrote the first.",
        )


class LakeCorrupt(LakeError):
    """An object's bytes are not the ones its reference names."""

    def __init__(self, uri: str, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(
            uri,
            f"lake: {uri} should have sha256 {expected} and has {found}. It was changed or damaged: bring "
            f"it back from a backup of the lake.",
        )


class LakeMissing(LakeError):
    """There is no such object in the lake."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            uri,
            f"lake: {uri} does not exist. Look at PENNANT_LAKE_URL, or run the step that writes it.",
        )


class LakeFull(LakeError):
    """The lake's disk took no more bytes; nothing was left half-written."""

    def __init__(self, uri: str, size: int, found: str) -> None:
        self.size, self.found = size, found
        super().__init__(
            uri,
            f"lake: {uri} ({size} bytes) cannot be written: {found}. Nothing was left half-written. Free "
            f"some space or move the lake (PENNANT_LAKE_URL), then run the same step again.",
        )
