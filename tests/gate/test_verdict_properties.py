"""Laws of the judge over arbitrary tables."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.declaration.model import Gate
from pennant.gate.tables import ScoreTable
from pennant.gate.verdict import Verdict, judge

RULES = st.sampled_from([("superiority", 0.0), ("superiority", 0.01), ("non_inferiority", 0.03)])


@st.composite
def cases(draw: Any) -> tuple[ScoreTable, ScoreTable, ScoreTable, Gate, np.ndarray]:
    """Challenger, champion and baseline of any quality on the same rows, a policy and a slice."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = draw(st.integers(20, 160))
    day = np.sort(rng.integers(0, draw(st.integers(1, 40)), rows))
    moments = np.datetime64("2024-01-01T20:00", "us") + day.astype("timedelta64[D]")
    entity = np.array([f"e{at}" for at in range(rows)])
    z = rng.normal(0, 1.5, rows)
    label = (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(float)

    def table(name: str, error: float) -> ScoreTable:
        p = 1 / (1 + np.exp(-(z + rng.normal(0, error, rows) if error else z)))
        return ScoreTable(name, entity, moments, label, p, name)

    errors = st.sampled_from([0.0, 0.3, 1.0, 4.0])
    rule, margin = draw(RULES)
    policy = Gate.model_validate(
        {
            "metric": draw(st.sampled_from(["log_loss", "brier"])),
            "policy": rule,
            "margin": margin,
            "alpha": draw(st.sampled_from([0.01, 0.05, 0.2])),
            "min_rows": draw(st.sampled_from([10, 60])),
            "max_calibration_error": 0.99,
            "approval": "none",
            "slices": {"some": {"column": "x", "equals": 1.0, "max_loss_increase": 1.0}},
        }
    )
    base = ScoreTable("base", entity, moments, label, np.full(rows, 0.5))
    return table("one", draw(errors)), table("two", draw(errors)), base, policy, rng.random(rows) < 0.5


def decide(
    one: ScoreTable, two: ScoreTable | None, base: ScoreTable, policy: Gate, mask: np.ndarray
) -> Verdict:
    return judge(one, two, {"base": base}, policy, ["base"], {"some": mask})


@given(cases(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_verdict_depends_on_nothing_but_the_set_of_rows(case: Any, seed: int) -> None:
    one, two, base, policy, mask = case
    turn = np.random.default_rng(seed).permutation(len(one))
    other = np.random.default_rng(seed + 1).permutation(len(one))
    first = decide(one, two, base, policy, mask)
    assert first == decide(one, two, base, policy, mask)
    assert first == decide(one.take(turn), two.take(other), base.take(other), policy, mask[turn])


@given(cases())
@settings(max_examples=100, deadline=None)
def test_two_models_never_replace_each_other(case: Any) -> None:
    one, two, base, policy, mask = case
    there = decide(one, two, base, policy, mask).outcome
    back = decide(two, one, base, policy, mask).outcome
    assert (there, back) != ("promote", "promote")


@given(cases())
@settings(max_examples=60, deadline=None)
def test_swapping_the_two_turns_the_gain_around(case: Any) -> None:
    one, two, base, policy, mask = case
    there, back = decide(one, two, base, policy, mask), decide(two, one, base, policy, mask)
    if not there.comparisons or not back.comparisons:
        return
    ours, theirs = there.comparisons[0], back.comparisons[0]
    assert np.isclose(ours.mean, -theirs.mean, atol=1e-12)
    if ours.low is not None and theirs.high is not None:
        assert np.isclose(ours.low, -theirs.high, atol=1e-12)


@given(cases())
@settings(max_examples=60, deadline=None)
def test_equal_predictions_are_never_promoted(case: Any) -> None:
    one, two, base, policy, mask = case
    twin = ScoreTable("two", two.entity, two.event_time, two.label, one.prediction, "two")
    assert decide(one, twin, base, policy, mask).outcome != "promote"


@given(cases())
@settings(max_examples=60, deadline=None)
def test_the_outcome_is_the_strongest_thing_that_a_reason_argues_for(case: Any) -> None:
    one, two, base, policy, mask = case
    found = decide(one, two, base, policy, mask)
    strength = {"promote": 0, "hold": 1, "refuse": 2}
    assert strength[found.outcome] == max(strength[each.argues_for] for each in found.reasons)
    assert found.deciding()
    assert Verdict.from_json(found.to_json()) == found
