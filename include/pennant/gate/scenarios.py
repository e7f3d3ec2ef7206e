"""The challengers that the certificate plants, and what the gate owes each of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pennant.declaration.model import Gate
from pennant.gate.outcome import Outcome
from pennant.gate.tables import ScoreTable, Unscorable
from pennant.gate.worlds import (
    DAY_SHARE,
    LARGE,
    MIDDLE,
    SMALL,
    Draw,
    World,
    error_for_gain,
    simple,
    with_challenger,
    with_champion,
)


@dataclass(frozen=True)
class Scenario:
    """One planted truth: how to build its world and how often it may or must end in `counted`."""

    name: str
    planted: str
    counted: Outcome
    demand: Literal["at_most", "at_least", "always"]
    world: Callable[[Draw], World]
    rows: int | None = None


def scenarios(policy: Gate, required: tuple[str, ...]) -> list[Scenario]:
    """Every scenario for this policy, in a fixed order.

    Under non-inferiority an equal challenger is promoted about half the time by intent; there alpha
    is the rate at which a challenger that is worse by the margin gets through.
    """
    found = [*_rates(policy, required), *_certain(policy, required)]
    if required:
        found += _first(policy, required)
    return found


def _rates(policy: Gate, required: tuple[str, ...]) -> list[Scenario]:
    def pair(challenger: float, champion: float, day_share: float = DAY_SHARE) -> Callable[[Draw], World]:
        return lambda draw: _pair(draw, policy, required, (challenger, champion), day_share)

    found: list[Scenario] = []
    if policy.policy == "superiority":
        found += [
            Scenario("a_a", "equally good, independent errors", "promote", "at_most", pair(MIDDLE, MIDDLE)),
            Scenario(
                "a_a_by_day",
                "equally good, errors shared by all rows of a day",
                "promote",
                "at_most",
                pair(MIDDLE, MIDDLE, 0.95),
            ),
        ]
    found += _at_margin(policy, pair)
    return [
        *found,
        Scenario("better", "clearly better", "promote", "at_least", pair(SMALL, LARGE)),
        Scenario("worse", "clearly worse", "promote", "at_most", pair(LARGE, SMALL)),
        Scenario(
            "shifted",
            "as good, then every logit moved by 1.5",
            "promote",
            "at_most",
            lambda draw: with_challenger(
                simple(draw, policy, required, (MIDDLE, MIDDLE)),
                lambda table: replace(table, prediction=draw.forecast(0, MIDDLE, bias=1.5)),
            ),
        ),
    ]


def _at_margin(policy: Gate, pair: Callable[..., Callable[[Draw], World]]) -> list[Scenario]:
    """A challenger exactly on the edge of the policy: there alpha is used up, and no more."""
    worse = error_for_gain(policy.metric, policy.margin)
    if not policy.margin or worse is None:
        return []
    superior = policy.policy == "superiority"
    world = pair(MIDDLE, worse) if superior else pair(worse, MIDDLE)
    what = f"{'better' if superior else 'worse'} by exactly the margin {policy.margin:g}"
    return [Scenario("at_margin", what, "promote", "at_most", world)]


def _certain(policy: Gate, required: tuple[str, ...]) -> list[Scenario]:
    def good(draw: Draw) -> World:
        return simple(draw, policy, required, (SMALL, LARGE))

    def tied(draw: Draw) -> World:
        world = simple(draw, policy, required, (MIDDLE, MIDDLE))
        return with_champion(world, lambda table: replace(table, prediction=_predictions(world)))

    def itself(draw: Draw) -> World:
        return with_champion(good(draw), lambda table: replace(table, bundle_sha256="planted-challenger"))

    def leaky(draw: Draw) -> World:
        peeked = np.clip(draw.label, 0.02, 0.98)
        return with_challenger(good(draw), lambda table: replace(table, prediction=peeked))

    def not_a_number(draw: Draw) -> World:
        holed = np.where(np.arange(len(draw.label)) == 7, np.nan, _predictions(good(draw)))
        return with_challenger(good(draw), lambda table: replace(table, prediction=holed))

    def other_rows(draw: Draw) -> World:
        return with_champion(good(draw), lambda table: table.take(np.arange(1, len(table))))

    def unscorable(draw: Draw) -> World:
        lost = Unscorable("champion", "contract_mismatch", "the snapshot has no column x")
        return with_champion(good(draw), lambda _: lost)

    few = max(2, min(policy.min_rows - 1, 60))
    return [
        Scenario("tied", "the very same predictions", "hold", "always", tied),
        Scenario("itself", "the champion's own bundle", "hold", "always", itself),
        Scenario("tiny_sample", f"clearly better, on {few} rows", "hold", "always", good, few),
        Scenario(
            "champion_unscorable", "better, but the champion cannot be scored", "hold", "always", unscorable
        ),
        Scenario("leaky", "has seen the label", "refuse", "always", leaky),
        Scenario("not_a_number", "better, but one prediction is NaN", "refuse", "always", not_a_number),
        Scenario("other_rows", "better, but not on the champion's rows", "refuse", "always", other_rows),
    ]


def _first(policy: Gate, required: tuple[str, ...]) -> list[Scenario]:
    def equal(draw: Draw) -> World:
        rival = draw.forecast(1, MIDDLE)
        tables = {name: draw.table(name, rival) for name in required}
        return replace(simple(draw, policy, required, (MIDDLE, MIDDLE)), champion=None, baselines=tables)

    def better(draw: Draw) -> World:
        return replace(simple(draw, policy, required, (SMALL, LARGE)), champion=None)

    return [
        Scenario("first_equal", "no champion; as good as the baselines", "promote", "at_most", equal),
        Scenario("first_better", "no champion; clearly beats the base rate", "promote", "at_least", better),
    ]


def _pair(
    draw: Draw, policy: Gate, required: tuple[str, ...], errors: tuple[float, float], day_share: float
) -> World:
    world = simple(draw, policy, required, errors)
    world = with_challenger(
        world, lambda table: replace(table, prediction=draw.forecast(0, errors[0], day_share))
    )
    return with_champion(
        world, lambda table: replace(table, prediction=draw.forecast(1, errors[1], day_share))
    )


def _predictions(world: World) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if not isinstance(world.challenger, ScoreTable):
        raise TypeError(f"this world's challenger is {world.challenger!r}, not a score table")
    return world.challenger.prediction
