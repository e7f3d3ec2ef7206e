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
from pennant.training.confidence import percentiles
from pennant.training.errors import TrainingRefused
from pennant.training.losses import Floats
from pennant.training.members.base import FittedMember
from pennant.training.members.kinds import KINDS
from pennant.training.rows import TrainingRows
from pennant_serving.bundle import expected_columns
from pennant_serving.manifest import Manifest
from pennant_serving.scorer import ExplanationUnavailable, Scorer, read_scorer

EXPLAINED_ROWS = 300
"""TreeSHAP costs about a millisecond a row, and a mean over 300 rows stands still."""


class CannotDoWithout(TrainingRefused):
    """A row that serving would accept gets a prediction that is no number.

    Attributes:
        features: those that the row lacks, and that the declaration lets be missing.
    """

    def __init__(self, features: list[str]) -> None:
        self.features = features
        super().__init__(
            f"golden rows: a row without {', '.join(features)} gets no prediction, though all of these are "
            "declared `missing: allow`. Declare `missing: refuse` for what a member cannot do without."
        )


@dataclass(frozen=True)
class Content:
    """What `bundle.json` says, and the member files.

    Attributes:
        manifest: bundle.json.
        members: name -> fitted member, those with weight only.
        more: files that the interval needs, by their path.
        stability: of importances across folds; see `pennant.training.stability`.
    """

    manifest: dict[str, Any]
    members: dict[str, FittedMember]
    more: dict[str, bytes]
    stability: dict[str, Any]


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
        CannotDoWithout: a member has no answer where a feature is missing that may be.
        SigningKeyError: the key is missing or open to others.
    """
    members = {each["file"]: content.members[each["name"]].content() for each in content.manifest["members"]}
    files = _scored(use_case, rows, content, {**members, **content.more})
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


def _scored(
    use_case: TrainedUseCase, rows: TrainingRows, content: Content, files: Mapping[str, bytes]
) -> dict[str, bytes]:
    """All files of the bundle: `files`, and those that follow from scoring with the bundle itself."""
    manifest = content.manifest
    index = sample.reference_index(rows, use_case.training.search.seed)
    x, y = rows.x[index], rows.y[index]
    told = _read(manifest, files).predict(x)
    ranked = percentiles(told.width, told.disagreement)
    whole = dict(manifest) if ranked is None else {**manifest, "confidence": ranked}
    scorer = _read(whole, files)
    golden = sample.golden_rows(use_case, x, sample.ordering(rows.problem, told.prediction))
    expected = expected_columns(scorer.predict(golden), use_case.task)
    for row, answered in zip(golden, zip(*expected.values(), strict=True), strict=True):
        if not np.isfinite(answered).all():
            lacking = [name for name, value in zip(rows.names, row, strict=True) if np.isnan(value)]
            raise CannotDoWithout(lacking)
    return {
        **files,
        "bundle.json": _json(whole),
        "golden.parquet": _parquet(rows.names, golden, expected),
        "reference.parquet": _parquet(
            rows.names, x, {**_columns("prediction", told.prediction), **_columns("label", y)}
        ),
        "explain.json": _json({**_importances(scorer, rows.names, x), "stability": content.stability}),
    }


def _read(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Scorer:
    return read_scorer(Manifest.model_validate_json(_json(manifest)), files)


def _columns(name: str, values: Floats) -> dict[str, Floats]:
    """`name` alone, or `name_0`, `name_1`, ... of more than one column."""
    if values.ndim == 1:
        return {name: values}
    return {f"{name}_{at}": column for at, column in enumerate(values.T)}


def _importances(scorer: Scorer, names: tuple[str, ...], x: Floats) -> dict[str, Any]:
    """Mean |contribution| per feature, over rows and outputs, by the scorer's own additive explanation."""
    explained = x[np.linspace(0, len(x) - 1, min(EXPLAINED_ROWS, len(x))).astype(np.int64)]
    try:
        found = scorer.explain(explained)
    except ExplanationUnavailable as error:
        return {"importances": {}, "unit": "", "rows": 0, "reason": str(error)}
    means = np.abs(found.contributions).reshape(-1, len(names)).mean(axis=0)
    importances = {name: float(value) for name, value in zip(names, means, strict=True)}
    unit = f"mean |contribution| to the {found.unit}"
    if found.outputs:
        unit += f", over {', '.join(found.outputs)}"
    return {"importances": importances, "unit": unit, "rows": len(explained)}


def _json(described: Mapping[str, Any]) -> bytes:
    return (json.dumps(described, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _parquet(names: tuple[str, ...], x: Floats, more: Mapping[str, Floats]) -> bytes:
    columns = {**dict(zip(names, x.T, strict=True)), **more}
    table = pa.table({name: pa.array(np.ascontiguousarray(values)) for name, values in columns.items()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())
