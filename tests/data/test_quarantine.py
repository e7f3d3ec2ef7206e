"""A row in quarantine flows on when a person decides so, from then on, once, and the ledger knows."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.data.conftest import World, game, month

from pennant.data.batches import BatchName
from pennant.data.errors import BatchStopped, NothingAside, NotReleasable
from pennant.data.quarantine import Decision, Wish, decide, rows

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
TOO_MANY = "ExpectColumnValuesToBeBetween: points"


@pytest.fixture
def aside(make_world: Any) -> World:
    """A March in which one game has 900 points."""
    most = {
        "source": "games",
        "group": "result",
        "expect": "ExpectColumnValuesToBeBetween",
        "with": {"column": "points", "max_value": 100},
        "on_failure": "quarantine",
    }
    world: World = make_world(validation={"max_quarantined_share": 0.5, "expectations": [most]})
    world.publish([game(1, "2024-03-03"), game(2, "2024-03-04", points=900), game(3, "2024-03-05")])
    world.validate(world.fetch(month(3)))
    return world


def name_of(world: World) -> BatchName:
    return BatchName(world.use_case.name, "games", month(3))


def wish(world: World, told: list[tuple[str, Mapping[str, object]]], **given: Any) -> Decision:
    wanted = Wish(**{"number": 0, "changes": {}, "who": "ada", "why": "seen", "decided_at": NOON, **given})
    return decide(
        world.use_case,
        name_of(world),
        wanted,
        world.lake,
        world.settings,
        lambda action, entry: told.append((action, entry)),
    )


def points(world: World, as_of: datetime) -> dict[str, int]:
    return dict(world.versions("result", as_of).select("game", "points").iter_rows())


def test_a_row_set_aside_is_shown_with_its_reason_and_its_line(aside: World) -> None:
    [row] = rows(aside.lake, name_of(aside))
    assert (row.group, row.reasons, row.values["points"], row.decided) == ("result", [TOO_MANY], "900", None)
    assert row.line == 3


def test_a_released_row_counts_from_the_moment_of_the_decision_and_not_before(aside: World) -> None:
    told: list[tuple[str, Mapping[str, object]]] = []
    before = aside.versions("result", NOON - timedelta(seconds=1))
    wish(aside, told)
    assert aside.versions("result", NOON - timedelta(seconds=1)).equals(before)
    assert points(aside, NOON)["g002"] == 900
    [(action, entry)] = told
    assert (action, entry["who"], entry["row"]) == ("quarantine_release", "ada", 0)


def test_a_corrected_row_is_judged_again(aside: World) -> None:
    told: list[tuple[str, Mapping[str, object]]] = []
    with pytest.raises(NotReleasable) as refused:
        wish(aside, told, changes={"points": "700"})
    assert TOO_MANY in refused.value.reason
    assert told == []
    wish(aside, told, changes={"points": "90"})
    assert points(aside, NOON)["g002"] == 90
    assert told[0][1]["changes"] == {"points": "90"}


def test_a_forced_correction_says_so_in_the_ledger(aside: World) -> None:
    told: list[tuple[str, Mapping[str, object]]] = []
    wish(aside, told, changes={"points": "700"}, force=True)
    assert told[0][1]["forced"] is True


def test_deciding_the_same_again_changes_nothing(aside: World) -> None:
    told: list[tuple[str, Mapping[str, object]]] = []
    first = wish(aside, told)
    held = aside.objects()
    again = wish(aside, told, decided_at=NOON + timedelta(hours=1))
    assert (again.repeated, again.batch) == (True, first.batch)
    assert aside.objects() == held
    assert len(told) == 1


def test_a_row_is_not_decided_in_two_ways(aside: World) -> None:
    wish(aside, [])
    with pytest.raises(NotReleasable) as refused:
        wish(aside, [], changes={"points": "9"}, decided_at=NOON + timedelta(hours=1))
    assert "ada" in refused.value.reason


@pytest.mark.parametrize(
    "changes",
    [{"pionts": "9"}, {"points": "many"}, {"day": "soon"}],
    ids=["no column", "no number", "no date"],
)
def test_what_cannot_be_read_is_not_released(aside: World, changes: dict[str, str]) -> None:
    with pytest.raises(NotReleasable):
        wish(aside, [], changes=changes)
    assert rows(aside.lake, name_of(aside))[0].decided is None


def test_a_row_that_is_not_there_is_named_with_what_is(aside: World) -> None:
    with pytest.raises(NothingAside) as refused:
        wish(aside, [], number=7)
    assert refused.value.allowed == "0 to 0"


def test_whoever_is_killed_before_the_ledger_knows_leaves_no_value_and_decides_again(aside: World) -> None:
    told: list[tuple[str, Mapping[str, object]]] = []

    def down(action: str, entry: Mapping[str, object]) -> None:
        raise ConnectionError

    wanted = Wish(0, {}, "ada", "seen", NOON)
    with pytest.raises(ConnectionError):
        decide(aside.use_case, name_of(aside), wanted, aside.lake, aside.settings, down)
    assert "g002" not in points(aside, NOON + timedelta(days=1))
    assert [row.decided for row in rows(aside.lake, name_of(aside))] == [None]
    with pytest.raises(NotReleasable):  # what was begun is not decided otherwise
        wish(aside, told, changes={"points": "50"}, decided_at=NOON + timedelta(hours=1))
    done = wish(aside, told, who="ben", decided_at=NOON + timedelta(hours=1))
    assert (done.decided_at, done.who, len(told)) == (NOON, "ada", 1)
    assert points(aside, NOON)["g002"] == 900


def test_two_rows_decided_in_one_second_do_not_spoil_each_other(make_world: Any, aside: World) -> None:
    world = aside
    world.publish([game(number, f"2024-04-0{number}", points=900 + number) for number in (4, 5)])
    world.use_case = world.use_case.model_copy(
        update={"validation": world.use_case.validation.model_copy(update={"max_quarantined_share": 0.99})}
    )
    world.validate(world.fetch(month(4)))
    other = BatchName(world.use_case.name, "games", month(4))
    decide(world.use_case, other, Wish(0, {}, "ada", "seen", NOON), world.lake, world.settings, print)
    with pytest.raises(NotReleasable):
        wish(world, [])
    assert points(world, NOON)["g004"] == 904
    wish(world, [], decided_at=NOON + timedelta(seconds=1))
    assert points(world, NOON + timedelta(seconds=1))["g002"] == 900


def test_a_newer_word_of_the_provider_is_not_overruled_by_an_old_row(aside: World) -> None:
    aside.publish([game(1, "2024-03-03"), game(2, "2024-03-04", points=9), game(3, "2024-03-05")])
    aside.validate(aside.fetch(month(4)))
    with pytest.raises(NotReleasable) as refused:
        wish(aside, [])
    assert "told since" in refused.value.reason
    assert points(aside, NOON)["g002"] == 9
    wish(aside, [], force=True)
    assert points(aside, NOON)["g002"] == 900


def test_a_decision_stays_with_its_row_when_other_rules_number_the_rows_anew(make_world: Any) -> None:
    def rule(most: int) -> dict[str, Any]:
        limit = {"column": "points", "max_value": most}
        named = {"source": "games", "group": "result", "expect": "ExpectColumnValuesToBeBetween"}
        return {**named, "with": limit, "on_failure": "quarantine"}

    world = make_world(validation={"max_quarantined_share": 0.3, "expectations": [rule(2)]})
    world.publish(
        [game(1, "2024-03-03", points=7), game(2, "2024-03-04", points=900), game(3, "2024-03-05", points=1)]
    )
    batch = world.fetch(month(3))
    with pytest.raises(BatchStopped):
        world.validate(batch)
    wish(world, [])
    validation = make_world(validation={"max_quarantined_share": 0.5, "expectations": [rule(100)]})
    world.use_case = world.use_case.model_copy(update={"validation": validation.use_case.validation})
    world.validate(batch)
    [left] = rows(world.lake, name_of(world))
    assert (left.values["points"], left.decided) == ("900", None)
    assert not wish(world, [], decided_at=NOON + timedelta(days=1)).repeated
    assert points(world, NOON + timedelta(days=1))["g002"] == 900
