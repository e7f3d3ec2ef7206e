"""What can go wrong between validated batches and features, as errors built from data."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pennant.errors import PennantError
from pennant.reference import Reference

if TYPE_CHECKING:
    from pennant.features.leaks import Leak


class FeaturesModuleBroken(PennantError):
    """A use case's `features.py` is missing, does not import, or lacks a function."""

    def __init__(self, path: Path, problem: str) -> None:
        """Keep the file and what is wrong with it."""
        self.path, self.problem = path, problem
        super().__init__(
            f"{path}: {problem}. It has to define features(view) and baselines(view), each giving one row "
            "per view.requests row; see docs/features.md"
        )


class FeaturesMismatch(PennantError):
    """A feature function gave other columns or rows than the declaration and the requests ask for."""

    def __init__(self, use_case: str, function: str, problem: str, found: object, expected: object) -> None:
        """Keep what was given and what was asked for."""
        self.use_case, self.function, self.problem = use_case, function, problem
        self.found, self.expected = found, expected
        super().__init__(
            f"{use_case}: {function}() {problem}: found {found}, expected {expected}. "
            "Make features.py and use_case.yaml agree"
        )


class ClockViolation(PennantError):
    """A feature function asked for a value that is not known when the prediction is made."""

    def __init__(self, source: str, group: str, reason: str) -> None:
        """Keep which column group was asked for, and the reason of the domain."""
        self.source, self.group, self.reason = source, group, reason
        super().__init__(f"{source}.{group}: {reason}")


class UnknownColumns(PennantError):
    """A source, a group or a column that the view does not have."""

    def __init__(self, what: str, found: Sequence[str], allowed: Sequence[str]) -> None:
        """Keep what was asked for and what there is."""
        self.what, self.found, self.allowed = what, list(found), list(allowed)
        super().__init__(f"{what}: found {', '.join(found)}; allowed are {', '.join(allowed)}")


class UnknownClass(PennantError):
    """An outcome is none of the declared classes.

    Attributes:
        use_case: its name.
        found: the first few other values.
        allowed: `label.classes`.
        rows: how many outcomes are affected.
    """

    def __init__(self, use_case: str, found: Sequence[str], allowed: Sequence[str], rows: int) -> None:
        """Keep what was found and what is declared."""
        self.use_case, self.found, self.allowed, self.rows = use_case, list(found), list(allowed), rows
        super().__init__(
            f"{use_case}: {rows} outcomes are {', '.join(found)}; label.classes allows {', '.join(allowed)}. "
            "Declare the class, leave such rows out by label.drop_when, or have an expectation set them aside"
        )


class LeakFound(PennantError):
    """A feature read what was not yet known.

    Attributes:
        use_case: whose feature.
        leaks: what was found (`pennant.features.leaks.Leak`), at least one.
        report: the page with all of them.
    """

    def __init__(self, use_case: str, leaks: Sequence["Leak"], report: Reference) -> None:
        """Keep what was found and where it can be looked at."""
        self.use_case, self.leaks, self.report = use_case, tuple(leaks), report
        names = sorted({leak.feature for leak in leaks})
        first = self.leaks[0]
        when = f"{first.moment:%Y-%m-%d %H:%M} UTC"
        super().__init__(
            f"{use_case}: {len(names)} features read the future: {', '.join(names)}. The first: "
            f"{first.feature} of {first.entity} at {when} moved from {first.before} to {first.after} when "
            f"only what became known later was changed (origin: {first.origin}). Nothing was trained. "
            f"See {report.uri}; mend features.py, or the known_at of that column in the declaration"
        )


class ClusterMissing(PennantError):
    """The Dask cluster that is named cannot be used.

    Attributes:
        address: `PENNANT_DASK_ADDRESS`.
        found: what is wrong.
    """

    def __init__(self, address: str, found: str) -> None:
        """Keep the address and what is wrong there."""
        self.address, self.found = address, found
        super().__init__(
            f"Dask cluster {address}: {found}. Start its scheduler and workers, or unset "
            "PENNANT_DASK_ADDRESS to build on this machine"
        )


class NotLater(PennantError):
    """A timeline cannot be extended by a row that became known before its end.

    Attributes:
        entity: whose row.
        known_at: when it became known.
        newest: what its entity's timeline ends with.
    """

    def __init__(self, entity: str, known_at: datetime, newest: datetime) -> None:
        """Keep the row and the end of its timeline."""
        self.entity, self.known_at, self.newest = entity, known_at, newest
        super().__init__(
            f"a row of {entity} became known {known_at.isoformat()}, and its timeline reaches to "
            f"{newest.isoformat()} already; build the timeline anew"
        )


class NoSnapshotRows(PennantError):
    """A snapshot would have no row."""

    def __init__(self, use_case: str, as_of: datetime, requests: int, labelled: int) -> None:
        """Keep how many requests and labels there were."""
        self.use_case, self.as_of, self.requests, self.labelled = use_case, as_of, requests, labelled
        super().__init__(
            f"{use_case}: no row for a snapshot as of {as_of.isoformat()}: {requests} events in the "
            f"history, {labelled} labels known by then. Ingest earlier windows first, or choose a later as_of"
        )


class NotDiscoverable(PennantError):
    """Candidates cannot be tried for this use case.

    Attributes:
        use_case: which.
        found: why not.
        allowed: what would do.
    """

    def __init__(self, use_case: str, found: str, allowed: str) -> None:
        """Keep why not, and what would do."""
        self.use_case, self.found, self.allowed = use_case, found, allowed
        super().__init__(f"{use_case}: no discovery: found {found}; allowed is {allowed}")
