"""Simulated judgements: what is handed to the judge, made of planted rows by a plan."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pennant.gate.planted import DAY_SHARE, Picks, PlantedRows, chances_by_level, picks
from pennant.gate.planted_link import Link, link_of
from pennant.gate.tables import ScoreTable, Unscorable
from pennant.training.losses import Floats

CHUNK = 100
"""Worlds that are drawn at once."""
LEAKED_SHARE = 0.1
"""Share of the rows whose label a partly leaky challenger has seen."""

Change = Literal[
    "none",
    "tied",
    "itself",
    "leaky",
    "partly_leaky",
    "not_a_number",
    "other_rows",
    "challenger_unscorable",
    "champion_unscorable",
    "first",
    "first_equal",
    "trained_on_rows",
    "doubled_row",
    "other_labels",
    "other_order",
    "below_baselines",
    "miscalibrated",
    "at_floor",
]


@dataclass(frozen=True)
class Plan:
    """How worlds are planted.

    Attributes:
        sees: deviations, in units of the link, of what challenger and champion see.
        day_share: share of their variance that all rows of a day have in common.
        shift: moves the level of the truth, and neither forecaster knows; days of a high level come oftener.
        bias: added to what the challenger sees, in every row.
        wrong: error, up or down, that the challenger takes for truth in the slice `within`.
        within: see `wrong`; of the change `at_floor` the slice.
        rows: of a judgement; as many as usual when None.
        change: what else is done to the tables.
    """

    sees: tuple[float, float]
    day_share: float = DAY_SHARE
    shift: float = 0.0
    bias: float = 0.0
    wrong: float = 0.0
    within: str = ""
    rows: int | None = None
    change: Change = "none"


@dataclass(frozen=True)
class World:
    """One simulated judgement."""

    challenger: ScoreTable | Unscorable
    champion: ScoreTable | Unscorable | None
    baselines: Mapping[str, ScoreTable]
    slices: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Planter:
    """Draws worlds from planted rows."""

    planted: PlantedRows
    required: tuple[str, ...]
    rows: int

    def worlds(self, plan: Plan, count: int, seed: Sequence[int]) -> Iterator[World]:
        """`count` independent worlds; the same plan and seed give the same."""
        for batch in self.batches(plan, count, seed):
            yield from batch.worlds()

    def batches(self, plan: Plan, count: int, seed: Sequence[int]) -> "Iterator[Batch]":
        """The same worlds, at most `CHUNK` together."""
        rng = np.random.default_rng(list(seed))
        link = link_of(self.planted)
        chances = chances_by_level(self.planted, link.level()) if plan.shift else None
        for start in range(0, count, CHUNK):
            many = min(CHUNK, count - start)
            drawn = picks(self.planted, many, plan.rows or self.rows, rng, chances)
            yield Batch(self, plan, link, drawn, rng)


class Batch:
    """Worlds that are drawn together; flat arrays hold the rows of all, world after world.

    Attributes:
        at: (worlds * rows,) places in the planted rows.
        label: drawn anew, of the task's shape.
        challenger: its predictions.
        champion: its predictions.
    """

    def __init__(
        self, planter: Planter, plan: Plan, link: Link, drawn: Picks, rng: np.random.Generator
    ) -> None:
        self.planted, self.required, self.plan = planter.planted, planter.required, plan
        self.link, self.drawn = link, drawn
        self.many, self.rows = drawn.at.shape
        self.at = at = drawn.at.ravel()
        seen = [size * drawn.noise(rng, plan.day_share, link.width) for size in plan.sees]
        flips = np.where(drawn.noise(rng, 1.0, 1) < 0, -1.0, 1.0).ravel()
        self.label = link.redraw(at, seen[0] + seen[1], plan.shift, flips, rng)
        taken = seen[0] + plan.bias + self._wrong(at, rng)
        self.challenger = link.forecast(at, taken, plan.sees[1])
        self.champion = link.forecast(at, seen[1], plan.sees[0])
        self.interval = link.interval(at, self.challenger, plan.sees[1])
        self.spots = rng.random((self.many, self.rows)) < LEAKED_SHARE
        self.entity = np.array([f"row-{place:06d}" for place in range(self.rows)])
        moment = self.planted.event_time
        self.clock = moment - moment.astype("datetime64[D]")
        mine = self.planted.slices[plan.within] if plan.within else np.ones(len(moment), dtype=bool)
        self.usual = self.planted.forecast[mine].mean(axis=0)

    def _wrong(self, at: NDArray[np.intp], rng: np.random.Generator) -> Floats | float:
        if not self.plan.wrong:
            return 0.0
        sign = np.where(rng.random((len(at), self.link.width)) < 0.5, -1.0, 1.0)
        return np.asarray(self.plan.wrong * sign * self.planted.slices[self.plan.within][at][:, None])

    def worlds(self) -> Iterator[World]:
        change = _CHANGES[self.plan.change]
        for number in range(self.many):
            yield change(self._case(number))

    def _case(self, number: int) -> "_Case":
        at = self.drawn.at[number]
        part = slice(number * self.rows, (number + 1) * self.rows)
        first = np.datetime64("2024-01-01", "us")
        event_time = first + self.drawn.day[number].astype("timedelta64[D]") + self.clock[at]
        label, problem = self.label[part], self.planted.problem
        challenger = ScoreTable(
            "challenger",
            self.entity,
            event_time,
            label,
            self.challenger[part],
            "planted-challenger",
            problem=problem,
        )
        champion = replace(
            challenger, name="champion", prediction=self.champion[part], bundle_sha256="planted-champion"
        )
        if self.interval is not None:
            low, high, coverage = self.interval
            challenger = replace(challenger, low=low[part], high=high[part], coverage=coverage)
        baselines = {name: self._baseline(name, at, champion) for name in self.required}
        masks = {name: mask[at] for name, mask in self.planted.slices.items()}
        world = World(challenger, champion, baselines, masks)
        inside = masks.get(self.plan.within, np.ones(len(at), dtype=bool))
        spots = self.spots[number]
        return _Case(world, challenger, champion, self.link, spots, self.required, inside, self.usual)

    def _baseline(self, name: str, at: NDArray[np.intp], like: ScoreTable) -> ScoreTable:
        found = self.planted.baselines[name]
        place = np.cumsum(found.given) - 1
        has = found.given[at]
        rows = like if has.all() else like.take(has)
        return replace(rows, name=name, prediction=found.p[place[at[has]]], bundle_sha256="")


@dataclass(frozen=True)
class _Case:
    """One world before it is changed, and what changes may need.

    Attributes:
        spots: (rows,) rows whose label a partly leaky challenger has seen.
        inside: (rows,) rows of the plan's slice; all where it names none.
        usual: mean forecast of the planted rows of that slice.
    """

    world: World
    challenger: ScoreTable
    champion: ScoreTable
    link: Link
    spots: NDArray[np.bool_]
    required: tuple[str, ...]
    inside: NDArray[np.bool_]
    usual: Floats

    def says(self, prediction: Floats) -> World:
        """The challenger says something else; its intervals stay."""
        return replace(self.world, challenger=replace(self.challenger, prediction=prediction))

    def with_champion(self, champion: ScoreTable | Unscorable | None) -> World:
        return replace(self.world, champion=champion)


def _tied(case: _Case) -> World:
    return case.with_champion(replace(case.champion, prediction=case.challenger.prediction))


def _itself(case: _Case) -> World:
    return case.with_champion(replace(case.champion, bundle_sha256=case.challenger.bundle_sha256))


def _leaky(case: _Case) -> World:
    return case.says(case.link.leaked(case.challenger.label))


def _partly_leaky(case: _Case) -> World:
    said = case.challenger.prediction.copy()
    said[case.spots] = case.link.leaked(case.challenger.label[case.spots])
    return case.says(said)


def _not_a_number(case: _Case) -> World:
    said = case.challenger.prediction.copy()
    said[len(said) // 2] = np.nan
    return case.says(said)


def _other_rows(case: _Case) -> World:
    return case.with_champion(case.champion.take(np.arange(1, len(case.champion))))


def _challenger_unscorable(case: _Case) -> World:
    lost = Unscorable("challenger", "bundle_rejected", "a planted byte differs", "planted-challenger")
    return replace(case.world, challenger=lost)


def _champion_unscorable(case: _Case) -> World:
    lost = Unscorable("champion", "contract_mismatch", "the snapshot has no column that was planted")
    return case.with_champion(lost)


def _first_equal(case: _Case) -> World:
    tables = {name: replace(case.champion, name=name, bundle_sha256="") for name in case.required}
    return replace(case.world, champion=None, baselines=tables)


def _trained_on_rows(case: _Case) -> World:
    return replace(case.world, challenger=replace(case.challenger, rows_trained_on=1))


def _doubled_row(case: _Case) -> World:
    """The first row stands in the place of the second, for everyone."""
    at = np.arange(len(case.challenger))
    at[1] = 0
    gone = case.challenger.entity[1]
    return World(
        case.challenger.take(at),
        case.champion.take(at),
        {name: each.take(each.entity != gone) for name, each in case.world.baselines.items()},
        {name: mask[at] for name, mask in case.world.slices.items()},
    )


def _other(table: ScoreTable) -> Floats:
    """Labels that did not come."""
    if table.problem.task == "binary":
        return 1.0 - table.label
    if table.problem.task == "multiclass":
        return np.asarray((table.label + 1.0) % table.problem.classes, dtype=np.float64)
    return table.label + 1.0


def _other_labels(case: _Case) -> World:
    label = case.champion.label.copy()
    label[len(label) // 2] = _other(case.champion)[len(label) // 2]
    return case.with_champion(replace(case.champion, label=label))


def _other_order(case: _Case) -> World:
    return case.with_champion(
        replace(case.champion, prediction=case.challenger.prediction).take(
            np.arange(len(case.champion))[::-1]
        )
    )


def _below_baselines(case: _Case) -> World:
    """Better than the champion, and not than those who need no model."""
    best = replace(case.champion, prediction=case.link.leaked(case.champion.label), bundle_sha256="")
    return replace(case.world, baselines={name: replace(best, name=name) for name in case.required})


def _miscalibrated(case: _Case) -> World:
    """Better than the champion and the baselines, which are of no use, and far from what it claims."""
    table = case.challenger
    task, p = table.problem.task, table.prediction
    if task == "binary":
        table = replace(table, prediction=p / 2 if p.mean() > 0.5 else (1.0 + p) / 2)
    elif task == "multiclass":
        rare = np.eye(table.problem.classes)[int(p.mean(axis=0).argmin())]
        table = replace(table, prediction=(p + rare) / 2)
    elif task == "count":
        beyond = np.full(len(p), float(table.problem.most + 1))
        table = replace(table, low=beyond, high=beyond)
    elif task == "regression":
        table = replace(table, low=p, high=p)
    else:
        nothing = np.zeros((len(p), table.problem.steps))
        table = replace(table, low=nothing, high=nothing)
    if task not in {"binary", "multiclass"}:
        return replace(case.world, challenger=table)
    wrong = replace(case.champion, prediction=case.link.leaked(_other(case.champion)))
    useless = {name: replace(wrong, name=name, bundle_sha256="") for name in case.required}
    return World(table, wrong, useless, case.world.slices)


def _at_floor(case: _Case) -> World:
    """In the slice challenger and champion say the same, what is usual there; elsewhere nothing changes."""
    inside = case.inside if case.usual.ndim == 0 else case.inside[:, None]
    ours, theirs = (
        np.where(inside, case.usual, each.prediction) for each in (case.challenger, case.champion)
    )
    champion = replace(case.champion, prediction=theirs)
    return replace(case.world, challenger=replace(case.challenger, prediction=ours), champion=champion)


_CHANGES: Mapping[Change, Callable[[_Case], World]] = {
    "none": lambda case: case.world,
    "tied": _tied,
    "itself": _itself,
    "leaky": _leaky,
    "partly_leaky": _partly_leaky,
    "not_a_number": _not_a_number,
    "other_rows": _other_rows,
    "challenger_unscorable": _challenger_unscorable,
    "champion_unscorable": _champion_unscorable,
    "first": lambda case: case.with_champion(None),
    "first_equal": _first_equal,
    "trained_on_rows": _trained_on_rows,
    "doubled_row": _doubled_row,
    "other_labels": _other_labels,
    "other_order": _other_order,
    "below_baselines": _below_baselines,
    "miscalibrated": _miscalibrated,
    "at_floor": _at_floor,
}
