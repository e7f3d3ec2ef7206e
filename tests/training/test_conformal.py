"""Conformal intervals hold fresh labels as often as declared, whatever the model is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from pennant.training import conformal, coverage, fit, interval, parameters, rows
from pennant.training.errors import TooFewRows
from pennant.training.losses import Floats
from pennant.training.problem import Problem

SLICES = {
    "calm": {"column": "strength", "below": 0},
    "wild": {"column": "strength", "at_least": 0},
}
FRESH = 4000


def trained(world: Any, use_case: Any, size: int, seed: int, widen: float = 0.0) -> Any:
    league = world.league(size, seed, widen)
    data = rows.from_frame(use_case, league.frame, league.frame["label_known_at"].max())
    chosen = parameters.space(use_case, None).complete({})
    return data, fit.fit_rows(use_case, data, chosen)


def inside(found: Any, problem: Problem, x: Floats, y: Floats, p: Floats) -> Floats:
    """Whether fresh labels lie in their intervals, as bundle.json tells them; (n,) or (n, steps)."""
    told = found.to_json()
    if told["method"] == "split_conformal":
        held = conformal.distances(problem, y, p) <= np.array(told["half_widths"])
        return held if problem.task == "trajectory" else held[:, 0]
    ends = (
        conformal.count_quantiles(p, told["coverage"])
        if problem.task == "count"
        else conformal.quantiles(found.booster, x)
    )
    low, high = ends[0] - told["offset"], ends[1] + told["offset"]
    return np.asarray((np.maximum(low, 0.0) if problem.task == "count" else low) <= y) & (y <= high)


def fresh(world: Any, use_case: Any, size: int, seed: int) -> tuple[Floats, Floats]:
    """Fresh rows, and which of them an interval holds that was trained on `size` other rows."""
    data, fitted = trained(world, use_case, size, seed)
    x, y = world.draw(FRESH, seed + 1000)
    found = fit.interval_of(use_case, data, fitted)
    return x, inside(found, data.problem, x, y, fitted.predict(x))


def at_least(share: float, declared: float, held_out: int, runs: int = 1) -> bool:
    """Not less than declared beyond chance: that of fresh rows, and that of the rows it was calibrated on."""
    error = np.sqrt(declared * (1.0 - declared) * (1.0 / (FRESH * runs) + 1.0 / (held_out * runs)))
    return share >= declared - 3.0 * error


@pytest.mark.parametrize("wanted", [0.8, 0.95])
@pytest.mark.parametrize(
    ("task", "method"),
    [
        ("regression", "split_conformal"),
        ("regression", "quantiles"),
        ("count", "quantiles"),
        ("trajectory", "split_conformal"),
    ],
)
def test_fresh_labels_are_held_as_often_as_declared(
    planted_task: Any, task: str, method: str, wanted: float
) -> None:
    world = planted_task(task)
    column = "position_x" if task == "trajectory" else "strength"
    halves = {"below": {"column": column, "below": 0}, "above": {"column": column, "at_least": 0}}
    use_case = world.declare(interval=method, interval_coverage=wanted, slices=halves)
    x, held = fresh(world, use_case, 1500, 3)
    shares = np.atleast_1d(held.mean(axis=0))
    assert all(at_least(share, wanted, 1000) for share in shares), shares
    for name, mask in coverage.masks(use_case, x, world.features).items():
        # Noise is even here, so that half of the rows are held as often as all.
        assert all(at_least(share, wanted, 500) for share in np.atleast_1d(held[mask].mean(axis=0))), name
    if task != "count":  # whole numbers cannot be held exactly so often
        assert (shares <= wanted + 0.05).all(), shares


def test_where_noise_is_uneven_quantiles_hold_every_slice_and_one_width_does_not(planted_task: Any) -> None:
    world = planted_task("regression", uneven=True)
    told = {}
    for method in ("split_conformal", "quantiles"):
        use_case = world.declare(interval=method, interval_coverage=0.9, slices=SLICES)
        x, held = fresh(world, use_case, 3000, 5)
        masks = coverage.masks(use_case, x, world.features)
        told[method] = {name: float(held[mask].mean()) for name, mask in masks.items()}
    one, quantile = told["split_conformal"], told["quantiles"]
    assert one["all"] == pytest.approx(0.9, abs=0.02)
    assert one["wild"] < 0.85, one
    assert one["calm"] > 0.99, one
    assert quantile["wild"] > 0.87, quantile
    assert 0.87 < quantile["calm"] < 0.97, quantile


def test_out_of_fold_coverage_tells_of_each_slice_what_fresh_rows_show(planted_task: Any) -> None:
    world = planted_task("regression", uneven=True)
    use_case = world.declare(interval="split_conformal", slices=SLICES)
    data, fitted = trained(world, use_case, 3000, 5)
    scored = interval.score(use_case, data, fitted.oof, fitted.prediction)
    told = coverage.by_slice(use_case, data, scored)
    x, held = fresh(world, use_case, 3000, 5)
    for name, mask in coverage.masks(use_case, x, world.features).items():
        assert told[name]["low"] - 0.02 <= held[mask].mean() <= told[name]["high"] + 0.02, name
    warned = coverage.coverage_warnings(use_case, told)
    assert {each["slice"]: each["what"] for each in warned} == {
        "wild": "covered_less_than_declared",
        "calm": "covered_more_than_declared",
    }


def test_slices_that_are_held_as_declared_give_no_warning(planted_task: Any) -> None:
    world = planted_task("regression")
    warned = 0
    for seed in range(10):
        use_case = world.declare(slices=SLICES, interval="split_conformal")
        data, fitted = trained(world, use_case, 600, seed)
        scored = interval.score(use_case, data, fitted.oof, fitted.prediction)
        warned += bool(coverage.coverage_warnings(use_case, coverage.by_slice(use_case, data, scored)))
    assert warned <= binom.ppf(0.999, 10, 0.1)


@pytest.mark.parametrize(
    ("task", "method"),
    [("regression", "split_conformal"), ("regression", "quantiles"), ("trajectory", "split_conformal")],
)
def test_no_model_that_saw_a_row_takes_part_in_its_score(planted_task: Any, task: str, method: str) -> None:
    world = planted_task(task)
    use_case = world.declare(interval=method, ensemble="voting")
    data, fitted = trained(world, use_case, 600, 1)
    last = data.folds[-1].validate
    changed, kept = last[: len(last) // 2], last[len(last) // 2 :]
    y = data.y.copy()
    y[changed] += 50.0  # only a model that was trained on these could tell
    otherwise = replace(data, y=y)
    refitted = fit.fit_rows(use_case, otherwise, parameters.space(use_case, None).complete({}))
    same = np.isin(fitted.oof.index, np.concatenate([*(f.validate for f in data.folds[:-1]), kept]))
    before, after = scores_of(use_case, data, fitted), scores_of(use_case, otherwise, refitted)
    assert (before[same] == after[same]).all()
    assert (before[~same] != after[~same]).all()


def scores_of(use_case: Any, data: Any, fitted: Any) -> Floats:
    """The scores that the interval is made of, as `fit` asks for them."""
    found = fit._interval(use_case, data, fitted)[1]
    assert found is not None
    return found.scores


def test_an_overfitted_model_is_not_believed(planted_task: Any) -> None:
    deep = {"max_depth": 8, "n_estimators": 150, "learning_rate": 0.2, "min_child_weight": 0}
    world = planted_task("regression")
    use_case = world.declare(
        members={"trees": {"kind": "xgboost", "fixed": deep}}, interval="split_conformal"
    )
    data, fitted = trained(world, use_case, 600, 2)
    x, y = world.draw(FRESH, 900)
    half_width = fit.interval_of(use_case, data, fitted).to_json()["half_widths"][0]
    assert (np.abs(data.y - fitted.predict(data.x)) <= half_width / 2).mean() > 0.99, "it is overfitted"
    assert at_least(float((np.abs(y - fitted.predict(x)) <= half_width).mean()), 0.9, 450)


def test_coverage_is_told_only_of_folds_that_came_later(planted_task: Any) -> None:
    world = planted_task("regression")
    use_case = world.declare()
    data, fitted = trained(world, use_case, 600, 0)
    scored = interval.score(use_case, data, fitted.oof, fitted.prediction)
    index, held = coverage.held(use_case, data, scored)
    assert set(index) == set(np.concatenate([fold.validate for fold in data.folds[1:]]))
    # What comes in the last fold changes nothing that is told of the folds before.
    worse = scored.scores.copy()
    worse[scored.part == 2] += 100.0
    _, again = coverage.held(use_case, data, replace(scored, scores=worse))
    before = ~np.isin(index, data.folds[2].validate)
    assert (held[before] == again[before]).all()
    assert not again[~before].any()


def test_coverage_is_told_without_labels_that_were_unknown_when_the_fold_began(planted_task: Any) -> None:
    world = planted_task("regression")
    use_case = world.declare()
    late = (pl.col("event_time") + timedelta(days=40)).alias("label_known_at")
    frame = world.league(600, 0).frame.with_columns(late)
    data = rows.from_frame(use_case, frame, frame["label_known_at"].max())
    fitted = fit.fit_rows(use_case, data, parameters.space(use_case, None).complete({}))
    scored = interval.score(use_case, data, fitted.oof, fitted.prediction)
    unknown = (scored.part == 0) & ~np.isin(scored.index, data.folds[1].train)
    assert unknown.sum() > 20
    worse = scored.scores.copy()
    worse[unknown] += 100.0
    index, held = coverage.held(use_case, data, scored)
    _, again = coverage.held(use_case, data, replace(scored, scores=worse))
    second = np.isin(index, data.folds[1].validate)
    assert (held[second] == again[second]).all()


@pytest.mark.parametrize("widen", [0.0, 3.0], ids=["steady", "growing"])
def test_weights_by_recency_hold_what_comes_where_noise_grows(planted_task: Any, widen: float) -> None:
    world, wanted = planted_task("regression"), 0.9
    use_case = world.declare(interval="split_conformal", interval_coverage=wanted, recency_half_life_days=40)
    weighted, plain = [], []
    for seed in range(4):
        data, fitted = trained(world, use_case, 2000, seed, widen)
        scored = interval.score(use_case, data, fitted.oof, fitted.prediction)
        x, y = world.draw(FRESH, seed + 1000)
        noise = y - 2.0 * linear(x)
        off = np.abs(2.0 * linear(x) + noise * (1.0 + widen) - fitted.predict(x))
        half_widths = fit.interval_of(use_case, data, fitted).to_json()["half_widths"]
        equal = conformal.reach(scored.scores[:, 0], np.ones(len(scored.scores)), wanted)
        weighted.append(float((off <= half_widths[0]).mean()))
        plain.append(float((off <= equal).mean()))
    if widen:
        assert np.mean(plain) < 0.83, plain
        assert np.mean(weighted) > np.mean(plain) + 0.04, (weighted, plain)
    else:
        worth = 250  # Kish's effective size of 1500 rows with these weights is more
        assert at_least(float(np.mean(weighted)), wanted, worth, runs=4), weighted
        assert np.mean(weighted) < wanted + 0.03, weighted


def linear(x: Floats) -> Floats:
    """The planted truth of `conftest`, before it is doubled."""
    return np.asarray(0.9 * x[:, 0] - 0.5 * x[:, 1] + 0.2 * x[:, 2] + 0.1)


@given(
    scores=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80),
    wanted=st.floats(0.05, 0.99),
)
def test_with_equal_weights_the_reach_is_the_order_statistic_of_the_paper(
    scores: list[float], wanted: float
) -> None:
    count = len(scores)
    rank = int(np.ceil(np.round((count + 1) * wanted, 9)))
    if rank > count:
        with pytest.raises(TooFewRows):
            conformal.reach(np.array(scores), np.ones(count), wanted)
        return
    assert conformal.reach(np.array(scores), np.full(count, 0.3), wanted) == sorted(scores)[rank - 1]


@given(scores=st.lists(st.floats(0, 100), min_size=40, max_size=60), data=st.data())
def test_more_coverage_never_reaches_less_far(scores: list[float], data: st.DataObject) -> None:
    low, high = sorted(data.draw(st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9))))
    weight = np.array(data.draw(st.lists(st.floats(0.5, 1), min_size=len(scores), max_size=len(scores))))
    given_scores = np.array(scores)
    assert conformal.reach(given_scores, weight, low) <= conformal.reach(given_scores, weight, high)


def test_too_few_rows_for_the_coverage_are_refused_with_the_number_needed() -> None:
    with pytest.raises(TooFewRows) as caught:
        conformal.reach(np.arange(20.0), np.ones(20), 0.99)
    assert (caught.value.found, caught.value.min_rows) == (20, 99)


def test_old_rows_that_weigh_nothing_do_not_count_as_rows() -> None:
    weight = np.array([1e-9] * 500 + [1.0] * 5)
    with pytest.raises(TooFewRows) as caught:
        conformal.reach(np.arange(505.0), weight, 0.9)
    assert caught.value.found == 5
