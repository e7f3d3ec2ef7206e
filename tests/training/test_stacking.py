"""How members become one forecast, against planted truth: what is there is found, what is not is left."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from pennant.declaration.model import UseCase
from pennant.training.crossfit import OutOfFold
from pennant.training.ensemble import Combination, combine, halves
from pennant.training.losses import CLIP, Floats, expit, logit
from pennant.training.mixture import mixture_weights
from pennant.training.problem import Problem, blend, row_losses
from pennant.training.rows import TrainingRows
from pennant.training.selection import Cut, Selected, fit_selection
from pennant.training.split import Fold
from pennant.training.stacking import PULL_ROWS, Stacked, fit_stacking

if TYPE_CHECKING:
    pass

BINARY = Problem("binary", ())
SLICES = {"low": {"column": "strength", "below": 0.0}, "high": {"column": "strength", "at_least": 1.0}}


@dataclass(frozen=True)
class Held:
    """Held-out rows over four folds of time, ten rows a day; every label is known the next morning."""

    data: TrainingRows
    oof: OutOfFold

    @classmethod
    def of(cls, problem: Problem, x: Floats, y: Floats, members: dict[str, Floats]) -> "Held":
        count = len(y)
        event = np.datetime64("2024-01-01T20:00", "us") + (np.arange(count) // 10) * np.timedelta64(1, "D")
        known = event + np.timedelta64(10, "h")
        edges = np.linspace(0, count, 5).astype(int)
        folds = []
        for number in range(4):
            block = np.arange(edges[number], edges[number + 1])
            train = np.flatnonzero(known < event[block[0]])
            folds.append(Fold(number + 1, train, block))
        names = tuple(f"f{each}" for each in range(x.shape[1]))
        moment = event[0].item()
        data = TrainingRows(moment, names, x, y, event, known, np.ones(count), folds, [], problem)
        return cls(data, OutOfFold(np.arange(count), y, members, {}))

    def combine(self, use_case: UseCase) -> Combination:
        return combine(use_case, self.data, self.oof)


@pytest.fixture
def asked(declared: Any) -> Callable[..., UseCase]:
    """A declaration with the given ensemble, and slices of the first feature."""

    def make(ensemble: str, slices: Any = SLICES) -> UseCase:
        use_case: UseCase = declared(ensemble=ensemble, slices=slices)
        return use_case

    return make


def loss(problem: Problem, y: Floats, p: Floats) -> float:
    return float(row_losses(problem, y, p).mean())


def halves_of_the_truth(count: int, seed: int) -> tuple[Floats, Floats, dict[str, Floats]]:
    """Two members, each of which sees its own half of the truth, and is sure of it in its own wrong way."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4))
    y = (rng.random(count) < expit(1.2 * (x[:, 0] + x[:, 1]))).astype(float)
    return x, y, {"one": expit(1.2 * x[:, 0] + 0.8), "other": expit(1.2 * x[:, 1] - 0.8)}


def another_in_a_slice(count: int, seed: int) -> tuple[Floats, Floats, dict[str, Floats]]:
    """Below zero of the first feature one member is right; above, the other."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4))
    z = 1.5 * rng.normal(size=count)
    y = (rng.random(count) < expit(z)).astype(float)
    below = x[:, 0] < 0.0
    blurred = rng.normal(size=count)
    return (
        x,
        y,
        {
            "one": expit(np.where(below, z, blurred)),
            "other": expit(np.where(below, blurred, z)),
        },
    )


def no_structure(count: int, seed: int) -> tuple[Floats, Floats, dict[str, Floats]]:
    """Two noisy readings of one truth, equally good everywhere."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4))
    z = rng.normal(size=count)
    y = (rng.random(count) < expit(z)).astype(float)
    made = {name: expit(0.8 * z + 0.4 * rng.normal(size=count)) for name in ("one", "other")}
    return x, y, made


class TestStacking:
    def test_two_members_wrong_in_their_own_way_are_set_right_where_no_mean_can(self) -> None:
        _, y, members = halves_of_the_truth(6000, 1)
        _, unseen, others = halves_of_the_truth(6000, 2)
        mean = mixture_weights(BINARY, list(members.values()), y)
        stacked = fit_stacking(BINARY, list(members.values()), y)
        assert stacked.coefficients == pytest.approx([1.0, 1.0], abs=0.1)
        assert stacked.intercept == pytest.approx([0.0], abs=0.15)
        made = list(others.values())
        gain = loss(BINARY, unseen, blend(made, mean)) - loss(BINARY, unseen, stacked.apply(made, unseen))
        assert gain > 0.03

    def test_the_fewer_the_rows_the_nearer_to_the_weighted_mean(self) -> None:
        _, y, members = halves_of_the_truth(20, 3)
        away = []
        for times in (1, 10, 1000):
            made = [np.tile(each, times) for each in members.values()]
            mean = mixture_weights(BINARY, made, np.tile(y, times))
            stacked = fit_stacking(BINARY, made, np.tile(y, times))
            away.append(float(np.abs(stacked.coefficients - mean).sum()))
        assert away[0] < away[1] < away[2]
        assert away[0] < 20 / PULL_ROWS

    def test_classes_are_pooled_by_their_logarithms(self) -> None:
        problem = Problem("multiclass", (), classes=3)
        rng = np.random.default_rng(4)
        z = rng.normal(size=(2, 5000, 3))
        y = np.array([rng.choice(3, p=each) for each in softmax(z.sum(axis=0), axis=1)], dtype=float)
        tilt = np.array([0.6, 0.0, -0.6])
        made = [softmax(z[0] + tilt, axis=1), softmax(z[1], axis=1)]
        stacked = fit_stacking(problem, made, y)
        assert stacked.coefficients == pytest.approx([1.0, 1.0], abs=0.12)
        assert stacked.intercept - stacked.intercept.mean() == pytest.approx(-tilt, abs=0.15)
        mean = blend(made, mixture_weights(problem, made, y))
        assert loss(problem, y, stacked.apply(made, y)) < loss(problem, y, mean) - 0.03

    def test_distributions_of_a_count_are_pooled_without_an_intercept(self) -> None:
        from scipy.stats import poisson

        problem = Problem("count", (), most=20)
        rng = np.random.default_rng(5)
        mean = np.exp(1.2 + 0.4 * rng.normal(size=4000))
        y = rng.poisson(mean).astype(float)
        sharp = poisson.pmf(np.arange(21), mean[:, None]) ** 0.4  # right, and far too unsure
        sharp /= sharp.sum(axis=1, keepdims=True)
        flat = np.full((4000, 21), 1 / 21)
        stacked = fit_stacking(problem, [sharp, flat], y)
        assert stacked.intercept.shape == (0,)
        assert stacked.coefficients[0] == pytest.approx(2.5, abs=0.25)

    def test_numbers_far_from_zero_get_their_scale_and_level_back(self) -> None:
        problem = Problem("regression", ())
        rng = np.random.default_rng(6)
        z = rng.normal(size=(2, 3000))
        y = 1000.0 + 3.0 * z[0] + 2.0 * z[1] + rng.normal(size=3000)
        made = [900.0 + 6.0 * z[0], 1050.0 + z[1]]
        stacked = fit_stacking(problem, made, y)
        assert stacked.coefficients == pytest.approx([0.5, 2.0], abs=0.1)
        assert loss(problem, y, stacked.apply(made, y)) == pytest.approx(1.0, abs=0.1)

    def test_paths_that_are_too_short_are_stretched(self) -> None:
        problem = Problem("trajectory", (), steps=3)
        rng = np.random.default_rng(7)
        truth = rng.normal(size=(800, 6))
        stacked = fit_stacking(problem, [truth * 0.8, rng.normal(size=(800, 6))], truth)
        assert stacked.coefficients == pytest.approx([1.25, 0.0], abs=0.1)
        assert stacked.intercept.shape == (0,)

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10_000), st.integers(1, 4), st.integers(5, 80))
    def test_coefficients_are_never_negative_and_one_member_always_counts(
        self, seed: int, members: int, rows: int
    ) -> None:
        rng = np.random.default_rng(seed)
        y = rng.integers(0, 2, rows).astype(float)
        made = [rng.random(rows) for _ in range(members)]
        stacked = fit_stacking(BINARY, made, y)
        assert (stacked.coefficients >= 0).all()
        assert stacked.weights().sum() == pytest.approx(1.0)
        assert np.isfinite(stacked.apply(made, y)).all()
        json.dumps(stacked.to_json(), allow_nan=False)


class TestSelection:
    def test_a_slice_in_which_another_member_is_right_takes_that_member(self) -> None:
        x, y, members = another_in_a_slice(4000, 1)
        cuts = [Cut("low", 0, None, None, 0.0)]
        selected = fit_selection(BINARY, list(members.values()), x, y, cuts)
        assert selected.inside[0, 0] > 0.85
        assert selected.outside[0] < 0.65

    def test_a_slice_of_few_rows_keeps_the_weights_of_all(self) -> None:
        x, y, members = another_in_a_slice(300, 2)
        selected = fit_selection(BINARY, list(members.values()), x, y, [Cut("rare", 0, None, 2.5, None)])
        assert (selected.inside[0] == selected.outside).all()

    def test_a_row_takes_the_first_slice_it_lies_in_and_a_missing_value_lies_in_none(self) -> None:
        cuts = [Cut("zero", 0, 0.0, None, None), Cut("low", 0, None, None, 1.0)]
        rule = Selected(cuts, np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.5, 0.5]))
        x = np.array([[0.0], [-1.0], [1.0], [np.nan]])
        made = [np.full(4, 0.2), np.full(4, 0.8)]
        assert rule.apply(made, x).tolist() == [0.2, 0.8, 0.5, 0.5]

    def test_it_is_kept_where_it_wins_out_of_sample(self, asked: Any) -> None:
        held = Held.of(BINARY, *another_in_a_slice(2000, 3))
        for ensemble in ("selection", "best"):
            found = held.combine(asked(ensemble))
            assert found.described["method"] == "selection", ensemble
            assert found.described["judged"]["selection"]["low"] > 0.0
            assert found.to_json()["slices"][0]["column"] == 0

    def test_without_structure_it_falls_back_in_nine_of_ten_seeds_and_says_so(self, asked: Any) -> None:
        use_case = asked("selection")
        chosen = []
        for seed in range(60):
            found = Held.of(BINARY, *no_structure(800, seed)).combine(use_case)
            chosen.append(found.described["method"])
            assert (found.described["method"] == "selection") is found.described["judged"]["selection"]["won"]
        assert chosen.count("selection") <= 6
        assert set(chosen) <= {"selection", "weighted"}

    def test_a_member_that_only_a_slice_takes_ships_with_a_weight(self, asked: Any) -> None:
        x, y, members = another_in_a_slice(3000, 4)
        members["one"] = np.where(x[:, 0] < 0.0, members["one"], np.where(y == 1.0, 0.02, 0.98))
        members["other"] = np.where(x[:, 0] < 0.0, np.where(y == 1.0, 0.3, 0.7), members["other"])
        found = Held.of(BINARY, x, y, members).combine(asked("selection"))
        assert set(found.weights) == {"one", "other"}
        assert min(found.weights.values()) > 0.0


def test_rows_of_one_declared_cluster_count_together_when_a_selection_is_judged(asked: Any) -> None:
    x, y, members = another_in_a_slice(500, 9)
    often = np.repeat(np.arange(500), 8)  # each row is seen eight times in turn, over two days or one
    again = {name: each[often] for name, each in members.items()}
    held = Held.of(BINARY, x[often], y[often], again)

    def judged(cluster: Any) -> tuple[float, float]:
        told = Held(replace(held.data, cluster=cluster), held.oof).combine(asked("selection")).described
        found = told["judged"]["selection"]
        return found["gain"], found["high"] - found["low"]

    gain, alone = judged(np.arange(len(often)).astype(str))
    same, together = judged(often.astype(str))
    assert gain == same
    assert together == pytest.approx(alone * np.sqrt(8), rel=0.05)


class TestBest:
    def test_stacking_is_taken_where_no_mean_is_right(self, asked: Any) -> None:
        found = Held.of(BINARY, *halves_of_the_truth(2000, 5)).combine(asked("best"))
        assert found.described["method"] == "stacking"
        losses = found.described["judged"]["loss"]
        assert losses["stacking"] < losses["weighted"]
        assert sum(found.weights.values()) == pytest.approx(1.0)

    def test_a_tie_goes_to_the_weighted_mean(self, asked: Any) -> None:
        rng = np.random.default_rng(8)
        x, y = rng.normal(size=(400, 4)), rng.integers(0, 2, 400).astype(float)
        perfect = {name: np.where(y == 1.0, 1.0, 0.0) for name in ("one", "other")}
        assert Held.of(BINARY, x, y, perfect).combine(asked("best")).rule is None

    def test_too_few_rows_to_compare_are_said(self, asked: Any) -> None:
        found = Held.of(BINARY, *halves_of_the_truth(60, 6)).combine(asked("best"))
        assert found.described["method"] == "weighted"
        assert "too few" in found.described["judged"]["why"]

    def test_the_newer_half_is_not_seen_by_what_is_judged_on_it(self, asked: Any) -> None:
        held = Held.of(BINARY, *halves_of_the_truth(800, 7))
        older, newer = halves(held.data, held.oof)
        assert older.max() < newer.min()
        first = held.data.event_time[newer].min()
        assert (held.data.label_known_at[older] < first).all(), "their labels were known by then"
        assert len(newer) == 400

    def test_folds_without_an_order_are_parted_between_folds(self) -> None:
        count = 100
        data = Held.of(BINARY, *no_structure(count, 1)).data
        block = np.arange(count) % 4
        folds = [
            Fold(each + 1, np.flatnonzero(block != each), np.flatnonzero(block == each)) for each in range(4)
        ]
        oof = OutOfFold(np.concatenate([each.validate for each in folds]), data.y, {}, {})
        older, newer = halves(replace(data, folds=folds), oof)
        assert older.tolist() == list(range(50))
        assert newer.tolist() == list(range(50, 100))

    @pytest.mark.parametrize("ensemble", ["best", "selection"])
    def test_one_fold_leaves_nothing_to_compare_by(self, asked: Any, ensemble: str) -> None:
        held = Held.of(BINARY, *halves_of_the_truth(200, 7))
        alone = Fold(1, np.arange(100), np.arange(100, 200))  # of one group, while all others only train
        predicted = {name: each[alone.validate] for name, each in held.oof.members.items()}
        oof = OutOfFold(alone.validate, held.data.y[alone.validate], predicted, {})
        found = Held(replace(held.data, folds=[alone]), oof).combine(asked(ensemble))
        assert found.described["method"] == "weighted"
        assert found.described["judged"] == {"why": "too few held-out rows to compare", "rows": 100}

    def test_everything_is_refitted_on_all_held_out_rows(self, asked: Any) -> None:
        x, y, members = halves_of_the_truth(2000, 5)
        found = Held.of(BINARY, x, y, members).combine(asked("best"))
        assert isinstance(found.rule, Stacked)
        alone = fit_stacking(BINARY, list(members.values()), y, None)
        assert found.rule.coefficients == pytest.approx(alone.coefficients, abs=0.05)


class TestCombination:
    @pytest.mark.parametrize("ensemble", ["weighted", "voting", "stacking", "selection", "best"])
    def test_what_the_bundle_says_gives_the_same_numbers(self, asked: Any, ensemble: str) -> None:
        x, y, members = another_in_a_slice(2000, 9)
        found = Held.of(BINARY, x, y, members).combine(asked(ensemble))
        made = [members[name] for name in found.weights]
        said = json.loads(json.dumps(found.to_json(), allow_nan=False))
        assert found.apply(made, x) == pytest.approx(by_contract(said, found.weights, made, x), abs=1e-12)
        json.dumps(found.described, allow_nan=False)

    def test_voting_gives_every_member_the_same(self, asked: Any) -> None:
        x, y, members = no_structure(400, 1)
        found = Held.of(BINARY, x, y, members).combine(asked("voting"))
        assert found.weights == {"one": 0.5, "other": 0.5}
        assert found.to_json() == {"method": "weighted"}

    def test_one_member_is_itself_whatever_is_asked(self, asked: Any) -> None:
        x, y, members = no_structure(400, 1)
        for ensemble in ("voting", "stacking", "selection", "best"):
            found = Held.of(BINARY, x, y, {"one": members["one"]}).combine(asked(ensemble))
            assert (found.weights, found.to_json()) == ({"one": 1.0}, {"method": "weighted"})


def by_contract(said: dict[str, Any], weights: dict[str, float], made: list[Floats], x: Floats) -> Floats:
    """The `ensemble` of bundle.json applied row by row, as its format is documented, for a binary task."""
    rows = []
    for row in range(len(x)):
        each = np.array([p[row] for p in made])
        if said["method"] == "stacking":
            z = said["intercept"][0] + np.array(said["coefficients"]) @ logit(each)
            rows.append(float(np.clip(expit(np.array([z]))[0], CLIP, 1 - CLIP)))
            continue
        given_ = list(weights.values())
        for cut in said.get("slices", []):
            value = x[row, cut["column"]]
            low, high, equals = cut["low"], cut["high"], cut["equals"]
            if (
                not np.isnan(value)
                and (low is None or low <= value)
                and (high is None or value < high)
                and (equals is None or value == equals)
            ):
                given_ = cut["weights"]
                break
        rows.append(float(each @ given_))
    return np.array(rows)
