"""Rows that cannot be trusted are set aside with their reasons; batches that cannot are stopped."""

import io
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select

from pennant.data.errors import BatchStopped, ExpectationBroken, LakeCorrupt
from pennant.data.ingest import pending
from pennant.declaration.model import UseCase
from pennant.warehouse.tables import data_batches

from .conftest import Make, World, csv_of, game, month

ROWS = [game(number, f"2024-02-{number + 10}", crowd=number + 0.5) for number in range(1, 11)]


def rule(expect: str, on_failure: str, group: str = "result", **given: Any) -> dict[str, Any]:
    return {"source": "games", "group": group, "expect": expect, "with": given, "on_failure": on_failure}


def rules(*expectations: dict[str, Any], share: float = 0.5) -> dict[str, Any]:
    return {"max_quarantined_share": share, "expectations": list(expectations)}


BETWEEN = rule("ExpectColumnValuesToBeBetween", "quarantine", column="points", min_value=0, max_value=8)


def quarantined(world: World) -> pl.DataFrame:
    frames = [pl.read_parquet(io.BytesIO(body)) for body in world.objects("quarantine").values()]
    return pl.concat(frames, how="diagonal")


def state(world: World) -> tuple[str, int, dict[str, int]]:
    wanted = select(data_batches).where(data_batches.c.use_case == world.use_case.name)
    with world.warehouse.connect() as connection:
        row = connection.execute(wanted).one()
    return row.state, row.quarantined, row.reasons


def with_validation(world: World, validation: dict[str, Any]) -> UseCase:
    body = world.use_case.model_dump(by_alias=True) | {"validation": validation}
    return UseCase.model_validate(body)


def test_rows_that_break_a_rule_are_set_aside_and_the_others_pass(make_world: Make) -> None:
    world = make_world(validation=rules(BETWEEN))
    world.publish(ROWS)
    result = world.ingest(month(2))
    name = "ExpectColumnValuesToBeBetween: points"
    assert (result.rows, result.quarantined, result.reasons) == (18, 2, {name: 2})
    assert state(world) == ("validated", 2, {name: 2})
    aside = quarantined(world)
    assert aside["text.game"].to_list() == ["g009", "g010"]
    assert aside["text.points"].to_list() == ["9", "10"]
    assert aside["reasons"].to_list() == [[name], [name]]
    assert world.versions("result")["points"].max() == 8
    assert world.versions("schedule").height == 10  # another group of the same rows is sound


def test_a_row_with_two_reasons_is_one_row_with_both(make_world: Make) -> None:
    crowd = rule("ExpectColumnValuesToBeBetween", "quarantine", column="crowd", max_value=9)
    world = make_world(validation=rules(BETWEEN, crowd))
    world.publish(ROWS)
    result = world.ingest(month(2))
    assert result.quarantined == 2
    assert sorted(result.reasons.values()) == [2, 2]


def test_values_of_the_wrong_type_are_set_aside_with_what_was_written(world: World) -> None:
    world.publish([*ROWS, game(11, "2024-02-22", points="three"), game(12, "2024-02-23", points="3.5")])
    result = world.ingest(month(2))
    assert result.reasons == {"not an int: points": 2}
    assert quarantined(world)["text.points"].to_list() == ["three", "3.5"]
    assert world.versions("result").height == 10


def test_the_first_of_equal_copies_is_kept(world: World) -> None:
    world.publish([*ROWS, ROWS[0]])
    result = world.ingest(month(2))
    assert result.reasons == {"duplicate key": 2}  # one per column group
    assert world.versions("result").height == 10


def test_of_differing_rows_with_one_key_none_is_trusted(world: World) -> None:
    world.publish([*ROWS, ROWS[0] | {"points": 70}])
    result = world.ingest(month(2))
    # The results differ: both are set aside. The schedules are equal: the first is kept.
    assert result.reasons == {"duplicate key": 3}
    assert "g001" not in world.versions("result")["game"]
    assert "g001" in world.versions("schedule")["game"]


def test_unreadable_dates_are_set_aside_once_and_not_in_every_window(world: World) -> None:
    broken = game(6, "to be announced")
    world.publish([*ROWS[:5], broken, *ROWS[6:]])
    counts = [world.ingest(month(number)).reasons for number in (1, 2, 3, 4)]
    assert counts == [{}, {"unreadable date: day, time": 2}, {}, {}]
    assert quarantined(world)["event_time"].null_count() == 2


def test_a_row_that_is_mended_comes_back_as_a_correction(world: World) -> None:
    world.publish([*ROWS[:5], game(6, "to be announced"), *ROWS[6:]])
    world.ingest(month(2))
    world.publish(ROWS)
    world.ingest(month(3))
    row = world.versions("result").row(by_predicate=pl.col("game") == "g006", named=True)
    assert (row["points"], row["known_at"]) == (6, month(3).as_of)


def test_a_row_with_a_field_too_many_is_not_guessed_at(world: World) -> None:
    lines = csv_of(ROWS).decode().splitlines()
    lines[3] += ",surplus"
    world.publish("\n".join(lines).encode())
    assert world.ingest(month(2)).reasons == {"wrong number of fields": 2}


def test_a_row_without_key_and_text_that_is_not_utf8_are_set_aside(world: World) -> None:
    world.publish(csv_of([*ROWS, ROWS[0] | {"game": ""}]) + b"g099,2024-02-20,,Z\xfcrich,B,1,1\n")
    reasons = world.ingest(month(2)).reasons
    assert reasons == {"no key": 2, "not UTF-8: home": 1}


def test_too_many_bad_rows_stop_the_batch_and_nothing_is_validated(make_world: Make) -> None:
    world = make_world(validation=rules(BETWEEN, share=0.05))
    world.publish(ROWS)
    batch = world.fetch(month(2))
    with pytest.raises(BatchStopped) as caught:
        world.validate(batch)
    assert caught.value.rules == ("max_quarantined_share",)
    assert (caught.value.quarantined, caught.value.rows) == (2, 20)
    assert world.objects("validated") == {}
    assert quarantined(world).height == 2  # a person can see what was wrong
    assert state(world)[0] == "stopped"


def test_a_stop_rule_stops_the_batch(make_world: Make) -> None:
    stop = rule("ExpectColumnValuesToBeInSet", "stop", "schedule", column="home", value_set=["A"])
    world = make_world(validation=rules(stop))
    world.publish([*ROWS[1:], ROWS[0] | {"home": "Q"}])
    with pytest.raises(BatchStopped) as caught:
        world.ingest(month(2))
    assert caught.value.rules == ("schedule: ExpectColumnValuesToBeInSet: home",)
    assert quarantined(world)["text.home"].to_list() == ["Q"]


def test_a_rule_on_the_whole_column_cannot_set_rows_aside_so_it_stops(make_world: Make) -> None:
    mean = rule("ExpectColumnMeanToBeBetween", "quarantine", column="points", max_value=2)
    world = make_world(validation=rules(mean))
    world.publish(ROWS)
    with pytest.raises(BatchStopped) as caught:
        world.ingest(month(2))
    assert caught.value.rules == ("result: ExpectColumnMeanToBeBetween: points",)


def test_a_warning_is_told_and_stops_nothing(make_world: Make) -> None:
    world = make_world(validation=rules(BETWEEN | {"on_failure": "warn"}))
    world.publish(ROWS)
    result = world.ingest(month(2))
    assert (result.rows, result.quarantined) == (20, 0)
    assert result.warnings == {"result: ExpectColumnValuesToBeBetween: points": 2}


def test_a_stopped_batch_waits_again_once_its_window_is_run_again(make_world: Make) -> None:
    world = make_world(validation=rules(BETWEEN, share=0.05))
    world.publish(ROWS)
    batch = world.fetch(month(2))
    with pytest.raises(BatchStopped):
        world.validate(batch)
    assert pending(world.use_case, world.lake, world.warehouse, month(2).as_of) == []
    world.use_case = with_validation(world, rules(BETWEEN, share=0.5))  # the team decides otherwise
    assert world.fetch(month(2)) == batch
    assert pending(world.use_case, world.lake, world.warehouse, month(2).as_of) == [batch]
    assert world.validate(batch).rows == 18


def test_pending_lists_what_waits_oldest_first_and_none_of_the_future(world: World) -> None:
    world.publish(ROWS)
    late, early = world.fetch(month(3)), world.fetch(month(2))
    waiting = [
        pending(world.use_case, world.lake, world.warehouse, month(number).as_of) for number in (1, 2, 3)
    ]
    assert waiting == [[], [early], [early, late]]
    world.validate(early)
    assert world.fetch(month(2)) == early  # run again, it does not wait again
    assert pending(world.use_case, world.lake, world.warehouse, month(3).as_of) == [late]


def test_validating_again_gives_the_same_and_changes_nothing(make_world: Make) -> None:
    world = make_world(validation=rules(BETWEEN))
    world.publish(ROWS)
    batch = world.fetch(month(2))
    first, before = world.validate(batch), world.objects()
    assert world.validate(batch) == first
    assert world.objects() == before


def test_moments_can_be_judged(make_world: Make) -> None:
    bounds = {"column": "crowd", "min_value": "2024-01-01T00:00:00"}
    world = make_world(
        groups={
            "schedule": {
                "known_at": {"rule": "before_event", "hours": 0},
                "columns": {"crowd": "datetime", "points": "int"},
            }
        },
        validation=rules(rule("ExpectColumnValuesToBeBetween", "quarantine", "schedule", **bounds)),
    )
    world.publish([row | {"crowd": f"202{4 - row['points'] % 2}-01-05"} for row in ROWS])  # type: ignore[operator]
    assert world.ingest(month(2)).quarantined == 5


def test_an_unknown_expectation_names_the_nearest(make_world: Make) -> None:
    world = make_world(validation=rules(BETWEEN | {"expect": "ExpectColumnValuesToBeBetwen"}))
    world.publish(ROWS)
    with pytest.raises(ExpectationBroken) as caught:
        world.ingest(month(2))
    assert caught.value.nearest == "ExpectColumnValuesToBeBetween"
    assert world.objects("validated") == {}


@pytest.mark.parametrize(
    "given",
    [{"column": "points", "minimum": 3}, {"column": "goals", "min_value": 0}],
    ids=["unknown argument", "unknown column"],
)
def test_a_rule_that_cannot_be_evaluated_is_not_a_failing_row(
    make_world: Make, given: dict[str, Any]
) -> None:
    world = make_world(validation=rules(rule("ExpectColumnValuesToBeBetween", "quarantine", **given)))
    world.publish(ROWS)
    with pytest.raises(ExpectationBroken) as caught:
        world.ingest(month(2))
    assert caught.value.expectation == "ExpectColumnValuesToBeBetween"
    assert state(world)[0] == "raw"  # it waits until the declaration is mended


def test_a_changed_byte_of_a_raw_batch_is_found(world: World) -> None:
    world.publish(ROWS)
    batch = world.fetch(month(2))
    path = next(path for path in world.lake.list("raw") if path.endswith(".parquet"))
    body = bytearray((world.folder / path).read_bytes())
    body[len(body) // 2] ^= 1
    (world.folder / path).write_bytes(bytes(body))
    with pytest.raises(LakeCorrupt):
        world.validate(batch)
