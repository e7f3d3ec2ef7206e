"""A batch is judged by its columns and by the batches before it, and every finding has its page."""

from typing import Any

import pytest
from sqlalchemy import select
from tests.data.conftest import HEADER, World, csv_of, game, month

from pennant.data.errors import BatchStopped, RulesBroken
from pennant.data.quality.columns import changes
from pennant.data.quality.statistics import robust_z
from pennant.data.quality.suites import rules_of
from pennant.warehouse.tables import data_batches, data_checks


def with_rows(count: int, month_number: int, **given: object) -> list[dict[str, object]]:
    return [
        game(100 * month_number + number, f"2024-{month_number:02}-{number % 27 + 1:02}", **given)
        for number in range(count)
    ]


def checks(world: World, batch: str) -> dict[str, tuple[str, bool, int]]:
    wanted = select(data_checks).where(
        data_checks.c.use_case == world.use_case.name, data_checks.c.batch_id == batch
    )
    with world.warehouse.connect() as connection:
        return {row.rule: (row.on_failure, row.success, row.failing) for row in connection.execute(wanted)}


def judged(**given: Any) -> dict[str, Any]:
    return {"max_quarantined_share": 0.5, "expectations": [], **given}


def test_the_robust_score_of_a_normal_spread_is_a_z_score() -> None:
    held = [10.0, 11.0, 9.0, 10.5, 9.5]
    assert robust_z(10.0, held) == 0.0
    assert robust_z(13.0, held) == pytest.approx(3.0 * 0.6745 / 0.5, rel=0.01)


def test_equal_numbers_before_do_not_make_every_other_number_an_outlier() -> None:
    assert abs(robust_z(101.0, [100.0] * 8)) < 1
    assert robust_z(900.0, [100.0] * 8) > 20


@pytest.mark.parametrize(("on_failure", "stops"), [("warn", False), ("stop", True)])
def test_a_month_with_far_more_rows_than_the_months_before_is_told_or_stopped(
    make_world: Any, on_failure: str, stops: bool
) -> None:
    volume = {"threshold": 6, "batches": 6, "min_batches": 3, "on_failure": on_failure}
    world: World = make_world(validation=judged(volume=volume))
    for number in (1, 2, 3, 4):
        world.publish(with_rows(20 + number, number))
        assert world.ingest(month(number)).warnings == {}
    world.publish(with_rows(400, 5))
    if stops:
        with pytest.raises(BatchStopped) as stopped:
            world.ingest(month(5))
        assert any("rows per day" in rule for rule in stopped.value.rules)
        assert world.versions("result").height == 21 + 22 + 23 + 24
    else:
        assert any("rows per day" in rule for rule in world.ingest(month(5)).warnings)


def test_a_column_whose_values_have_moved_is_told(make_world: Any) -> None:
    distribution = {"threshold": 6, "batches": 6, "min_batches": 3}
    world: World = make_world(validation=judged(distribution=distribution))
    for number in (1, 2, 3):
        world.publish(with_rows(20, number, crowd=1000 + number))
        assert world.ingest(month(number)).warnings == {}
    world.publish(with_rows(20, 4, crowd=1))
    assert [rule.split(":")[0] for rule in world.ingest(month(4)).warnings] == ["result.crowd"]


def test_columns_that_come_go_or_are_renamed_are_named_with_the_nearest(world: World) -> None:
    source = world.use_case.sources["games"]
    before = list(HEADER)
    assert changes(source, before, None) == []
    assert changes(source, [*before, "referee"], before) == ["column 'referee' was added"]
    renamed = [name if name != "time" else "time_local" for name in before]
    assert changes(source, renamed, before) == ["column 'time' was renamed to 'time_local' (read as missing)"]
    assert changes(source, before, [*before, "weather"]) == ["column 'weather' was removed"]


def test_an_added_column_is_told_once_and_stops_where_the_contract_says_so(make_world: Any) -> None:
    for added, stops in (("warn", False), ("stop", True)):
        world: World = make_world(validation=judged(contract={"added": added}))
        world.publish(with_rows(5, 1))
        world.ingest(month(1))
        world.publish(csv_of(with_rows(5, 2, referee="Ada"), (*HEADER, "referee")))
        if stops:
            with pytest.raises(BatchStopped):
                world.ingest(month(2))
        else:
            assert list(world.ingest(month(2)).warnings) == ["column 'referee' was added"]
            world.publish(csv_of(with_rows(5, 3, referee="Ada"), (*HEADER, "referee")))
            assert world.ingest(month(3)).warnings == {}


def test_old_news_are_told(make_world: Any) -> None:
    world: World = make_world(validation=judged(freshness_hours=72))
    world.publish([game(1, "2024-01-03")])
    assert list(world.ingest(month(1)).warnings) == ["the newest event is at most 72 h old"]


def test_every_rule_is_written_down_and_the_page_names_what_failed(make_world: Any) -> None:
    least = {
        "source": "games",
        "group": "result",
        "expect": "ExpectColumnValuesToBeBetween",
        "with": {"column": "points", "max_value": 10},
        "on_failure": "quarantine",
    }
    world: World = make_world(validation=judged(expectations=[least]))
    world.publish([game(1, "2024-01-03"), game(2, "2024-01-04", points=99, home="<b>A</b>")])
    result = world.ingest(month(1))
    assert checks(world, month(1).key) == {
        "rows can be read": ("quarantine", True, 0),
        "result: ExpectColumnValuesToBeBetween: points": ("quarantine", False, 1),
    }
    page = world.lake.get(result.report).decode()
    assert "ExpectColumnValuesToBeBetween: points" in page
    assert "g002" in page
    assert "<b>A</b>" not in page
    assert "http" not in page.split("Where it came from")[0].replace("http-equiv", "")
    [worst] = result.worst
    assert "line 3" in worst
    wanted = select(data_batches.c.report_uri).where(data_batches.c.use_case == world.use_case.name)
    with world.warehouse.connect() as connection:
        assert connection.execute(wanted).scalar_one() == result.report.uri


@pytest.mark.parametrize(
    "text",
    [
        "RULES = 3",
        "import nowhere_at_all",
        "from pennant.data.quality.suites import rule\n"
        "RULES = [rule('gaems', 'result', expect='ExpectColumnMeanToBeBetween', with_={}, "
        "on_failure='warn', words='x')]",
    ],
    ids=["no list", "no module", "no such source"],
)
def test_a_file_of_rules_that_leads_nowhere_is_refused_by_name(
    world: World, text: str, tmp_path: Any
) -> None:
    folder = tmp_path / world.use_case.name
    folder.mkdir()
    (folder / "expectations.py").write_text(text)
    with pytest.raises(RulesBroken) as refused:
        rules_of(world.use_case, tmp_path)
    assert refused.value.file == folder / "expectations.py"
