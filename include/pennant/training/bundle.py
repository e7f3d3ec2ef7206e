"""Write a bundle folder: data files only, every one hashed, the list of hashes signed.

Equal inputs give equal bytes: no clock, no host, no path goes in. The golden rows and all predictions here
come from the scorer that serving uses. The format is in the README of `pennant_serving`.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pennant.declaration.model import TrainedUseCase
from pennant.security.signing import sign
from pennant.training import sample
from pennant.training.losses import Floats
from pennant.training.members.base import FittedMember
from pennant.training.members.kinds import KINDS
from pennant.training.rows import TrainingRows
from pennant_serving.manifest import Manifest
from pennant_serving.scorer import Scorer, load_member

EXPLAINED_ROWS = 500
"""TreeSHAP costs about a millisecond a row, and a mean over 500 rows stands still."""


@dataclass(frozen=True)
class Content:
    """What `bundle.json` says, and the member files.

    Attributes:
        manifest: bundle.json.
        members: name -> fitted member, those with weight only.
    """

    manifest: dict[str, Any]
    members: dict[str, FittedMember]


def inputs(use_case: TrainedUseCase) -> list[dict[str, Any]]:
    """The feature contract, in order."""
    return [
        {"name": name, "dtype": "float64", **each.model_dump()} for name, each in use_case.features.items()
    ]


def member_entries(use_case: TrainedUseCase, weights: Mapping[str, float]) -> list[dict[str, Any]]:
    """The `members` of bundle.json."""
    kinds = {name: use_case.training.members[name].kind for name in weights}
    return [
        {
            "name": name,
            "kind": kinds[name],
            "file": f"members/{name}.{KINDS[kinds[name]].suffix}",
            "weight": weight,
        }
        for name, weight in weights.items()
    ]


def write(
    use_case: TrainedUseCase, rows: TrainingRows, content: Content, out: Path, signing_key: Path
) -> str:
    """Write the bundle to the folder `out`, whole or not at all; what stood there is replaced.

    Returns:
        The bundle's SHA-256: of the bytes of SHA256SUMS, in hex.

    Raises:
        SigningKeyError: the key is missing or open to others.
    """
    files = {each["file"]: content.members[each["name"]].content() for each in content.manifest["members"]}
    files["bundle.json"] = (
        json.dumps(content.manifest, indent=1, sort_keys=True, allow_nan=False) + "\n"
    ).encode()
    files.update(_derived(use_case, rows, files))
    sums = "".join(f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files)).encode()
    signature = sign(signing_key, sums)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for path, data in {**files, "SHA256SUMS": sums, "signature": f"{signature}\n".encode()}.items():
        (partial / path).parent.mkdir(parents=True, exist_ok=True)
        (partial / path).write_bytes(data)
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)
    return hashlib.sha256(sums).hexdigest()


def _derived(use_case: TrainedUseCase, rows: TrainingRows, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files that follow from scoring with the bundle itself."""
    manifest = Manifest.model_validate_json(files["bundle.json"])
    members = [
        load_member(each.kind, each.file, files[each.file], manifest.inputs) for each in manifest.members
    ]
    scorer = Scorer(manifest, members)
    index = sample.reference_index(rows, use_case.training.search.seed)
    x = rows.x[index]
    prediction = scorer.predict(x).prediction
    golden = sample.golden_rows(use_case, x, prediction)
    expected = scorer.predict(golden)
    expectations = {
        "expected": expected.prediction,
        "expected_low": expected.low,
        "expected_high": expected.high,
    }
    reference = {"prediction": prediction, "label": rows.y[index]}
    return {
        "golden.parquet": _parquet(rows.names, golden, expectations),
        "reference.parquet": _parquet(rows.names, x, reference),
        "explain.json": _importances(scorer, rows.names, x),
    }


def _importances(scorer: Scorer, names: tuple[str, ...], x: Floats) -> bytes:
    """Mean |SHAP| per feature in logit units, by the scorer's own additive explanation."""
    explained = x[np.linspace(0, len(x) - 1, min(EXPLAINED_ROWS, len(x))).astype(np.int64)]
    means = np.abs(scorer.explain(explained).contributions).mean(axis=0)
    importances = {name: float(value) for name, value in zip(names, means, strict=True)}
    described = {
        "importances": importances,
        "unit": "mean |contribution| to the logit",
        "rows": len(explained),
    }
    return (json.dumps(described, indent=1, sort_keys=True) + "\n").encode()


def _parquet(names: tuple[str, ...], x: Floats, more: Mapping[str, Floats]) -> bytes:
    columns = {**dict(zip(names, x.T, strict=True)), **more}
    table = pa.table({name: pa.array(np.ascontiguousarray(values)) for name, values in columns.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())
