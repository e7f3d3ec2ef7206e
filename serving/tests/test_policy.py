"""Which arm answers for an entity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pennant_serving.policy import Policy

HASH = "0" * 64


def policy(*arms: tuple[str, float], salt: str = "salt") -> Policy:
    listed = [
        {"arm": arm, "version": arm, "bundle_uri": "file:///x", "bundle_sha256": HASH, "weight": weight}
        for arm, weight in arms
    ]
    return Policy.read({"id": 1, "use_case": "toy", "salt": salt, "arms": listed})


@given(entity=st.text(min_size=1), salt=st.text())
def test_an_entity_stays_with_its_arm(entity: str, salt: str) -> None:
    encodable = entity.encode("utf-8", "ignore").decode()
    readable = salt.encode("utf-8", "ignore").decode()
    one = policy(("champion", 0.5), ("challenger", 0.5), salt=readable)
    other = policy(("challenger", 0.5), ("champion", 0.5), salt=readable)
    assert one.choose(encodable) == other.choose(encodable)


@given(entity=st.integers().map(str), low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_growing_challenger_keeps_the_entities_it_has(entity: str, low: float, high: float) -> None:
    low, high = sorted((low, high))
    before = policy(("champion", 1 - low), ("challenger", low), ("previous", 0.0)).choose(entity)
    after = policy(("champion", 1 - high), ("challenger", high), ("previous", 0.0)).choose(entity)
    assert (before, after) != ("challenger", "champion")
    assert "previous" not in (before, after)


def test_shares_are_the_weights() -> None:
    found = [policy(("champion", 0.7), ("challenger", 0.3)).choose(f"entity {n}") for n in range(5000)]
    assert 0.28 < found.count("challenger") / 5000 < 0.32


def test_another_salt_deals_anew() -> None:
    entities = [str(n) for n in range(1000)]
    dealt = [
        [policy(("champion", 0.5), ("challenger", 0.5), salt=salt).choose(each) for each in entities]
        for salt in ("a", "b")
    ]
    same = sum(one == other for one, other in zip(*dealt, strict=True))
    assert 400 < same < 600


@pytest.mark.parametrize(
    "arms",
    [
        [],
        [("champion", 0.5)],
        [("champion", 0.7), ("challenger", 0.7)],
        [("champion", 1.5), ("challenger", -0.5)],
        [("champion", 0.5), ("champion", 0.5)],
        [("champion", float("nan"))],
    ],
)
def test_a_policy_whose_weights_are_no_shares_is_refused(arms: list[tuple[str, float]]) -> None:
    with pytest.raises(ValidationError):
        policy(*arms)
