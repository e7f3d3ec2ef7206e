"""Planted rows from a use case's own data: its newest events, forecast by its own model out of sample."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.errors import PennantError
from pennant.features.labels import labels_of
from pennant.gate import walk
from pennant.gate.forecasts import Forecast
from pennant.gate.planted import PlantedRows
from pennant.gate.score import slice_masks
from pennant.gate.tables import cluster_of
from pennant.reference import Window
from pennant.settings import Settings
from pennant.training.losses import Floats
from pennant.training.problem import Problem

NEWEST_ROWS = 2_000
"""Enough days to draw from, and few enough that what they are is what the use case is now."""
NEWEST_SHARE = 0.4
"""Of all rows; the model is trained on the others."""
FIT_ROWS = 10_000
"""More are thinned evenly: a forecast that stands for the truth has to be plausible, not the best."""
FOLD_ROWS = 2_000
"""The same for each fold, where rows are judged fold by fold."""
FEWEST = 100


class TooFewToPlant(PennantError):
    """A use case with too few settled events to draw worlds from."""

    def __init__(self, use_case: str, rows: int) -> None:
        self.use_case, self.rows, self.allowed = use_case, rows, FEWEST
        super().__init__(
            f"{use_case}: {rows} settled events whose forecast is known out of sample; allowed are {FEWEST} "
            "or more. Ingest more of its past"
        )


def own_rows(
    use_case: UseCase,
    lake: Lake,
    settings: Settings,
    until: datetime,
    workers: int = 1,
    told: Callable[[], None] = lambda: None,
) -> PlantedRows:
    """Plant on what a lake knows of a use case at `until`.

    The declared model is trained once, with the first trial of its search, on what was known before the
    newest events, and forecasts these; where data is judged by groups, once for each fold.

    Args:
        use_case: with a gate.
        lake: with validated batches.
        settings: where use cases are.
        until: the end of knowledge.
        workers: folds that are trained at once.
        told: called with each model that is trained.

    Raises:
        TooFewToPlant: there are too few settled events.
        TrainingRefused: no model can be trained on them.
    """
    known = walk.material(_quick(use_case), lake, settings, until)
    work = _jobs(known)
    rows = sum(each.test.height for each in work)
    if rows < FEWEST:
        raise TooFewToPlant(use_case.name, rows)
    periods = walk.walked(work, min(workers, len(work)), lambda _: told())
    # A gate's window is on labels that became known, so that is what its usual number of rows is counted on.
    fresh = usual_rows(use_case, _known_at(known), until)
    return planted_from(use_case, [each.test for each in work], periods, fresh, until)


def planted_from(
    use_case: UseCase,
    tests: list[pl.DataFrame],
    periods: list[walk.Period],
    fresh: int,
    until: datetime,
) -> PlantedRows:
    """Put the periods' rows behind one another, in the order of their events."""
    problem = _joint([each.problem for each in periods])
    event_time = np.concatenate([each.event_time for each in periods]).astype("datetime64[us]")
    parts = [cluster_of(each) for each in tests]
    cluster = (
        np.concatenate([each for each in parts if each is not None]) if use_case.split.clusters else None
    )
    order = np.argsort(event_time, kind="stable") if cluster is None else np.lexsort((event_time, cluster))
    forecast = np.concatenate([_widened(each.forecasts["model"].p, problem) for each in periods])
    label = np.concatenate([each.y for each in periods])
    masks = [slice_masks(use_case, test) for test in tests]
    names = [name for name, each in use_case.baselines.items() if each.required]
    together = event_time.astype("datetime64[D]") if cluster is None else cluster
    count = f"{len(np.unique(together)):,} {'days' if cluster is None else 'clusters'}"
    first, last = (f"{moment.astype('datetime64[D]')}" for moment in (event_time.min(), event_time.max()))
    return PlantedRows(
        source="own data",
        about=f"{len(order):,} events of {use_case.name} on {count}, {first} to {last}, "
        f"known on {until:%Y-%m-%d}",
        problem=problem,
        event_time=event_time[order],
        forecast=forecast[order],
        residual=(label - forecast)[order] if problem.task in {"regression", "trajectory"} else None,
        baselines={name: _baseline(name, periods, problem, order) for name in names},
        slices={name: np.concatenate([mask[name] for mask in masks])[order] for name in use_case.gate.slices},
        coverage=use_case.training.interval_coverage,
        fresh=fresh,
        cluster=None if cluster is None else cluster[order],
    )


def usual_rows(use_case: UseCase, known_at: np.ndarray, until: datetime) -> int:
    """Rows of a usual judgement: the median over past trainings of labels known in the fresh days before.

    Where the gate has a share of the entities instead, that share of them all.
    """
    if not len(known_at):
        return 0
    if use_case.split.fresh_share is not None:
        return int(use_case.split.fresh_share * len(known_at))
    start = max(known_at.min(), np.datetime64(until.replace(tzinfo=None)) - np.timedelta64(4 * 365, "D"))
    since = datetime.fromisoformat(str(start.astype("datetime64[s]"))).replace(tzinfo=until.tzinfo)
    ticks = [each.as_of for each in walk.periods_of(use_case, since, until)]
    moments = np.array([each.replace(tzinfo=None) for each in ticks], dtype="datetime64[us]")
    window = np.timedelta64(use_case.split.fresh_days, "D")
    ordered = np.sort(known_at)
    counts = np.searchsorted(ordered, moments, "right") - np.searchsorted(ordered, moments - window, "right")
    some = counts[counts > 0]
    return int(np.median(some)) if len(some) else 0


def _jobs(known: walk.Material) -> list[walk.Job]:
    if known.use_case.split.groups is not None:
        return [_thinned(each, FOLD_ROWS) for each in walk.jobs(known, known.until, known.until)]
    settled = labels_of(known.use_case, known.tables).filter(
        ~pl.col("void"), pl.col("first_known_at") <= known.until
    )
    events = known.features.join(settled.select("entity"), on="entity", how="semi")["event_time"].sort()
    if len(events) < FEWEST:
        return []
    start = events[max(len(events) - NEWEST_ROWS, int(len(events) * (1 - NEWEST_SHARE)))]
    window = Window(start, known.until)
    found = list(walk.jobs(known, start, known.until))
    tests = pl.concat([each.test for each in found]) if found else pl.DataFrame()
    return [_thinned(walk.job(known, window, tests), NEWEST_ROWS)] if tests.height else []


def _thinned(work: walk.Job, most: int) -> walk.Job:
    train, test = (
        frame.gather_every(-(-frame.height // limit)) if frame.height > limit else frame
        for frame, limit in ((work.train, FIT_ROWS), (work.test, most))
    )
    return replace(work, train=train, test=test)


def _quick(use_case: UseCase) -> UseCase:
    """The same with the first trial of its search alone."""
    search = use_case.training.search.model_copy(update={"trials": 1, "workers": 1})
    return use_case.model_copy(update={"training": use_case.training.model_copy(update={"search": search})})


def _known_at(known: walk.Material) -> np.ndarray:
    found = labels_of(known.use_case, known.tables).filter(~pl.col("void"))["first_known_at"].drop_nulls()
    return found.dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")


def _joint(problems: list[Problem]) -> Problem:
    return max(problems, key=lambda each: each.most)


def _widened(p: Floats, problem: Problem) -> Floats:
    """Counts of a period whose distribution ends earlier, with zeros up to where the widest ends."""
    if problem.task != "count":
        return p
    return np.pad(p, ((0, 0), (0, problem.most + 1 - p.shape[1])))


def _baseline(name: str, periods: list[walk.Period], problem: Problem, order: np.ndarray) -> Forecast:
    """One baseline of all periods; rows of a period without it are not given."""
    given, values = [], []
    for each in periods:
        found = each.forecasts.get(name)
        mask = np.zeros(len(each.y), dtype=bool) if found is None else found.given
        whole = np.zeros_like(_widened(each.forecasts["model"].p, problem))
        if found is not None:
            whole[mask] = _widened(found.p, problem)
        given.append(mask)
        values.append(whole)
    mask = np.concatenate(given)[order]
    return Forecast(mask, np.concatenate(values)[order][mask])
