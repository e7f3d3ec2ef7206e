"""Drift of served features against the bundle's own reference, by Evidently with a pinned method.

The method never follows the size of the data: the same shift gives the same verdict on a small window and
on a large one. HTML is kept only for windows that violate: each is about 4 MB.
"""

import io
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.release.policy import Arm
from pennant.warehouse.tables import drift_reports
from pennant.watch.served import first_event, served
from pennant.watch.windows import Span, complete_spans


@dataclass(frozen=True)
class WindowDrift:
    """Drift of one window: a score per feature in units of the method, and the share that drifted."""

    span: Span
    rows: int
    scores: dict[str, float]
    share: float
    violates: bool
    report_uri: str | None


def measure(
    use_case: UseCase, lake: Lake, warehouse: Engine, champion: Arm, as_of: datetime
) -> list[WindowDrift]:
    """Measure every complete window that `champion` served before `as_of`, oldest first.

    Windows with fewer rows than declared are not measured; no outcome is needed for drift.
    """
    first = first_event(warehouse, use_case.name, champion.version)
    if first is None:
        return []
    reference = _reference(champion.bundle_uri)
    measured = []
    for span in complete_spans(use_case.watch.window_days, first, as_of):
        rows = served(warehouse, use_case.name, champion.version, span.start, span.end, as_of)
        if len(rows) >= use_case.watch.drift.min_rows:
            current = pd.DataFrame([each.features for each in rows]).astype(float)
            measured.append(_window(use_case, lake, champion.version, span, current, reference))
    _record(use_case, warehouse, champion.version, measured)
    return measured


def _reference(bundle_uri: str) -> pd.DataFrame:
    import fsspec

    with fsspec.open(f"{bundle_uri.rstrip('/')}/reference.parquet", "rb") as file:
        return pd.read_parquet(io.BytesIO(file.read()))


def _window(
    use_case: UseCase, lake: Lake, version: str, span: Span, current: pd.DataFrame, reference: pd.DataFrame
) -> WindowDrift:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    declared = use_case.watch.drift
    names = [
        name for name in use_case.features if current[name].notna().any() and reference[name].notna().any()
    ]
    definition = DataDefinition(numerical_columns=names)
    run = Report(
        [ValueDrift(column=name, method=declared.method, threshold=declared.threshold) for name in names]
    ).run(
        current_data=Dataset.from_pandas(current[names], data_definition=definition),
        reference_data=Dataset.from_pandas(reference[names], data_definition=definition),
    )
    scores = {each["config"]["column"]: float(each["value"]) for each in run.dict()["metrics"]}
    share = sum(score >= declared.threshold for score in scores.values()) / max(len(scores), 1)
    violates = share >= declared.min_drifted_share
    uri = _keep(use_case, lake, version, span, run) if violates else None
    return WindowDrift(span, len(current), scores, share, violates, uri)


def _keep(use_case: UseCase, lake: Lake, version: str, span: Span, run: object) -> str:
    """Put the HTML report into the lake once; Evidently's pages carry random ids, so never again."""
    path = f"reports/{use_case.name}/drift/v{version}/{span.start:%Y%m%d}_{span.end:%Y%m%d}.html"
    if not lake.exists(path):
        with tempfile.TemporaryDirectory(prefix="pennant-drift-") as folder:
            page = Path(folder) / "drift.html"
            run.save_html(str(page))  # type: ignore[attr-defined]
            lake.put(path, page.read_bytes())
    return lake.uri(path)


def _record(use_case: UseCase, warehouse: Engine, version: str, measured: list[WindowDrift]) -> None:
    if not measured:
        return
    rows = [
        {
            "use_case": use_case.name,
            "version": version,
            "window_start": each.span.start,
            "window_end": each.span.end,
            "rows": each.rows,
            "share": each.share,
            "violates": each.violates,
            "scores": each.scores,
            "report_uri": each.report_uri,
        }
        for each in measured
    ]
    with warehouse.begin() as connection:
        connection.execute(insert(drift_reports).values(rows).on_conflict_do_nothing())
