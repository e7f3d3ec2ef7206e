"""The gate's certificate: what the judge does where the truth is planted, over many simulations.

A gate is trusted for what it does with challengers whose worth is known. Rates come with exact
binomial intervals (Clopper and Pearson 1934, Biometrika 26) at level 99 %.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from pennant.declaration.model import Gate
from pennant.errors import PennantError
from pennant.gate.outcome import Verdict
from pennant.gate.planted import PlantedRows, Source
from pennant.gate.scenarios import Demand, Programme, Scenario, programme
from pennant.gate.tables import ScoreTable, Unscorable
from pennant.gate.verdict import judge as the_judge
from pennant.gate.worlds import CHUNK, Plan, Planter

Judge = Callable[
    [
        ScoreTable | Unscorable,
        ScoreTable | Unscorable | None,
        Mapping[str, ScoreTable],
        Gate,
        Sequence[str],
        Mapping[str, NDArray[np.bool_]],
    ],
    Verdict,
]

LEVEL = 0.99
MIN_SIMULATIONS = 50
MOST_ROWS = 1_500
"""A judgement of more rows is simulated with so many: errors of the first kind do not grow with rows."""


class UnknownScenario(PennantError):
    """A scenario that is asked for and not planted."""

    def __init__(self, found: list[str], allowed: list[str]) -> None:
        self.found, self.allowed = found, allowed
        super().__init__(f"no scenario {', '.join(found)}; allowed are {', '.join(allowed)}")


@dataclass(frozen=True)
class Rate:
    """How often one scenario ended in `counted`, of `n` simulations, with its interval.

    Attributes:
        over: the interval reaches over the limit of an `at_most`, though all of it does not lie there.
        gain: the planted gain in units of the metric; None where nothing is to be compared.
        attainable: how often the best test of this size would prove the gain.
        held_by: of the simulations that ended otherwise, how many each reason decided; most first.
    """

    scenario: str
    planted: str
    counted: str
    demand: Demand
    limit: float
    n: int
    hits: int
    rate: float
    low: float
    high: float
    passed: bool
    over: bool
    gain: float | None
    attainable: float | None
    outcomes: Mapping[str, int]
    held_by: Mapping[str, int]


@dataclass(frozen=True)
class Certificate:
    """All rates of one judge under one policy. `passed` only if every scenario does.

    Attributes:
        simulations: judgements per scenario.
        rows: of a judgement.
        source: whether the rows were the use case's own.
        about: where they were from.
        delta: the smallest gain worth having, in units of `metric`.
        notes: what could not be planted and why, in sentences.
    """

    simulations: int
    rows: int
    seed: int
    alpha: float
    policy: str
    metric: str
    margin: float
    task: str
    source: Source
    about: str
    delta: float
    notes: tuple[str, ...]
    rates: tuple[Rate, ...]

    @property
    def passed(self) -> bool:
        return all(rate.passed for rate in self.rates)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the scenarios that did not pass."""
        return tuple(rate.scenario for rate in self.rates if not rate.passed)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, with `passed`, `failed`, and the rates of false and missed promotions."""
        false = {each.scenario: _span(each.rate, each.low, each.high) for each in self._asked("at_most")}
        missed = {
            each.scenario: _span(1 - each.rate, 1 - each.high, 1 - each.low)
            for each in self._asked("at_least")
        }
        return {
            **asdict(self),
            "passed": self.passed,
            "failed": list(self.failed),
            "false_promotions": false,
            "missed_promotions": missed,
        }

    def _asked(self, demand: Demand) -> list[Rate]:
        return [each for each in self.rates if each.demand == demand]


def certify(  # noqa: PLR0913, PLR0917 - a whole certificate is stated in one call
    planted: PlantedRows,
    policy: Gate,
    required_baselines: Sequence[str],
    simulations: int = 2000,
    seed: int = 20240229,
    judge: Judge = the_judge,
    only: Sequence[str] = (),
    rows: int | None = None,
    delta: float | None = None,
    made: Programme | None = None,
    workers: int = 1,
    told: Callable[[int, int], None] | None = None,
) -> Certificate:
    """Put a judge through every planted scenario under a declared policy.

    Args:
        planted: the rows that worlds are drawn from.
        policy: the declared gate; its alpha, margin, rows, slices and calibration limit apply.
        required_baselines: names as declared; the planted rows have their forecasts.
        simulations: judgements per scenario, at least 50.
        seed: the same seed gives the same certificate, with any number of workers.
        judge: what to certify; the real judge unless a test plants a wrong one. With several workers
            it has to be a function of a module.
        only: names of the scenarios to run; all when empty.
        rows: of a judgement; when None as many as are usual, and not fewer than the policy wants.
        delta: the smallest gain worth having, in units of the metric; see `programme`.
        made: what `programme` made of the same rows and policy before, so that several judges meet the
            same worlds; made here when None.
        workers: processes.
        told: called with parts that are done, and how many there are.

    Raises:
        ValueError: too few simulations.
        UnknownScenario: one of `only` that is not planted on these rows.
        NothingToPlant: no forecaster can be better by `delta` on these rows.
    """
    if simulations < MIN_SIMULATIONS:
        raise ValueError(f"simulations: found {simulations}; allowed is {MIN_SIMULATIONS} or more")
    notes: list[str] = []
    size = rows or _usual(planted, policy, notes)
    planter = Planter(planted, tuple(required_baselines), size)
    made = made or programme(planter, policy, delta, seed)
    unknown = sorted(set(only) - {each.name for each in made.scenarios})
    if unknown:
        raise UnknownScenario(unknown, [each.name for each in made.scenarios])
    asked = [each for each in made.scenarios if not only or each.name in only]
    if len(asked) < len(made.scenarios):
        notes.append(
            f"{len(asked)} of {len(made.scenarios)} scenarios are asked for: this says nothing of the others."
        )
    counts = _counted(_Work(planter, policy, judge), asked, made, simulations, seed, workers, told)
    return Certificate(
        simulations,
        size,
        seed,
        policy.alpha,
        policy.policy,
        policy.metric,
        policy.margin,
        planted.problem.task,
        planted.source,
        planted.about,
        made.delta,
        (*notes, *made.notes),
        tuple(_rate(each, simulations, counts[each.name]) for each in asked),
    )


def clopper_pearson(hits: int, n: int, level: float) -> tuple[float, float]:
    """Exact two-sided interval of a binomial rate: quantiles of two beta distributions."""
    tail = (1 - level) / 2
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    return low, high


@dataclass(frozen=True)
class _Work:
    """What every part of the work needs."""

    planter: Planter
    policy: Gate
    judge: Judge

    def outcomes(self, plan: Plan, count: int, seed: Sequence[int]) -> Counter[tuple[str, str]]:
        """How often each outcome came, with the first reason that decided it."""
        found: Counter[tuple[str, str]] = Counter()
        for world in self.planter.worlds(plan, count, seed):
            verdict = self.judge(
                world.challenger,
                world.champion,
                world.baselines,
                self.policy,
                self.planter.required,
                world.slices,
            )
            deciding = verdict.deciding()
            found[verdict.outcome, deciding[0].code if deciding else ""] += 1
        return found


_work: list[_Work] = []
"""In a worker process: what it was started with."""


def _begin(work: _Work) -> None:
    _work[:] = [work]


def _part(plan: Plan, count: int, seed: Sequence[int]) -> Counter[tuple[str, str]]:
    return _work[0].outcomes(plan, count, seed)


def _counted(
    work: _Work,
    asked: Sequence[Scenario],
    made: Programme,
    simulations: int,
    seed: int,
    workers: int,
    told: Callable[[int, int], None] | None,
) -> dict[str, Counter[tuple[str, str]]]:
    """Outcomes by scenario. Parts have seeds of their own, so that it does not matter who does which."""
    numbers = {each.name: number for number, each in enumerate(made.scenarios)}
    parts = [
        (each, min(CHUNK, simulations - start), (seed, 2, numbers[each.name], start))
        for each in asked
        for start in range(0, simulations, CHUNK)
    ]
    counts: dict[str, Counter[tuple[str, str]]] = {each.name: Counter() for each in asked}
    for done, (name, found) in enumerate(_done(work, parts, workers), start=1):
        counts[name] += found
        if told is not None:
            told(done, len(parts))
    return counts


def _done(
    work: _Work, parts: Sequence[tuple[Scenario, int, tuple[int, ...]]], workers: int
) -> Iterator[tuple[str, Counter[tuple[str, str]]]]:
    if workers <= 1:
        for each, count, seed in parts:
            yield each.name, work.outcomes(each.plan, count, seed)
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin, initargs=(work,)) as pool:
        waiting = {pool.submit(_part, each.plan, count, seed): each.name for each, count, seed in parts}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _usual(planted: PlantedRows, policy: Gate, notes: list[str]) -> int:
    if planted.fresh < policy.min_rows:
        notes.append(
            f"A usual judgement has {planted.fresh} fresh rows, and the policy wants {policy.min_rows}: "
            "it holds until there are more. Simulated is what it does once there are."
        )
    usual = max(planted.fresh, policy.min_rows)
    if usual > MOST_ROWS >= policy.min_rows:
        notes.append(f"A usual judgement has {usual} fresh rows; simulated are {MOST_ROWS}.")
        return MOST_ROWS
    return usual


def _rate(scenario: Scenario, simulations: int, counts: Counter[tuple[str, str]]) -> Rate:
    outcomes = {"promote": 0, "hold": 0, "refuse": 0}
    held: Counter[str] = Counter()
    for (outcome, code), times in counts.items():
        outcomes[outcome] += times
        if outcome != "promote":
            held[code] += times
    hits = outcomes[scenario.counted]
    low, high = clopper_pearson(hits, simulations, LEVEL)
    at_most = scenario.demand == "at_most"
    return Rate(
        scenario=scenario.name,
        planted=scenario.planted,
        counted=scenario.counted,
        demand=scenario.demand,
        limit=scenario.limit,
        n=simulations,
        hits=hits,
        rate=hits / simulations,
        low=low,
        high=high,
        passed=_passed(scenario, hits, simulations, low, high),
        over=at_most and high > scenario.limit,
        gain=scenario.gain,
        attainable=scenario.attainable,
        outcomes=outcomes,
        held_by=dict(held.most_common()),
    )


def _passed(scenario: Scenario, hits: int, simulations: int, low: float, high: float) -> bool:
    """A limit is broken once the whole interval lies beyond it; what must always be so has no exception."""
    if scenario.demand == "always":
        return hits == simulations
    if scenario.demand == "at_most":
        return low <= scenario.limit
    return scenario.demand == "shown" or high >= scenario.limit


def _span(rate: float, low: float, high: float) -> dict[str, float]:
    return {"rate": rate, "low": low, "high": high}
