"""The gate under planted truth, and that wrong gates are found out there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from pennant.declaration.model import Gate
from pennant.gate.certificate import Certificate, certify, clopper_pearson
from pennant.gate.interval import losses
from pennant.gate.outcome import Reason, Verdict
from pennant.gate.tables import ScoreTable, Unscorable
from pennant.gate.verdict import judge
from pennant.gate.worlds import MIDDLE, draws, error_for_gain, expected_loss, honest

SIMULATIONS = 150
Masks = Mapping[str, np.ndarray]
Table = ScoreTable | Unscorable


def compares_with_itself(
    challenger: Table,
    champion: Table | None,
    baselines: Mapping[str, ScoreTable],
    policy: Gate,
    required: Sequence[str],
    slices: Masks,
) -> Verdict:
    """A wrong gate: loads the same model twice."""
    itself = None if champion is None else challenger
    return judge(challenger, itself, baselines, policy, required, slices)


def compares_bare_means(
    challenger: Table,
    champion: Table | None,
    baselines: Mapping[str, ScoreTable],
    policy: Gate,
    required: Sequence[str],
    slices: Masks,
) -> Verdict:
    """A wrong gate: two means, no interval, no checks."""
    rivals = [champion] if champion is not None else [baselines[name] for name in required]

    def mean(table: Table | None) -> float:
        if not isinstance(table, ScoreTable):
            return 1.0
        return float(losses(policy.metric, table.label, table.prediction).mean())

    better = all(mean(challenger) < mean(each) for each in rivals)
    outcome = "promote" if better else "hold"
    return Verdict(outcome, (Reason("means", outcome, "", {}),), policy.metric, policy.alpha)  # type: ignore[arg-type]


def rate(made: Certificate, scenario: str) -> Any:
    return next(each for each in made.rates if each.scenario == scenario)


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    policy = Gate.model_validate(
        {
            "metric": "log_loss",
            "policy": "superiority",
            "margin": 0.0,
            "alpha": 0.05,
            "min_rows": 150,
            "max_calibration_error": 0.15,
            "approval": "none",
            "slices": {"many": {"column": "x", "equals": 1.0, "max_loss_increase": 0.1}},
        }
    )
    return certify(policy, ["base_rate"], SIMULATIONS)


def test_the_gate_is_certified_in_every_planted_scenario(certificate: Certificate) -> None:
    assert certificate.failed == ()
    planted = {each.scenario for each in certificate.rates}
    assert planted >= {
        "a_a",
        "a_a_by_day",
        "better",
        "worse",
        "tied",
        "leaky",
        "shifted",
        "not_a_number",
        "champion_unscorable",
        "tiny_sample",
        "itself",
        "other_rows",
        "first_equal",
        "first_better",
    }


def test_equal_models_are_promoted_at_most_at_alpha_also_when_a_whole_day_errs_together(policy: Gate) -> None:
    made = certify(policy, [], 2000, only=["a_a", "a_a_by_day"])
    for each in made.rates:
        assert each.low <= each.rate <= policy.alpha
        assert each.high < 1.3 * policy.alpha


def test_alpha_is_respected_where_it_is_declared(policy_with: Callable[..., Gate]) -> None:
    lenient = certify(policy_with(alpha=0.25), [], 200, only=["a_a"])
    strict = certify(policy_with(alpha=0.01), [], 200, only=["a_a"])
    assert strict.passed
    assert lenient.passed
    assert rate(strict, "a_a").rate <= 0.02
    assert rate(lenient, "a_a").rate >= 0.12


def test_exactly_on_the_margin_alpha_is_not_exceeded(policy_with: Callable[..., Gate]) -> None:
    for rule in ("superiority", "non_inferiority"):
        made = certify(policy_with(policy=rule, margin=0.02), [], 200, only=["at_margin"])
        assert made.passed


def test_a_gate_that_compares_the_challenger_with_itself_is_not_certified(policy: Gate) -> None:
    made = certify(policy, ["base_rate"], SIMULATIONS, judge=compares_with_itself)
    assert not made.passed
    assert "better" in made.failed
    assert rate(made, "better").hits == 0


def test_a_gate_that_compares_bare_means_is_not_certified(policy: Gate) -> None:
    made = certify(policy, ["base_rate"], SIMULATIONS, judge=compares_bare_means)
    assert {"a_a", "a_a_by_day", "first_equal", "not_a_number", "leaky", "tiny_sample"} <= set(made.failed)
    assert rate(made, "a_a").low > policy.alpha


def test_the_same_seed_gives_the_same_certificate(policy: Gate, certificate: Certificate) -> None:
    again = certify(policy, [], 50, only=["a_a", "better"])
    assert again == certify(policy, [], 50, only=["a_a", "better"])
    assert certificate.to_json()["passed"] is True


def test_a_policy_under_which_nothing_good_gets_through_is_not_certified(
    policy_with: Callable[..., Gate],
) -> None:
    made = certify(
        policy_with(max_calibration_error=0.01), ["base_rate"], 50, only=["better", "first_better"]
    )
    assert set(made.failed) == {"better", "first_better"}


def test_too_few_simulations_and_unknown_scenarios_are_refused(policy: Gate) -> None:
    with pytest.raises(ValueError, match="simulations"):
        certify(policy, [], 10)
    with pytest.raises(ValueError, match="nonsense"):
        certify(policy, [], 50, only=["nonsense"])


def test_the_planted_worlds_are_what_they_say() -> None:
    planted = list(draws(300, 400, 1))
    p = np.concatenate([each.forecast(0, MIDDLE) for each in planted])
    q = np.concatenate([each.forecast(1, MIDDLE) for each in planted])
    y = np.concatenate([each.label for each in planted])
    first, second = losses("log_loss", y, p).mean(), losses("log_loss", y, q).mean()
    assert first == pytest.approx(second, abs=0.004)
    assert first == pytest.approx(expected_loss("log_loss", MIDDLE), abs=0.004)
    worse = error_for_gain("log_loss", 0.02)
    assert worse is not None
    assert expected_loss("log_loss", worse) - expected_loss("log_loss", MIDDLE) == pytest.approx(
        0.02, abs=1e-6
    )
    assert error_for_gain("log_loss", 5.0) is None
    assert honest(np.array([0.0]), 1.0)[0] == pytest.approx(0.5)


def test_clopper_pearson_is_exact() -> None:
    assert clopper_pearson(0, 100, 0.95) == pytest.approx((0.0, 0.0362), abs=1e-4)
    assert clopper_pearson(10, 100, 0.95) == pytest.approx((0.0490, 0.1762), abs=1e-4)
    assert clopper_pearson(100, 100, 0.95)[1] == 1.0
