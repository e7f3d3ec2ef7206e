"""Why a model says what it says, and what a person reads of it: held to their numbers for every task."""

import json
from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
from tests.gate.explain_cases import TASKS, Case, build

from pennant.declaration.model import UseCase
from pennant.gate import explain_rows
from pennant.gate.explain import Explained, Stability, Unexplained, explain, stability
from pennant.gate.plots_calibration import pit
from pennant.gate.score import inputs_of
from pennant.gate.shap_values import TOLERANCE, NotAdditive, TreeShap
from pennant.gate.tables import ScoreTable
from pennant.training import stability as across
from pennant_serving.explanation import link_of

PARTS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
    "Quantitative analyses", "Ceilings, contract and leaks", "Explanation", "Ethical considerations",
    "Limits and recommendations", "Reproduce",
)  # fmt: skip
"""Of Mitchell et al. 2019, and what the gate adds."""


@pytest.fixture(scope="module")
def case(
    tmp_path_factory: pytest.TempPathFactory, declaring: Callable[..., UseCase]
) -> Callable[[str], Case]:
    """Each task trained and judged once."""
    home, found = tmp_path_factory.mktemp("explained"), {}

    def make(task: str) -> Case:
        if task not in found:
            found[task] = build(task, declaring(), home / task)
        return found[task]

    return make


@pytest.mark.parametrize("task", TASKS)
def test_terms_and_baseline_are_the_prediction_and_those_that_serving_tells(
    case: Callable[[str], Case], task: str
) -> None:
    one = case(task)
    found, bundle = one.shown.explained, one.opened.bundle
    assert isinstance(found, Explained)
    inputs = inputs_of(one.fresh[found.rows], [each.name for each in bundle.inputs])
    linked = link_of(one.use_case.task, bundle.predict(inputs).prediction)
    large = max(1.0, float(np.abs(linked).max()))
    assert np.abs(found.baseline + found.values.sum(axis=2) - linked).max() < TOLERANCE * large
    told = bundle.explain(inputs).contributions.reshape((*found.values.shape[:2], -1))
    kept = [at for at, each in enumerate(bundle.inputs) if each.name in found.names]
    assert np.abs(told[..., kept] - found.values).max() < 2 * TOLERANCE * large
    assert set(found.rows) >= {each.row for each in one.shown.told}


@pytest.mark.parametrize("task", ["binary", "multiclass", "count", "regression"])
def test_interactions_sum_to_shap_values_and_name_the_planted_pair(
    case: Callable[[str], Case], task: str
) -> None:
    one = case(task)
    found, bundle = one.shown.explained, one.opened.bundle
    assert isinstance(found, Explained)
    assert found.interactions is not None
    assert set(found.interactions.pairs()[0][:2]) == {"form", "rest"}
    assert (found.interactions.partner("form"), found.interactions.partner("rest")) == ("rest", "form")
    trees = TreeShap((one.opened.folder / "members/trees.ubj").read_bytes(), len(bundle.inputs))
    inputs = inputs_of(one.fresh[:40], [each.name for each in bundle.inputs])
    values, pairs = trees.values(inputs), trees.interactions(inputs)
    large = max(1.0, float(np.abs(values.sum(axis=2)).max()))
    assert np.abs(pairs.sum(axis=3) - values[..., :-1]).max() < TOLERANCE * large
    assert np.allclose(pairs, pairs.swapaxes(2, 3), atol=TOLERANCE * large)


def test_terms_that_are_not_the_margin_of_the_trees_are_refused(case: Callable[[str], Case]) -> None:
    folder, other = (case(each).opened.folder for each in ("binary", "regression"))
    trees, strange = (TreeShap((each / "members/trees.ubj").read_bytes(), 4) for each in (folder, other))
    trees._explainer = strange._explainer
    with pytest.raises(NotAdditive) as caught:
        trees.values(np.zeros((3, 4)))
    assert caught.value.error > caught.value.allowed


@pytest.mark.parametrize("task", ["binary", "count"])
def test_a_planted_feature_leads_in_every_fold_and_noise_in_none(
    case: Callable[[str], Case], task: str
) -> None:
    found = stability(case(task).opened.folder, task)
    assert isinstance(found, Stability)
    assert len(found.folds) == len(found.importances) == 3
    leads = [found.names[at] for at in found.importances.argmax(axis=1)]
    assert leads == ["strength"] * 3
    noise = found.importances[:, found.names.index("noise")]
    assert (noise < found.importances[:, found.names.index("strength")] / 3).all()
    assert found.rank_correlation is not None
    assert found.rank_correlation > 0.5


def test_rank_correlation_is_1_for_one_order_and_less_the_more_orders_differ() -> None:
    order = np.array([1.0, 2.0, 3.0, 4.0])
    assert across.rank_correlation([order, order**2, 10 * order]) == pytest.approx(1.0)
    assert across.rank_correlation([order, -order]) == pytest.approx(-1.0)
    assert across.rank_correlation([order]) is None
    assert across.rank_correlation([np.zeros(4), order]) is None


def test_a_bundle_from_before_folds_were_kept_says_so(case: Callable[[str], Case], tmp_path: Path) -> None:
    told = json.loads((case("binary").opened.folder / "explain.json").read_text())
    (tmp_path / "explain.json").write_text(json.dumps({"importances": told["importances"]}))
    assert isinstance(stability(tmp_path, "binary"), Unexplained)


@pytest.mark.parametrize("task", TASKS)
def test_the_rows_told_are_those_with_the_largest_gain_and_loss(
    case: Callable[[str], Case], task: str
) -> None:
    one = case(task)
    ours, theirs = one.tables["challenger"], one.tables["champion"]
    assert isinstance(ours, ScoreTable)
    assert isinstance(theirs, ScoreTable)
    metric = one.verdict.metric
    gain = theirs.losses(metric) - ours.losses(metric)
    best, worst, usual = one.shown.told
    assert (best.row, worst.row) == (int(gain.argmax()), int(gain.argmin()))
    assert best.gain == pytest.approx(gain.max())
    assert usual.row not in {best.row, worst.row}
    assert best.reasons
    assert explain_rows.outcome_words(ours, best.row, one.use_case.label.classes) == best.outcome


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_has_its_interval_around_it(case: Callable[[str], Case], task: str) -> None:
    measures = case(task).shown.measures
    assert measures is not None
    assert measures.of["challenger"][case(task).verdict.metric].value == case(task).verdict.challenger_loss
    for of in measures.of.values():
        for name, each in of.items():
            if name in {"ece", "reliability", "resolution"}:
                assert (each.low, each.high) == (None, None)
            else:
                assert each.low is not None
                assert each.high is not None
                assert each.low <= each.value <= each.high


def test_right_forecasts_of_counts_have_a_flat_pit_and_others_have_not() -> None:
    rng = np.random.default_rng(0)
    mean = rng.uniform(1.0, 6.0, 20_000)
    steps = np.arange(30.0)
    logs = np.cumsum(np.log(np.maximum(steps, 1.0)))
    chances = np.exp(steps * np.log(mean)[:, None] - mean[:, None] - logs)
    came = rng.poisson(mean).astype(float)
    assert np.abs(pit(came, chances) - 0.1).max() < 0.01
    assert pit(came + 2.0, chances)[-1] > 0.3


@pytest.mark.parametrize("task", TASKS)
def test_equal_data_gives_equal_bytes_and_soon(case: Callable[[str], Case], task: str) -> None:
    one = case(task)
    again = one.gather()
    assert [name for name, each in again.pictures.items() if each != one.shown.pictures[name]] == []
    assert one.page(again) == one.page()
    assert one.card(again) == one.card()
    assert one.seconds < 30


@pytest.mark.parametrize("task", TASKS)
def test_the_card_of_every_task_names_every_part(case: Callable[[str], Case], task: str) -> None:
    one, told = case(task), case(task).card()
    for part in PARTS:
        assert f"\n## {part}\n" in told
    assert f"pennant rebuild {one.use_case.name} 2" in told
    for number in (f"{one.verdict.challenger_loss:.4f}", "0.40 MB", "7.5 ms", "5" * 64):
        assert number in told
    for name in one.use_case.training.members:
        assert f"| {name} |" in told or name not in one.opened.bundle.manifest["members"]
    assert "mean Spearman correlation" in told


@pytest.mark.parametrize("task", TASKS)
def test_the_page_of_every_task_shows_its_plots_and_loads_nothing(
    case: Callable[[str], Case], task: str
) -> None:
    one, page = case(task), case(task).page()
    wanted = {"gain", "calibration", "scores", "slices", "importances", "dependence", "stability"}
    assert wanted <= set(one.shown.pictures)
    assert ("interactions" in one.shown.pictures) == (task != "trajectory")
    assert page.count('<img alt="') == len(one.shown.pictures)
    assert "<script" not in page
    assert 'src="http' not in page
    assert one.verdict.outcome.upper() in page


def test_what_comes_from_data_becomes_no_markup(case: Callable[[str], Case]) -> None:
    one, hostile = case("multiclass"), "<script>alert(1)</script>"
    told = tuple(replace(each, entity=hostile, outcome=hostile, said=hostile) for each in one.shown.told)
    explained = one.shown.explained
    assert isinstance(explained, Explained)
    names = (hostile, *explained.names[1:])
    shown = replace(one.shown, told=told, explained=replace(explained, names=names))
    label = one.use_case.label.model_copy(update={"classes": [hostile, "draw", "away"]})
    changed = one.use_case.model_copy(update={"title": hostile, "label": label})
    page, text = one.page(shown, changed), one.card(shown, changed)
    assert "<script" not in page
    assert escape(hostile) in page
    assert "<script" not in text.replace(f"`{hostile}`", "")


def test_what_cannot_be_explained_is_said_and_not_drawn(case: Callable[[str], Case]) -> None:
    one = case("binary")
    drawn = {name: each for name, each in one.shown.pictures.items() if name == "gain"}
    shown = replace(one.shown, explained=Unexplained("a transformer has no exact terms"), pictures=drawn)
    assert "No explanation: a transformer has no exact terms." in one.page(shown)
    assert "No explanation: a transformer has no exact terms." in one.card(shown)
    assert "Importances" not in one.page(shown)


def test_explaining_one_row_is_explaining_it_among_others(case: Callable[[str], Case]) -> None:
    one, found = case("binary"), case("binary").shown.explained
    alone = explain(one.fresh[7:8], one.opened.bundle, one.opened.folder, [0])
    assert isinstance(alone, Explained)
    assert isinstance(found, Explained)
    assert np.abs(alone.values[0] - found.values[found.at(7)]).max() < TOLERANCE
