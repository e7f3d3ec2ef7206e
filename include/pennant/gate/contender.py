"""A registered version brought to the gate: fetched, verified, loaded; or the reason why not."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pennant.declaration.model import UseCase
from pennant.features.errors import ClockViolation, FeaturesMismatch, FeaturesModuleBroken
from pennant.gate.score import ContractMismatch, problem_of, scored
from pennant.gate.tables import ScoreTable, Unscorable
from pennant.registry.models import ModelVersion
from pennant.security.signing import PUBLIC_NAME
from pennant.settings import Settings
from pennant_serving.bundle import Bundle, BundleRejected, fetch, load
from pennant_serving.manifest import Input

Rows = Callable[[pl.DataFrame, list[Input]], pl.DataFrame]
"""Rows of a snapshot with all of these inputs."""


@dataclass(frozen=True)
class Opened:
    """A bundle that passed every check, and the folder its files lie in."""

    bundle: Bundle
    folder: Path


@dataclass(frozen=True)
class Contender:
    """One version in the role of challenger or champion."""

    version: ModelVersion
    name: str
    found: Opened | Unscorable

    @property
    def inputs(self) -> list[Input] | None:
        """What it takes; None when it could not be read."""
        return None if isinstance(self.found, Unscorable) else self.found.bundle.inputs

    def scores(
        self, use_case: UseCase, rows: pl.DataFrame, own: Rows | None = None
    ) -> ScoreTable | Unscorable:
        """Its scores of these rows, or why there are none.

        Args:
            use_case: the declaration.
            rows: rows of the challenger's snapshot.
            own: gives the same rows with this model's own features; None takes them as they are.
        """
        if isinstance(self.found, Unscorable):
            return self.found
        bundle = self.found.bundle
        try:
            problem_of(use_case, bundle)
            its = rows if own is None else own(rows, bundle.inputs)
        except (ContractMismatch, FeaturesMismatch, FeaturesModuleBroken, ClockViolation) as error:
            return Unscorable(self.name, "contract_mismatch", str(error), bundle.sha256)
        return scored(use_case, its, bundle, self.name)

    def described(self) -> dict[str, Any]:
        """Who it is, for the evidence."""
        known = {"version": self.version.version, "bundle_sha256": self.version.bundle_sha256}
        if isinstance(self.found, Unscorable):
            return known
        manifest = self.found.bundle.manifest
        return {**known, "author": manifest["author"], "trained_until": manifest["trained_until"]}


def enter(version: ModelVersion, role: str, settings: Settings) -> Contender:
    """Fetch, verify and load a version's bundle.

    A bundle that fails a check is the gate's business and no crash: it becomes `Unscorable`.

    Raises:
        BundleRejected: the bundle could not be read at all (`unreadable`): its store is down, or its
            files are gone. That says nothing about the model, so it is not judged.
    """
    name = role if role == "challenger" else f"{role} (version {version.version})"
    try:
        folder = fetch(version.bundle_uri, settings.home / "cache" / "bundles", version.bundle_sha256)
        bundle = load(folder, (settings.secrets / PUBLIC_NAME).read_bytes())
    except BundleRejected as error:
        if error.reason == "unreadable":
            raise
        return Contender(
            version, name, Unscorable(name, "bundle_rejected", str(error), version.bundle_sha256)
        )
    return Contender(version, name, Opened(bundle, folder))
