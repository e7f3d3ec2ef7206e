"""Traffic policies: published once per request, and never with arms that cannot share the traffic."""

import math
import threading
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from pennant.declaration.model import UseCase
from pennant.release import policy
from pennant.release.errors import PolicyConflict, PolicyInvalid
from pennant.release.policy import Arm

ONE = Arm("champion", "1", "file:///bundles/1", "1" * 64, 1.0)
TWO = Arm("challenger", "2", "file:///bundles/2", "2" * 64, 0.3)


def test_the_newest_policy_is_in_force(warehouse: Engine, use_case: UseCase) -> None:
    assert policy.current(warehouse, use_case.name) is None
    first = policy.publish(warehouse, use_case.name, [ONE], "first", "a")
    assert policy.current(warehouse, use_case.name) == first
    second = policy.publish(warehouse, use_case.name, [replace(ONE, weight=0.7), TWO], "canary", "b")
    assert policy.current(warehouse, use_case.name) == second
    assert second.versions == {"champion": "1", "challenger": "2"}
    assert first.salt != second.salt


def test_the_same_request_publishes_once(warehouse: Engine, use_case: UseCase) -> None:
    first = policy.publish(warehouse, use_case.name, [ONE], "first", "a")
    assert policy.publish(warehouse, use_case.name, [ONE], "first", "a") == first


def test_a_key_names_one_policy_for_ever(warehouse: Engine, use_case: UseCase) -> None:
    first = policy.publish(warehouse, use_case.name, [ONE], "first", "a")
    with pytest.raises(PolicyConflict) as caught:
        policy.publish(warehouse, use_case.name, [replace(ONE, version="9")], "other", "a")
    assert caught.value.published == first.id
    assert policy.current(warehouse, use_case.name) == first


def test_the_same_request_at_once_publishes_once(warehouse: Engine, use_case: UseCase) -> None:
    found: list[int] = []
    ready = threading.Barrier(3)

    def publish() -> None:
        ready.wait()
        found.append(policy.publish(warehouse, use_case.name, [ONE], "first", "a").id)

    threads = [threading.Thread(target=publish) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 3
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    ("arms", "where"),
    [
        ([], "arms"),
        ([TWO], "arms"),
        ([ONE, ONE], "arms"),
        ([ONE, TWO], "sum of the weights"),
        ([replace(ONE, weight=1.2)], "weight of champion"),
        ([replace(ONE, weight=math.nan)], "weight of champion"),
        ([replace(ONE, weight=-0.1)], "weight of champion"),
        ([replace(ONE, weight=0.5), replace(TWO, arm="previous", weight=0.5)], "weight of previous"),
        ([replace(ONE, arm="king")], "arm"),
        ([replace(ONE, bundle_sha256="")], "bundle of champion"),
    ],
)
def test_arms_that_cannot_share_the_traffic_are_refused(
    warehouse: Engine, use_case: UseCase, arms: list[Arm], where: str
) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        policy.publish(warehouse, use_case.name, arms, "bad", "a")
    assert caught.value.where == where
    assert policy.current(warehouse, use_case.name) is None
