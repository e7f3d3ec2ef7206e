"""A walk forward: at each period's start train on what was known then, predict the period, settle it.

What is known is cut by its clocks: rows of features are those of their moments, labels to train on are in
the version that was known at the period's start. Unlike a run of the training Dag nothing is held back for a
gate: the period itself is what judges. Data whose order in time says nothing is judged fold by fold.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing import get_context
from types import ModuleType

import numpy as np
import numpy.typing as npt
import polars as pl

from pennant.data.lake import Lake
from pennant.declaration.model import TrainedUseCase, UseCase
from pennant.features.build import BASELINE, feature_rows, requests_of
from pennant.features.labels import labels_of
from pennant.features.module import features_module
from pennant.features.snapshot import with_groups
from pennant.features.tables import Tables, load_tables
from pennant.gate.forecasts import Forecast, baselines_of
from pennant.reference import Window
from pennant.settings import Settings
from pennant.training import fit, rows, search
from pennant.training.losses import Floats
from pennant.training.members.base import Sampling
from pennant.training.metrics import of_samples
from pennant.training.problem import Problem, check_labels

SAMPLES = 20
"""Of each path: what the literature scores the best of."""
ROWS_OF_SAMPLES = 2_000
"""At once: each row's samples are compared with each other."""


@dataclass(frozen=True)
class Material:
    """Everything that a walk needs, read and built once.

    Attributes:
        features: `entity`, `event_time`, `moment`, features, baselines, and `group` where folds are groups.
        tables: what was known at the end.
        until: the end of knowledge.
    """

    use_case: TrainedUseCase
    features: pl.DataFrame
    tables: Tables
    until: datetime


@dataclass(frozen=True)
class Job:
    """One period: what to train on and what to predict."""

    use_case: TrainedUseCase
    period: str
    as_of: datetime
    train: pl.DataFrame
    test: pl.DataFrame


@dataclass(frozen=True)
class Period:
    """What came of a period.

    Attributes:
        name: `2018-09-01/2019-02-15`, or the fold's.
        entity: shape (n,).
        event_time: shape (n,), UTC.
        moment: when each was predicted, shape (n,), UTC.
        y: labels.
        problem: what was predicted.
        forecasts: the model's under `model`, the baselines' under their names.
        line: shape (n,), NaN where no line was offered; None for tasks without one.
        market_over: the market's chance of the count being over the line.
        weights: members of the model that count.
        trained_rows: how many rows it was trained on.
        prices: decimal prices on offer at the moment, shape (n, outcomes), NaN where none was; None for tasks
            without.
        closing: the same at the event's start.
        sampled: of a trajectory's samples, metric -> each row's value, shape (n,).
    """

    name: str
    entity: list[str]
    event_time: npt.NDArray[np.datetime64]
    moment: npt.NDArray[np.datetime64]
    y: Floats
    problem: Problem
    forecasts: dict[str, Forecast]
    line: Floats | None
    market_over: Floats | None
    weights: dict[str, float]
    trained_rows: int
    prices: Floats | None
    closing: Floats | None
    sampled: dict[str, Floats]


def material(
    use_case: TrainedUseCase,
    lake: Lake,
    settings: Settings,
    until: datetime,
    module: ModuleType | None = None,
) -> Material:
    """Read what was known at `until`, and build the features of all events that have a label by then.

    Args:
        use_case: whose; with a variant as `declaration.variants.as_variant` gives it.
        lake: where its data lies.
        settings: say where its `features.py` lies.
        until: the end of knowledge.
        module: its functions; None loads them.
    """
    tables = load_tables(use_case, lake, until)
    known = labels_of(use_case, tables).filter(~pl.col("void"))
    requests = requests_of(use_case, tables, use_case.schedules.start, until, until)
    asked = requests.join(known.select("entity"), on="entity", how="semi", maintain_order="left")
    functions = module or features_module(settings.use_cases / use_case.name)
    made = feature_rows(use_case, functions, tables, asked)
    return Material(use_case, with_groups(use_case, made, asked), tables, until)


def periods_of(use_case: TrainedUseCase, start: datetime, until: datetime) -> list[Window]:
    """The periods between two moments, cut by the training schedule; without one by the features'."""
    from croniter import croniter

    schedules = use_case.schedules
    cron = use_case.schedules.train if isinstance(use_case, UseCase) else schedules.features
    ticks = [start]
    walk = croniter(cron, start)
    while (tick := walk.get_next(datetime)) < until:
        ticks.append(tick)
    return [Window(a, b) for a, b in zip(ticks, [*ticks[1:], until], strict=True)]


def jobs(given: Material, start: datetime, until: datetime) -> Iterator[Job]:
    """The periods from `start` to `until` that have events, or the folds."""
    if given.use_case.split.groups is not None:
        yield from _folds(given)
        return
    settled = _labelled(given, given.until)
    for window in periods_of(given.use_case, start, until):
        test = settled.filter(pl.col("event_time") > window.start, pl.col("event_time") <= window.as_of)
        if test.height:
            yield job(given, window, test)


def job(given: Material, window: Window, test: pl.DataFrame) -> Job:
    """One period: its rows to predict, and all rows to train on that were labelled at its start."""
    oldest = window.start - timedelta(days=given.use_case.split.history_days)
    train = _labelled(given, window.start).filter(pl.col("event_time") > oldest)
    name = f"{window.start:%Y-%m-%d}/{window.as_of:%Y-%m-%d}"
    return Job(_all_known(given.use_case), name, window.start, train, test)


def walked(work: list[Job], workers: int, told: Callable[[Period], None]) -> list[Period]:
    """Run the periods, several at once in processes of their own; in their order.

    Args:
        work: the periods.
        workers: how many at once.
        told: called with each period that is done.
    """
    if workers <= 1 or len(work) == 1:
        found = []
        for each in work:
            found.append(run(each))
            told(found[-1])
        return found
    done: dict[str, Period] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(run, each) for each in work]
        try:
            for future in as_completed(waiting):
                period = future.result()
                done[period.name] = period
                told(period)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [done[each.period] for each in work]


def run(work: Job) -> Period:
    """Train and predict one period.

    Raises:
        TrainingRefused: too little was known at its start.
    """
    data = rows.from_frame(work.use_case, work.train, work.as_of)
    fitted = fit.fit_model(work.use_case, data, search.search_alone(work.use_case, data))
    x = work.test.select(pl.col(data.names).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    y = rows.labels_of(work.test["label"])
    check_labels(data.problem, y)
    forecasts = {"model": Forecast(np.ones(len(y), dtype=bool), fitted.predict(x))}
    forecasts |= baselines_of(work.use_case, data, work.test)
    line, over = _market(work)
    market = work.use_case.market
    return Period(
        work.period,
        work.test["entity"].to_list(),
        _plain(work.test["event_time"]),
        _plain(work.test["moment"]),
        y,
        data.problem,
        forecasts,
        line,
        over,
        fitted.weights,
        len(data.y),
        _offered(work, [] if market is None else market.price_columns),
        _offered(work, [] if market is None else market.closing_columns),
        _sampled(fitted, x, y),
    )


def _market(work: Job) -> tuple[Floats | None, Floats | None]:
    market = work.use_case.market
    if market is None or market.line_column is None:
        return None, None
    both = (market.line_column, market.probability_column)
    line, over = (
        work.test[BASELINE + name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in both
    )
    return line, over


def _sampled(fitted: fit.Model, x: Floats, y: Floats) -> dict[str, Floats]:
    """How well the samples of the weightiest member that gives any cover what came."""
    able = {name: each for name, each in fitted.members.items() if isinstance(each, Sampling)}
    if not able:
        return {}
    heaviest = max(able, key=fitted.weights.__getitem__)
    parts = np.array_split(np.arange(len(y)), max(len(y) // ROWS_OF_SAMPLES, 1))
    found = [of_samples(y[part], able[heaviest].samples(x[part], SAMPLES)) for part in parts]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _plain(moments: pl.Series) -> npt.NDArray[np.datetime64]:
    return moments.dt.replace_time_zone(None).to_numpy()


def _offered(work: Job, names: list[str]) -> Floats | None:
    """Prices of the outcomes, shape (n, outcomes); None where none are declared."""
    if not names:
        return None
    columns = (pl.col(f"{BASELINE}{name}").cast(pl.Float64).fill_null(float("nan")) for name in names)
    return work.test.select(columns).to_numpy()


def _labelled(given: Material, at: datetime) -> pl.DataFrame:
    """Rows whose label was known at a moment, as it was known then."""
    frames = {name: each.filter(pl.col("known_at") <= at) for name, each in given.tables.frames.items()}
    known = labels_of(
        given.use_case, replace(given.tables, frames=frames, _corrected={}, _marks={}, _hashes={})
    )
    known = known.filter(~pl.col("void"), pl.col("first_known_at") <= at)
    known = known.select("entity", "label", pl.col("first_known_at").alias("label_known_at"))
    return given.features.join(known, on="entity", how="inner", maintain_order="left")


def _folds(given: Material) -> Iterator[Job]:
    everything = _labelled(given, given.until).sort("event_time", "entity")
    data = rows.from_frame(_all_known(given.use_case), everything, given.until)
    for fold in data.folds:
        test, train = everything[fold.validate], everything[fold.train]
        groups = test["group"].unique().sort().to_list()
        name = " ".join(groups) if len(groups) < 4 else f"fold {fold.number}"
        yield Job(_all_known(given.use_case), name, given.until, train, test)


def _all_known(use_case: TrainedUseCase) -> TrainedUseCase:
    """Nothing is held back for a gate: the period judges, or the fold, where time says nothing."""
    embargo = 0.0 if use_case.split.groups else use_case.split.embargo_hours
    changed = {"fresh_days": 0, "fresh_share": None, "embargo_hours": embargo}
    whole = use_case.split.model_copy(update=changed)
    return use_case.model_copy(update={"split": whole})
