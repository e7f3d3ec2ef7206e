"""What every target has to do. A new target joins by one line in `target`."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from pennant.declaration.model import UseCase
from pennant.registry.models import Models
from pennant.release import policy
from pennant.release.errors import PolicyNotServed, ServingDown, ServingKeyMissing, ServingRefused
from pennant.release.local import LocalTarget
from pennant.release.policy import Policy, arm_of
from pennant.release.target import Served, Target, TargetUnavailable, target_for
from pennant.settings import Settings

Publish = Callable[[dict[str, tuple[str, float]]], Policy]


@pytest.fixture(params=["local", "recording"])
def target(request: pytest.FixtureRequest) -> Target:
    """The targets under test; the recording one is what the tests of the state machine trust."""
    found: Target = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def publish(
    use_case: UseCase, models: Models, warehouse: Engine, versions: Callable[[str, int], None]
) -> Publish:
    versions(use_case.name, 3)
    keys = iter(range(100))

    def make(arms: dict[str, tuple[str, float]]) -> Policy:
        made = [
            arm_of(arm, models.version(use_case.name, version), weight)
            for arm, (version, weight) in arms.items()
        ]
        return policy.publish(warehouse, use_case.name, made, "a test", f"key {next(keys)}")

    return make


def test_before_the_first_policy_nothing_is_served(target: Target, use_case: UseCase) -> None:
    assert target.served(use_case.name) == Served(None, {}, ready=False)


def test_an_applied_policy_is_exactly_what_is_served(
    target: Target, publish: Publish, use_case: UseCase
) -> None:
    first = publish({"champion": ("1", 1.0)})
    target.apply(first)
    assert target.served(use_case.name) == Served(first.id, {"champion": "1"}, ready=True)
    second = publish({"champion": ("1", 0.7), "challenger": ("2", 0.3)})
    target.apply(second)
    assert target.served(use_case.name) == Served(second.id, {"champion": "1", "challenger": "2"}, ready=True)


def test_applying_again_changes_nothing(target: Target, publish: Publish, use_case: UseCase) -> None:
    made = publish({"champion": ("2", 1.0), "previous": ("1", 0.0)})
    target.apply(made)
    before = target.served(use_case.name)
    target.apply(made)
    assert target.served(use_case.name) == before


def test_the_way_back_is_a_policy_like_any_other(target: Target, publish: Publish, use_case: UseCase) -> None:
    target.apply(publish({"champion": ("2", 1.0), "previous": ("1", 0.0)}))
    back = publish({"champion": ("1", 1.0), "previous": ("2", 0.0)})
    target.apply(back)
    assert target.served(use_case.name) == Served(back.id, {"champion": "1", "previous": "2"}, ready=True)


def test_a_bundle_with_a_changed_byte_is_not_served_and_the_old_one_stays(
    local: LocalTarget, publish: Publish, use_case: UseCase, settings: Settings
) -> None:
    good = publish({"champion": ("1", 1.0)})
    local.apply(good)
    member = settings.home / "bundles" / use_case.name / "2" / "members" / "linear.json"
    member.write_text(member.read_text().replace("0.2", "0.3"))
    with pytest.raises(ServingRefused) as caught:
        local.apply(publish({"champion": ("2", 1.0)}))
    assert "linear.json" in caught.value.found
    assert local.served(use_case.name).arms == {"champion": "1"}


def test_a_policy_that_was_overtaken_is_not_reported_as_served(local: LocalTarget, publish: Publish) -> None:
    overtaken = publish({"champion": ("1", 1.0)})
    newest = publish({"champion": ("2", 1.0)})
    with pytest.raises(PolicyNotServed) as caught:
        local.apply(overtaken)
    assert (caught.value.expected["policy_id"], caught.value.found["policy_id"]) == (overtaken.id, newest.id)


def test_a_service_that_is_down_is_named(settings: Settings, warehouse: Engine, use_case: UseCase) -> None:
    from pennant.platform.ports import unused_ports

    nowhere = Settings(home=settings.home, serving_port=unused_ports(1)[0])
    with pytest.raises(ServingDown) as caught:
        LocalTarget(nowhere).served(use_case.name)
    assert caught.value.url.startswith(nowhere.serving)


def test_a_missing_key_is_named_by_its_file(settings: Settings, use_case: UseCase) -> None:
    keyless = Settings(home=settings.home / "nowhere")
    with pytest.raises(ServingKeyMissing) as caught:
        LocalTarget(keyless).served(use_case.name)
    assert caught.value.path.endswith("serving.keys")


def test_a_target_that_is_not_built_in_is_refused_not_replaced(
    settings: Settings, warehouse: Engine, use_case: UseCase
) -> None:
    assert isinstance(target_for(use_case, settings, warehouse), LocalTarget)
    elsewhere = use_case.model_copy(
        update={"release": use_case.release.model_copy(update={"target": "kubernetes"})}
    )
    with pytest.raises(TargetUnavailable) as caught:
        target_for(elsewhere, settings, warehouse)
    assert (caught.value.found, caught.value.allowed) == ("kubernetes", ["local"])
