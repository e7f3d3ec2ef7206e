"""Why a bundle is not served: one exception that carries the finding as data."""

from typing import Literal

Reason = Literal[
    "unreadable",  # the folder or a file of it is absent or cannot be read
    "unsigned",  # no public key to check with, and nobody allowed that
    "signature",  # the signature is absent, malformed or not of these bytes
    "hash",  # a file's bytes are not the listed ones
    "unlisted",  # a file that the list does not name, or a path that leaves the folder
    "manifest",  # bundle.json or a member file breaks the contract
    "member",  # a model file that cannot be loaded or has other inputs than the contract
    "golden",  # the golden rows do not give the recorded numbers
    "identity",  # another bundle, use case or hash than the one asked for
]


class BundleRejected(Exception):
    """A bundle that must not be served.

    Attributes:
        reason: which check refused it.
        where: the file or row the check looked at.
        found: what was there.
        allowed: what would have passed.
        advice: what to do next.
    """

    def __init__(self, reason: Reason, where: str, found: str, allowed: str, advice: str = "") -> None:
        self.reason: Reason = reason
        self.where = where
        self.found = found
        self.allowed = allowed
        self.advice = advice or "Build the bundle again, or restore it from where it was registered."
        super().__init__(
            f"bundle refused ({reason}): {where}: found {found}; allowed is {allowed}. {self.advice}"
        )


class ExplanationUnavailable(Exception):
    """A member has no exact additive terms, and none are made up.

    Attributes:
        kind: of the member.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(
            f"A member of kind {kind} has no exact additive terms, so this bundle's predictions are not "
            "explained; the predictions themselves are answered."
        )
