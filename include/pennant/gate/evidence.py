"""The gate at work: score, judge, and keep the evidence under its hash.

The evidence is canonical JSON; its SHA-256 is what an approval, a ledger entry and a release refer to.
The report and the model card are made from it and change nothing in it.
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import polars as pl
from sqlalchemy import Engine

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.features.snapshot import load_snapshot
from pennant.gate import card, ceilings, contract, report
from pennant.gate.baselines import baseline_tables, required_baselines
from pennant.gate.contender import Contender, enter
from pennant.gate.contract import LeakReport
from pennant.gate.outcome import Verdict
from pennant.gate.record import record_performance
from pennant.gate.report_shown import Shown, gather
from pennant.gate.retired import with_retired
from pennant.gate.score import fresh_rows, slice_masks
from pennant.gate.tables import ScoreTable, Unscorable, columns_of
from pennant.gate.verdict import judge
from pennant.reference import Reference
from pennant.registry.models import Models, ModelVersion
from pennant.settings import Settings
from pennant_serving.manifest import Input


@dataclass(frozen=True)
class Evidence:
    """One judgement, kept.

    Attributes:
        reference: the evidence JSON in the lake.
        sha256: its hash, which names it everywhere.
        verdict: what the gate said.
        report: the HTML report in the lake.
        card: the model card (Markdown) in the lake.
        data: the evidence itself.
    """

    reference: Reference
    sha256: str
    verdict: Verdict
    report: Reference
    card: Reference
    data: Mapping[str, Any]

    def summary(self) -> str:
        """A few lines for a person: first what decided, with numbers, then the rest."""
        return summary(self.verdict)


def evaluate(  # noqa: PLR0913, PLR0917 - everything that a judgement stands on, and nothing it could look up
    use_case: UseCase,
    snapshot: Reference,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    lake: Lake,
    models: Models,
    settings: Settings,
    warehouse: Engine,
    leaks: LeakReport | None = None,
) -> Evidence:
    """Judge `challenger` on the fresh rows of its snapshot and keep the evidence.

    Twice the same inputs give the same evidence, and the same objects in the lake. Written to: the
    lake under `reports/<use case>/gate/`, the challenger's MLflow run and tags, `model_performance`.

    Args:
        use_case: the declaration.
        snapshot: what the challenger was trained on.
        challenger: the version to judge.
        champion: the version in its place now; None without one.
        lake: where snapshot and evidence lie.
        models: the registry.
        settings: of this installation.
        warehouse: for `model_performance`.
        leaks: what the search for leaks found in the snapshot; None says that nobody searched.

    Raises:
        BaselineUnavailable: a declared baseline is not in the snapshot.
        SliceColumnMissing: a declared slice names an unknown column.
        LakeMissing, LakeCorrupt: the snapshot is not there, or damaged.
        RegistryDown: MLflow did not answer.
    """
    as_of = snapshot_moment(lake, snapshot)
    frame = load_snapshot(lake, snapshot)
    ours = enter(challenger, "challenger", settings)
    theirs = None if champion is None else enter(champion, "champion", settings)
    rows = fresh_rows(use_case, frame, as_of)
    examined = contract.examine(use_case, ours.inputs, None if theirs is None else theirs.inputs, rows)
    fresh = rows.filter(pl.Series(examined.answered, dtype=pl.Boolean))

    def own(rows: pl.DataFrame, inputs: list[Input]) -> pl.DataFrame:
        return with_retired(use_case, rows, inputs, lake, settings, as_of)

    tables: dict[str, ScoreTable | Unscorable] = {"challenger": ours.scores(use_case, fresh)}
    if theirs is not None:
        tables["champion"] = theirs.scores(use_case, fresh, own)
    baselines = baseline_tables(use_case, frame, fresh, as_of)
    verdict = judge(
        tables["challenger"],
        tables.get("champion"),
        baselines,
        use_case.gate,
        required_baselines(use_case),
        slice_masks(use_case, fresh),
    )
    taken = rows.filter(pl.Series(examined.taken, dtype=pl.Boolean))
    measured = _measured(use_case, ours, snapshot, taken, lake, settings)
    verdict = verdict.with_reasons(
        [
            *examined.reasons,
            *contract.leak_reasons(leaks, ours.inputs, None if theirs is None else theirs.inputs),
            *ceilings.ceiling_reasons(use_case.gate, measured),
        ]
    )
    scores = _keep_scores(use_case, fresh, {**tables, **baselines}, lake)
    data = {
        **_identity(use_case, snapshot, as_of, ours, theirs),
        "scores": scores.to_json(),
        "baselines": {name: use_case.baselines[name].model_dump() for name in sorted(baselines)},
        "leaks": None if leaks is None else leaks.to_json(),
        "measured": None if measured is None else measured.to_json(),
        "verdict": verdict.to_json(),
    }
    evidence = _keep(
        use_case, data, verdict, lambda: gather(use_case, verdict, fresh, ours, {**tables, **baselines}), lake
    )
    _publish(evidence, challenger, models, lake)
    record_performance(warehouse, use_case, challenger.version, as_of, evidence.sha256, verdict)
    return evidence


def _identity(
    use_case: UseCase, snapshot: Reference, as_of: datetime, ours: Contender, theirs: Contender | None
) -> dict[str, Any]:
    """Who was judged, on what, by which policy."""
    return {
        "format": 1,
        "use_case": use_case.name,
        "as_of": as_of.isoformat(),
        "snapshot": snapshot.sha256,
        "fresh_from": (as_of - timedelta(days=use_case.split.fresh_days)).isoformat(),
        "fresh_share": use_case.split.fresh_share,
        "challenger": ours.described(),
        "champion": None if theirs is None else theirs.described(),
        "policy": use_case.gate.model_dump(mode="json"),
    }


def _measured(
    use_case: UseCase,
    ours: Contender,
    snapshot: Reference,
    rows: pl.DataFrame,
    lake: Lake,
    settings: Settings,
) -> ceilings.Measured | None:
    """What the policy limits, measured once for this bundle and these rows."""
    found = ours.found
    if isinstance(found, Unscorable):
        return None
    name = f"{found.bundle.sha256}-{snapshot.sha256}.json"
    path = f"reports/{use_case.name}/gate/measured/{name}"
    return ceilings.measured_once(lake, path, use_case.gate, found.bundle, found.folder, rows, settings)


def snapshot_moment(lake: Lake, snapshot: Reference) -> datetime:
    """The `as_of` of a snapshot, from the `snapshot.json` beside its rows."""
    said = json.loads(lake.get(lake.uri(f"snapshots/{snapshot.sha256}/snapshot.json")))
    return datetime.fromisoformat(said["as_of"]).astimezone(UTC)


def load_evidence(lake: Lake, reference: Reference | str) -> tuple[dict[str, Any], Verdict]:
    """Read evidence back: its data and its verdict. With a `Reference` the hash is verified."""
    data: dict[str, Any] = json.loads(lake.get(reference))
    return data, Verdict.from_json(data["verdict"])


def canonical(data: Mapping[str, Any]) -> bytes:
    """JSON bytes that are equal for equal data: sorted keys, no blanks, no NaN."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def summary(verdict: Verdict) -> str:
    """A few lines for a person: first what decided, with numbers, then the rest."""
    deciding = verdict.deciding()
    rest = [reason for reason in verdict.reasons if reason not in deciding]
    return "\n".join(reason.text for reason in (*deciding, *rest))


def _keep_scores(
    use_case: UseCase, fresh: pl.DataFrame, tables: Mapping[str, ScoreTable | Unscorable], lake: Lake
) -> Reference:
    """Every score that was judged, in columns of each forecaster, so that the verdict can be checked."""
    kept = fresh.select("entity", "event_time", "label")
    for name, table in sorted(tables.items()):
        if isinstance(table, Unscorable):
            continue
        columns = dict(columns_of(name, table.prediction))
        if table.problem.task != "binary" and table.low is not None and table.high is not None:
            columns |= {**columns_of(f"{name}_low", table.low), **columns_of(f"{name}_high", table.high)}
        if len(table) == kept.height:
            kept = kept.with_columns(pl.Series(each, values) for each, values in columns.items())
            continue
        part = pl.DataFrame({"entity": table.entity, "event_time": table.event_time, **columns})
        part = part.with_columns(pl.col("event_time").dt.replace_time_zone("UTC"))
        kept = kept.join(part, on=["entity", "event_time"], how="left", maintain_order="left")
    sink = io.BytesIO()
    kept.write_parquet(sink, compression="zstd")
    sha256 = hashlib.sha256(sink.getvalue()).hexdigest()
    return lake.put(f"reports/{use_case.name}/gate/scores/{sha256}.parquet", sink.getvalue())


def _keep(
    use_case: UseCase, data: Mapping[str, Any], verdict: Verdict, shown: Callable[[], Shown], lake: Lake
) -> Evidence:
    content = canonical(data)
    sha256 = hashlib.sha256(content).hexdigest()
    path = f"reports/{use_case.name}/gate/{sha256}"
    reference = lake.put(f"{path}.json", content)
    once = cache(shown)
    return Evidence(
        reference=reference,
        sha256=sha256,
        verdict=verdict,
        report=_once(lake, f"{path}.html", lambda: report.render(use_case, data, verdict, sha256, once())),
        card=_once(lake, f"{path}.md", lambda: card.render(use_case, data, verdict, sha256, once()).encode()),
        data=data,
    )


def _once(lake: Lake, path: str, make: Callable[[], bytes]) -> Reference:
    """Make a report once per evidence: a newer plotting library must not rewrite what people saw."""
    if not lake.exists(path):
        return lake.put(path, make())
    uri = lake.uri(path)
    return Reference(uri, hashlib.sha256(lake.get(uri)).hexdigest())


def _publish(evidence: Evidence, challenger: ModelVersion, models: Models, lake: Lake) -> None:
    """Put evidence, report and card beside the model in MLflow, and the verdict into its tags."""
    files = {
        "gate/evidence.json": lake.get(evidence.reference),
        "gate/report.html": lake.get(evidence.report),
        "gate/model_card.md": lake.get(evidence.card),
    }
    models.log_report(challenger, files)
    tags = {"gate.outcome": evidence.verdict.outcome, "gate.evidence_sha256": evidence.sha256}
    models.tag(challenger, {**tags, "gate.reasons": ", ".join(evidence.verdict.codes)})
