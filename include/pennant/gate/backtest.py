"""One period of a walk-forward backtest: trained on what was known at its start, settled at its end.

The model of a period is made by the very steps that make a released one, its fresh rows held back
as well, so that a backtest shows what would have been served.
"""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.errors import PennantError
from pennant.features.snapshot import build_snapshot, load_snapshot
from pennant.gate.baselines import baseline_tables
from pennant.gate.interval import MeanInterval, clustered_mean, losses
from pennant.gate.score import scored
from pennant.gate.tables import ScoreTable, Unscorable, rows_of
from pennant.reference import Reference, Window
from pennant.settings import Settings
from pennant.training.fit import fit
from pennant.training.search import prepare, run_shard
from pennant.warehouse.tables import model_performance
from pennant_serving.bundle import load


class PeriodUnscorable(PennantError):
    """The model of a period cannot score the rows of that period."""

    def __init__(self, use_case: str, window: Window, why: str) -> None:
        self.use_case = use_case
        self.window = window
        self.why = why
        super().__init__(f"{use_case}, period {window.key}: {why}")


@dataclass(frozen=True)
class PeriodResult:
    """Mean loss per event over one period, and the gain over each baseline with its bounds.

    Attributes:
        window: the period.
        metric: `log_loss` (nats) or `brier`.
        rows: settled events in it.
        loss: the model's mean loss; None without events.
        gains: baseline -> (mean, low, high) of baseline's loss minus the model's, paired by event.
    """

    window: Window
    metric: str
    rows: int
    loss: MeanInterval | None
    gains: dict[str, tuple[float, float | None, float | None]]

    def to_json(self) -> dict[str, Any]:
        return {
            "period": self.window.key,
            "rows": self.rows,
            "metrics": {self.metric: self.loss.mean if self.loss else None},
            "gains": {name: list(gain) for name, gain in self.gains.items()},
        }


def run_period(
    use_case: UseCase, window: Window, lake: Lake, warehouse: Engine, settings: Settings
) -> PeriodResult:
    """Train at the start of `window`, predict its events, compare with the baselines.

    Running a period again gives the same figures, and one row of `model_performance`.

    Raises:
        PeriodUnscorable: the trained model's contract does not fit the period's rows.
        TrainingRefused: too little was known at the period's start.
    """
    taken = build_snapshot(use_case, lake, settings, window.start)
    whole = load_snapshot(lake, build_snapshot(use_case, lake, settings, window.as_of))
    period = whole.filter(pl.col("event_time") > window.start)
    result = PeriodResult(window, use_case.gate.metric, 0, None, {})
    if period.height:
        table = _forecasts(use_case, taken, period, window, lake, warehouse, settings)
        known = load_snapshot(lake, taken)
        baselines = baseline_tables(use_case, known, period, window.start)
        result = _compare(use_case, window, table, baselines)
        _record(use_case, warehouse, result, table.bundle_sha256, window.start)
    return result


def _forecasts(
    use_case: UseCase,
    taken: Reference,
    period: pl.DataFrame,
    window: Window,
    lake: Lake,
    warehouse: Engine,
    settings: Settings,
) -> ScoreTable:
    storage = warehouse.url.render_as_string(hide_password=False)
    plan = prepare(use_case, taken, lake, storage, None)
    for shard in plan.shards:
        run_shard(use_case, taken, lake, storage, plan.study, shard)
    with tempfile.TemporaryDirectory(prefix="pennant-backtest-") as folder:
        out = Path(folder) / "bundle"
        fit(use_case, taken, lake, storage, plan.study, out, settings, use_case.owner.email, None)
        bundle = load(out, (settings.secrets / "signing.pub").read_bytes())
        table = scored(use_case, period, bundle, "model")
    if isinstance(table, Unscorable):
        raise PeriodUnscorable(use_case.name, window, table.why)
    return table


def _compare(
    use_case: UseCase, window: Window, table: ScoreTable, baselines: dict[str, ScoreTable]
) -> PeriodResult:
    metric, alpha = use_case.gate.metric, use_case.gate.alpha
    own = losses(metric, table.label, table.prediction)
    gains = {}
    for name, other in baselines.items():
        rows = rows_of(other, table)
        if rows is None or not len(rows):
            continue
        theirs = losses(metric, other.label, other.prediction)
        gain = clustered_mean(theirs - own[rows], table.days()[rows], alpha)
        gains[name] = (gain.mean, gain.low, gain.high)
    return PeriodResult(window, metric, len(table), clustered_mean(own, table.days(), alpha), gains)


def _record(
    use_case: UseCase, warehouse: Engine, result: PeriodResult, bundle_sha256: str, start: datetime
) -> None:
    if result.loss is None:
        return
    row = {
        "use_case": use_case.name,
        "version": f"as of {start:%Y-%m-%d}",
        "source": "backtest",
        "window_start": result.window.start,
        "window_end": result.window.as_of,
        "metric": result.metric,
        "rows": result.rows,
        "value": result.loss.mean,
        "low": result.loss.low,
        "high": result.loss.high,
        "details": {"bundle_sha256": bundle_sha256, "gains": result.to_json()["gains"]},
    }
    keys = ["use_case", "version", "source", "window_start", "window_end", "metric"]
    statement = insert(model_performance).values(row)
    kept = {name: statement.excluded[name] for name in row if name not in keys}
    with warehouse.begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=kept))
