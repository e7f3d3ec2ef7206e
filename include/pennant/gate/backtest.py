"""One period of a walk forward as a run of the Dag: its figures land in `model_performance`."""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from pennant.data.lake import Lake
from pennant.declaration.model import TrainedUseCase
from pennant.declaration.parameters import METRICS
from pennant.gate import walk
from pennant.gate.walk_results import ALPHA, Pooled, difference, figures, main_metric, pooled
from pennant.reference import Window
from pennant.settings import Settings
from pennant.training.clustered import clustered_mean
from pennant.training.metrics import by_row
from pennant.warehouse.tables import model_performance

_KEYS = ("use_case", "version", "source", "window_start", "window_end", "metric")


def run_period(
    use_case: TrainedUseCase, window: Window, lake: Lake, warehouse: Engine, settings: Settings
) -> dict[str, Any]:
    """Train at the start of `window`, predict its events, compare with the baselines, and record it.

    The same as a period of `pennant backtest`. Running it again gives the same figures and the same rows of
    `model_performance`. Data that is judged by folds has one run for all of them.

    Returns:
        `period`, `rows`, `metrics`, and `differences` to the baselines.

    Raises:
        TrainingRefused: too little was known at the period's start.
    """
    given = walk.material(use_case, lake, settings, window.as_of)
    work = list(walk.jobs(given, window.start, window.as_of))
    if not work:
        return {"period": window.key, "rows": 0, "metrics": {}, "differences": {}}
    whole = pooled([walk.run(each) for each in work])
    metric = main_metric(use_case)
    differences = {}
    for name in whole.forecasts:
        found = difference(whole, name, metric) if name != "model" else None
        if found is not None:
            differences[name] = [found.mean, found.low, found.high]
    _record(use_case, window, warehouse, whole, differences)
    return {
        "period": window.key,
        "rows": len(whole.y),
        "metrics": figures(whole, "model"),
        "differences": differences,
    }


def _record(
    use_case: TrainedUseCase, window: Window, warehouse: Engine, whole: Pooled, differences: dict[str, Any]
) -> None:
    told = []
    for metric in METRICS[use_case.task]:
        model = whole.forecasts["model"]
        found = clustered_mean(by_row(metric, whole.problem, whole.y, model.p), whole.cluster, ALPHA)
        told.append(
            {
                "use_case": use_case.name,
                "version": f"as of {window.start:%Y-%m-%d}",
                "source": "backtest",
                "window_start": window.start,
                "window_end": window.as_of,
                "metric": metric,
                "rows": len(whole.y),
                "value": found.mean,
                "low": found.low,
                "high": found.high,
                "details": {"differences": differences if metric == main_metric(use_case) else {}},
            }
        )
    statement = insert(model_performance).values(told)
    columns = [name for name in told[0] if name not in _KEYS]
    kept = {name: statement.excluded[name] for name in columns}
    with warehouse.begin() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=list(_KEYS), set_=kept))
