"""How large signals have to be for a planted gain, and what a test of this size could find at best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri

from pennant.declaration.model import Gate
from pennant.errors import PennantError
from pennant.gate.forecasts import Forecast
from pennant.gate.planted import Places, PlantedRows
from pennant.gate.planted_link import link_of
from pennant.gate.worlds import Batch, Plan, Planter
from pennant.training.losses import Floats
from pennant.training.metrics import by_row

SHARE_OF_LOSS, SHARE_OF_SKILL = 0.02, 0.1
"""The smallest gain worth having, where nobody said one: the lesser of these shares of the model's loss and
of its gain on a constant forecast. For games that is 0.007 nats: what parts a good rating from the next."""
LARGEST = 8.0
"""No signal has a larger deviation, in units of the link."""
ROWS = 500
"""So many rows stand for all when expected losses are reckoned."""
PILOTS = 300
"""Worlds by which the spread of a mean gain is measured."""


class NothingToPlant(PennantError):
    """Rows on which no forecaster can be better than another by a wanted gain."""

    def __init__(self, metric: str, gain: float, most: float) -> None:
        self.metric, self.gain, self.most = metric, gain, most
        super().__init__(
            f"no forecaster can be better by {gain:.4g} {metric} on these rows; at most by {most:.4g}. "
            "Give a smaller --delta"
        )


class Sizes:
    """Sizes of signals on some planted rows under one metric."""

    def __init__(self, planted: PlantedRows, metric: str) -> None:
        self.planted, self.metric, self.link = planted, metric, link_of(planted)
        self.at = spread(np.arange(len(planted)))
        self.loss = float(self.link.expected(metric, self.at, 0.0, 0.0).mean())

    def usual_delta(self) -> float:
        """The smallest gain worth having where nobody said one; see `SHARE_OF_LOSS`."""
        constant = self._constant_loss()
        skill = None if constant is None else constant - self.loss
        delta = SHARE_OF_LOSS * self.loss
        if skill is not None:
            delta = min(delta, SHARE_OF_SKILL * max(skill, 0.0))
        return max(delta, 1e-3 * self.loss)

    def gain(self, challenger: float, champion: float) -> float:
        """Expected gain of who sees `challenger` over who sees `champion`, in units of the metric."""
        theirs = self.link.expected(self.metric, self.at, champion, challenger)
        ours = self.link.expected(self.metric, self.at, challenger, champion)
        return float((theirs - ours).mean())

    def size_for(self, gain: float, champion: float) -> float:
        """How much a challenger has to see for this expected gain over a champion that sees `champion`.

        Raises:
            NothingToPlant: nobody can be that much better.
        """
        high = max(2 * champion, 0.05)
        while (most := self.gain(high, champion)) < gain:
            if high >= LARGEST:
                raise NothingToPlant(self.metric, gain, most)
            high = min(2 * high, LARGEST)
        if gain <= 0:
            return champion
        return float(brentq(lambda size: self.gain(size, champion) - gain, champion, high, rtol=1e-4))

    def harm(self, at: Places, sees: tuple[float, float], wrong: float) -> float:
        """Expected loss that an error of size `wrong` adds to the challenger, in the rows `at`."""
        spoiled, honest = (self.link.expected(self.metric, at, *sees, each) for each in (wrong, 0.0))
        return float((spoiled - honest).mean())

    def wrong_for(self, harm: float, at: Places, sees: tuple[float, float]) -> float:
        """The error that adds this much loss in the rows `at`.

        Raises:
            NothingToPlant: no error does.
        """
        high = 0.25
        while (most := self.harm(at, sees, high)) < harm:
            if high >= LARGEST:
                raise NothingToPlant(self.metric, harm, most)
            high *= 2
        return float(brentq(lambda size: self.harm(at, sees, size) - harm, 0.0, high, rtol=1e-3))

    def _constant_loss(self) -> float | None:
        """Expected loss of the best constant forecast; None for paths, which have none."""
        planted, task = self.planted, self.planted.problem.task
        if task == "trajectory":
            return None
        if planted.residual is not None:
            label = planted.forecast + planted.residual
            constant = np.full(len(label), np.median(label))
            return float(by_row(self.metric, planted.problem, label, constant).mean())
        p = planted.forecast
        constant = np.repeat(p.mean(axis=0)[None], len(p), axis=0)
        chance = np.stack([1 - p, p], axis=1) if p.ndim == 1 else p
        by_outcome = [
            by_row(self.metric, planted.problem, np.full(len(p), float(outcome)), constant)
            for outcome in range(chance.shape[1])
        ]
        return float((chance * np.stack(by_outcome, axis=1)).sum(axis=1).mean())


@dataclass(frozen=True)
class Pilot:
    """Mean gains of the challenger in `PILOTS` worlds.

    Attributes:
        champion: (worlds,) over the champion.
        baselines: (worlds, required baselines).
        slices: by slice, (worlds,) mean loss increase over the champion, NaN in worlds without its rows.
        slice_rows: by slice, the share of worlds with enough rows in it to be judged.
    """

    champion: Floats
    baselines: Floats
    slices: dict[str, Floats]
    slice_rows: dict[str, float]

    def attainable(self, policy: Gate) -> float:
        """How often the gain could be proven by a test that knows the spread of mean gains.

        The share of worlds in which the mean gain over the champion is above what the policy asks plus the
        normal quantile of alpha times that spread, and no required baseline has the better mean.
        """
        reach = float(ndtri(1 - policy.alpha)) * float(self.champion.std())
        superior = policy.policy == "superiority"
        needed = policy.margin + reach if superior else max(0.0, reach - policy.margin)
        return float(((self.champion > needed) & (self.baselines > 0).all(axis=1)).mean())

    def attainable_first(self, policy: Gate) -> float:
        """The same without a champion: proven over every required baseline."""
        reach = float(ndtri(1 - policy.alpha)) * self.baselines.std(axis=0)
        needed = (policy.margin if policy.policy == "superiority" else 0.0) + reach
        return float((self.baselines > needed).all(axis=1).mean())


def pilot(planter: Planter, plan: Plan, metric: str, min_slice_rows: int, seed: Sequence[int]) -> Pilot:
    """Measure mean gains over worlds of a plan; no judge is asked."""
    planted = planter.planted
    champion: list[Floats] = []
    baselines: list[Floats] = []
    slices: dict[str, list[Floats]] = {name: [] for name in planted.slices}
    enough: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in planted.slices}
    for batch in planter.batches(plan, PILOTS, seed):
        shape = (batch.many, batch.rows)
        ours = by_row(metric, planted.problem, batch.label, batch.challenger)
        gain = (by_row(metric, planted.problem, batch.label, batch.champion) - ours).reshape(shape)
        champion.append(gain.mean(axis=1))
        over = [_over(planted.baselines[name], batch, metric) - ours for name in planter.required]
        baselines.append(
            np.stack([_mean(each.reshape(shape)) for each in over], axis=1)
            if over
            else np.empty((batch.many, 0))
        )
        for name, mask in planted.slices.items():
            inside = mask[batch.at].reshape(shape)
            enough[name].append(inside.sum(axis=1) >= min_slice_rows)
            slices[name].append(-_mean(np.where(inside, gain, np.nan)))
    return Pilot(
        np.concatenate(champion),
        np.concatenate(baselines),
        {name: np.concatenate(each) for name, each in slices.items()},
        {name: float(np.concatenate(each).mean()) for name, each in enough.items()},
    )


def _mean(values: Floats) -> Floats:
    """Means of rows without the NaN in them; NaN where there is nothing else."""
    there = ~np.isnan(values)
    count = there.sum(axis=1)
    return np.asarray(np.where(there, values, 0.0).sum(axis=1) / np.where(count, count, np.nan))


def _over(baseline: Forecast, batch: Batch, metric: str) -> Floats:
    """Losses of a baseline in the rows of a batch; NaN where it has no forecast."""
    has = baseline.given[batch.at]
    said = baseline.p[(np.cumsum(baseline.given) - 1)[batch.at[has]]]
    found = np.full(len(has), np.nan)
    found[has] = by_row(metric, batch.planted.problem, batch.label[has], said)
    return found


def spread(places: Places) -> Places:
    """At most `ROWS` of some places, evenly."""
    return places[np.unique(np.linspace(0, len(places) - 1, min(len(places), ROWS)).astype(np.intp))]
