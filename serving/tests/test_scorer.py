"""The formulas of the format, written a second time: combination, calibration, intervals, confidence."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from member_cases import rows_of
from task_bundles import TASKS, confidence_of, manifest_of, members_of, scorer_of

from pennant_serving.arrays import Floats
from pennant_serving.confidence import _rank
from pennant_serving.errors import ExplanationUnavailable
from pennant_serving.explanation import link_of
from pennant_serving.lines import LineOutside, price_at
from pennant_serving.manifest import Manifest
from pennant_serving.members.laws import poisson
from pennant_serving.scorer import Scorer, load_members

PLAIN: dict[str, Any] = {"calibration": {"method": "none"}}
every = pytest.mark.parametrize("task", TASKS)


def stacking(task: str) -> dict[str, Any]:
    count = len(members_of(task))
    coefficients = [0.9 / count * (1 + 0.3 * at) for at in range(count)]
    intercept = {"binary": [0.2], "multiclass": [0.1, -0.2, 0.05], "regression": [1.5]}.get(task, [])
    return {"ensemble": {"method": "stacking", "coefficients": coefficients, "intercept": intercept}}


def sliced(task: str) -> tuple[int, int]:
    """Two inputs that may be missing."""
    return (8, 9) if task == "trajectory" else (0, 1)


def selection(task: str) -> dict[str, Any]:
    count = len(members_of(task))
    one, last = ([float(at == chosen) for at in range(count)] for chosen in (0, count - 1))
    limits = {"equals": None, "low": None, "high": None}
    first, second = sliced(task)
    slices = [
        {**limits, "name": "some", "column": first, "low": 0.3, "high": 0.45, "weights": one},
        {**limits, "name": "more", "column": first, "low": 0.3, "weights": last},
        {**limits, "name": "level", "column": second, "equals": 0.5, "weights": last},
    ]
    return {"ensemble": {"method": "selection", "slices": slices}}


ENSEMBLES = {"weighted": lambda _: {}, "stacking": stacking, "selection": selection}
combined = pytest.mark.parametrize("method", ENSEMBLES)


def predictions(task: str, rows: Floats) -> list[Floats]:
    return [each.served.predict(rows) for each in members_of(task)]


def weights_of(task: str) -> list[float]:
    return [each["weight"] for each in manifest_of(task)[0]["members"]]


def softmax(z: Floats) -> Floats:
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def logit(p: Any) -> Any:
    return np.log(p / (1 - p))


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


@every
def test_weighted_is_the_mean_of_the_members(task: str) -> None:
    rows = rows_of(task, 90, 4)
    wanted = sum(w * p for w, p in zip(weights_of(task), predictions(task, rows), strict=True))
    np.testing.assert_allclose(scorer_of(task, **PLAIN).predict(rows).prediction, wanted, atol=1e-12)


@every
def test_stacking_adds_logits_logs_or_numbers(task: str) -> None:
    rows, found = rows_of(task, 90, 4), stacking(task)["ensemble"]
    parts = predictions(task, rows)
    if task == "binary":
        z = sum(
            c * logit(np.clip(p, 1e-6, 1 - 1e-6)) for c, p in zip(found["coefficients"], parts, strict=True)
        )
        wanted = sigmoid(z + found["intercept"][0])
    elif task in {"multiclass", "count"}:
        z = sum(
            c * np.log(np.clip(p, 1e-12, None)) for c, p in zip(found["coefficients"], parts, strict=True)
        )
        wanted = softmax(z + np.array(found["intercept"] or [0.0]))
    else:
        wanted = sum(c * p for c, p in zip(found["coefficients"], parts, strict=True))
        wanted = wanted + sum(found["intercept"])
    given = scorer_of(task, **PLAIN, **stacking(task)).predict(rows).prediction
    np.testing.assert_allclose(given, wanted, atol=1e-10)


@every
def test_a_row_takes_the_weights_of_the_first_slice_it_lies_in_and_a_missing_value_lies_in_none(
    task: str,
) -> None:
    rows = rows_of(task, 60, 4)
    first, second = sliced(task)
    rows[:6, first] = [0.3, 0.449, 0.45, 0.9, np.nan, np.nan]
    rows[:6, second] = [0.5, 0.5, 0.5, 0.5, 0.5, np.nan]
    scores = scorer_of(task, **PLAIN, **selection(task)).predict(rows)
    parts = predictions(task, rows)
    usual = sum(w * p for w, p in zip(weights_of(task), parts, strict=True))
    for row, wanted in enumerate([parts[0], parts[0], parts[-1], parts[-1], parts[-1], usual]):
        np.testing.assert_allclose(scores.prediction[row], wanted[row], atol=1e-12)
    assert not scores.disagreement[:5].any()


@every
@combined
def test_a_row_alone_gives_the_bits_that_it_gives_in_a_batch(task: str, method: str) -> None:
    scorer = scorer_of(task, **ENSEMBLES[method](task), confidence=confidence_of(task))
    rows = rows_of(task, 60, 5)
    together, alone = scorer.predict(rows), [scorer.predict(rows[at : at + 1]) for at in range(len(rows))]
    for name in ("prediction", "low", "high", "width", "disagreement", "confidence"):
        joined = np.concatenate([getattr(each, name) for each in alone])
        assert joined.tobytes() == getattr(together, name).tobytes(), name


@every
@combined
def test_an_explanation_adds_up_to_the_prediction_for_every_output(task: str, method: str) -> None:
    scorer = scorer_of(task, **ENSEMBLES[method](task))
    rows = rows_of(task, 60, 6)
    explained = scorer.explain(rows)
    wanted = link_of(task, scorer.predict(rows).prediction)  # type: ignore[arg-type]
    total = explained.baseline + explained.contributions.sum(axis=-1)
    outputs = {"binary": 0, "multiclass": 3, "trajectory": 2}.get(task, 1)
    assert len(explained.outputs) == outputs
    assert explained.contributions.shape == ((60, outputs, rows.shape[1]) if outputs else (60, rows.shape[1]))
    np.testing.assert_allclose(total, wanted[:, 0] if not outputs else wanted, atol=1e-5)
    again = scorer.explain(rows[3:4])
    np.testing.assert_allclose(again.contributions[0], explained.contributions[3], atol=1e-5)


@pytest.mark.parametrize("method", ["weighted", "stacking"])
def test_shares_of_features_do_not_depend_on_what_rounding_left(method: str) -> None:
    """The raw integral already adds up; only a remainder the size of float32 is spread."""
    for task in ("binary", "multiclass", "regression"):
        rows = rows_of(task, 50, 8)
        manifest = Manifest.model_validate(manifest_of(task, **PLAIN, **ENSEMBLES[method](task))[0])
        scorer = Scorer(manifest, load_members(manifest, manifest_of(task)[1]))
        members, combination = scorer._members, scorer._combination
        parts = np.stack([each.contributions(rows) for each in members], axis=1)
        from pennant_serving.explanation import Explaining

        explaining = Explaining(task, combination, members, lambda p: p)  # type: ignore[arg-type]
        bias, own = parts[..., -1], parts[..., :-1]
        slopes = explaining._slopes(bias, bias + own.sum(axis=-1), combination.weights(rows))
        raw = np.einsum("nmop,nmpf->nof", slopes, own)
        found = explaining.terms(rows, scorer.predict(rows).prediction).terms
        np.testing.assert_allclose(found, raw, atol=2e-5)


def test_paths_of_constant_velocity_are_explained_by_place_and_last_step() -> None:
    manifest, files = manifest_of("trajectory")
    for each in manifest["members"]:
        each["weight"] = float(each["kind"] == "constant_velocity")
    manifest["members"] = [each for each in manifest["members"] if each["weight"]]
    scorer = Scorer((m := Manifest.model_validate(manifest)), load_members(m, files))
    rows = rows_of("trajectory", 5, 3)
    terms = scorer.explain(rows).contributions
    names = [each["name"] for each in manifest["inputs"]]
    assert np.allclose(terms[:, 0, names.index("position_x")], rows[:, names.index("position_x")])
    assert np.allclose(terms[:, 1, names.index("back_y_1")], -7 * rows[:, names.index("back_y_1")])
    assert not terms[:, 0, names.index("position_y")].any()


def test_a_member_without_exact_terms_is_not_explained() -> None:
    class Silent:
        def predict(self, rows: Floats) -> Floats:
            return np.full(len(rows), 0.4)

        def contributions(self, rows: Floats) -> Floats:
            raise ExplanationUnavailable("transformer")

        def respond(self, link: Floats) -> Floats:
            return link

    manifest, files = manifest_of("binary")
    loaded = Manifest.model_validate(manifest)
    members = load_members(loaded, files)
    scorer = Scorer(loaded, [*members[:-1], Silent()])
    assert scorer.predict(rows_of("binary", 3, 1)).prediction.shape == (3,)
    with pytest.raises(ExplanationUnavailable) as caught:
        scorer.explain(rows_of("binary", 3, 1))
    assert caught.value.kind == "transformer"


@pytest.mark.parametrize("task", ["multiclass", "count"])
def test_a_temperature_raises_probabilities_to_its_inverse(task: str) -> None:
    rows = rows_of(task, 40, 2)
    plain = scorer_of(task, **PLAIN).predict(rows).prediction
    given = (
        scorer_of(task, calibration={"method": "temperature", "temperature": 2.0}).predict(rows).prediction
    )
    wanted = np.clip(plain, 1e-12, None) ** 0.5
    np.testing.assert_allclose(given, wanted / wanted.sum(axis=1, keepdims=True), atol=1e-12)


def test_intervals_of_classes_lie_around_each_probability_in_logits() -> None:
    scores = scorer_of("multiclass").predict(rows_of("multiclass", 40, 2))
    np.testing.assert_allclose(scores.low, sigmoid(logit(scores.prediction) - 0.3), atol=1e-9)
    np.testing.assert_allclose(scores.high, sigmoid(logit(scores.prediction) + 0.3), atol=1e-9)
    np.testing.assert_allclose(scores.width, (scores.high - scores.low).mean(axis=1))


@pytest.mark.parametrize("offset", [-3, -1, 0, 2])
def test_the_interval_of_a_count_is_its_quantiles_moved_out_and_never_turned_round(offset: int) -> None:
    intervals = {"method": "conformalised_quantiles", "coverage": 0.8, "offset": offset}
    scores = scorer_of("count", intervals=intervals).predict(rows_of("count", 40, 2))
    for row in range(40):
        cumulative = np.cumsum(scores.prediction[row])
        low, high = (int(np.argmax(cumulative >= share - 1e-12)) for share in (0.1, 0.9))
        assert scores.low[row] == max(low - offset, 0)
        assert scores.high[row] == max(high + offset, scores.low[row])
    if offset == 0:
        inside = [p[int(a) : int(b) + 1].sum() for p, a, b in
                  zip(scores.prediction, scores.low, scores.high, strict=True)]  # fmt: skip
        assert min(inside) >= 0.8 - 1e-9


def test_the_interval_of_a_number_is_fixed_or_two_quantiles_moved_out() -> None:
    import xgboost

    rows = rows_of("regression", 200, 2)
    scores = scorer_of("regression").predict(rows)
    np.testing.assert_allclose(scores.high - scores.prediction, 2.5)
    assert set(scores.width.tolist()) == {5.0}
    names = [each["name"] for each in manifest_of("regression")[0]["inputs"]]
    label = np.nan_to_num(rows).sum(axis=1)
    booster = xgboost.train(
        {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9], "max_depth": 2},
        xgboost.DMatrix(rows, label, feature_names=names),
        num_boost_round=5,
    )
    file = "members/quantiles.ubj"
    quantiles = {"method": "conformalised_quantiles", "coverage": 0.8, "offset": 0.25, "file": file}
    manifest, files = manifest_of("regression", intervals=quantiles)
    from pennant_serving.scorer import read_scorer

    content = bytes(booster.save_raw("ubj"))
    scorer = read_scorer(Manifest.model_validate(manifest), {**files, file: content})
    told = np.sort(booster.inplace_predict(rows), axis=1)
    found = scorer.predict(rows)
    np.testing.assert_allclose(found.low, told[:, 0] - 0.25, atol=1e-6)
    np.testing.assert_allclose(found.high, told[:, 1] + 0.25, atol=1e-6)
    with pytest.raises(ValueError, match="quantiles"):
        Scorer(Manifest.model_validate(manifest), load_members(Manifest.model_validate(manifest), files))


def test_a_path_has_a_radius_for_each_step() -> None:
    scores = scorer_of("trajectory").predict(rows_of("trajectory", 3, 2))
    assert scores.low.shape == (3, 7)
    assert scores.low.tolist() == scores.high.tolist()
    np.testing.assert_allclose(scores.low[1], 0.1 * np.arange(1, 8))
    np.testing.assert_allclose(scores.width, 0.4)


@every
def test_disagreement_is_how_far_members_are_from_their_combination(task: str) -> None:
    rows = rows_of(task, 50, 3)
    scores, parts = scorer_of(task, **PLAIN).predict(rows), predictions(task, rows)
    mixed, wanted = scores.prediction, np.zeros(50)
    for weight, part in zip(weights_of(task), parts, strict=True):
        if task == "binary":
            wanted += weight * (logit(part) - logit(mixed)) ** 2
        elif task == "regression":
            wanted += weight * (part - mixed) ** 2
        elif task == "trajectory":
            apart = (part - mixed).reshape(50, -1, 2)
            wanted += weight * np.linalg.norm(apart, axis=2).mean(axis=1)
        else:
            wanted += weight * np.abs(part - mixed).sum(axis=1) / 2
    wanted = np.sqrt(wanted) if task in {"binary", "regression"} else wanted
    np.testing.assert_allclose(scores.disagreement, wanted, atol=1e-9)


@every
def test_one_member_never_disagrees_and_without_percentiles_there_is_no_confidence(task: str) -> None:
    manifest, files = manifest_of(task, **PLAIN)
    manifest["members"] = [{**manifest["members"][0], "weight": 1.0}]
    loaded = Manifest.model_validate(manifest)
    scores = Scorer(loaded, load_members(loaded, files)).predict(rows_of(task, 20, 3))
    assert not scores.disagreement.any()
    assert np.isnan(scores.confidence).all()


@every
def test_confidence_falls_with_width_and_disagreement_from_1_to_0(task: str) -> None:
    scorer = scorer_of(task, confidence=confidence_of(task))
    scores = scorer.predict(rows_of(task, 300, 9))
    assert scores.confidence.min() >= 0.0
    assert scores.confidence.max() <= 1.0
    keys = np.lexsort((scores.disagreement, scores.width))
    for one, other in pairwise(keys):
        if (
            scores.width[one] <= scores.width[other]
            and scores.disagreement[one] <= scores.disagreement[other]
        ):
            assert scores.confidence[one] >= scores.confidence[other]
    assert scores.confidence.std() > 0.05


percentiles = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]), min_size=101, max_size=101).map(sorted)


@given(values=percentiles, x=st.floats(-1, 4))
@settings(max_examples=100, deadline=None)
def test_a_rank_is_the_share_of_reference_rows_below(values: list[float], x: float) -> None:
    found = float(_rank(np.array(values), np.array([x]))[0])
    below = sum(each < x for each in values)
    assert max(below - 1, 0) / 100 <= found <= min(below, 100) / 100
    if x in values:
        assert found == below / 100
    if values[0] < x <= values[-1] and len(set(values)) == 101:
        assert found == pytest.approx(np.interp(x, values, np.linspace(0, 1, 101)))


@given(mean=st.floats(0.1, 12), quarters=st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_a_line_is_priced_as_the_betting_layer_prices_it(mean: float, quarters: int) -> None:
    from pennant.decisions.lines import over

    distribution, line = poisson(np.array([mean]), 25), quarters / 4
    found = price_at(distribution, line)
    probability, decided = over(distribution, [line])
    assert found.over[0] + found.under[0] + found.push[0] == pytest.approx(1.0)
    assert found.over[0] == pytest.approx(probability[0] * decided[0], abs=1e-9)
    assert found.push[0] == pytest.approx(1 - decided[0], abs=1e-9)
    if quarters % 4 == 2:
        assert found.push[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("line", [-0.25, 0.1, 25.0, 24.75, float("nan"), float("inf")])
def test_a_line_that_cannot_be_priced_is_refused(line: float) -> None:
    with pytest.raises(LineOutside):
        price_at(poisson(np.array([3.0]), 25), line)


def test_samples_of_a_bundle_lie_around_its_combined_path() -> None:
    scorer, rows = scorer_of("trajectory"), rows_of("trajectory", 30, 3)
    samples = scorer.samples(rows, 20)
    assert samples.shape == (30, 20, 14)
    member = next(each.served for each in members_of("trajectory") if each.case.kind == "path_residual")
    moved = scorer.predict(rows).prediction - member.predict(rows)
    np.testing.assert_allclose(samples - moved[:, None], member.samples(rows, 20), atol=1e-9)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="no member"):
        scorer_of("count").samples(rows_of("count", 2, 1), 5)


@every
def test_no_rows_give_no_scores_of_the_right_shape(task: str) -> None:
    scorer = scorer_of(task)
    none, some = (
        scorer.predict(np.empty((0, rows_of(task, 1, 1).shape[1]))),
        scorer.predict(rows_of(task, 2, 1)),
    )
    for name in ("prediction", "low", "high", "confidence"):
        assert getattr(none, name).shape == (0, *getattr(some, name).shape[1:])
