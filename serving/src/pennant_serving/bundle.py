"""Load a model bundle, or refuse it: signature, hashes, contract and golden rows, in that order.

Nothing of a bundle is interpreted before its bytes are proven. The format is in the README of this
package. Nothing here writes a bundle; `pennant.training.bundle` does.
"""

import base64
import binascii
import hashlib
import json
import math
import shutil
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ValidationError

from pennant_serving.errors import BundleRejected
from pennant_serving.golden import Golden, check_golden, check_missing, expected_columns
from pennant_serving.manifest import Confidence, Input, Manifest, Outcome, Task
from pennant_serving.scorer import Explanation, Floats, Scorer, Scores, read_scorer

__all__ = ["Bundle", "BundleRejected", "Golden", "expected_columns", "fetch", "load"]

SUMS, SIGNATURE = "SHA256SUMS", "signature"
REQUIRED = ("bundle.json", "golden.parquet", "reference.parquet", "explain.json")


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, ready to score; immutable and usable from many threads.

    Attributes:
        sha256: hash of the bytes of SHA256SUMS; names the bundle everywhere.
        task: what kind of thing it foretells, with the sizes in `outcome`.
        confidence: percentiles of the reference rows; None: answers tell no confidence.
        manifest: bundle.json as it was read.
        importances: mean absolute SHAP value per feature, from explain.json.
        example: features of the first golden row, for the API's documentation.
        signed: False only for a bundle loaded with `allow_unsigned` and no key.
    """

    sha256: str
    use_case: str
    task: Task
    outcome: Outcome
    confidence: Confidence | None
    inputs: list[Input]
    manifest: dict[str, Any]
    importances: dict[str, float]
    golden: Golden
    example: dict[str, float | None]
    signed: bool
    trained_until: datetime
    scorer: Scorer

    def predict(self, rows: Floats) -> Scores:
        """Score `rows` of shape (n, inputs), float64, NaN where a value is missing."""
        return self.scorer.predict(self._checked(rows))

    def explain(self, rows: Floats) -> Explanation:
        """Additive terms for `rows` of shape (n, inputs).

        Raises:
            ExplanationUnavailable: a member has no exact terms.
        """
        return self.scorer.explain(self._checked(rows))

    def samples(self, rows: Floats, count: int) -> Floats:
        """Paths that may be, (n, count, 2 steps) in metres.

        Raises:
            ValueError: no member of the bundle has samples, or not so many.
        """
        return self.scorer.samples(self._checked(rows), count)

    def _checked(self, rows: Floats) -> Floats:
        given = np.ascontiguousarray(rows, dtype=np.float64)
        if given.ndim != 2 or given.shape[1] != len(self.inputs):
            raise ValueError(f"rows: found shape {given.shape}; allowed is (n, {len(self.inputs)})")
        return given


def load(folder: Path, public_key: bytes | None, *, allow_unsigned: bool = False) -> Bundle:
    """Verify everything about the bundle in `folder` and load it.

    Args:
        folder: the bundle.
        public_key: Ed25519 public key as PEM, 32 raw bytes, or base64 of those. None is refused unless
            `allow_unsigned` is given; a key that is given is always used.
        allow_unsigned: accept a bundle without checking who made it. For one's own machine only.

    Raises:
        BundleRejected: any check failed; `reason` says which.
    """
    sums = _read(folder, SUMS)
    if public_key is not None:
        _verify_signature(_read(folder, SIGNATURE), sums, public_key)
    elif not allow_unsigned:
        raise BundleRejected(
            "unsigned",
            SIGNATURE,
            "no public key to check it with",
            "a public key, or allow_unsigned",
            "Give the public key of the installation that trained the bundle.",
        )
    contents = _verified_contents(folder, sums)
    manifest = _manifest(contents["bundle.json"])
    scorer = read_scorer(manifest, contents)
    golden, first = check_golden(contents["golden.parquet"], manifest.inputs, manifest.task, scorer)
    check_missing(manifest.inputs, scorer)
    return Bundle(
        sha256=hashlib.sha256(sums).hexdigest(),
        use_case=manifest.use_case,
        task=manifest.task,
        outcome=manifest.outcome,
        confidence=manifest.confidence,
        inputs=manifest.inputs,
        manifest=json.loads(contents["bundle.json"]),
        importances=_importances(contents["explain.json"]),
        golden=golden,
        example={
            each.name: None if math.isnan(value) else value
            for each, value in zip(manifest.inputs, first, strict=True)
        },
        signed=public_key is not None,
        trained_until=manifest.trained_until,
        scorer=scorer,
    )


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    try:
        if path.is_symlink():
            raise BundleRejected("unlisted", name, "a symbolic link", "a plain file")
        return path.read_bytes()
    except OSError as error:
        reason = f"{error.strerror or error} in {folder}"
        raise BundleRejected("unreadable", name, reason, "a readable file") from error


def _verify_signature(signature: bytes, sums: bytes, public_key: bytes) -> None:
    try:
        _key(public_key).verify(base64.b64decode(signature.strip(), validate=True), sums)
    except (InvalidSignature, binascii.Error) as error:
        raise BundleRejected(
            "signature",
            SIGNATURE,
            "a signature that is not of these bytes by this key",
            "the Ed25519 signature of SHA256SUMS by the trusted key",
        ) from error


def _key(public_key: bytes) -> Ed25519PublicKey:
    try:
        if public_key.lstrip().startswith(b"-----BEGIN"):
            key = load_pem_public_key(public_key)
            if not isinstance(key, Ed25519PublicKey):
                raise BundleRejected("signature", "public key", type(key).__name__, "an Ed25519 public key")
            return key
        raw = public_key if len(public_key) == 32 else base64.b64decode(public_key.strip(), validate=True)
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise BundleRejected(
            "signature", "public key", str(error), "an Ed25519 public key (PEM, 32 bytes or base64)"
        ) from error


def listing(sums: bytes) -> dict[str, str]:
    """Parse SHA256SUMS into {relative path: sha256}.

    Raises:
        BundleRejected: a malformed line, a doubled path, or a path that leaves the folder.
    """
    listed: dict[str, str] = {}
    try:
        lines = sums.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BundleRejected("hash", SUMS, "bytes that are not UTF-8", "a text file") from error
    for number, line in enumerate(lines, start=1):
        digest, _, path = line.partition("  ")
        parts = PurePosixPath(path).parts
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef") or path in listed:
            raise BundleRejected("hash", f"{SUMS} line {number}", repr(line), "'<sha256>  <path>' once")
        if not parts or path.startswith("/") or ".." in parts or "\\" in path:
            raise BundleRejected("unlisted", f"{SUMS} line {number}", repr(path), "a path inside the bundle")
        listed[path] = digest
    return listed


def _verified_contents(folder: Path, sums: bytes) -> dict[str, bytes]:
    """Bytes of every listed file, each read once, so that what is checked is what is loaded."""
    listed = listing(sums)
    for name in REQUIRED:
        if name not in listed:
            raise BundleRejected("hash", SUMS, f"no line for {name}", "a line for every required file")
    present = {each.relative_to(folder).as_posix() for each in folder.rglob("*") if not each.is_dir()}
    for extra in sorted(present - listed.keys() - {SUMS, SIGNATURE}):
        raise BundleRejected("unlisted", extra, "a file that SHA256SUMS does not name", "listed files only")
    contents: dict[str, bytes] = {}
    for path, digest in listed.items():
        content = _read(folder, path)
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise BundleRejected("hash", path, f"sha256 {found}", f"sha256 {digest}")
        contents[path] = content
    return contents


def _manifest(content: bytes) -> Manifest:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "bundle.json"
        raise BundleRejected(
            "manifest", f"bundle.json: {where}", repr(first["input"]), first["msg"]
        ) from error


def _importances(content: bytes) -> dict[str, float]:
    try:
        return {str(name): float(value) for name, value in json.loads(content)["importances"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleRejected(
            "manifest", "explain.json", repr(error), '{"importances": {feature: number}}'
        ) from error


def fetch(uri: str, cache: Path, sha256: str) -> Path:
    """Copy the bundle at `uri` (any fsspec URL of a folder) to `cache/<sha256>` and return that folder.

    A folder that is already there and whole is used as it is; a damaged one is fetched again. The copy
    appears under its name only when every byte is proven, so two processes may share a cache.

    Raises:
        BundleRejected: the bundle cannot be read, is another one than `sha256`, or has a wrong byte.
    """
    target = cache / sha256
    try:
        _verify_copy(target, sha256)
    except BundleRejected:
        shutil.rmtree(target, ignore_errors=True)
    else:
        return target
    partial = cache / f".{sha256}.{uuid.uuid4().hex}"
    try:
        _copy(uri, partial)
        _verify_copy(partial, sha256)
        if not target.exists():
            partial.replace(target)
    except (OSError, ImportError, ValueError) as error:  # no such protocol, or its package is not installed
        if not target.is_dir():  # another process may have put it there in the meantime
            raise BundleRejected(
                "unreadable", uri, f"{type(error).__name__}: {error}", "a readable folder"
            ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _copy(uri: str, partial: Path) -> None:
    files, root = fsspec.core.url_to_fs(uri)
    partial.mkdir(parents=True)
    sums: bytes = files.cat_file(f"{root}/{SUMS}")
    (partial / SUMS).write_bytes(sums)
    for path in listing(sums):
        (partial / path).parent.mkdir(parents=True, exist_ok=True)
        (partial / path).write_bytes(files.cat_file(f"{root}/{path}"))
    if files.exists(f"{root}/{SIGNATURE}"):
        (partial / SIGNATURE).write_bytes(files.cat_file(f"{root}/{SIGNATURE}"))


def _verify_copy(folder: Path, sha256: str) -> None:
    sums = _read(folder, SUMS)
    found = hashlib.sha256(sums).hexdigest()
    if found != sha256:
        raise BundleRejected("identity", SUMS, f"bundle {found}", f"bundle {sha256}")
    _verified_contents(folder, sums)
