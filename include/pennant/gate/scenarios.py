"""The challengers that the certificate plants, and what the gate owes each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pennant.declaration.model import Gate
from pennant.gate.calibration import calibration_of
from pennant.gate.outcome import Outcome
from pennant.gate.planted_sizes import NothingToPlant, Pilot, Sizes, pilot, spread
from pennant.gate.tables import ScoreTable
from pennant.gate.verdict import MIN_SLICE_ROWS
from pennant.gate.worlds import LEAKED_SHARE, Change, Plan, Planter

POWER, WEAK_POWER = 0.8, 0.5
"""Of what a test of this size could find at best, the gate has to find the first share; the second where even
that test misses more than half, since the gate's interval errs on the safe side."""
SURE = 0.98
"""A challenger is clearly better when the best test would find it this often."""
RUNGS = 7
PROVABLE = 0.3
"""A gate that does not look at slices would promote a challenger with a spoilt slice so often, or oftener."""
TRIES = 4
LOOKS = 60
"""Worlds that are looked at to see that what is planted is there."""
WHOLE = 0.9
"""A slice with a larger share of the rows is nearly all of them."""
SHIFT, BIAS = 0.5, 1.5
"""In units of the link: the move of the level that nobody knew, and the error of a challenger that is off."""
BY_DAY, MUCH = 0.95, 1.5
"""Where each reads whole days rightly or wrongly: the share of a signal's variance that rows of a day have in
common, and its size, so large that what the day does is not lost in the chance of its rows."""

Demand = Literal["at_most", "at_least", "always", "shown"]


@dataclass(frozen=True)
class Scenario:
    """One planted truth, and how often it may or must end in `counted`.

    Attributes:
        name: what it is called.
        planted: what was planted, in words.
        counted: the outcome whose rate is measured.
        demand: of that rate; `shown` demands nothing.
        limit: of the demand.
        plan: how its worlds are made.
        gain: expected gain over the champion in units of the metric; None where nothing is to be compared.
        attainable: how often the best test of this size would prove it; None where nothing is to be proven.
    """

    name: str
    planted: str
    counted: Outcome
    demand: Demand
    limit: float
    plan: Plan
    gain: float | None = None
    attainable: float | None = None


@dataclass(frozen=True)
class Programme:
    """All scenarios of a policy on some rows.

    Attributes:
        delta: the smallest gain worth having, in units of the metric.
        scenarios: in a fixed order.
        notes: what could not be planted, and what the rows do not allow, in sentences.
    """

    delta: float
    scenarios: tuple[Scenario, ...]
    notes: tuple[str, ...]


def programme(planter: Planter, policy: Gate, delta: float | None, seed: int) -> Programme:
    """Size and name every scenario for this policy on these rows.

    Under non-inferiority an equal challenger is promoted about half the time by intent; there alpha
    is the rate at which a challenger that is worse by the margin gets through.

    Args:
        planter: the rows.
        policy: the declared gate.
        delta: the smallest gain worth having, in units of the metric; `Sizes.usual_delta` when None.
        seed: of the pilots.

    Raises:
        NothingToPlant: no forecaster can be better by `delta` on these rows.
    """
    return _Programme(planter, policy, delta, seed).made()


class _Programme:
    def __init__(self, planter: Planter, policy: Gate, delta: float | None, seed: int) -> None:
        self.planter, self.policy, self.seed = planter, policy, seed
        self.sizes = Sizes(planter.planted, policy.metric)
        self.delta = delta or policy.margin or self.sizes.usual_delta()
        self.usual = self.sizes.size_for(self.delta, 0.0)
        self.notes: list[str] = []
        self.superior = policy.policy == "superiority"

    def made(self) -> Programme:
        better = self._better()
        clear = better[-1]
        found = [*self._equal(), *self._at_margin(), *better, *self._worse()]
        found += [*self._slices(better), *self._certain(clear), *self._first(clear)]
        found += [*self._evidence(clear), *self._floors(clear)]
        return Programme(self.delta, tuple(found), tuple(self.notes))

    def _equal(self) -> list[Scenario]:
        plan = Plan((self.usual, self.usual))
        by_day, shifted = Plan((MUCH, MUCH), day_share=BY_DAY), replace(plan, shift=SHIFT)
        asked = self.superior or not self.policy.margin
        how: Demand = "at_most" if asked else "shown"
        return [
            self._rate("a_a", "equally good", how, plan, 0.0),
            self._rate("a_a_by_day", "equally good, each right or wrong for whole days", how, by_day, 0.0),
            self._rate(
                "shifted", "equally good, on rows whose level moved unknown to both", how, shifted, 0.0
            ),
        ]

    def _at_margin(self) -> list[Scenario]:
        """A challenger exactly on the edge of the policy: there alpha is used up, and no more."""
        margin = self.policy.margin
        if not margin:
            return []
        more = self._size(margin)
        if more is None:
            return []
        sees = (more, self.usual) if self.superior else (self.usual, more)
        what = f"{'better' if self.superior else 'worse'} by exactly the margin {margin:g}"
        gain = margin if self.superior else -margin
        return [self._rate("at_margin", what, "at_most", Plan(sees), gain)]

    def _better(self) -> list[Scenario]:
        """Better by delta, and by more, until a test of this size would all but surely find it."""
        found: list[Scenario] = []
        start = self.policy.margin if self.superior else 0.0
        for times in (2**rung for rung in range(RUNGS)):
            gain = start + times * self.delta
            size = self._size(gain)
            if size is None:
                break
            plan = Plan((size, self.usual))
            best = self._pilot(plan).attainable(self.policy)
            name = "better" if times == 1 else f"better_{times}_times"
            found.append(self._found(name, f"better by {gain:.3g}", plan, best, gain))
            if best >= SURE and times > 1:
                break
        else:
            self.notes.append(
                f"Even a gain of {found[-1].gain:.3g} is no sure find on {self.planter.rows} rows."
            )
        last = found[-1]
        return [
            *found[:-1],
            replace(last, name="clearly_better", planted=f"clearly better, by {last.gain:.3g}"),
        ]

    def _worse(self) -> list[Scenario]:
        loss = self.delta + (0.0 if self.superior else self.policy.margin)
        size = self._size(loss)
        off = Plan((self.usual, self.usual), bias=BIAS)
        found = [self._rate("biased", f"as good, but all it says is moved by {BIAS:g}", "at_most", off)]
        if size is not None:
            plan = Plan((self.usual, size))
            found.insert(0, self._rate("worse", f"worse by {loss:.3g}", "at_most", plan, -loss))
        return found

    def _slices(self, better: Sequence[Scenario]) -> list[Scenario]:
        found = []
        measured = self._pilot(better[-1].plan)
        for name in sorted(self.policy.slices):
            mask = self.planter.planted.slices[name]
            if measured.slice_rows[name] < SURE:
                rows = self.planter.rows * mask.mean()
                self.notes.append(
                    f"Slice {name} has about {rows:.0f} of {self.planter.rows} rows; the gate judges slices "
                    f"of {MIN_SLICE_ROWS} rows and more, so it says little about this one."
                )
                continue
            planted = self._harmed(name, better)
            if planted is None:
                self.notes.append(
                    f"Slice {name}: on {self.planter.rows} rows no challenger can be provably better in all "
                    "and provably over the limit in it; what the gate does then is not tested."
                )
            else:
                found.append(planted)
        return found

    def _harmed(self, name: str, better: Sequence[Scenario]) -> Scenario | None:
        """Better in all, provably, and worse in one slice by more than its limit and what chance adds."""
        mask = self.planter.planted.slices[name]
        limit, share = self.policy.slices[name].max_loss_increase, float(mask.mean())
        for rung in reversed(better) if share < WHOLE else ():
            more = limit
            for _ in range(TRIES):
                made = self._spoilt(name, rung.gain or 0.0, more)
                if made is None:
                    break
                plan, found = made
                increase = found.slices[name]
                if (increase > limit).mean() < SURE:
                    more = limit + 2.5 * float(np.nanstd(increase))
                elif found.attainable(self.policy) >= PROVABLE:
                    what = f"better in all, and in {name} worse by {np.nanmean(increase):.3g}"
                    return self._rate(f"slice_{name}", what, "at_most", plan, float(found.champion.mean()))
                else:
                    break
        return None

    def _spoilt(self, name: str, gain: float, more: float) -> tuple[Plan, Pilot] | None:
        """A challenger better by `gain` in all and worse by `more` in a slice; None where there is none."""
        mask = self.planter.planted.slices[name]
        share, at = float(mask.mean()), spread(np.flatnonzero(mask))
        elsewhere = (gain + share * more) / (1 - share)
        try:
            sees = (self.sizes.size_for(elsewhere, self.usual), self.usual)
            plan = Plan(sees, wrong=self.sizes.wrong_for(more + elsewhere, at, sees), within=name)
        except NothingToPlant:
            return None
        return plan, self._pilot(plan)

    def _certain(self, clear: Scenario) -> list[Scenario]:
        few = max(2, min(self.policy.min_rows - 1, 60))
        leaky = replace(clear.plan, change="partly_leaky")
        found = [
            self._always("tied", "the very same predictions", "hold", clear, "tied"),
            self._always("itself", "the champion's own bundle", "hold", clear, "itself"),
            self._always("tiny_sample", f"clearly better, on {few} rows", "hold", clear, "none", few),
            self._always(
                "champion_unscorable",
                "better, but the champion cannot be scored",
                "hold",
                clear,
                "champion_unscorable",
            ),
            self._always("unscorable", "cannot be scored", "refuse", clear, "challenger_unscorable"),
            self._always(
                "not_a_number", "clearly better, but one prediction is NaN", "refuse", clear, "not_a_number"
            ),
            self._always(
                "other_rows", "clearly better, but not on the champion's rows", "refuse", clear, "other_rows"
            ),
        ]
        if self.planter.planted.problem.task == "trajectory" and not self.planter.required:
            self.notes.append("Without a required baseline the gate has nothing to tell a leak in paths by.")
        else:
            found.insert(4, self._always("leaky", "has seen the labels", "refuse", clear, "leaky"))
        part = f"has seen {LEAKED_SHARE:.0%} of the labels: on the fresh rows that looks like skill"
        return [*found, Scenario("partly_leaky", part, "promote", "shown", 0.0, leaky)]

    def _evidence(self, clear: Scenario) -> list[Scenario]:
        """Clearly better by its mean, and yet with something about it that must never get through."""
        found = [
            self._always(
                "trained_on_rows", "has trained on one of the rows", "refuse", clear, "trained_on_rows"
            ),
            self._always(
                "doubled_row",
                "clearly better, on rows of which one is there twice",
                "refuse",
                clear,
                "doubled_row",
            ),
            self._always(
                "other_labels",
                "clearly better, but the champion has another label of one row",
                "refuse",
                clear,
                "other_labels",
            ),
            self._always(
                "other_order",
                "the very same predictions, the champion's rows in another order",
                "hold",
                clear,
                "other_order",
            ),
        ]
        if self.planter.required:
            what = "better than the champion, not than the required baselines"
            found.append(self._always("below_baselines", what, "hold", clear, "below_baselines"))
        wrong = self._always(
            "miscalibrated", "better, and far from what it claims", "hold", clear, "miscalibrated"
        )
        errors = [
            measured.error
            for each in self.planter.worlds(wrong.plan, LOOKS, (self.seed, 3))
            if isinstance(each.challenger, ScoreTable) and (measured := calibration_of(each.challenger))
        ]
        if errors and min(errors) > self.policy.max_calibration_error:
            return [*found, wrong]
        limit = self.policy.max_calibration_error
        self.notes.append(
            f"No challenger was planted whose calibration error is over {limit:g}; that limit is not tested."
        )
        return found

    def _floors(self, clear: Scenario) -> list[Scenario]:
        """Clearly better in all, in a slice as good as the champion, and there worse than its floor."""
        found = []
        for name, declared in sorted(self.policy.slices.items()):
            if declared.max_loss is None:
                continue
            plan = replace(clear.plan, change="at_floor", within=name)
            if self._under_floor(plan, declared.max_loss):
                what = f"better in all, and in {name} no better than what is usual there"
                found.append(self._rate(f"floor_{name}", what, "at_most", plan))
            else:
                self.notes.append(
                    f"Slice {name}: no challenger was planted that breaks its floor {declared.max_loss:g}; "
                    "that floor is not tested."
                )
        return found

    def _under_floor(self, plan: Plan, floor: float) -> bool:
        """Whether what is usual in a slice is worse than its floor, for sure; of probabilities alone."""
        if self.planter.planted.problem.task not in {"binary", "multiclass"}:
            return False
        broken = 0
        for each in self.planter.worlds(plan, LOOKS, (self.seed, 4)):
            inside = each.slices[plan.within]
            if isinstance(each.challenger, ScoreTable) and inside.sum() >= MIN_SLICE_ROWS:
                broken += float(each.challenger.losses(self.policy.metric)[inside].mean()) > floor
        return broken >= SURE * LOOKS

    def _first(self, clear: Scenario) -> list[Scenario]:
        if not self.planter.required:
            return []
        equal = Plan((self.usual, self.usual), change="first_equal")
        better = replace(clear.plan, change="first")
        best = self._pilot(clear.plan).attainable_first(self.policy)
        names = ", ".join(self.planter.required)
        return [
            self._rate("first_equal", "no champion; as good as the required baselines", "at_most", equal),
            self._found("first_better", f"no champion; better than {names}", better, best),
        ]

    def _rate(
        self, name: str, planted: str, demand: Demand, plan: Plan, gain: float | None = None
    ) -> Scenario:
        return Scenario(name, planted, "promote", demand, self.policy.alpha, plan, gain)

    def _found(self, name: str, planted: str, plan: Plan, best: float, gain: float | None = None) -> Scenario:
        """What has to be promoted often enough, given how often the best test would find it."""
        limit = best * (POWER if best >= 0.5 else WEAK_POWER)
        return Scenario(name, planted, "promote", "at_least", limit, plan, gain, best)

    def _always(
        self,
        name: str,
        planted: str,
        counted: Outcome,
        clear: Scenario,
        change: Change,
        rows: int | None = None,
    ) -> Scenario:
        plan = replace(clear.plan, change=change, rows=rows)
        return Scenario(name, planted, counted, "always", 1.0, plan)

    def _size(self, gain: float) -> float | None:
        try:
            return self.sizes.size_for(gain, self.usual)
        except NothingToPlant as error:
            self.notes.append(f"{error}.")
            return None

    def _pilot(self, plan: Plan) -> Pilot:
        return pilot(self.planter, plan, self.policy.metric, MIN_SLICE_ROWS, (self.seed, 1))
