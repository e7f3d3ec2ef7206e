"""Automated discovery: which candidates from the declared columns would add to a use case's features.

Only training rows are looked at, those whose label was known before the fresh period and its embargo, and
the tables as they were known by then. The fresh rows stay unseen for the gate, so what is chosen here can be
judged there. Nothing is changed by it: it gives a page, a JSON and the lines to paste; a person decides.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import polars as pl

from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase
from pennant.features.build import requests_of
from pennant.features.candidates import Candidate, candidates, columns_of
from pennant.features.errors import NotDiscoverable
from pennant.features.module import code_hash
from pennant.features.selection import Cluster, Problem, Selection, select
from pennant.features.snapshot import load_snapshot
from pennant.features.tables import Tables, load_tables
from pennant.features.view import View, epochs
from pennant.reference import Reference
from pennant.settings import Settings
from pennant.training.fresh import trainable
from pennant.training.split import expanding_folds, training_cutoff

Moments = npt.NDArray[np.datetime64]
Folds = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]

MOST_MISSING = 0.6
"""A candidate that is missing in more of the training rows is not looked at."""


@dataclass(frozen=True)
class Limits:
    """How far a search goes."""

    most_candidates: int = 400
    most_kept: int = 12
    minutes: float = 5.0


@dataclass(frozen=True)
class Kept:
    """A candidate to keep, and why.

    Attributes:
        name: of the feature.
        words: what it is.
        gain: mean rise of the loss on later rows when it is dealt anew.
        low: the lower end of that, corrected for how many were tried.
        folds: in which it beat every shadow.
        same: candidates that say the same and were left out for it.
    """

    name: str
    words: str
    gain: float
    low: float
    folds: list[int]
    same: list[str]


@dataclass(frozen=True)
class Found:
    """What a search found; `reference` is its page, the JSON and the snippet lie beside it."""

    candidates: int
    kept: list[Kept]
    reference: Reference
    snippet: str


@dataclass(frozen=True)
class Search:
    """A search that is done, with all it saw.

    Attributes:
        tried: the candidates, in the order of the selection's columns.
        possible: how many there would have been without the cap.
        thin: candidates that were missing too often or never changed.
        x: their values on the training rows, shape (n, m).
        rows: how many training rows.
        until: the newest label's moment among them.
        cutoff: the end of what was looked at.
        selection: what came of it.
    """

    use_case: DataUseCase
    tried: list[Candidate]
    possible: int
    thin: list[str]
    x: npt.NDArray[np.float64]
    rows: int
    until: datetime
    cutoff: datetime
    selection: Selection

    def kept(self) -> list[Kept]:
        """What to keep, the best first."""
        return [self._described(each) for each in self.selection.kept]

    def chosen(self) -> list[Candidate]:
        """The candidates to keep, the best first."""
        return [self.tried[each.leader] for each in self.selection.kept]

    def _described(self, each: Cluster) -> Kept:
        leader = self.tried[each.leader]
        same = [self.tried[at].name for at in each.members if at != each.leader]
        return Kept(leader.name, leader.words, each.mean, each.low, [fold + 1 for fold in each.passed], same)


def discover(
    use_case: DataUseCase,
    lake: Lake,
    settings: Settings,
    as_of: datetime,
    snapshot: Reference,
    limits: Limits | None = None,
) -> Found:
    """Try candidates on a snapshot's training rows, and write what was found.

    Args:
        use_case: the declaration.
        lake: where the batches and the snapshot are.
        settings: where the use case's features.py lies.
        as_of: the snapshot's moment.
        snapshot: the snapshot.
        limits: how far to go.

    Raises:
        NotDiscoverable: a trajectory, or no declared column that a candidate can be made of.
        TooFewRows: the folds have too few training rows.
    """
    from pennant.features.discovery_report import page
    from pennant.features.snippet import snippet

    _require(use_case)
    tables = load_tables(use_case, lake, as_of)  # search() leaves out what became known after its cutoff
    done = search(use_case, tables, load_snapshot(lake, snapshot), as_of, limits or Limits())
    text = snippet(done)
    described = content(done, as_of, snapshot) | {"code": code_hash(settings.use_cases / use_case.name)}
    path = f"reports/discovery/{use_case.name}/{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    lake.replace(f"{path}.json", json.dumps(described, sort_keys=True, indent=1).encode())
    lake.replace(f"{path}.txt", text.encode())
    written = lake.replace(f"{path}.html", page(done, as_of, snapshot, text))
    return Found(len(done.tried), done.kept(), written, text)


def search(
    use_case: DataUseCase, tables: Tables, snapshot: pl.DataFrame, as_of: datetime, limits: Limits
) -> Search:
    """Look through the candidates on a snapshot's training rows; see `discover`.

    What `tables` and `snapshot` hold beyond the end of the training rows is left out before anything looks.
    """
    _require(use_case)
    cutoff = as_of if use_case.split.fresh_share else training_cutoff(as_of, use_case.split)
    rows = trainable(snapshot, use_case.split, as_of).sort("event_time", "entity")
    known = Tables(
        {name: each.filter(pl.col("known_at") <= cutoff) for name, each in tables.frames.items()}, tables.keys
    )
    folds = _folds(use_case, rows)
    listed, possible = candidates(use_case, known, limits.most_candidates)
    if not listed:
        found = "no number that is declared beside the label's own"
        raise NotDiscoverable(use_case.name, found, "at least one int, float or bool column in a group")
    made = values_of(use_case, known, rows, listed)
    sound = [each for each in listed if _sound(made[each.name])]
    x = made.select(each.name for each in sound).to_numpy() if sound else np.zeros((rows.height, 0))
    declared = rows.select(list(use_case.features)).to_numpy().astype(np.float64)
    problem = Problem(
        use_case.task, rows["label"].to_numpy(), declared, np.asarray(x, dtype=np.float64), folds
    )
    seed = int(sha256(use_case.name.encode()).hexdigest()[:8], 16)
    selection = select(problem, limits.most_kept, limits.minutes * 60, seed)
    thin = [each.name for each in listed if each not in sound]
    until = rows["label_known_at"].max()
    return Search(
        use_case,
        sound,
        possible,
        thin,
        problem.x,
        rows.height,
        until if isinstance(until, datetime) else cutoff,
        cutoff,
        selection,
    )


def values_of(
    use_case: DataUseCase, tables: Tables, rows: pl.DataFrame, listed: list[Candidate]
) -> pl.DataFrame:
    """Values of candidates for the rows of a snapshot, in their order."""
    first, last = rows["event_time"].min(), rows["event_time"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return pl.DataFrame(schema={each.name: pl.Float64 for each in listed})
    newest = max(each["known_at"].max() for each in tables.frames.values() if each.height)  # type: ignore[type-var]
    requests = requests_of(use_case, tables, first - timedelta(seconds=1), last, newest)  # type: ignore[arg-type]
    asked = requests.join(rows.select("entity"), on="entity", how="semi")
    label = (use_case.label.source, use_case.label.group)
    parts = [
        pl.concat([part.select("entity"), columns_of(View(part, tables, label), listed)], how="horizontal")
        for part in epochs(asked, tables.correction_moments())
    ]
    return rows.select("entity").join(pl.concat(parts), on="entity", how="left", maintain_order="left")


def content(done: Search, as_of: datetime, snapshot: Reference) -> dict[str, object]:
    """What a search found, as data."""
    selection = done.selection
    gains = {str(fold + 1): float(each.mean()) for fold, each in selection.gains.items()}
    return {
        "use_case": done.use_case.name,
        "as_of": as_of.astimezone(UTC).isoformat(),
        "snapshot": snapshot.sha256,
        "looked_until": done.cutoff.isoformat(),
        "training_rows": done.rows,
        "candidates": {"tried": len(done.tried), "possible": done.possible, "thin": done.thin},
        "folds": {"done": selection.folds, "declared": done.use_case.split.folds},
        "best_shadow": {str(fold + 1): rise for fold, rise in selection.shadows.items()},
        "gain_of_those_chosen_before": gains,
        "kept": [asdict(each) for each in done.kept()],
        "already_declared": {
            done.tried[at].name: list(done.use_case.features)[nearest]
            for at, nearest in selection.declared_twice.items()
        },
        "clusters": [
            {
                "leader": done.tried[each.leader].name,
                "members": [done.tried[at].name for at in each.members],
                "gain": each.mean,
                "low": each.low,
                "rise_by_fold": {str(fold + 1): rise for fold, rise in each.rises.items()},
                "beat_shadows_in": [fold + 1 for fold in each.passed],
                "fate": fate(done, each),
            }
            for each in selection.clusters
        ],
    }


def fate(done: Search, each: Cluster) -> str:
    """Why a cluster was kept or not, in words."""
    folds = done.selection.folds
    if each in done.selection.kept:
        return f"kept: beat every shadow in {len(each.passed)} of {folds} folds"
    if not each.rises:
        return "too weak alone to be looked at closely"
    if each.holds(folds):
        return "over the cap: others say more"
    if each.low <= 0.0:
        return "what it adds cannot be told from nothing"
    return f"not stable: beat every shadow in {len(each.passed)} of {folds} folds"


def _require(use_case: DataUseCase) -> None:
    if use_case.task == "trajectory":
        allowed = "binary, multiclass, count or regression"
        raise NotDiscoverable(use_case.name, "task trajectory, whose label is a path", allowed)


def _sound(values: pl.Series) -> bool:
    given = values.drop_nulls()
    return len(given) > 0 and values.null_count() <= MOST_MISSING * len(values) and given.n_unique() > 1


def _folds(use_case: DataUseCase, rows: pl.DataFrame) -> Folds:
    """The walk forward of the training room; of rows that all happen at once, folds by entity."""
    event, moment, known = (
        rows[name].dt.replace_time_zone(None).to_numpy()
        for name in ("event_time", "moment", "label_known_at")
    )
    if rows.height and rows["event_time"].n_unique() == 1:
        numbers = [int(sha256(name.encode()).hexdigest()[:8], 16) for name in rows["entity"]]
        part = np.array(numbers) % use_case.split.folds
        return [
            (np.flatnonzero(part != each), np.flatnonzero(part == each))
            for each in range(use_case.split.folds)
        ]
    return [(each.train, each.validate) for each in expanding_folds(event, moment, known, use_case.split)]
