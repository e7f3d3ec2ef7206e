"""Rollouts on the recording target: what is released, what is not, and what a crash leaves."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from pennant.declaration.model import UseCase
from pennant.registry import aliases, ledger
from pennant.registry.errors import NoPreviousChampion
from pennant.registry.models import Models
from pennant.release import deployments, policy, rollout
from pennant.release.canary import Answer, Observation
from pennant.release.deployments import Deployment
from pennant.release.errors import DeploymentUnknown, PolicyNotServed, RolloutRefused
from pennant.release.policy import Policy
from pennant.release.rollback import rollback
from pennant.release.rollout import Started
from pennant.release.target import Served, Target

AS_OF = datetime(2025, 3, 1, tzinfo=UTC)
SOUND = [Answer(0.5 + n / 100, 0.2, 0.9) for n in range(8)]
SHIFTED = [Answer(0.9 + n / 1000, 0.2, 0.99) for n in range(8)]
Log = Callable[[Policy, str, Sequence[Answer]], None]


class Life:
    """One use case with three versions, and the steps the release Dag takes."""

    def __init__(
        self, use_case: UseCase, models: Models, warehouse: Engine, target: Target, log: Log
    ) -> None:
        self.use_case, self.models, self.warehouse, self.target = use_case, models, warehouse, target
        self.name, self.log = use_case.name, log

    def request(self, version: str, day: int = 0) -> Deployment:
        as_of = AS_OF + timedelta(days=day)
        return rollout.request(self.warehouse, self.name, version, as_of, evidence_sha256=f"of {version}")

    def start(self, deployment: Deployment) -> Started:
        return rollout.start(self.use_case, deployment, self.models, self.warehouse, self.target)

    def canary(self, version: str, challenger: Sequence[Answer], day: int = 1) -> Started:
        """Start a canary and have both arms answer."""
        started = self.start(self.request(version, day))
        out = policy.current(self.warehouse, self.name)
        assert out is not None
        self.log(out, "champion", SOUND)
        if challenger:
            self.log(out, "challenger", challenger)
        return started

    def observe(self, started: Started) -> Observation:
        return rollout.observe(self.use_case, started, self.warehouse)

    def conclude(self, started: Started, seen: Observation) -> Deployment:
        step = rollout.finish if seen.decision == "pass" else rollout.turn_back
        return step(self.use_case, started, seen, self.models, self.warehouse, self.target)

    def release(self, version: str, challenger: Sequence[Answer] = SOUND, day: int = 1) -> Deployment:
        started = self.canary(version, challenger, day)
        return self.conclude(started, self.observe(started))

    def crown_first(self) -> None:
        self.start(self.request("1"))

    def late(self) -> None:
        """Let the canary's policy be three hours old."""
        with self.warehouse.begin() as connection:
            change = (
                "UPDATE traffic_policies SET created_at = created_at - interval '3 hours' WHERE use_case = :u"
            )
            connection.execute(text(change), {"u": self.name})

    def state(self) -> dict[str, str]:
        held = self.models.held(self.name).aliases
        assert held == aliases.ledger_state(self.warehouse, self.name)
        return held

    def weights(self) -> dict[str, tuple[str, float]]:
        """Version and weight by arm of the policy in force, which has to be the one that is served."""
        made = policy.current(self.warehouse, self.name)
        assert made is not None
        assert self.target.served(self.name) == Served(made.id, made.versions, ready=True)
        return {each.arm: (each.version, each.weight) for each in made.arms}

    def actions(self) -> list[str]:
        return [each.action for each in ledger.entries(self.warehouse, self.name)]


@pytest.fixture
def life(
    use_case: UseCase,
    models: Models,
    warehouse: Engine,
    recording: Target,
    answered: Log,
    named_versions: Callable[[str, int], None],
) -> Life:
    named_versions(use_case.name, 3)
    return Life(use_case, models, warehouse, recording, answered)


def test_the_first_champion_takes_all_traffic_at_once(life: Life) -> None:
    started = life.start(life.request("1"))
    assert started.state == "promoted"
    assert life.state() == {"champion": "1"}
    assert life.weights() == {"champion": ("1", 1.0)}
    seen = life.observe(started)
    assert (seen.decision, seen.reason) == ("pass", "first_champion")
    assert life.conclude(started, seen).state == "promoted"
    assert life.actions() == ["challenge", "promote"]


def test_a_later_version_starts_as_a_canary_with_its_declared_share(life: Life) -> None:
    life.crown_first()
    started = life.start(life.request("2", 1))
    assert started.state == "canary"
    assert life.state() == {"champion": "1", "challenger": "2"}
    assert life.weights() == {"champion": ("1", 0.7), "challenger": ("2", 0.3)}
    assert life.observe(started).decision == "wait"


def test_a_sound_canary_is_promoted_and_the_old_champion_stays_loaded(life: Life) -> None:
    life.crown_first()
    closed = life.release("2")
    assert closed.state == "promoted"
    assert life.state() == {"champion": "2", "previous_champion": "1"}
    assert life.weights() == {"champion": ("2", 1.0), "previous": ("1", 0.0)}
    promotion = ledger.entries(life.warehouse, life.name)[-1]
    assert promotion.entry["evidence_sha256"] == "of 2"
    details = promotion.entry["details"]
    assert isinstance(details, dict)
    assert details["numbers"]["challenger_predictions"] == len(SOUND)


def test_a_shifted_canary_is_turned_back_with_its_numbers(life: Life) -> None:
    life.crown_first()
    closed = life.release("2", SHIFTED)
    assert (closed.state, closed.details["reason"]) == ("turned_back", "mean_shift")
    assert life.state() == {"champion": "1"}
    assert life.weights() == {"champion": ("1", 1.0)}
    entry = ledger.entries(life.warehouse, life.name)[-1]
    assert (entry.action, entry.entry["why"]) == ("turn_back", "mean_shift")
    details = entry.entry["details"]
    assert isinstance(details, dict)
    assert details["numbers"]["mean_shift"] > 0.25


def test_a_canary_that_nobody_asked_is_turned_back_at_the_deadline(life: Life) -> None:
    life.crown_first()
    started = life.canary("2", [])
    assert life.observe(started).decision == "wait"
    life.late()
    seen = life.observe(started)
    assert (seen.decision, seen.reason) == ("turn_back", "too_few_predictions")
    assert life.conclude(started, seen).state == "turned_back"


def test_a_decision_once_taken_stays(life: Life) -> None:
    life.crown_first()
    started = life.canary("2", SOUND)
    first = life.observe(started)
    life.late()
    out = policy.current(life.warehouse, life.name)
    assert out is not None
    with life.warehouse.begin() as connection:
        connection.execute(text("DELETE FROM predictions WHERE policy_id = :p"), {"p": out.id})
    assert life.observe(started) == first


def test_predictions_of_other_policies_do_not_count(life: Life) -> None:
    life.crown_first()
    first = policy.current(life.warehouse, life.name)
    assert first is not None
    life.log(first, "champion", SOUND)
    started = life.start(life.request("2", 1))
    assert life.observe(started).numbers["champion_predictions"] == 0


def test_nothing_is_promoted_that_has_not_passed(life: Life) -> None:
    life.crown_first()
    started = life.canary("2", [])
    claimed = Observation("pass", "sound", {})
    with pytest.raises(RolloutRefused) as caught:
        life.conclude(started, claimed)
    assert caught.value.allowed == "a canary that passed"
    assert life.state() == {"champion": "1", "challenger": "2"}


def test_a_promoted_version_is_not_turned_back_but_rolled_back(life: Life) -> None:
    started = life.start(life.request("1"))
    with pytest.raises(RolloutRefused) as caught:
        life.conclude(started, Observation("turn_back", "by hand", {}))
    assert "rollback" in caught.value.allowed


def test_only_one_canary_is_out(life: Life) -> None:
    life.crown_first()
    life.canary("2", [])
    with pytest.raises(RolloutRefused) as caught:
        life.start(life.request("3", 2))
    assert caught.value.found == "a canary of version 2"


def test_the_canary_is_pending_before_any_request_and_the_newest_request_wins(life: Life) -> None:
    assert rollout.pending(life.warehouse, life.name) is None
    older, newer = life.request("1", 1), life.request("2", 2)
    assert rollout.pending(life.warehouse, life.name) == newer
    life.start(newer)
    assert deployments.get(life.warehouse, older.id).details["reason"] == "superseded"
    assert rollout.pending(life.warehouse, life.name) is None
    life.canary("3", [], day=3)
    out = rollout.pending(life.warehouse, life.name)
    assert out is not None
    assert (out.version, out.state) == ("3", "canary")


def test_a_request_doubled_is_one_release(life: Life) -> None:
    assert life.request("1") == life.request("1")
    assert len(deployments.of(life.warehouse, life.name)) == 1


def test_a_version_judged_against_a_champion_that_no_longer_reigns_is_not_started(life: Life) -> None:
    life.crown_first()
    stale = rollout.request(life.warehouse, life.name, "3", AS_OF + timedelta(days=9), judged_against="1")
    life.release("2")
    started = life.start(stale)
    assert started.state == "failed"
    assert deployments.get(life.warehouse, stale.id).details["reason"] == "judged against 1, but 2 reigns"
    assert life.observe(started).decision == "turn_back"
    assert life.state() == {"champion": "2", "previous_champion": "1"}


def test_a_version_that_was_judged_when_there_was_no_champion_does_not_replace_one(life: Life) -> None:
    early = rollout.request(life.warehouse, life.name, "2", AS_OF + timedelta(days=1), judged_against=None)
    life.crown_first()
    assert life.start(early).state == "failed"
    assert life.weights() == {"champion": ("1", 1.0)}


def test_a_canary_whose_champion_was_replaced_under_it_is_not_promoted(life: Life) -> None:
    life.crown_first()
    life.release("2")
    started = life.canary("3", SOUND, day=2)
    seen = life.observe(started)
    aliases.rollback(life.models, life.warehouse, life.name, "me", "by hand, without the release room")
    closed = life.conclude(started, seen)
    assert (closed.state, closed.details["reason"]) == ("turned_back", "judged against 2, but 1 reigns")
    assert life.weights() == {"champion": ("1", 1.0), "previous": ("2", 0.0)}


def test_every_step_repeated_in_any_order_after_the_end_changes_nothing(life: Life) -> None:
    life.crown_first()
    deployment = life.request("2", 1)
    started = life.canary("2", SOUND)
    seen = life.observe(started)
    life.conclude(started, seen)
    before = (life.state(), life.weights(), life.actions())
    life.conclude(started, seen)
    life.start(deployment)
    life.observe(started)
    life.conclude(started, seen)
    assert (life.state(), life.weights(), life.actions()) == before


def test_an_unknown_release_is_named(life: Life) -> None:
    with pytest.raises(DeploymentUnknown) as caught:
        life.observe(Started(10**9, "1", "canary"))
    assert caught.value.found == 10**9


def _roll_back(life: Life, key: str = "") -> tuple[str, str]:
    done = rollback(life.models, life.warehouse, life.target, life.name, "me", "worse", request_key=key)
    return done.before, done.after


def test_a_rollback_serves_the_previous_champion_and_a_second_one_returns(life: Life) -> None:
    life.crown_first()
    life.release("2")
    assert _roll_back(life) == ("2", "1")
    assert life.weights() == {"champion": ("1", 1.0), "previous": ("2", 0.0)}
    assert life.state() == {"champion": "1", "previous_champion": "2"}
    assert _roll_back(life) == ("1", "2")
    assert life.weights() == {"champion": ("2", 1.0), "previous": ("1", 0.0)}


def test_a_rollback_without_a_previous_champion_changes_nothing(life: Life) -> None:
    life.crown_first()
    with pytest.raises(NoPreviousChampion):
        _roll_back(life)
    assert life.weights() == {"champion": ("1", 1.0)}


def test_a_rollback_ends_the_canary_that_was_out(life: Life) -> None:
    life.crown_first()
    life.release("2")
    started = life.canary("3", SOUND, day=2)
    seen = life.observe(started)
    assert _roll_back(life) == ("2", "1")
    assert life.weights() == {"champion": ("1", 1.0), "previous": ("2", 0.0)}
    assert life.conclude(started, seen).state == "turned_back"
    assert life.state() == {"champion": "1", "previous_champion": "2"}


def test_a_task_that_rolls_back_twice_rolls_back_once(life: Life) -> None:
    life.crown_first()
    life.release("2")
    assert _roll_back(life, "alert 7") == ("2", "1")
    assert _roll_back(life, "alert 7") == ("2", "1")
    assert life.state()["champion"] == "1"
    _roll_back(life)
    assert _roll_back(life, "alert 7") == ("2", "1")
    assert life.state()["champion"] == "2"


class _Deaf:
    """A target that takes a policy and goes on as before."""

    def apply(self, policy: Policy) -> None:
        """Do nothing."""

    def served(self, use_case: str) -> Served:
        return Served(1, {"champion": "2"}, ready=True)


def test_a_rollback_that_is_not_served_is_an_error_and_is_finished_by_the_next(life: Life) -> None:
    life.crown_first()
    life.release("2")
    with pytest.raises(PolicyNotServed) as caught:
        rollback(life.models, life.warehouse, _Deaf(), life.name, "me", "worse")
    assert caught.value.found["arms"] == {"champion": "2"}
    aliases.move(life.models, life.warehouse, life.name, {}, {}, "gate_hold", "the gate said hold", "gate")
    done = rollback(life.models, life.warehouse, life.target, life.name, "me", "worse")
    assert (done.resumed, done.after) == (True, "1")
    assert life.weights() == {"champion": ("1", 1.0), "previous": ("2", 0.0)}
    assert life.actions().count("rollback") == 1
