"""How much of the bankroll may be at stake: on a bet, a group of bets, a day; and how risky it is.

Bets on one game win and lose together, whatever they are called, so they are one group. A cap that binds
scales all bets under it by the same factor.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from math import inf
from typing import Literal

import numpy as np

from pennant.decisions.devig import METHODS, Method
from pennant.decisions.errors import RuleError, ShapeError
from pennant.decisions.prices import Floats


@dataclass(frozen=True)
class RiskClass:
    """Bets that stake at most this share and whose profit per unit staked varies at most this much."""

    name: str
    max_stake_share: float = inf
    max_variance: float = inf


RISK_CLASSES = (
    RiskClass("low", max_stake_share=0.005, max_variance=1.5),
    RiskClass("medium", max_stake_share=0.015, max_variance=4.0),
    RiskClass("high"),
)
"""An even-money bet has a variance of 1; a fair one at a price of 5 has 4."""


@dataclass(frozen=True)
class Limits:
    """What is declared on stakes, each a share of the bankroll.

    Attributes:
        kelly_fraction: of the full Kelly stake; a quarter keeps most of the growth of a forecast that is
            right, and much of the bankroll under one that is not.
        stake_on: `probability`, or `low`, the lower end of its interval.
        per_bet: at most on one bet.
        per_group: at most on all bets of a group.
        per_day: at most on all bets of a day.
        min_edge: expected profit per unit staked that a bet has to promise; never under 0.
        max_price_age: a price quoted longer ago is not one that can be had.
        devig: how the margin is taken out of the market's prices.
        reference: bookmakers whose prices are the market's opinion; empty means all.
        risk: classes, mildest first; the last one takes everything.

    Raises:
        RuleError: a value that means nothing.
    """

    kelly_fraction: float = 0.25
    stake_on: Literal["probability", "low"] = "probability"
    per_bet: float = 0.02
    per_group: float = 0.03
    per_day: float = 0.10
    min_edge: float = 0.0
    max_price_age: timedelta = timedelta(hours=24)
    devig: Method = "shin"
    reference: tuple[str, ...] = ()
    risk: tuple[RiskClass, ...] = RISK_CLASSES

    def __post_init__(self) -> None:
        for name in ("kelly_fraction", "per_bet", "per_group", "per_day"):
            found = getattr(self, name)
            if not 0.0 < found <= 1.0:
                raise RuleError(name, found, "above 0, at most 1")
        if not self.min_edge >= 0.0:
            raise RuleError("min_edge", self.min_edge, "0 or more: a bet that loses on average is none")
        if self.max_price_age <= timedelta(0):
            raise RuleError("max_price_age", self.max_price_age, "a time above 0")
        if self.devig not in METHODS:
            raise RuleError("devig", self.devig, f"one of {', '.join(METHODS)}")
        if self.stake_on not in ("probability", "low"):
            raise RuleError("stake_on", self.stake_on, "probability or low")
        _refuse_classes(self.risk)


def _refuse_classes(classes: tuple[RiskClass, ...]) -> None:
    if not classes or (classes[-1].max_stake_share, classes[-1].max_variance) != (inf, inf):
        raise RuleError("risk", [each.name for each in classes], "a last class without thresholds")
    for milder, next_ in pairwise(classes):
        rises = milder.max_stake_share <= next_.max_stake_share and milder.max_variance <= next_.max_variance
        if not rises:
            raise RuleError("risk", next_.name, f"thresholds no lower than those of {milder.name}")


@dataclass
class Exposure:
    """What stands already: stakes by group and by day, shares of the bankroll."""

    groups: dict[Hashable, float] = field(default_factory=dict)
    days: dict[Hashable, float] = field(default_factory=dict)

    def add(self, stake: float, group: Hashable, day: Hashable) -> None:
        """Count one more bet."""
        self.groups[group] = self.groups.get(group, 0.0) + stake
        self.days[day] = self.days.get(day, 0.0) + stake


def capped(
    stakes: Floats,
    groups: Sequence[Hashable],
    days: Sequence[Hashable],
    limits: Limits,
    already: Exposure | None = None,
) -> Floats:
    """Stakes under all three caps: the bet's first, then the group's, then the day's.

    Args:
        stakes: (n,) wished shares of the bankroll, 0 or more.
        groups: (n,) what each bet is correlated with, as a game.
        days: (n,) day of each.
        limits: the caps.
        already: what stands; it takes from the room that is left.

    Returns:
        (n,) shares, none above the wish.

    Raises:
        ShapeError: lengths that differ.
    """
    for name, made in (("groups", groups), ("days", days)):
        if len(made) != len(stakes):
            raise ShapeError(name, (len(made),), f"one for each stake: {len(stakes)}")
    stood = already or Exposure()
    given = np.minimum(np.asarray(stakes, dtype=np.float64), limits.per_bet)
    given = _scaled(given, groups, limits.per_group, stood.groups)
    return _scaled(given, days, limits.per_day, stood.days)


def risk_classes(
    stakes: Floats, variances: Floats, classes: tuple[RiskClass, ...] = RISK_CLASSES
) -> list[str]:
    """Name of the mildest class that takes each bet.

    Args:
        stakes: (n,) shares of the bankroll.
        variances: (n,) of the profit per unit staked (`value.variance`).
        classes: mildest first, the last without thresholds.
    """
    fits = [(stakes <= each.max_stake_share) & (variances <= each.max_variance) for each in classes]
    return [classes[int(at)].name for at in np.argmax(np.array(fits), axis=0)] if len(stakes) else []


def _scaled(stakes: Floats, keys: Sequence[Hashable], cap: float, stood: Mapping[Hashable, float]) -> Floats:
    wished: dict[Hashable, float] = {}
    for key, stake in zip(keys, stakes, strict=True):
        wished[key] = wished.get(key, 0.0) + float(stake)
    room = {key: max(cap - stood.get(key, 0.0), 0.0) for key in wished}
    factor = {key: room[key] / all_ if all_ > room[key] else 1.0 for key, all_ in wished.items()}
    return np.asarray(stakes * np.array([factor[key] for key in keys], dtype=np.float64), dtype=np.float64)
