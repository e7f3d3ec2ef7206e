"""The gate's certificate: what the judge does where the truth is planted, over many simulations.

A gate is trusted for what it does with challengers whose worth is known. Rates come with exact
binomial intervals (Clopper and Pearson 1934, Biometrika 26) at level 99 %.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from pennant.declaration.model import Gate
from pennant.gate.outcome import Verdict
from pennant.gate.scenarios import Scenario, scenarios
from pennant.gate.tables import ScoreTable, Unscorable
from pennant.gate.verdict import judge as the_judge
from pennant.gate.worlds import draws

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
POWER = 0.8
"""A clearly better challenger has to be promoted at least this often."""
ROWS = 300
"""Fresh rows of one simulated judgement, if the policy does not ask for more."""
MIN_SIMULATIONS = 50


@dataclass(frozen=True)
class Rate:
    """How often one scenario ended in `counted`, of `n` simulations, with its interval."""

    scenario: str
    planted: str
    counted: str
    demand: Literal["at_most", "at_least", "always"]
    limit: float
    n: int
    hits: int
    rate: float
    low: float
    high: float
    passed: bool
    outcomes: Mapping[str, int]


@dataclass(frozen=True)
class Certificate:
    """All rates of one judge under one policy. `passed` only if every scenario does."""

    simulations: int
    rows: int
    seed: int
    alpha: float
    policy: str
    rates: tuple[Rate, ...]

    @property
    def passed(self) -> bool:
        return all(rate.passed for rate in self.rates)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the scenarios that did not pass."""
        return tuple(rate.scenario for rate in self.rates if not rate.passed)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, with `passed` and `failed`."""
        return {**asdict(self), "passed": self.passed, "failed": list(self.failed)}


def certify(
    policy: Gate,
    required_baselines: Sequence[str],
    simulations: int = 2000,
    seed: int = 20240229,
    judge: Judge = the_judge,
    only: Sequence[str] = (),
) -> Certificate:
    """Put a judge through every planted scenario under a declared policy.

    Args:
        policy: the declared gate; its alpha, margin, rows, slices and calibration limit apply.
        required_baselines: names as declared; each is simulated as a base rate.
        simulations: judgements per scenario, at least 50.
        seed: the same seed gives the same certificate.
        judge: what to certify; the real judge unless a test plants a wrong one.
        only: names of the scenarios to run; all when empty.

    Raises:
        ValueError: too few simulations, or an unknown scenario.
    """
    if simulations < MIN_SIMULATIONS:
        raise ValueError(f"simulations: found {simulations}; allowed is {MIN_SIMULATIONS} or more")
    planted = scenarios(policy, tuple(required_baselines))
    unknown = sorted(set(only) - {each.name for each in planted})
    if unknown:
        raise ValueError(f"scenarios: found {unknown}; allowed are {[each.name for each in planted]}")
    rows = max(ROWS, policy.min_rows)
    rates = [
        _measure(each, policy, tuple(required_baselines), rows, simulations, seed + at, judge)
        for at, each in enumerate(planted)
        if not only or each.name in only
    ]
    return Certificate(simulations, rows, seed, policy.alpha, policy.policy, tuple(rates))


def _measure(
    scenario: Scenario,
    policy: Gate,
    required: tuple[str, ...],
    rows: int,
    simulations: int,
    seed: int,
    judge: Judge,
) -> Rate:
    outcomes = {"promote": 0, "hold": 0, "refuse": 0}
    for draw in draws(scenario.rows or rows, simulations, seed):
        world = scenario.world(draw)
        found = judge(world.challenger, world.champion, world.baselines, policy, required, world.slices)
        outcomes[found.outcome] += 1
    hits = outcomes[scenario.counted]
    low, high = clopper_pearson(hits, simulations, LEVEL)
    limit = {"at_most": policy.alpha, "at_least": POWER, "always": 1.0}[scenario.demand]
    rate = hits / simulations
    # At most alpha: the gate fails once its rate is proven to be over; a rate on the line is allowed.
    passed = low <= limit if scenario.demand == "at_most" else rate >= limit
    return Rate(
        scenario.name,
        scenario.planted,
        scenario.counted,
        scenario.demand,
        limit,
        simulations,
        hits,
        rate,
        low,
        high,
        passed,
        outcomes,
    )


def clopper_pearson(hits: int, n: int, level: float) -> tuple[float, float]:
    """Exact two-sided interval of a binomial rate: quantiles of two beta distributions."""
    tail = (1 - level) / 2
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    return low, high
