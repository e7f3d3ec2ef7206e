"""The gate under planted truth, and that wrong gates are found out there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from pennant.declaration.model import Gate
from pennant.gate.certificate import Certificate, UnknownScenario, certify, clopper_pearson
from pennant.gate.certificate_page import page_of
from pennant.gate.outcome import Reason, Verdict
from pennant.gate.planted import PlantedRows
from pennant.gate.planted_synthetic import made_up
from pennant.gate.scenarios import Programme, programme
from pennant.gate.tables import ScoreTable, Unscorable
from pennant.gate.verdict import judge
from pennant.gate.worlds import Planter
from pennant.training.problem import Problem

SIMULATIONS, SEED = 60, 20240229
Masks = Mapping[str, np.ndarray]
Table = ScoreTable | Unscorable

PROBLEMS = {
    "binary": Problem("binary", ()),
    "multiclass": Problem("multiclass", (), classes=3),
    "count": Problem("count", (), most=20),
    "regression": Problem("regression", ()),
    "trajectory": Problem("trajectory", (), steps=12),
}
METRICS = {
    "binary": ("log_loss", 0.1),
    "multiclass": ("rps", 0.02),
    "count": ("log_loss", 0.1),
    "regression": ("absolute_error", 0.1),
    "trajectory": ("ade", 0.05),
}
"""By task: the metric, and the limit of the slice."""


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
        return float(table.losses(policy.metric).mean()) if isinstance(table, ScoreTable) else 99.0

    better = all(mean(challenger) < mean(each) for each in rivals)
    outcome = "promote" if better else "hold"
    return Verdict(outcome, (Reason("means", outcome, "", {}),), policy.metric, policy.alpha)  # type: ignore[arg-type]


def ignores_slices(
    challenger: Table,
    champion: Table | None,
    baselines: Mapping[str, ScoreTable],
    policy: Gate,
    required: Sequence[str],
    slices: Masks,
) -> Verdict:
    """A wrong gate: on average is enough for it."""
    blind = policy.model_copy(update={"slices": {}})
    return judge(challenger, champion, baselines, blind, required, {})


def ignores_days(
    challenger: Table,
    champion: Table | None,
    baselines: Mapping[str, ScoreTable],
    policy: Gate,
    required: Sequence[str],
    slices: Masks,
) -> Verdict:
    """A wrong gate: takes the rows of a day for independent."""

    def spread(table: Table | None) -> Any:
        if not isinstance(table, ScoreTable):
            return table
        number = np.array([int(each[-6:]) for each in table.entity])
        return replace(table, event_time=table.event_time[:1] + number.astype("timedelta64[D]"))

    apart = {name: spread(each) for name, each in baselines.items()}
    return judge(spread(challenger), spread(champion), apart, policy, required, slices)


def holds_always(
    challenger: Table,
    champion: Table | None,
    baselines: Mapping[str, ScoreTable],
    policy: Gate,
    required: Sequence[str],
    slices: Masks,
) -> Verdict:
    """A wrong gate: never wrong, and of no use."""
    return Verdict("hold", (Reason("no", "hold", "", {}),), policy.metric, policy.alpha)


def rate(made: Certificate, scenario: str) -> Any:
    return next(each for each in made.rates if each.scenario == scenario)


def policy_for(task: str, **changes: Any) -> Gate:
    metric, limit = METRICS[task]
    return Gate.model_validate(
        {
            "metric": metric,
            "policy": "superiority",
            "margin": 0.0,
            "alpha": 0.05,
            "min_rows": 150,
            "max_calibration_error": 0.15,
            "approval": "none",
            "slices": {"many": {"column": "x", "equals": 1.0, "max_loss_increase": limit}},
            **changes,
        }
    )


@cache
def planted_for(task: str) -> PlantedRows:
    return made_up(PROBLEMS[task], ["base_rate"], ["many"])


@cache
def programme_for(task: str) -> Programme:
    """Made once: every judge meets the same scenarios."""
    return programme(Planter(planted_for(task), ("base_rate",), 300), policy_for(task), None, SEED)


def certified(task: str, simulations: int = SIMULATIONS, **how: Any) -> Certificate:
    given = {"made": programme_for(task), "seed": SEED, **how}
    return certify(planted_for(task), policy_for(task), ["base_rate"], simulations, **given)


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return certified("binary")


def test_the_gate_is_certified_in_every_planted_scenario(certificate: Certificate) -> None:
    assert certificate.failed == ()
    planted = {each.scenario for each in certificate.rates}
    assert planted >= {
        "a_a",
        "a_a_by_day",
        "better",
        "clearly_better",
        "worse",
        "biased",
        "tied",
        "leaky",
        "shifted",
        "slice_many",
        "not_a_number",
        "unscorable",
        "champion_unscorable",
        "tiny_sample",
        "itself",
        "other_rows",
        "first_equal",
        "first_better",
    }
    assert certificate.source == "synthetic"


@pytest.mark.parametrize("task", ["multiclass", "count", "regression", "trajectory"])
def test_the_gate_is_certified_for_every_task(task: str) -> None:
    made = certified(task, 60)
    assert made.failed == ()
    assert made.task == task
    assert rate(made, "a_a").rate <= 0.1
    assert rate(made, "clearly_better").rate >= 0.8


def test_equal_models_are_promoted_at_most_at_alpha_also_when_a_whole_day_errs_together() -> None:
    made = certified("binary", 1000, only=["a_a", "a_a_by_day"])
    for each in made.rates:
        assert each.low <= each.rate <= made.alpha
        assert each.high < 1.5 * made.alpha
    false = made.to_json()["false_promotions"]
    assert set(false) == {"a_a", "a_a_by_day"}


def test_alpha_is_respected_where_it_is_declared() -> None:
    rows = planted_for("binary")
    lenient, strict = (
        certify(rows, policy_for("binary", alpha=alpha), ["base_rate"], 200, only=["a_a"])
        for alpha in (0.25, 0.01)
    )
    assert strict.passed
    assert lenient.passed
    assert rate(strict, "a_a").rate <= 0.02
    assert rate(lenient, "a_a").rate >= 0.12


@pytest.mark.parametrize("rule", ["superiority", "non_inferiority"])
def test_exactly_on_the_margin_alpha_is_not_exceeded(rule: str) -> None:
    policy = policy_for("binary", policy=rule, margin=0.02, slices={})
    made = certify(made_up(PROBLEMS["binary"], [], []), policy, [], 200)
    assert made.passed
    assert rate(made, "at_margin").gain == pytest.approx(0.02 if rule == "superiority" else -0.02)
    assert rate(made, "better").gain == pytest.approx(0.04 if rule == "superiority" else 0.02)
    assert rate(made, "a_a").demand == ("at_most" if rule == "superiority" else "shown")


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_gate_that_compares_the_challenger_with_itself_is_not_certified(task: str) -> None:
    made = certified(task, judge=compares_with_itself)
    assert not made.passed
    assert "clearly_better" in made.failed
    assert rate(made, "clearly_better").hits == 0
    assert made.to_json()["missed_promotions"]["clearly_better"]["rate"] == 1.0


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_gate_that_compares_bare_means_is_not_certified(task: str) -> None:
    made = certified(task, judge=compares_bare_means)
    assert not made.passed
    wrong = {"a_a", "a_a_by_day", "shifted", "first_equal", "leaky", "tiny_sample", "slice_many"}
    assert wrong <= set(made.failed)
    assert rate(made, "a_a").low > made.alpha


@pytest.mark.parametrize("task", ["binary", "trajectory"])
def test_a_gate_that_ignores_slices_is_not_certified(task: str) -> None:
    made = certified(task, judge=ignores_slices)
    assert made.failed == ("slice_many",)
    assert rate(made, "slice_many").low > made.alpha


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_gate_that_takes_rows_of_a_day_for_independent_is_not_certified(task: str) -> None:
    made = certified(task, 300, judge=ignores_days, only=["a_a_by_day"])
    assert made.failed == ("a_a_by_day",)


def forgives(*, training: bool = False, labels: bool = False, doubled: bool = False) -> Any:
    """Wrong gates that do not look at what is wrong with the tables."""

    def once(table: Any) -> Any:
        return table.take(np.unique(table.entity, return_index=True)[1])

    def gate(one: Any, other: Any, baselines: Any, policy: Gate, required: Any, slices: Masks) -> Verdict:
        if training:
            one = replace(one, rows_trained_on=0)
        if labels:
            other = replace(other, label=one.label)
        if doubled:
            kept = np.unique(one.entity, return_index=True)[1]
            one, other, slices = once(one), once(other), {name: mask[kept] for name, mask in slices.items()}
        return judge(one, other, baselines, policy, required, slices)

    return gate


def miscalibrates(one: Any, other: Any, baselines: Any, policy: Gate, *rest: Any) -> Verdict:
    """A wrong gate: no calibration is too bad for it."""
    return judge(one, other, baselines, policy.model_copy(update={"max_calibration_error": 0.999}), *rest)


def pairs_by_position(one: Any, other: Any, *rest: Any) -> Verdict:
    """A wrong gate: takes the rows of two tables for the same in the order they come."""
    return judge(one, replace(one, prediction=other.prediction, bundle_sha256="x"), *rest)


def forgets_baselines(one: Any, other: Any, known: Any, policy: Gate, _: Any, slices: Any) -> Verdict:
    """A wrong gate: where there is a champion, only that one counts."""
    return judge(one, other, known, policy, [], slices)


@pytest.mark.parametrize(
    ("task", "scenario", "wrong"),
    [
        ("binary", "trained_on_rows", forgives(training=True)),
        ("binary", "doubled_row", forgives(doubled=True)),
        ("binary", "other_labels", forgives(labels=True)),
        ("binary", "other_order", pairs_by_position),
        ("binary", "below_baselines", forgets_baselines),
        ("binary", "miscalibrated", miscalibrates),
        ("count", "miscalibrated", miscalibrates),
        ("trajectory", "miscalibrated", miscalibrates),
    ],
)
def test_a_gate_that_does_not_look_at_its_evidence_is_not_certified(
    task: str, scenario: str, wrong: Any
) -> None:
    assert certified(task, 50, judge=wrong, only=[scenario]).failed == (scenario,)


def test_a_gate_that_does_not_hold_the_floor_of_a_slice_is_not_certified() -> None:
    def floored(floor: float | None) -> dict[str, Any]:
        part = {"column": "x", "equals": 1.0, "max_loss_increase": 0.1, "max_loss": floor}
        return {"slices": {"many": part}}

    policy, blind = policy_for("binary", **floored(0.6)), policy_for("binary", **floored(None))
    planted, only = planted_for("binary"), ["floor_many"]

    def wrong(one: Any, other: Any, baselines: Any, policy: Gate, *rest: Any) -> Verdict:
        return judge(one, other, baselines, blind, *rest)

    made = [
        certify(planted, policy, ["base_rate"], 100, judge=each, only=only, rows=300, seed=SEED)
        for each in (judge, wrong)
    ]
    assert [each.failed for each in made] == [(), ("floor_many",)]
    loose = programme(Planter(planted, ("base_rate",), 300), policy_for("binary", **floored(5.0)), None, SEED)
    assert "floor_many" not in [each.name for each in loose.scenarios]
    assert any("floor" in each for each in loose.notes)


def test_a_part_of_a_certificate_says_so(certificate: Certificate) -> None:
    assert not any("of the others" in each for each in certificate.notes)
    assert any("of the others" in each for each in certified("binary", 50, only=["a_a"]).notes)


def test_a_gate_that_always_holds_is_not_certified() -> None:
    made = certified("binary", judge=holds_always)
    assert {"better", "clearly_better", "first_better", "leaky", "not_a_number"} <= set(made.failed)


def test_a_policy_under_which_nothing_good_gets_through_is_not_certified() -> None:
    policy = policy_for("binary", max_calibration_error=0.01)
    only = ["clearly_better", "first_better"]
    made = certify(planted_for("binary"), policy, ["base_rate"], 50, only=only)
    assert set(made.failed) == {"clearly_better", "first_better"}
    assert next(iter(rate(made, "clearly_better").held_by)) == "badly_calibrated"


def test_the_same_seed_gives_the_same_certificate_with_any_number_of_workers() -> None:
    only = ["a_a", "clearly_better"]
    one = certified("binary", only=only)
    assert one == certified("binary", only=only, workers=2)
    assert one.rates != certified("binary", only=only, seed=5).rates


def test_a_wider_smallest_gain_is_missed_less_often() -> None:
    small, large = (
        certified("binary", 100, only=["better"], delta=delta, made=None) for delta in (0.01, 0.08)
    )
    assert rate(large, "better").rate > rate(small, "better").rate + 0.3
    assert small.delta == 0.01


def test_what_cannot_be_judged_is_said() -> None:
    rows = planted_for("binary")
    few = replace(rows, fresh=40, slices={"many": np.arange(len(rows)) % 100 == 0})
    made = certify(few, policy_for("binary"), ["base_rate"], 50, only=["a_a"])
    assert made.rows == 150
    assert any("40 fresh rows" in note for note in made.notes)
    assert any("Slice many has about 2 of 150 rows" in note for note in made.notes)


def test_too_few_simulations_and_unknown_scenarios_are_refused() -> None:
    with pytest.raises(ValueError, match="simulations"):
        certified("binary", 10)
    with pytest.raises(UnknownScenario) as refused:
        certified("binary", 50, only=["nonsense"])
    assert refused.value.found == ["nonsense"]
    assert "a_a" in refused.value.allowed


def test_the_page_tells_the_verdict_and_every_scenario(
    certificate: Certificate, policy_with: Callable[..., Gate]
) -> None:
    page = page_of("league_demo", "A <league>", certificate).decode()
    assert "CERTIFIED" in page
    assert "A &lt;league&gt;" in page
    assert "SYNTHETIC" in page
    assert all(each.scenario in page for each in certificate.rates)
    red = certify(planted_for("binary"), policy_for("binary"), [], 50, judge=holds_always, only=["better"])
    assert "NOT CERTIFIED" in page_of("league_demo", "League", red).decode()


def test_clopper_pearson_is_exact() -> None:
    assert clopper_pearson(0, 100, 0.95) == pytest.approx((0.0, 0.0362), abs=1e-4)
    assert clopper_pearson(10, 100, 0.95) == pytest.approx((0.0490, 0.1762), abs=1e-4)
    assert clopper_pearson(100, 100, 0.95)[1] == 1.0
