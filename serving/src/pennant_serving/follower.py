"""Follows the newest traffic policies: loads beside what is served, proves it, then swaps.

What is served is one immutable object behind one reference. A request takes the reference once, so every
answer is from exactly one policy and one version, also in the middle of a swap.
"""

import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
from pydantic import ValidationError

from pennant_serving import logs, memory_of_policies
from pennant_serving.bundle import Bundle, fetch, load
from pennant_serving.errors import BundleRejected
from pennant_serving.manifest import Input
from pennant_serving.metrics import Metrics
from pennant_serving.policy import Arm, Policy
from pennant_serving.warehouse import Warehouse, plain

_RETRY_SECONDS = 30.0
_CACHED_BUNDLES = 12


@dataclass(frozen=True)
class Loaded:
    """A bundle in memory and since when."""

    bundle: Bundle
    loaded_at: datetime


@dataclass(frozen=True)
class Failure:
    """Why the newest policy of a use case is not the one in force."""

    policy_id: int | None
    reason: str
    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Served:
    """One use case as it is served: its policy, and a proven bundle for each arm of it."""

    policy: Policy
    bundles: Mapping[str, Loaded]
    inputs: Mapping[str, Input]
    """The contract: inputs of every arm by name, those of the arm with the most traffic first."""

    @property
    def first(self) -> Bundle:
        """The bundle of the arm with the most traffic."""
        arm = max(self.policy.arms, key=lambda each: each.weight)
        return self.bundles[arm.arm].bundle

    def choose(self, entity: str) -> tuple[Arm, Bundle]:
        name = self.policy.choose(entity)
        arm = next(each for each in self.policy.arms if each.arm == name)
        return arm, self.bundles[name].bundle


@dataclass(frozen=True)
class State:
    """Everything that is served, and what could not be."""

    served: Mapping[str, Served] = MappingProxyType({})
    failures: Mapping[str, Failure] = MappingProxyType({})


class Follower:
    """Holds the state, and the thread that keeps it at the newest policies."""

    def __init__(
        self,
        warehouse: Warehouse | None,
        state_folder: Path,
        public_key: bytes | None,
        metrics: Metrics,
        poll_seconds: float,
    ) -> None:
        self._warehouse, self._public_key, self._metrics = warehouse, public_key, metrics
        self._cache = state_folder / "bundles"
        self._remembered = state_folder / "policies.json"
        self._poll_seconds = poll_seconds
        self._changing = threading.Lock()
        self._retry_at: dict[str, float] = {}
        self._recall_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self.state = State()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def serve_alone(self, folder: Path, *, allow_unsigned: bool) -> None:
        """Serve one bundle of this machine and nothing else, as policy 0.

        Raises:
            BundleRejected: the bundle does not verify.
        """
        bundle = load(folder, self._public_key, allow_unsigned=allow_unsigned)
        arm = Arm(
            arm="champion",
            version=bundle.sha256[:12],
            bundle_uri=folder.resolve().as_uri(),
            bundle_sha256=bundle.sha256,
            weight=1.0,
        )
        policy = Policy(id=0, use_case=bundle.use_case, salt="", arms=(arm,))
        self._swap(policy, {"champion": Loaded(bundle, datetime.now(UTC))})

    def refresh(self, use_case: str) -> Served | Failure | None:
        """Put the newest policy of `use_case` in force now; None when it has no policy.

        Raises:
            psycopg.Error: the warehouse does not answer.
            RuntimeError: this app serves one bundle alone and follows nothing.
        """
        if self._warehouse is None:
            raise RuntimeError("no warehouse to follow")
        with self._changing:  # read and applied in one go, so that no older read overtakes a newer one
            for row in self._warehouse.newest_policies(use_case):
                self._apply(row, retry_now=True)
        failure = self.state.failures.get(use_case)
        return failure if failure is not None else self.state.served.get(use_case)

    def _run(self) -> None:
        while True:
            try:
                with self._changing:
                    if not self._poll():
                        self._recall()
            except Exception:  # noqa: BLE001 - what is served goes on, and so does following
                logs.error("following failed")
            if self._stopping.wait(self._poll_seconds):
                return

    def _poll(self) -> bool:
        """Read and apply the newest policies; False when that was not possible for all of them."""
        if self._warehouse is None:
            return False
        try:
            rows = self._warehouse.newest_policies()
        except psycopg.Error as error:
            self._metrics.policy_reads_failed.inc()
            logs.warning("policies not read", why=plain(error))
            return False
        for row in rows:
            self._apply(row, retry_now=False)
        return not self.state.failures

    def _recall(self) -> None:
        """After a restart: serve the last good policy where the newest cannot be had."""
        if time.monotonic() < self._recall_at:
            return
        self._recall_at = time.monotonic() + _RETRY_SECONDS
        for row in memory_of_policies.read(self._remembered):
            if str(row.get("use_case")) not in self.state.served:
                # What is wrong with the newest policy stays to be seen.
                self._apply(row, retry_now=True, newest=self.state.failures.get(str(row.get("use_case"))))

    def _apply(self, row: Mapping[str, Any], *, retry_now: bool, newest: Failure | None = None) -> None:
        """Put one policy in force or note why not; `newest` stays noted while an older one serves."""
        use_case, policy_id = str(row.get("use_case")), row.get("id")
        served, failure = self.state.served.get(use_case), self.state.failures.get(use_case)
        if served is not None and served.policy.id == policy_id and failure is None:
            return
        same = failure is not None and failure.policy_id == policy_id
        if same and not retry_now and time.monotonic() < self._retry_at.get(use_case, 0.0):
            return
        try:
            policy = Policy.read(row)
            bundles = {each.arm: self._load(policy, each) for each in policy.arms}
            _require_one_outcome(bundles)
        except ValidationError as error:
            detail = f"policy {policy_id} is malformed: {error.errors()[0]['msg']}"
            self._fail(use_case, Failure(policy_id, "malformed", detail), newest)
        except BundleRejected as error:
            members = {"where": error.where, "found": error.found, "allowed": error.allowed}
            self._fail(use_case, Failure(policy_id, error.reason, str(error), members), newest)
        else:
            self._swap(policy, bundles, newest)
            self._remember()

    def _load(self, policy: Policy, arm: Arm) -> Loaded:
        for served in self.state.served.values():
            for loaded in served.bundles.values():
                same = loaded.bundle.sha256 == arm.bundle_sha256
                if same and loaded.bundle.use_case == policy.use_case:
                    return loaded
        folder = fetch(arm.bundle_uri, self._cache, arm.bundle_sha256)
        try:
            bundle = load(folder, self._public_key)
        except BundleRejected:
            # The signature is no part of the hash that names the folder: a good copy must get its chance.
            shutil.rmtree(folder, ignore_errors=True)
            raise
        for what, found, wanted in (
            ("hash", bundle.sha256, arm.bundle_sha256),
            ("use case", bundle.use_case, policy.use_case),
        ):
            if found != wanted:
                raise BundleRejected("identity", f"arm {arm.arm}", f"{what} {found}", f"{what} {wanted}")
        logs.info(
            "bundle loaded", use_case=policy.use_case, version=arm.version, golden=bundle.golden.max_error
        )
        return Loaded(bundle, datetime.now(UTC))

    def _swap(self, policy: Policy, bundles: Mapping[str, Loaded], newest: Failure | None = None) -> None:
        inputs: dict[str, Input] = {}
        for arm in sorted(policy.arms, key=lambda each: -each.weight):
            for each in bundles[arm.arm].bundle.inputs:
                inputs.setdefault(each.name, each)
        served = Served(policy, MappingProxyType(dict(bundles)), MappingProxyType(inputs))
        use_case = policy.use_case
        failures = {name: each for name, each in self.state.failures.items() if name != use_case}
        if newest is not None:
            failures[use_case] = newest
        self.state = State(
            served=MappingProxyType({**self.state.served, use_case: served}),
            failures=MappingProxyType(failures),
        )
        self._metrics.policy.labels(use_case).set(policy.id)
        logs.info("policy in force", use_case=use_case, policy_id=policy.id)

    def _fail(self, use_case: str, failure: Failure, newest: Failure | None) -> None:
        self._metrics.policy_failures.labels(use_case, failure.reason).inc()
        self._retry_at[use_case] = time.monotonic() + _RETRY_SECONDS
        failures = MappingProxyType({**self.state.failures, use_case: newest or failure})
        self.state = replace(self.state, failures=failures)
        served = self.state.served.get(use_case)
        logs.error(
            "policy refused",
            use_case=use_case,
            policy_id=failure.policy_id,
            reason=failure.reason,
            detail=failure.detail,
            still_serving=None if served is None else served.policy.id,
        )

    def _remember(self) -> None:
        policies = [each.policy for each in self.state.served.values()]
        try:
            memory_of_policies.write(self._remembered, policies)
            self._forget_bundles({arm.bundle_sha256 for policy in policies for arm in policy.arms})
        except OSError as error:  # what is served does not depend on it; the next restart does
            logs.error("last known policies not kept", path=str(self._remembered), why=error.strerror)

    def _forget_bundles(self, needed: set[str]) -> None:
        """Keep the cached bundles in use and the youngest of the others."""
        others = [each for each in self._cache.iterdir() if each.name not in needed]
        others.sort(key=lambda each: each.stat().st_mtime, reverse=True)
        for each in others[_CACHED_BUNDLES:]:
            shutil.rmtree(each, ignore_errors=True)


def _require_one_outcome(bundles: Mapping[str, Loaded]) -> None:
    """Refuse arms that answer different questions: an entity would get another form of answer by its arm.

    Raises:
        BundleRejected: reason `identity`.
    """
    forms = {
        arm: f"task {each.bundle.task} of classes {each.bundle.outcome.classes}, {each.bundle.outcome.steps} "
        f"steps, unit {each.bundle.outcome.unit!r}"
        for arm, each in bundles.items()
    }
    first, *others = forms
    for arm in others:
        if forms[arm] != forms[first]:
            raise BundleRejected("identity", f"arm {arm}", forms[arm], f"as arm {first}: {forms[first]}")
