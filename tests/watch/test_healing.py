"""Healing has a budget: one action at a time, cooled down, counted, and in the ledger."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, insert

from pennant.declaration.model import UseCase
from pennant.registry.ledger import entries, verify
from pennant.warehouse.tables import deployments, traffic_policies
from pennant.watch.healing import complete, decide, pending_retrains

MARCH = datetime(2025, 3, 1, tzinfo=UTC)
REASON = {"loss": 0.84}


def test_a_failure_within_budget_requests_one_retrain_and_the_ledger_knows(
    warehouse: Engine, league: UseCase
) -> None:
    assert decide(league, "performance", warehouse, MARCH, REASON).state == "pending"
    [request] = pending_retrains(warehouse, league.name)
    assert (request.class_, request.as_of, request.reason) == ("performance", MARCH, REASON)
    assert [each.action for each in entries(warehouse)] == ["healing_retrain"]
    assert verify(warehouse) == []


def test_the_same_failure_of_the_same_moment_is_decided_once(warehouse: Engine, league: UseCase) -> None:
    first = decide(league, "performance", warehouse, MARCH, REASON)
    assert decide(league, "performance", warehouse, MARCH, REASON) == first
    assert len(pending_retrains(warehouse, league.name)) == 1
    assert len(entries(warehouse)) == 1


def test_another_failure_joins_the_request_that_waits(warehouse: Engine, league: UseCase) -> None:
    decide(league, "performance", warehouse, MARCH, REASON)
    assert decide(league, "drift", warehouse, MARCH, REASON).state == "joined"
    assert len(pending_retrains(warehouse, league.name)) == 1


@pytest.mark.parametrize("state", ["requested", "canary"])
def test_no_retrain_is_requested_while_a_challenger_is_on_its_way(
    warehouse: Engine, league: UseCase, state: str
) -> None:
    row = {"use_case": league.name, "version": "2", "state": state, "as_of": MARCH, "details": {}}
    with warehouse.begin() as connection:
        connection.execute(insert(deployments).values(row))
    assert decide(league, "performance", warehouse, MARCH, REASON).state == "joined"
    assert pending_retrains(warehouse, league.name) == []


@pytest.mark.parametrize(
    ("days", "state"), [(1, "refused_cooldown"), (13, "refused_cooldown"), (15, "pending")]
)
def test_a_served_request_cools_down(warehouse: Engine, league: UseCase, days: int, state: str) -> None:
    decide(league, "performance", warehouse, MARCH, REASON)
    [request] = pending_retrains(warehouse, league.name)
    complete(warehouse, request.id, {"outcome": "hold"})
    later = decide(league, "drift", warehouse, MARCH + timedelta(days=days), REASON)
    assert later.state == state


def test_a_weekly_budget_is_kept_where_there_is_no_cooldown(warehouse: Engine, league: UseCase) -> None:
    free = {
        name: each.model_copy(update={"cooldown_hours": 0, "weekly_budget": 2})
        for name, each in league.healing.items()
    }
    eager = league.model_copy(update={"healing": free})
    states = []
    for hour in range(3):
        states.append(decide(eager, "performance", warehouse, MARCH + timedelta(hours=hour), REASON).state)
        for each in pending_retrains(warehouse, league.name):
            complete(warehouse, each.id, {})
    assert states == ["pending", "pending", "refused_budget"]


def test_a_class_without_an_action_asks_for_a_person(warehouse: Engine, league: UseCase) -> None:
    watching = league.healing["drift"].model_copy(update={"action": "none"})
    careful = league.model_copy(update={"healing": {**league.healing, "drift": watching}})
    decision = decide(careful, "drift", warehouse, MARCH, REASON)
    assert decision.state == "no_action"
    assert "person" in decision.sentence


def test_what_was_seen_on_a_version_that_is_no_longer_champion_asks_for_nothing(
    warehouse: Engine, league: UseCase
) -> None:
    arm = {"arm": "champion", "version": "2", "bundle_uri": "b", "bundle_sha256": "s", "weight": 1.0}
    policy = {"use_case": league.name, "salt": "s", "arms": [arm], "why": "a release", "request_key": "r"}
    with warehouse.begin() as connection:
        connection.execute(insert(traffic_policies), policy)
    late = decide(league, "performance", warehouse, MARCH, {**REASON, "version": "1"})
    assert late.state == "superseded"
    assert pending_retrains(warehouse, league.name) == []
    own = decide(league, "performance", warehouse, MARCH + timedelta(hours=1), {**REASON, "version": "2"})
    assert own.state == "pending"
