"""The interval holds the planted probability about as often as it says."""

from typing import Any

import numpy as np
import pytest

from pennant.training import fit, parameters, rows
from pennant.training.losses import Floats, expit, logit

TREES: dict[str, float | int | str] = {
    "max_depth": 2,
    "n_estimators": 60,
    "learning_rate": 0.06,
    "subsample": 0.8,
}
LINEAR: dict[str, float | int | str] = {"c": 1.0}


def stepped_truth(x: Floats) -> Floats:
    """What trees can follow and a line cannot."""
    return np.asarray(np.where(x[:, 0] > 0.5, 1.0, -0.3) + 0.4 * np.abs(x[:, 1]) - 0.3)


def flat_truth(x: Floats) -> Floats:
    """Features that say nothing."""
    return np.full(len(x), 0.3)


def measured(
    planted: Any, declared: Any, truth: Any, seed: int, coverage: float, size: int
) -> tuple[float, float]:
    """Share of new rows whose planted probability lies inside, and the half width."""
    league = planted(rows=size, seed=seed, **({} if truth is None else {"truth": truth}))
    use_case = declared(interval_coverage=coverage)
    data = rows.from_frame(use_case, league.frame, league.frame["label_known_at"].max())
    chosen = parameters.space(use_case, {"trees": TREES, "linear": LINEAR}).complete({})
    fitted = fit.fit_rows(use_case, data, chosen)
    x = np.random.default_rng(seed + 1000).normal(size=(2000, 4))
    blend = sum(weight * fitted.members[name].predict(x) for name, weight in fitted.weights.items())
    center = logit(fitted.calibration.apply(np.asarray(blend)))
    half = fit.interval_of(use_case, data, fitted).half_width_logit
    p = expit(league.truth(x))
    inside = (expit(center - half) <= p) & (p <= expit(center + half))
    return float(inside.mean()), half


@pytest.mark.parametrize("truth", [None, stepped_truth, flat_truth], ids=["linear", "stepped", "flat"])
def test_declared_coverage_holds_on_planted_truth(planted: Any, declared: Any, truth: Any) -> None:
    shares = [measured(planted, declared, truth, seed, 0.9, 6000)[0] for seed in range(5)]
    # One sample's share varies, as its whole error is one draw; the mean is what is declared. A flat
    # truth is covered more often: its error is mostly in the level, which is well known.
    assert 0.82 <= np.mean(shares) <= 1.0, shares


def held_of_classes(planted_task: Any, coverage: float, seed: int, size: int) -> float:
    """Share of new rows' planted class probabilities, each of three, that lie inside."""
    world = planted_task("multiclass")
    use_case = world.declare(interval_coverage=coverage, calibration="temperature")
    league = world.league(size, seed)
    data = rows.from_frame(use_case, league.frame, league.frame["label_known_at"].max())
    fitted = fit.fit_rows(use_case, data, parameters.space(use_case, None).complete({}))
    x, _ = world.draw(2000, seed + 1000)
    half = fit.interval_of(use_case, data, fitted).half_width_logit
    shares = np.exp(np.column_stack([league.truth(x), np.zeros(len(x)), -league.truth(x)]))
    truth = shares / shares.sum(axis=1, keepdims=True)
    center = logit(fitted.predict(x))
    return float(((expit(center - half) <= truth) & (truth <= expit(center + half))).mean())


def test_declared_coverage_holds_for_the_probability_of_each_class(planted_task: Any) -> None:
    wide = [held_of_classes(planted_task, 0.9, seed, 3000) for seed in range(5)]
    assert 0.82 <= np.mean(wide) <= 1.0, wide
    narrow = [held_of_classes(planted_task, 0.5, seed, 3000) for seed in range(3)]
    assert 0.3 <= np.mean(narrow) <= 0.8, narrow


def test_half_the_coverage_misses_more(planted: Any, declared: Any) -> None:
    shares = [measured(planted, declared, None, seed, 0.5, 6000)[0] for seed in range(4)]
    assert 0.3 <= np.mean(shares) <= 0.75, shares


def test_more_rows_give_a_narrower_interval(planted: Any, declared: Any) -> None:
    few = np.mean([measured(planted, declared, None, seed, 0.9, 1000)[1] for seed in range(3)])
    many = np.mean([measured(planted, declared, None, seed, 0.9, 10_000)[1] for seed in range(3)])
    assert many < 0.6 * few
