"""The judge: what it promotes, holds and refuses, each with its reason and numbers."""

import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pennant.declaration.model import Gate
from pennant.gate.approval import is_open
from pennant.gate.outcome import Reason
from pennant.gate.tables import ScoreTable, Unscorable
from pennant.gate.verdict import Verdict, judge

Deciding = Callable[..., Verdict]
Truth = Any


def test_a_better_challenger_is_promoted_with_the_numbers_that_say_so(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    found = deciding(truth.skilled(), truth.unskilled(), [truth.base_rate()], policy)
    assert found.outcome == "promote"
    reason = next(each for each in found.reasons if each.code == "beats_champion")
    assert 0 < reason.numbers["low"] < reason.numbers["gain"] < reason.numbers["high"]
    assert reason.numbers["gain"] == pytest.approx(
        reason.numbers["other_loss"] - reason.numbers["challenger_loss"]
    )
    assert (reason.numbers["n"], reason.numbers["days"]) == (400, 40)
    assert f"{reason.numbers['gain']:+.4f}" in reason.text


def test_a_worse_challenger_holds(truth: Truth, deciding: Deciding, policy: Gate) -> None:
    found = deciding(truth.unskilled("challenger"), truth.skilled("champion"), [truth.base_rate()], policy)
    assert found.outcome == "hold"
    assert "worse_than_champion" in found.codes


def test_ties_hold_under_every_policy(
    truth: Truth, deciding: Deciding, policy_with: Callable[..., Gate]
) -> None:
    for rule, margin in (("superiority", 0.0), ("non_inferiority", 0.05)):
        policy = policy_with(policy=rule, margin=margin)
        same = truth.skilled("champion", "b" * 64)
        found = deciding(truth.skilled(), same, [truth.base_rate()], policy)
        assert found.outcome == "hold"
        assert "not_better_than_champion" in found.codes


def test_a_gain_the_size_of_rounding_is_a_tie(truth: Truth, deciding: Deciding, policy: Gate) -> None:
    challenger = truth.skilled()
    rounded = np.where(truth.label > 0.5, challenger.prediction - 1e-13, challenger.prediction + 1e-13)
    champion = truth.table("champion", rounded, "b" * 64)
    assert deciding(challenger, champion, [truth.base_rate()], policy).outcome == "hold"


def test_the_champions_own_bundle_cannot_replace_it(truth: Truth, deciding: Deciding, policy: Gate) -> None:
    found = deciding(truth.skilled(), truth.unskilled(bundle="a" * 64), [truth.base_rate()], policy)
    assert found.outcome == "hold"
    assert "challenger_is_champion" in found.codes


def test_the_first_champion_has_to_prove_that_it_beats_every_required_baseline(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    rival = truth.table("elo", truth.skilled().prediction)
    assert deciding(truth.skilled(), None, [truth.base_rate()], policy).outcome == "promote"
    found = deciding(truth.skilled(), None, [truth.base_rate(), rival], policy)
    assert found.outcome == "hold"
    assert [each.code for each in found.deciding()] == ["baseline_not_beaten"]


def test_a_baseline_that_is_not_required_is_shown_and_decides_nothing(truth: Truth, policy: Gate) -> None:
    market = truth.table("market", truth.skilled().prediction)
    tables = {"base_rate": truth.base_rate(), "market": market}
    found = judge(truth.skilled(), None, tables, policy, ["base_rate"], {})
    assert found.outcome == "promote"
    assert "baseline_shown" in found.codes


def test_beating_the_champion_is_not_enough_when_a_required_baseline_is_better(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    middling = truth.table("challenger", 1 / (1 + np.exp(-0.5 * truth.z)), "a" * 64)
    elo = truth.table("elo", truth.skilled().prediction)
    found = deciding(middling, truth.unskilled(), [elo], policy)
    assert {"beats_champion", "baseline_not_beaten"} <= set(found.codes)
    assert found.outcome == "hold"


def test_with_no_champion_and_no_required_baseline_there_is_nothing_to_beat(
    truth: Truth, policy: Gate
) -> None:
    found = judge(truth.skilled(), None, {"base_rate": truth.base_rate()}, policy, [], {})
    assert (found.outcome, [each.code for each in found.deciding()]) == ("hold", ["nothing_to_beat"])


def test_rows_without_a_baseline_are_left_out_of_its_comparison_and_counted(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    base = truth.base_rate().take(np.arange(100, 400))
    found = deciding(truth.skilled(), truth.unskilled(), [base], policy)
    compared = next(each for each in found.comparisons if each.name == "base_rate")
    assert (compared.n, compared.left_out) == (300, 100)


def test_a_baseline_on_too_few_rows_proves_nothing(truth: Truth, deciding: Deciding, policy: Gate) -> None:
    found = deciding(truth.skilled(), None, [truth.base_rate().take(np.arange(50))], policy)
    assert (found.outcome, found.deciding()[0].code) == ("hold", "baseline_not_comparable")
    empty = deciding(truth.skilled(), None, [truth.base_rate().take(np.arange(0))], policy)
    assert (empty.outcome, empty.deciding()[0].code) == ("hold", "baseline_not_comparable")


@pytest.mark.parametrize(("rows", "days"), [(0, 40), (2, 2), (149, 40), (400, 4), (400, 1)])
def test_too_few_rows_or_days_hold(
    rows: int, days: int, planting: Callable[..., Truth], deciding: Deciding, policy: Gate
) -> None:
    few = planting(rows, days)
    found = deciding(few.skilled(), few.unskilled(), [few.base_rate()], policy)
    assert found.outcome == "hold"
    reason = next(each for each in found.reasons if each.code == "too_few_rows")
    assert reason.numbers["rows"] == rows
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.01, 1.01])
def test_impossible_predictions_of_the_challenger_refuse(
    bad: float, truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    p = truth.skilled().prediction.copy()
    p[17] = bad
    found = deciding(truth.table("challenger", p), truth.unskilled(), [truth.base_rate()], policy)
    assert (found.outcome, found.codes) == ("refuse", ("impossible_predictions",))
    assert found.reasons[0].numbers == {"rows": 1, "of": 400}


def test_impossible_predictions_of_the_champion_hold_and_ask_for_a_person(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    broken = truth.table("champion", np.full(400, np.nan), "b" * 64)
    found = deciding(truth.skilled(), broken, [truth.base_rate()], policy)
    assert (found.outcome, found.deciding()[0].code) == ("hold", "champion_unscorable")


def test_an_unscorable_champion_holds_and_an_unscorable_challenger_is_refused(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    lost = Unscorable("champion", "contract_mismatch", "no column for form")
    held = deciding(truth.skilled(), lost, [truth.base_rate()], policy)
    assert (held.outcome, held.deciding()[0].code) == ("hold", "champion_unscorable")
    assert "no column for form" in held.deciding()[0].text
    refused = deciding(replace(lost, name="challenger"), truth.unskilled(), [truth.base_rate()], policy)
    assert (refused.outcome, refused.codes) == ("refuse", ("contract_mismatch",))


def test_tables_of_other_rows_or_other_labels_are_refused(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    champion = truth.unskilled()
    fewer = champion.take(np.arange(1, 400))
    assert deciding(truth.skilled(), fewer, [truth.base_rate()], policy).codes == ("different_rows",)
    renamed = replace(champion, entity=np.array([f"other-{at}" for at in range(400)]))
    assert deciding(truth.skilled(), renamed, [truth.base_rate()], policy).codes == ("different_rows",)
    flipped = replace(champion, label=np.where(np.arange(400) == 3, 1 - champion.label, champion.label))
    assert deciding(truth.skilled(), flipped, [truth.base_rate()], policy).codes == ("different_labels",)
    foreign = replace(truth.base_rate(), entity=renamed.entity)
    assert deciding(truth.skilled(), champion, [foreign], policy).codes == ("different_rows",)


def test_repeated_rows_and_impossible_labels_are_refused(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    doubled = truth.skilled().take(np.r_[np.arange(400), 0])
    assert "duplicate_rows" in deciding(doubled, None, [truth.base_rate()], policy).codes
    odd = replace(truth.skilled(), label=np.where(np.arange(400) == 3, np.nan, truth.label))
    assert "impossible_labels" in deciding(odd, None, [truth.base_rate()], policy).codes


def test_a_challenger_too_good_to_be_true_is_refused_as_a_leak(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    by_order = truth.table("challenger", np.where(truth.label > 0.5, 0.52, 0.48), "a" * 64)
    by_loss = truth.table("challenger", np.clip(truth.label, 0.05, 0.95), "a" * 64)
    for leaky in (by_order, by_loss):
        found = deciding(leaky, truth.unskilled(), [truth.base_rate()], policy)
        assert (found.outcome, found.deciding()[0].code) == ("refuse", "too_good_to_be_true")


def test_a_challenger_that_trained_on_the_fresh_rows_is_refused_and_such_a_champion_noted(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    seen = replace(truth.skilled(), rows_trained_on=12)
    assert deciding(seen, truth.unskilled(), [truth.base_rate()], policy).codes == ("trained_on_fresh_rows",)
    flattered = replace(truth.unskilled(), rows_trained_on=12)
    found = deciding(truth.skilled(), flattered, [truth.base_rate()], policy)
    assert (found.outcome, "champion_saw_rows" in found.codes) == ("promote", True)


def test_a_missing_required_baseline_is_refused(truth: Truth, policy: Gate) -> None:
    found = judge(truth.skilled(), truth.unskilled(), {}, policy, ["base_rate"], {})
    assert (found.outcome, found.codes) == ("refuse", ("baseline_missing",))


def test_a_badly_calibrated_challenger_holds(
    truth: Truth, deciding: Deciding, policy_with: Callable[..., Gate]
) -> None:
    strict = policy_with(max_calibration_error=0.01)
    found = deciding(truth.skilled(), truth.unskilled(), [truth.base_rate()], strict)
    assert [each.code for each in found.deciding()] == ["badly_calibrated"]


def test_a_slice_that_gets_worse_holds_and_a_small_one_is_only_shown(
    truth: Truth, policy_with: Callable[..., Gate]
) -> None:
    policy = policy_with(slices={"away": {"column": "x", "equals": 1.0, "max_loss_increase": 0.05}})
    harmed = truth.skilled()
    inside = np.arange(400) < 60
    wrong = np.where(inside, 1 - harmed.prediction, harmed.prediction)
    challenger = replace(harmed, prediction=wrong)
    tables = {"base_rate": truth.base_rate()}
    found = judge(challenger, truth.unskilled(), tables, policy, ["base_rate"], {"away": inside})
    assert "slice_worse" in [each.code for each in found.deciding()]
    assert found.slices[0].increase is not None
    assert found.slices[0].increase > 0.05
    small = judge(challenger, truth.unskilled(), tables, policy, ["base_rate"], {"away": np.arange(400) < 29})
    assert "slice_shown" in small.codes
    assert not small.slices[0].judged


def test_the_first_champions_slices_are_compared_with_the_best_required_baseline(
    truth: Truth, policy_with: Callable[..., Gate]
) -> None:
    policy = policy_with(slices={"all_of_it": {"column": "x", "equals": 1.0, "max_loss_increase": 0.05}})
    elo = truth.table("elo", 1 / (1 + np.exp(-0.8 * truth.z)))
    tables = {"base_rate": truth.base_rate(), "elo": elo}
    mask = np.ones(400, dtype=bool)
    found = judge(truth.skilled(), None, tables, policy, ["base_rate", "elo"], {"all_of_it": mask})
    assert found.slices[0].reference == "elo"


def test_a_slice_has_a_floor_of_its_own_whatever_the_champion_does(
    truth: Truth, policy_with: Callable[..., Gate]
) -> None:
    inside = np.arange(400) < 120
    loss = truth.skilled().losses("log_loss")[inside].mean()
    tables = {"base_rate": truth.base_rate()}
    for floor, outcome, code in (
        (loss + 1e-6, "promote", "slice_floor_kept"),
        (loss - 1e-6, "hold", "slice_too_bad"),
    ):
        part = {"column": "x", "equals": 1.0, "max_loss_increase": 5.0, "max_loss": floor}
        policy = policy_with(slices={"away": part})
        found = judge(truth.skilled(), truth.unskilled(), tables, policy, ["base_rate"], {"away": inside})
        reason = next(
            each for each in found.reasons if each.code.startswith("slice_") and "floor" in each.text
        )
        assert (found.outcome, reason.code) == (outcome, code)
        assert found.slices[0].passed is (outcome == "promote")
        assert reason.numbers["loss"] == pytest.approx(loss)
        assert reason.numbers["low"] < loss < reason.numbers["high"]
        assert f"{floor:g}" in reason.text


def test_a_floor_needs_no_champion_that_can_be_scored(truth: Truth, policy_with: Callable[..., Gate]) -> None:
    part = {"column": "x", "equals": 1.0, "max_loss_increase": 5.0, "max_loss": 0.01}
    policy = policy_with(slices={"away": part})
    lost, inside = Unscorable("champion", "contract_mismatch", "no column for form"), np.arange(400) < 120
    tables = {"base_rate": truth.base_rate()}
    found = judge(truth.skilled(), lost, tables, policy, ["base_rate"], {"away": inside})
    assert {each.code for each in found.deciding()} == {"champion_unscorable", "slice_too_bad"}
    few = judge(truth.skilled(), lost, tables, policy, ["base_rate"], {"away": np.arange(400) < 29})
    assert "slice_shown" in few.codes


def test_beside_a_champion_that_cannot_be_scored_slices_are_compared_with_the_best_baseline(
    truth: Truth, policy_with: Callable[..., Gate]
) -> None:
    """Or a person would be asked about a version that a first champion's gate holds."""
    policy = policy_with(
        slices={"away": {"column": "x", "equals": 1.0, "max_loss_increase": 0.02}}, max_calibration_error=0.4
    )
    inside, honest = np.arange(400) < 40, truth.skilled()
    harmed = replace(honest, prediction=np.where(inside, 1 - honest.prediction, honest.prediction))
    lost, tables = Unscorable("champion", "contract_mismatch", "no column"), {"base_rate": truth.base_rate()}
    for champion in (None, lost):
        found = judge(harmed, champion, tables, policy, ["base_rate"], {"away": inside})
        assert "slice_worse" in [each.code for each in found.deciding()]
        assert found.slices[0].reference == "base_rate"
        assert not is_open(found)
    fair = judge(honest, lost, tables, policy, ["base_rate"], {"away": inside})
    assert is_open(fair)


def test_beside_a_champion_that_cannot_be_scored_the_baselines_have_to_be_beaten_by_proof(
    truth: Truth, policy: Gate
) -> None:
    """Nobody else vouches for the challenger then: what a first champion proves, it proves."""
    near = truth.table("near", truth.skilled().prediction * 0.999 + 0.0005)
    lost = Unscorable("champion", "contract_mismatch", "no column for form")
    found = judge(truth.skilled(), lost, {"near": near}, policy, ["near"], {})
    compared = next(each for each in found.comparisons if each.name == "near")
    assert compared.rule == "lower_bound"
    assert "baseline_not_beaten" in [each.code for each in found.deciding()]


def test_what_is_found_beside_the_scores_counts_like_any_other_reason(
    truth: Truth, deciding: Deciding, policy: Gate
) -> None:
    found = deciding(truth.skilled(), truth.unskilled(), [truth.base_rate()], policy)
    held = found.with_reasons([Reason("too_slow", "hold", "It takes too long.", {})])
    assert (found.outcome, held.outcome, held.deciding()[0].code) == ("promote", "hold", "too_slow")
    refused = held.with_reasons([Reason("new_leak", "refuse", "It reads the future.", {})])
    assert (refused.outcome, refused.deciding()[0].code) == ("refuse", "new_leak")
    assert held.with_reasons([Reason("fast_enough", "promote", "Quick.", {})]).outcome == "hold"


def test_masks_have_to_fit_the_policy_and_the_rows(truth: Truth, policy_with: Callable[..., Gate]) -> None:
    policy = policy_with(slices={"away": {"column": "x", "equals": 1.0, "max_loss_increase": 0.05}})
    for masks in ({}, {"away": np.ones(3, dtype=bool)}, {"home": np.ones(400, dtype=bool)}):
        with pytest.raises(ValueError, match="mask"):
            judge(truth.skilled(), None, {"base_rate": truth.base_rate()}, policy, ["base_rate"], masks)


def test_non_inferiority_lets_a_slightly_worse_interval_through_but_never_a_worse_mean(
    planting: Callable[..., Truth], deciding: Deciding, policy_with: Callable[..., Gate]
) -> None:
    truth = planting(300, 30, 8)
    rng = np.random.default_rng(2)
    noisy = truth.table("champion", 1 / (1 + np.exp(-(truth.z + rng.normal(0, 0.25, 300)))), "b" * 64)
    strict, lenient = policy_with(), policy_with(policy="non_inferiority", margin=0.05)
    first = deciding(truth.skilled(), noisy, [truth.base_rate()], strict)
    assert first.outcome == "hold"
    assert first.comparisons[0].mean > 0
    second = deciding(truth.skilled(), noisy, [truth.base_rate()], lenient)
    assert (second.outcome, "not_inferior_to_champion" in second.codes) == ("promote", True)
    back = deciding(
        replace(noisy, name="challenger"), truth.skilled("champion"), [truth.base_rate()], lenient
    )
    assert back.outcome == "hold"


def test_the_margin_has_to_be_exceeded_by_the_lower_bound(
    truth: Truth, deciding: Deciding, policy_with: Callable[..., Gate]
) -> None:
    low = deciding(truth.skilled(), truth.unskilled(), [truth.base_rate()], policy_with()).comparisons[0].low
    assert low is not None
    for margin, outcome in ((low - 1e-6, "promote"), (low + 1e-6, "hold")):
        found = deciding(truth.skilled(), truth.unskilled(), [], policy_with(margin=margin))
        assert found.outcome == outcome


def test_there_is_no_default_anywhere(truth: Truth) -> None:
    assert all(
        each.default is inspect.Parameter.empty for each in inspect.signature(judge).parameters.values()
    )
    with pytest.raises(TypeError, match="policy"):
        judge(truth.skilled(), None, {}, None, [], {})  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        judge(truth.skilled(), None, {}, required_baselines=[], slices={})  # type: ignore[call-arg]


def test_a_verdict_survives_json(truth: Truth, policy_with: Callable[..., Gate]) -> None:
    policy = policy_with(slices={"away": {"column": "x", "equals": 1.0, "max_loss_increase": 0.05}})
    tables = {"base_rate": truth.base_rate()}
    found = judge(truth.skilled(), truth.unskilled(), tables, policy, ["base_rate"], {"away": truth.z > 0})
    assert Verdict.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found
    with pytest.raises(KeyError, match="outcome"):
        Verdict.from_json({each: value for each, value in found.to_json().items() if each != "outcome"})


def test_columns_of_different_lengths_are_no_score_table(truth: Truth) -> None:
    with pytest.raises(ValueError, match="different lengths"):
        ScoreTable("broken", truth.entity, truth.event_time, truth.label, np.zeros(3))
