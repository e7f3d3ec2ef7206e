"""Writes small bundles for the tests: two tiny members, calibrated, signed, with golden rows."""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

FEATURES = ("rating", "rest", "heat")


@dataclass(frozen=True)
class Signer:
    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def new_signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def seal(folder: Path, signer: Signer | None) -> str:
    """(Re)write SHA256SUMS and signature; return the bundle hash."""
    names = sorted(
        each.relative_to(folder).as_posix()
        for each in folder.rglob("*")
        if each.is_file() and each.name not in {"SHA256SUMS", "signature"}
    )
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    sums = "".join(lines).encode()
    (folder / "SHA256SUMS").write_bytes(sums)
    if signer is not None:
        (folder / "signature").write_bytes(base64.b64encode(signer.private.sign(sums)))
    return hashlib.sha256(sums).hexdigest()


def _input(name: str, unit: str, end: float, missing: str) -> dict[str, Any]:
    return {"name": name, "dtype": "float64", "unit": unit, "low": -end, "high": end, "missing": missing}


def _rows(seed: int, n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(n, 3)) * [200, 3, 10]
    rows[generator.random((n, 3)) < 0.1] = np.nan
    rows[:, 1] = np.nan_to_num(rows[:, 1])
    return np.clip(rows, [-1000, -20, -50], [1000, 20, 50])


def reference_predict(
    manifest: dict[str, Any], booster: xgboost.Booster, linear: dict[str, Any], rows: Any
) -> tuple[Any, Any, Any]:
    """The format's formula, written a second time and through xgboost's own Python package."""
    trees = booster.predict(xgboost.DMatrix(rows, missing=np.nan)).astype(np.float64)
    filled = np.where(np.isnan(rows), linear["impute"], rows)
    scaled = (filled - np.array(linear["mean"])) / np.array(linear["scale"])
    line = 1 / (1 + np.exp(-(linear["intercept"] + scaled @ np.array(linear["coef"]))))
    weights = [each["weight"] for each in manifest["members"]]
    p = np.clip(weights[0] * trees + weights[1] * line, 1e-6, 1 - 1e-6)
    calibration = manifest["calibration"]
    if calibration["method"] == "platt":
        p = 1 / (1 + np.exp(-(calibration["slope"] * np.log(p / (1 - p)) + calibration["intercept"])))
    elif calibration["method"] == "isotonic":
        p = np.interp(p, calibration["x"], calibration["y"])
    inside = np.clip(p, 1e-6, 1 - 1e-6)
    z = np.log(inside / (1 - inside))
    half = manifest["intervals"]["half_width_logit"]
    return p, 1 / (1 + np.exp(-(z - half))), 1 / (1 + np.exp(-(z + half)))


def write_bundle(
    folder: Path,
    signer: Signer | None,
    *,
    seed: int = 0,
    use_case: str = "toy",
    calibration: dict[str, Any] | None = None,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> str:
    """Train, write and seal a bundle whose numbers depend on `seed`; returns its hash."""
    (folder / "members").mkdir(parents=True)
    rows = _rows(seed, 300)
    labels = (
        np.nan_to_num(rows[:, 0]) / 200 + seed + np.random.default_rng(seed).normal(size=300) > 0
    ).astype(float)
    labels[:2] = [0, 1]
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "seed": seed},
        xgboost.DMatrix(rows, labels, missing=np.nan, feature_names=list(FEATURES)),
        num_boost_round=8,
    )
    booster.save_model(folder / "members" / "trees.ubj")
    linear = {
        "impute": [0.0, 0.0, 1.0], "mean": [1.0, 0.0, 2.0], "scale": [200.0, 3.0, 10.0],
        "coef": [1.0 + seed, -0.2, 0.1], "intercept": 0.1 * seed - 0.2,
    }  # fmt: skip
    (folder / "members" / "linear.json").write_text(json.dumps(linear))
    manifest: dict[str, Any] = {
        "format": 1, "use_case": use_case, "task": "binary",
        "as_of": "2024-04-01T00:00:00+00:00", "trained_until": "2024-03-01T00:00:00+00:00",
        "inputs": [
            _input("rating", "points", 1000, "allow"),
            _input("rest", "days", 20, "refuse"),
            _input("heat", "celsius", 50, "allow"),
        ],
        "members": [
            {"name": "trees", "kind": "xgboost", "file": "members/trees.ubj", "weight": 0.7},
            {"name": "linear", "kind": "logistic", "file": "members/linear.json", "weight": 0.3},
        ],
        "calibration": calibration or {"method": "platt", "slope": 1.1, "intercept": -0.05},
        "intervals": {"coverage": 0.9, "method": "member_and_fold_spread", "half_width_logit": 0.4},
        "snapshot": "0" * 64, "code_commit": "abc", "packages": {}, "seeds": {}, "metrics": {},
        "parameters": {}, "author": "tester",
    }  # fmt: skip
    if change is not None:
        change(manifest)
    (folder / "bundle.json").write_text(json.dumps(manifest))
    (folder / "explain.json").write_text(json.dumps({"importances": dict.fromkeys(FEATURES, 0.1)}))
    golden = rows[:20]
    booster.feature_names = None
    p, low, high = reference_predict(manifest, booster, linear, golden)
    columns = {name: golden[:, index] for index, name in enumerate(FEATURES)}
    pq.write_table(
        pa.table({**columns, "expected": p, "expected_low": low, "expected_high": high}),
        folder / "golden.parquet",
    )
    pq.write_table(pa.table({**columns, "prediction": p, "label": labels[:20]}), folder / "reference.parquet")
    return seal(folder, signer)
