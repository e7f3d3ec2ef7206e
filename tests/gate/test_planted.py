"""Planted worlds are what they say: who is better is so by so much, all are calibrated, days stay whole."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.declaration.loader import load
from pennant.gate.planted import PlantedRows, picks
from pennant.gate.planted_link import link_of
from pennant.gate.planted_own import usual_rows
from pennant.gate.planted_sizes import NothingToPlant, Sizes
from pennant.gate.planted_synthetic import made_up
from pennant.gate.tables import ScoreTable
from pennant.gate.worlds import Plan, Planter, World
from pennant.settings import REPOSITORY
from pennant.training.metrics import by_row
from pennant.training.problem import Problem

CASES = [
    (Problem("binary", ()), "log_loss"),
    (Problem("binary", ()), "brier"),
    (Problem("multiclass", (), classes=3), "rps"),
    (Problem("multiclass", (), classes=4), "log_loss"),
    (Problem("count", (), most=20), "crps"),
    (Problem("regression", ()), "squared_error"),
    (Problem("regression", ()), "absolute_error"),
    (Problem("trajectory", (), steps=12), "ade"),
    (Problem("trajectory", (), steps=12), "fde"),
]
EACH = pytest.mark.parametrize(("problem", "metric"), CASES, ids=[f"{p.task}-{m}" for p, m in CASES])


def worlds(planted: PlantedRows, plan: Plan, count: int = 150) -> list[World]:
    return list(Planter(planted, tuple(planted.baselines), 300).worlds(plan, count, (1, 2)))


def gains(found: list[World], metric: str) -> np.ndarray:
    return np.array(
        [(each.champion.losses(metric) - each.challenger.losses(metric)).mean() for each in found]
    )


@EACH
def test_a_planted_gain_is_the_gain_that_is_measured(problem: Problem, metric: str) -> None:
    planted = made_up(problem, [], [])
    sizes = Sizes(planted, metric)
    delta = 4 * sizes.usual_delta()
    usual = sizes.size_for(delta, 0.0)
    found = gains(worlds(planted, Plan((sizes.size_for(delta, usual), usual))), metric)
    assert found.mean() == pytest.approx(delta, abs=4 * found.std() / np.sqrt(len(found)) + 0.05 * delta)


@EACH
def test_who_sees_equally_much_is_equally_good(problem: Problem, metric: str) -> None:
    found = gains(worlds(made_up(problem, [], []), Plan((0.4, 0.4))), metric)
    assert abs(found.mean()) < 3.5 * found.std() / np.sqrt(len(found))


@pytest.mark.parametrize("task", ["binary", "multiclass", "count"])
def test_planted_forecasters_are_calibrated(task: str) -> None:
    problem = next(each for each, _ in CASES if each.task == task)
    found = worlds(made_up(problem, [], []), Plan((0.9, 0.5)))
    for table in ("challenger", "champion"):
        tables = [getattr(each, table) for each in found]
        p, y = (np.concatenate([getattr(each, name) for each in tables]) for name in ("prediction", "label"))
        said = p if task == "binary" else p[:, 1]
        for part in np.array_split(np.argsort(said), 8):
            assert (y[part] == 1).mean() == pytest.approx(said[part].mean(), abs=0.02)


@pytest.mark.parametrize("task", ["count", "regression", "trajectory"])
def test_planted_intervals_hold_what_they_promise(task: str) -> None:
    from pennant.gate.calibration import inside

    problem = next(each for each, _ in CASES if each.task == task)
    found = worlds(made_up(problem, [], []), Plan((0.6, 0.4)), 60)
    held = np.mean([inside(each.challenger).mean() for each in found])
    assert held == pytest.approx(np.mean([each.challenger.coverage for each in found]), abs=0.01)


@EACH
def test_an_error_adds_the_harm_that_was_reckoned(problem: Problem, metric: str) -> None:
    planted = made_up(problem, [], ["part"])
    sizes, sees = Sizes(planted, metric), (0.4, 0.4)
    wanted = 0.1 * sizes.loss
    plan = Plan(
        sees, wrong=sizes.wrong_for(wanted, np.flatnonzero(planted.slices["part"]), sees), within="part"
    )
    inside, outside = [], []
    for world in worlds(planted, plan):
        worse = world.challenger.losses(metric) - world.champion.losses(metric)
        inside.append(worse[world.slices["part"]].mean())
        outside.append(worse[~world.slices["part"]].mean())
    spread = np.std(inside) / np.sqrt(len(inside))
    assert np.mean(inside) == pytest.approx(wanted, abs=4 * spread + 0.05 * wanted)
    assert abs(np.mean(outside)) < 4 * np.std(outside) / np.sqrt(len(outside))


def test_more_than_there_is_to_know_cannot_be_planted() -> None:
    sizes = Sizes(made_up(Problem("binary", ()), [], []), "log_loss")
    with pytest.raises(NothingToPlant) as refused:
        sizes.size_for(5.0, 0.1)
    assert refused.value.gain == 5.0
    assert refused.value.most < 1.0


@given(st.integers(10, 400), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_days_are_drawn_whole_and_a_day_drawn_twice_is_two_days(rows: int, seed: int) -> None:
    planted = made_up(Problem("binary", ()), [], [])
    drawn = picks(planted, 3, rows, np.random.default_rng(seed))
    whole = {int(day[0]): day.tolist() for day in planted.days()}
    for at, number in zip(drawn.at, drawn.day, strict=True):
        assert len(at) == rows
        for each in range(number.max()):  # the last day may be cut
            assert at[number == each].tolist() == whole[int(at[number == each][0])]


def test_a_shift_moves_labels_and_nobody_knows() -> None:
    for problem, metric in CASES:
        if problem.task == "trajectory":
            continue
        planted = made_up(problem, [], [])
        still, moved = (worlds(planted, Plan((0.4, 0.4), shift=shift), 40) for shift in (0.0, 0.8))
        levels = []
        for found in (still, moved):
            label = np.concatenate([each.champion.label for each in found])
            said = np.concatenate([each.champion.prediction for each in found])
            expected = said if said.ndim == 1 else said @ np.arange(said.shape[1])
            levels.append(float((label - expected).mean()))
        assert levels[1] > levels[0] + 0.05, (problem.task, metric)
        found = gains(moved, metric)
        assert abs(found.mean()) < 4 * found.std() / np.sqrt(len(found))


def test_a_baseline_that_has_no_forecast_for_some_rows_has_none_in_the_worlds() -> None:
    planted = made_up(Problem("binary", ()), ["odds"], [])
    given_rows = np.arange(len(planted)) % 3 > 0
    odds = replace(planted.baselines["odds"], given=given_rows, p=planted.forecast[given_rows])
    planter = Planter(replace(planted, baselines={"odds": odds}), ("odds",), 200)
    truth = link_of(planted).forecast(np.arange(len(planted)), np.zeros((len(planted), 1)), 0.0)
    for world in planter.worlds(Plan((0.2, 0.2)), 5, (3,)):
        table = world.baselines["odds"]
        assert 90 < len(table) < 180
        assert np.isin(table.prediction.round(9), truth.round(9)).all()
        assert isinstance(world.challenger, ScoreTable)
        loss = by_row("log_loss", planted.problem, table.label, table.prediction)
        assert np.isfinite(loss).all()


def test_a_usual_judgement_has_the_rows_that_became_known_in_the_fresh_days() -> None:
    use_case = load(REPOSITORY / "include" / "use_cases" / "league_demo")
    until = datetime(2025, 1, 1, tzinfo=UTC)
    hourly = np.datetime64("2025-01-01") - np.arange(200 * 24).astype("timedelta64[h]")
    assert usual_rows(use_case, hourly, until) == 24 * use_case.split.fresh_days
    assert usual_rows(use_case, hourly[:0], until) == 0
    shared = use_case.split.model_copy(update={"fresh_share": 0.25})
    assert usual_rows(use_case.model_copy(update={"split": shared}), hourly, until) == 1200
