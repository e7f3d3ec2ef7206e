"""Train a registered version again from what its bundle names, and say what came out different.

Snapshot and hyper-parameters are those of the bundle, so nothing is searched and the study may be gone. The
declaration has to say of training what it said then; code and packages are those that are installed, and are
told where they are others. The bundle made for the comparison is signed with a key made for it, too.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from pennant.data.lake import Lake
from pennant.declaration.model import TrainedUseCase
from pennant.reference import Reference
from pennant.registry.models import ModelVersion
from pennant.security.signing import PUBLIC_NAME, ensure_keys
from pennant.settings import Settings
from pennant.training import bundle, rows
from pennant.training.errors import TrainingRefused
from pennant.training.fit import Choice, declared, written
from pennant.training.losses import Floats
from pennant_serving.bundle import Bundle, BundleRejected, fetch, load

SAME = 1e-9
"""Predictions that differ by less, relative to those above 1, are the same: it is rounding."""
NAMING = ("code_commit", "packages")
"""Keys of bundle.json that name what trained, and are no part of the model."""

Outcome = Literal["equal", "same_predictions", "different"]


class SnapshotGone(TrainingRefused):
    """The lake does not hold the snapshot that a version was trained on.

    Attributes:
        use_case: name of the use case.
        version: the version.
        sha256: of the snapshot.
        lake: the lake's address.
    """

    def __init__(self, use_case: str, version: str, sha256: str, lake: str) -> None:
        self.use_case, self.version, self.sha256, self.lake = use_case, version, sha256, lake
        super().__init__(
            f"{use_case} version {version} was trained on snapshot {sha256}, which is not in the lake at "
            f"{lake}. Name the lake it lies in by PENNANT_LAKE_URL, or restore snapshots/{sha256}"
        )


class DeclarationChanged(TrainingRefused):
    """The declaration does not say of training what it said when a version was trained.

    Attributes:
        use_case: name of the use case.
        version: the version.
        fields: field -> [then, now]; what one of the two does not have is None.
        code_commit: of the code that trained the version.
    """

    def __init__(
        self, use_case: str, version: str, fields: Mapping[str, list[Any]], code_commit: str
    ) -> None:
        self.use_case, self.version, self.fields = use_case, version, dict(fields)
        self.code_commit = code_commit
        shown = "; ".join(f"{name}: {then!r} then, {now!r} now" for name, (then, now) in fields.items())
        super().__init__(
            f"{use_case} version {version} was declared otherwise: {shown}. Rebuild it with the declaration "
            f"it was trained by (code {code_commit})"
        )


@dataclass(frozen=True)
class Rebuilt:
    """A version beside the same thing trained again.

    Attributes:
        use_case: name of the use case.
        version: the version.
        outcome: `equal`: the same bytes, but for the names of code and packages; `same_predictions`: other
            bytes, and every golden row has the same answer; `different`: it has not.
        bundle_sha256: of the version.
        rebuilt_sha256: of what was trained again.
        files: files of the bundle that differ; bundle.json is left out if only names differ in it.
        made_by: code and packages that are others: name -> [then, now].
        fields: other fields of bundle.json that differ, its metrics left out: name -> [then, now].
        metrics: metrics that differ: name -> [then, now].
        largest_difference: of the answers to the golden rows, intervals among them.
    """

    use_case: str
    version: str
    outcome: Outcome
    bundle_sha256: str
    rebuilt_sha256: str
    files: list[str]
    made_by: dict[str, list[Any]]
    fields: dict[str, list[Any]]
    metrics: dict[str, list[Any]]
    largest_difference: float

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        return asdict(self)


class BundleUnusable(TrainingRefused):
    """The bundle of a version cannot be read, or does not verify.

    Attributes:
        use_case: name of the use case.
        version: the version.
        reason: which check failed, as `pennant_serving` names it.
        found: what it said.
    """

    def __init__(self, use_case: str, version: str, reason: str, found: str) -> None:
        self.use_case, self.version, self.reason, self.found = use_case, version, reason, found
        super().__init__(f"{use_case} version {version}: its bundle cannot be used. {found}")


def rebuild(use_case: TrainedUseCase, version: ModelVersion, lake: Lake, settings: Settings) -> Rebuilt:
    """Train a registered version again, and compare.

    Args:
        use_case: the declaration.
        version: what to train again.
        lake: must hold its snapshot.
        settings: `settings.secrets` holds the public key that its bundle is verified with.

    Raises:
        BundleUnusable: the bundle cannot be read, or does not verify.
        DeclarationChanged: the declaration says other things of training.
        SnapshotGone: the lake does not hold the snapshot.
        LakeCorrupt: the snapshot is not what it was.
    """
    try:
        folder = fetch(version.bundle_uri, settings.home / "cache" / "bundles", version.bundle_sha256)
        before = load(folder, (settings.secrets / PUBLIC_NAME).read_bytes())
    except BundleRejected as error:
        raise BundleUnusable(use_case.name, version.version, error.reason, str(error)) from error
    said = before.manifest
    _require_declared(use_case, version.version, said)
    place = f"snapshots/{said['snapshot']}/data.parquet"
    if not lake.exists(place):
        raise SnapshotGone(use_case.name, version.version, said["snapshot"], lake.url)
    snapshot = Reference(lake.uri(place), said["snapshot"])
    data = rows.read(use_case, snapshot, lake)
    chosen = {member: values for member, values in said["parameters"].items() if member != "overrides"}
    choice = Choice(chosen, {**said["search"], "overrides": said["parameters"]["overrides"]})
    with TemporaryDirectory(prefix="pennant-rebuild-") as home:
        keys = replace(settings, home=Path(home))
        ensure_keys(keys.secrets)
        made = written(use_case, snapshot, data, choice, Path(home) / "bundle", keys, said["author"])
        after = load(made.folder, (keys.secrets / PUBLIC_NAME).read_bytes())
        return _compared(use_case.name, version.version, (before, folder), (after, made.folder))


def _require_declared(use_case: TrainedUseCase, version: str, said: Mapping[str, Any]) -> None:
    now = {"features": _by_name(bundle.inputs(use_case)), "task": use_case.task, **declared(use_case)}
    then = {"features": _by_name(said["inputs"]), "task": said["task"], **said.get("declared", {})}
    changed = _differences(then, json.loads(json.dumps(now)))
    if list(then["features"]) != list(now["features"]) and not changed:
        changed["features"] = [list(then["features"]), list(now["features"])]  # in another order
    if changed:
        raise DeclarationChanged(use_case.name, version, changed, said["code_commit"])


def _by_name(inputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["name"]: {key: value for key, value in each.items() if key != "name"} for each in inputs}


def _compared(use_case: str, version: str, then: tuple[Bundle, Path], now: tuple[Bundle, Path]) -> Rebuilt:
    (before, old), (after, new) = then, now
    fields = _differences(before.manifest, after.manifest)
    made_by = {name: each for name, each in fields.items() if name.split(".")[0] in NAMING}
    metrics = {name: each for name, each in fields.items() if name.startswith("metrics.")}
    rest = {name: each for name, each in fields.items() if name not in made_by and name not in metrics}
    files = [name for name in _files(old) | _files(new) if _digest(old / name) != _digest(new / name)]
    if not metrics and not rest:
        files = [name for name in files if name != "bundle.json"]
    largest = _largest_difference(before, after, _golden(old, before))
    outcome: Outcome = "different"
    if not files and not metrics and not rest:
        outcome = "equal"
    elif largest <= SAME:
        outcome = "same_predictions"
    return Rebuilt(
        use_case,
        version,
        outcome,
        before.sha256,
        after.sha256,
        sorted(files),
        made_by,
        rest,
        metrics,
        largest,
    )


def _files(folder: Path) -> set[str]:
    """Files of a bundle, without those that follow from the others."""
    found = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}
    return found - {"SHA256SUMS", "signature"}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"


def _golden(folder: Path, opened: Bundle) -> Floats:
    """The golden rows' inputs, shape (n, inputs)."""
    table = pq.read_table(folder / "golden.parquet")
    return np.column_stack([table[each.name].to_numpy() for each in opened.inputs])


def _largest_difference(before: Bundle, after: Bundle, x: Floats) -> float:
    """Of predictions and intervals for the rows `x`; of numbers above 1, the relative one."""
    one, other = before.predict(x), after.predict(x)
    largest = 0.0
    for then, now in ((one.prediction, other.prediction), (one.low, other.low), (one.high, other.high)):
        if then.shape != now.shape:
            return float("inf")
        apart = np.abs(then - now) / np.maximum(1.0, np.abs(then))
        largest = max(largest, float(np.nanmax(apart, initial=0.0)))
    return largest


def _differences(then: Any, now: Any, name: str = "") -> dict[str, list[Any]]:
    """Fields of two JSON values that differ, by dotted name: [then, now]."""
    return dict(_each(then, now, name))


def _each(then: Any, now: Any, name: str) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted({*then, *now}):
            yield from _each(then.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif then != now:
        yield name, [then, now]
