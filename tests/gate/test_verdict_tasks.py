"""Laws of the judge that hold for every task: probabilities of classes, counts, numbers and paths."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.declaration.model import Gate
from pennant.declaration.parameters import METRICS
from pennant.gate.calibration import calibration_of, inside
from pennant.gate.interval import base_rate_loss
from pennant.gate.possible import impossible_intervals, impossible_labels, impossible_predictions
from pennant.gate.tables import Floats, ScoreTable, Unscorable
from pennant.gate.verdict import Verdict, judge
from pennant.training.members.distributions import poisson
from pennant.training.metrics import by_row
from pennant.training.problem import Problem

PROBLEMS = {
    "binary": Problem("binary", ()),
    "multiclass": Problem("multiclass", (), classes=3),
    "count": Problem("count", (), most=25),
    "regression": Problem("regression", ()),
    "trajectory": Problem("trajectory", (), steps=4),
}
TASKS = st.sampled_from(sorted(PROBLEMS))
ERRORS = st.sampled_from([0.0, 0.2, 0.6, 2.0])
SEEDS = st.integers(0, 2**32 - 1)
WIDE = {"count": 400.0, "regression": 1e6, "trajectory": 1e6}


@dataclass(frozen=True)
class Planted:
    """Rows of a task whose truth is known: z (n, parts) makes the labels."""

    problem: Problem
    entity: Any
    event_time: Any
    z: Floats
    label: Floats

    def said(self, name: str, error: float, seed: int = 0) -> ScoreTable:
        """The forecast of one who sees z with an error."""
        z = self.z + error * np.random.default_rng(seed).standard_normal(self.z.shape)
        task = self.problem.task
        if task == "binary":
            p = 1 / (1 + np.exp(-z[:, 0]))
        elif task == "multiclass":
            p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        elif task == "count":
            p = poisson(np.exp(0.5 * z[:, 0] + 1.0), self.problem.most)
        else:
            p = z[:, 0] if task == "regression" else z
        return self.table(name, p)

    def table(self, name: str, p: Floats) -> ScoreTable:
        """A table whose intervals hold everything, and say so."""
        found = ScoreTable(name, self.entity, self.event_time, self.label, p, name, problem=self.problem)
        wide = WIDE.get(self.problem.task)
        if wide is None:
            return found
        ends = np.full(self.ends, wide)
        low = ends if self.problem.task == "trajectory" else np.zeros(self.ends)
        low = -ends if self.problem.task == "regression" else low
        return replace(found, low=low, high=ends, coverage=1.0)

    @property
    def ends(self) -> tuple[int, ...]:
        rows = len(self.entity)
        return (rows, self.problem.steps) if self.problem.task == "trajectory" else (rows,)

    def nothing_known(self) -> ScoreTable:
        """The same forecast for every row, and a poor one."""
        problem, rows = self.problem, len(self.entity)
        if problem.task == "binary":
            return self.table("base", np.full(rows, 0.5))
        if problem.outcomes:
            return self.table("base", np.full((rows, problem.outcomes), 1 / problem.outcomes))
        return self.table(
            "base", np.zeros(rows) if problem.task == "regression" else np.zeros(self.label.shape)
        )


def planted(task: str, seed: int, rows: int = 300, days: int = 30) -> Planted:
    rng, problem = np.random.default_rng(seed), PROBLEMS[task]
    z = 1.2 * rng.standard_normal((rows, {"multiclass": 3, "trajectory": 8}.get(task, 1)))
    if task == "binary":
        label = (rng.random(rows) < 1 / (1 + np.exp(-z[:, 0]))).astype(float)
    elif task == "multiclass":
        label = np.argmax(z + rng.gumbel(size=z.shape), axis=1).astype(float)
    elif task == "count":
        label = rng.poisson(np.exp(0.5 * z[:, 0] + 1.0)).astype(float)
    else:
        label = z + 0.8 * rng.standard_normal(z.shape)
        label = label[:, 0] if task == "regression" else label
    day = np.sort(rng.integers(0, days, rows))
    moments = np.datetime64("2024-01-01T20:00", "us") + day.astype("timedelta64[D]")
    return Planted(problem, np.array([f"e{at}" for at in range(rows)]), moments, z, label)


def policy(metric: str, **changes: object) -> Gate:
    base = {"metric": metric, "policy": "superiority", "margin": 0.0, "alpha": 0.05, "min_rows": 30}
    rest = {"max_calibration_error": 0.99, "approval": "none"}
    return Gate.model_validate({**base, **rest, **changes})


def decide(one: ScoreTable, two: ScoreTable | Unscorable | None, base: ScoreTable, gate: Gate) -> Verdict:
    return judge(one, two, {"base": base}, gate, ["base"], {})


@pytest.mark.parametrize("task", sorted(PROBLEMS))
def test_who_knows_more_is_promoted_and_never_the_other_way_round(task: str) -> None:
    truth = planted(task, 1)
    good, bad = truth.said("good", 0.1, 1), truth.said("bad", 1.5, 2)
    for metric in METRICS[task]:
        there = decide(good, bad, truth.nothing_known(), policy(metric))
        back = decide(bad, good, truth.nothing_known(), policy(metric))
        assert (there.outcome, back.outcome) == ("promote", "hold"), (metric, there.codes)
        assert "worse_than_champion" in back.codes
        assert decide(good, None, truth.nothing_known(), policy(metric)).outcome == "promote"


@given(TASKS, SEEDS, ERRORS, ERRORS)
@settings(max_examples=60, deadline=None)
def test_swapping_the_two_turns_the_gain_around(task: str, seed: int, ours: float, theirs: float) -> None:
    truth = planted(task, seed, 80, 12)
    one, two = truth.said("one", ours, 1), truth.said("two", theirs, 2)
    for metric in METRICS[task]:
        there = decide(one, two, truth.nothing_known(), policy(metric)).comparisons[0]
        back = decide(two, one, truth.nothing_known(), policy(metric)).comparisons[0]
        assert there.mean == pytest.approx(-back.mean, abs=1e-9)
        assert there.low is not None
        assert back.high is not None
        assert there.low == pytest.approx(-back.high, abs=1e-9)


@given(TASKS, SEEDS, ERRORS)
@settings(max_examples=40, deadline=None)
def test_a_forecaster_cannot_replace_its_equal(task: str, seed: int, error: float) -> None:
    truth = planted(task, seed, 80, 12)
    one = truth.said("one", error)
    twin = replace(one, name="two", bundle_sha256="two")
    for metric in METRICS[task]:
        for rule, margin in (("superiority", 0.0), ("non_inferiority", 0.1)):
            gate = policy(metric, policy=rule, margin=margin)
            found = decide(one, twin, truth.nothing_known(), gate)
            assert found.outcome != "promote"
            assert found.comparisons[0].mean == 0.0


@given(TASKS, SEEDS, ERRORS, ERRORS, SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_cannot_matter(
    task: str, seed: int, ours: float, theirs: float, turned: int
) -> None:
    truth = planted(task, seed, 80, 12)
    one, two, base = truth.said("one", ours, 1), truth.said("two", theirs, 2), truth.nothing_known()
    turn, other = (np.random.default_rng(turned + at).permutation(len(one)) for at in (0, 1))
    for metric in METRICS[task]:
        first = decide(one, two, base, policy(metric))
        assert first == decide(one.take(turn), two.take(other), base.take(other), policy(metric))


@given(TASKS, SEEDS, st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0, 79))
@settings(max_examples=60, deadline=None)
def test_a_forecast_that_is_no_number_never_promotes(task: str, seed: int, bad: float, row: int) -> None:
    truth = planted(task, seed, 80, 12)
    p = truth.said("one", 0.0).prediction.copy()
    p.reshape(len(p), -1)[row, 0] = bad
    for metric in METRICS[task]:
        found = decide(truth.table("one", p), truth.said("two", 2.0), truth.nothing_known(), policy(metric))
        assert (found.outcome, found.codes) == ("refuse", ("impossible_predictions",))


@given(TASKS, SEEDS, st.floats(0.01, 5.0))
@settings(max_examples=40, deadline=None)
def test_who_is_worse_by_the_same_on_every_row_never_promotes(task: str, seed: int, worse: float) -> None:
    """No noise to hide behind: the interval is a point, and it is on the wrong side."""
    truth = planted(task, seed, 80, 12)
    metric, champion = METRICS[task][0], truth.said("two", 0.3)
    challenger = _moved_away(champion, worse)
    if not np.all(challenger.losses(metric) > champion.losses(metric)):
        return
    for rule, margin in (("superiority", 0.0), ("non_inferiority", 1000.0)):
        gate = policy(metric, policy=rule, margin=margin)
        assert decide(challenger, champion, truth.nothing_known(), gate).outcome != "promote"


def _moved_away(table: ScoreTable, by: float) -> ScoreTable:
    """The same forecasts, each moved off its label."""
    y, p, task = table.label, table.prediction, table.problem.task
    if task in {"regression", "trajectory"}:
        away = np.where(p >= y, 1.0, -1.0)
        return replace(table, name="one", prediction=p + by * away, bundle_sha256="one")
    share = by / (1 + by)
    if task == "binary":
        return replace(table, name="one", prediction=p + share * ((1 - y) - p), bundle_sha256="one")
    wrong = np.eye(p.shape[1])[np.where(y < p.shape[1] / 2, p.shape[1] - 1, 0)]
    return replace(table, name="one", prediction=p + share * (wrong - p), bundle_sha256="one")


@given(TASKS, SEEDS, ERRORS, ERRORS)
@settings(max_examples=40, deadline=None)
def test_the_strongest_reason_decides_and_the_verdict_survives_json(
    task: str, seed: int, ours: float, theirs: float
) -> None:
    truth = planted(task, seed, 80, 12)
    for champion in (truth.said("two", theirs, 2), None, Unscorable("two", "bundle_rejected", "a byte")):
        found = decide(truth.said("one", ours, 1), champion, truth.nothing_known(), policy(METRICS[task][0]))
        strength = {"promote": 0, "hold": 1, "refuse": 2}
        assert strength[found.outcome] == max(strength[each.argues_for] for each in found.reasons)
        assert Verdict.from_json(found.to_json()) == found
        assert not isinstance(champion, Unscorable) or found.outcome != "promote"


@pytest.mark.parametrize("task", sorted(PROBLEMS))
def test_who_has_seen_the_label_is_refused_as_a_leak(task: str) -> None:
    truth = planted(task, 3)
    y, outcomes = truth.label, truth.problem.outcomes
    near = y + 1e-3
    if task == "binary":
        near = np.clip(y, 0.02, 0.98)
    elif outcomes:
        near = 0.95 * np.eye(outcomes)[y.astype(int)] + 0.05 / outcomes
    for metric in METRICS[task]:
        found = decide(
            truth.table("one", near), truth.said("two", 0.3), truth.nothing_known(), policy(metric)
        )
        assert (found.outcome, found.deciding()[0].code) == ("refuse", "too_good_to_be_true"), metric
        honest = decide(truth.said("one", 0.0), None, truth.nothing_known(), policy(metric))
        assert "too_good_to_be_true" not in honest.codes


@pytest.mark.parametrize("task", ["multiclass", "count", "regression", "trajectory"])
def test_impossible_labels_are_refused(task: str) -> None:
    truth = planted(task, 3)
    odd = {"multiclass": [3.0, -1.0, 0.5], "count": [-1.0, 1.5]}.get(task, [])
    for bad in (*odd, np.nan, np.inf):
        label = truth.label.copy()
        label.reshape(len(label), -1)[5, 0] = bad
        table = replace(truth.said("one", 0.0), label=label)
        assert impossible_labels(table).sum() == 1
        assert (
            "impossible_labels" in decide(table, None, truth.nothing_known(), policy(METRICS[task][0])).codes
        )


@pytest.mark.parametrize("task", ["multiclass", "count"])
def test_probabilities_that_do_not_sum_to_one_are_refused_and_rounding_is_not(task: str) -> None:
    table = planted(task, 3).said("one", 0.0)
    for factor, rows in ((1.001, 1), (0.5, 1), (1 + 1e-6, 0)):
        p = table.prediction.copy()
        p[7] *= factor
        assert impossible_predictions(replace(table, prediction=p)) == rows
    p = table.prediction.copy()
    p[7, 0], p[7, 1] = -0.1, p[7, 1] + p[7, 0] + 0.1
    assert impossible_predictions(replace(table, prediction=p)) == 1


@pytest.mark.parametrize("task", ["count", "regression", "trajectory"])
def test_a_number_without_an_interval_holds_and_an_impossible_interval_is_refused(task: str) -> None:
    truth, gate = planted(task, 3), policy(METRICS[task][0])
    table, base = truth.said("one", 0.0), truth.nothing_known()
    bare = decide(replace(table, low=None, high=None), None, base, gate)
    assert (bare.outcome, [each.code for each in bare.deciding()]) == ("hold", ["intervals_missing"])
    assert table.low is not None
    for bad in (np.nan, np.inf, -np.inf):
        low = table.low.copy()
        low.reshape(len(low), -1)[4, 0] = bad
        assert impossible_intervals(replace(table, low=low)) == 1
        found = decide(replace(table, low=low), None, base, gate)
        assert (found.outcome, found.codes) == ("refuse", ("impossible_intervals",))


def test_intervals_that_hold_too_little_or_too_much_hold_the_challenger() -> None:
    truth = planted("regression", 4, 600)
    table, base = truth.said("one", 0.0), truth.nothing_known()
    gate = policy("squared_error", max_calibration_error=0.05)
    for reach, outcome in ((0.8 * 1.645, "promote"), (0.3, "hold"), (5.0, "hold")):
        given_ = replace(table, low=table.prediction - reach, high=table.prediction + reach, coverage=0.9)
        found = decide(given_, None, base, gate)
        assert found.outcome == outcome
        assert found.calibration is not None
        assert found.calibration.inside == pytest.approx(inside(given_).mean())
        assert found.calibration.error == pytest.approx(abs(inside(given_).mean() - 0.9))


def test_radii_are_judged_step_by_step_so_that_one_step_cannot_make_up_for_another() -> None:
    truth = planted("trajectory", 4, 600)
    reach = 0.8 * np.sqrt(-2 * np.log(0.1))
    fair = np.full((600, 4), reach)
    uneven = np.tile([0.01, 0.01, 50.0, 50.0], (600, 1))
    found = {}
    for name, radii in (("fair", fair), ("uneven", uneven)):
        measured = calibration_of(replace(truth.said("one", 0.0), low=radii, high=radii, coverage=0.9))
        assert measured is not None
        found[name] = measured.error
    assert found["fair"] < 0.03
    assert found["uneven"] > 0.4


def test_the_calibration_error_of_classes_is_the_mean_over_them() -> None:
    truth = planted("multiclass", 6, 900)
    honest = calibration_of(truth.said("one", 0.0))
    assert honest is not None
    assert honest.error < 2 * honest.chance
    sure = np.eye(3)[truth.said("one", 0.0).prediction.argmax(axis=1)]
    bold = calibration_of(truth.table("bold", 0.94 * sure + 0.02))
    assert bold is not None
    assert bold.error > 4 * honest.error


def test_lumping_large_counts_together_gains_nothing() -> None:
    """Who says only `3 and more` is not asked how many more: both are asked the same, coarse question."""
    truth = planted("count", 8)
    fine = truth.said("fine", 0.3)
    lumped = replace(fine.up_to(3), name="coarse", bundle_sha256="coarse")
    assert lumped.losses("log_loss").mean() < fine.losses("log_loss").mean()
    for one, two in ((lumped, fine), (fine, lumped)):
        found = decide(one, two, truth.nothing_known(), policy("log_loss"))
        assert found.outcome == "hold"
        assert found.comparisons[0].mean == pytest.approx(0.0, abs=1e-12)


def test_who_knows_more_of_small_counts_alone_does_not_replace_one_who_knows_all_of_them() -> None:
    """A distribution that ends at 1 is asked only whether anything happens at all; the rest is cut off."""
    truth = planted("count", 8)
    champion = truth.said("champion", 1.5)
    coarse = truth.said("coarse", 0.0).up_to(1)
    found = decide(coarse, champion, truth.nothing_known(), policy("log_loss"))
    assert found.comparisons[0].passed
    assert (found.outcome, [each.code for each in found.deciding()]) == ("hold", ["distribution_ends_early"])
    whole = decide(truth.said("whole", 0.0), champion, truth.nothing_known(), policy("log_loss"))
    assert whole.outcome == "promote"
    first = decide(coarse, None, truth.nothing_known(), policy("log_loss"))
    assert "distribution_ends_early" in first.codes


@pytest.mark.parametrize("task", sorted(PROBLEMS))
@pytest.mark.parametrize("rows", [0, 1])
def test_without_rows_every_task_holds_and_is_no_crash(task: str, rows: int) -> None:
    truth = planted(task, 4)
    tables = (truth.said("ours", 0.3), truth.said("theirs", 0.3), truth.nothing_known())
    ours, theirs, base = (each.take(np.arange(rows)) for each in tables)
    for champion in (theirs, None):
        found = decide(ours, champion, base, policy(METRICS[task][0]))
        assert (found.outcome, "too_few_rows" in found.codes) == ("hold", True)


def test_no_constant_is_better_in_hindsight_than_the_best_constant() -> None:
    for task in ("binary", "multiclass", "count", "regression"):
        truth = planted(task, 9)
        table = truth.nothing_known()
        for metric in METRICS[task]:
            best = base_rate_loss(metric, table)
            assert best is not None
            assert best <= by_row(metric, table.problem, table.label, table.prediction).mean() + 1e-12
    assert base_rate_loss("ade", planted("trajectory", 9).nothing_known()) is None


def test_a_champion_or_baseline_of_another_task_is_no_comparison() -> None:
    count, number = planted("count", 3), planted("regression", 3)
    found = decide(count.said("one", 0.0), number.said("two", 0.0), count.nothing_known(), policy("crps"))
    assert (found.outcome, found.codes) == ("refuse", ("different_problem",))
    found = decide(count.said("one", 0.0), None, number.nothing_known(), policy("crps"))
    assert (found.outcome, found.codes) == ("refuse", ("different_problem",))


@pytest.mark.parametrize("task", sorted(PROBLEMS))
def test_a_table_of_another_shape_than_its_task_is_none(task: str) -> None:
    table = planted(task, 3).said("one", 0.0)
    wrong = np.zeros((len(table), 5)) if task != "trajectory" else np.zeros(len(table))
    with pytest.raises(ValueError, match="shape"):
        replace(table, prediction=wrong)


@pytest.mark.parametrize("task", ["multiclass", "count", "regression", "trajectory"])
def test_only_two_outcomes_have_a_ranking(task: str) -> None:
    truth = planted(task, 3)
    found = decide(truth.said("one", 0.0), None, truth.nothing_known(), policy(METRICS[task][0]))
    assert found.auc is None
    assert found.challenger_loss is not None
