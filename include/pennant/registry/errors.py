"""What the registry refuses, and how it says so."""

from pennant.errors import PennantError


class RegistryDown(PennantError):
    """The MLflow tracking server did not answer.

    Attributes:
        address: its tracking URI, without a password.
        found: what went wrong.
    """

    def __init__(self, address: str, found: str) -> None:
        self.address = address
        self.found = found
        super().__init__(
            f"MLflow at {address} did not answer: {found}. Nothing was lost: run the step again when "
            "it is up (`PENNANT_MLFLOW_URL` names the server)"
        )


class VersionUnknown(PennantError, LookupError):
    """No such model version.

    Attributes:
        use_case: name of the registered model.
        found: the version asked for.
        allowed: the versions there are, newest first (at most 20).
    """

    def __init__(self, use_case: str, found: str, allowed: list[str]) -> None:
        self.use_case = use_case
        self.found = found
        self.allowed = allowed
        listed = ", ".join(allowed) or "none"
        super().__init__(f"{use_case}: there is no version {found!r} in MLflow; there are: {listed}")


class ArtifactsUnreachable(PennantError):
    """Model files would land where the serving app cannot read them.

    Attributes:
        use_case: name of the experiment.
        found: its artifact location.
    """

    def __init__(self, use_case: str, found: str) -> None:
        self.use_case = use_case
        self.found = found
        super().__init__(
            f"MLflow experiment {use_case} keeps its artifacts at {found!r}; allowed is an address that "
            "fsspec reads without MLflow, such as file:///..., s3://... or gs://.... Rename that experiment "
            "in MLflow, and Pennant makes one at PENNANT_ARTIFACTS_URL"
        )


class BundleIncomplete(PennantError):
    """The folder to register is not a bundle.

    Attributes:
        folder: what was given.
        missing: the file that is not there.
    """

    def __init__(self, folder: str, missing: str) -> None:
        self.folder = folder
        self.missing = missing
        super().__init__(
            f"{folder}: {missing} is missing; a bundle holds bundle.json, SHA256SUMS and signature"
        )


class AliasConflict(PennantError):
    """The aliases are not where the caller saw them: somebody else moved them first.

    Attributes:
        use_case: name of the use case.
        alias: the alias that differs.
        expected: the version that the caller saw, None for none.
        found: the version it points at, None for none.
        where: `ledger` or `mlflow`.
    """

    def __init__(
        self, use_case: str, alias: str, expected: str | None, found: str | None, where: str
    ) -> None:
        self.use_case = use_case
        self.alias = alias
        self.expected = expected
        self.found = found
        self.where = where
        advice = (
            "read the state again and judge against it"
            if where == "ledger"
            else "it was moved outside Pennant: `pennant__maintain` moves it back, then run this again"
        )
        super().__init__(
            f"{use_case}: alias {alias} was expected at {_named(expected)} and is at {_named(found)} in "
            f"the {where}; nothing was moved; {advice}"
        )


class NoPreviousChampion(PennantError):
    """There is nothing to roll back to.

    Attributes:
        use_case: name of the use case.
        champion: the reigning version, None when there is none.
    """

    def __init__(self, use_case: str, champion: str | None) -> None:
        self.use_case = use_case
        self.champion = champion
        super().__init__(
            f"{use_case}: there is no previous champion to go back to (champion: {_named(champion)}); "
            "a rollback is possible after the second promotion"
        )


class LedgerBroken(PennantError):
    """The ledger is not what was written.

    Attributes:
        breaks: texts of the first breaks, `<kind> at <seq>`.
        count: how many there are.
    """

    def __init__(self, breaks: list[str], count: int) -> None:
        self.breaks = breaks
        self.count = count
        super().__init__(
            f"the ledger has {count} break(s): {'; '.join(breaks)}. Somebody changed history: "
            "`pennant ledger verify` lists every break; compare with a backup before the next promotion"
        )


def _named(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"
