"""What a release refuses, and how it says so."""

from collections.abc import Mapping, Sequence

from pennant.errors import PennantError


class PolicyInvalid(PennantError, ValueError):
    """Arms that cannot share the traffic.

    Attributes:
        use_case: name of the use case.
        where: the arm or sum that is wrong.
        found: what it holds.
        allowed: what it may hold.
    """

    def __init__(self, use_case: str, where: str, found: object, allowed: str) -> None:
        self.use_case = use_case
        self.where = where
        self.found = found
        self.allowed = allowed
        super().__init__(f"{use_case}: traffic policy, {where}: found {found!r}; allowed is {allowed}")


class PolicyConflict(PennantError):
    """A policy was published under this key with other arms.

    Attributes:
        use_case: name of the use case.
        request_key: the key.
        published: id of the policy that has it.
    """

    def __init__(self, use_case: str, request_key: str, published: int) -> None:
        self.use_case = use_case
        self.request_key = request_key
        self.published = published
        super().__init__(
            f"{use_case}: policy {published} was published under the key {request_key!r} with other arms; "
            "a key names one policy for ever: publish the new arms under a key of their own"
        )


class ServingDown(PennantError):
    """The serving app did not answer.

    Attributes:
        url: what was asked.
        found: what went wrong.
    """

    def __init__(self, url: str, found: str) -> None:
        self.url = url
        self.found = found
        super().__init__(
            f"the serving app did not answer at {url}: {found}. The policy is kept in the warehouse; run the "
            "step again when the app is up (PENNANT_SERVING_URL names it)"
        )


class ServingRefused(PennantError):
    """The serving app answered, and said no.

    Attributes:
        url: what was asked.
        status: HTTP status.
        found: title and detail of the problem document, or the beginning of the answer.
    """

    def __init__(self, url: str, status: int, found: str) -> None:
        self.url = url
        self.status = status
        self.found = found
        super().__init__(f"the serving app refused {url} with status {status}: {found}")


class ServingKeyMissing(PennantError):
    """There is no key to ask the serving app with.

    Attributes:
        path: the file that holds the keys.
        found: what is wrong with it.
    """

    def __init__(self, path: str, found: str) -> None:
        self.path = path
        self.found = found
        super().__init__(
            f"{path}: {found}; allowed is a JSON object with the key of the client `orchestrator`. "
            "`make demo` makes it; elsewhere put the key there, readable by its owner only"
        )


class PolicyNotServed(PennantError):
    """What is served is not what the policy says.

    Attributes:
        use_case: name of the use case.
        expected: policy id and version by arm that should be served.
        found: what the service answered.
    """

    def __init__(self, use_case: str, expected: Mapping[str, object], found: Mapping[str, object]) -> None:
        self.use_case = use_case
        self.expected = dict(expected)
        self.found = dict(found)
        super().__init__(
            f"{use_case}: the service should serve {self.expected} and serves {self.found}; the log of the "
            "serving app says why, for example a bundle that does not verify. Mend it and run the step again"
        )


class RolloutRefused(PennantError):
    """A step of a rollout that may not be taken now.

    Attributes:
        use_case: name of the use case.
        version: the version to be released.
        step: the step that was asked for.
        found: the state that forbids it.
        allowed: what it has to be.
    """

    def __init__(self, use_case: str, version: str, step: str, found: str, allowed: str) -> None:
        self.use_case = use_case
        self.version = version
        self.step = step
        self.found = found
        self.allowed = allowed
        super().__init__(f"{use_case}: cannot {step} version {version}: found {found}; allowed is {allowed}")


class DeploymentUnknown(PennantError, LookupError):
    """No release with this id.

    Attributes:
        found: the id.
    """

    def __init__(self, found: int) -> None:
        self.found = found
        super().__init__(f"there is no deployment {found}; `pennant release status USE_CASE` lists them")


class PredictionsMissing(PennantError):
    """The serving app answered fewer rows than it was asked.

    Attributes:
        use_case: name of the use case.
        missing: the first entities without an answer.
    """

    def __init__(self, use_case: str, missing: Sequence[str]) -> None:
        self.use_case = use_case
        self.missing = list(missing)
        super().__init__(
            f"{use_case}: the serving app left {len(self.missing)} row(s) unanswered: {self.missing[:5]}"
        )
