"""What the gate sees beside the scores: inputs, leaks, a champion's own features."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.features.errors import FeaturesMismatch
from pennant.features.tables import Tables
from pennant.gate.contract import Contract, LeakReport, examine, leak_reasons
from pennant.gate.outcome import Reason
from pennant.gate.retired import joined, lacking, with_retired
from pennant.settings import Settings
from pennant_serving.manifest import Input

Declaring = Callable[..., UseCase]
AS_OF = datetime(2024, 6, 1, tzinfo=UTC)


def of(name: str, **changes: Any) -> Input:
    base = {"name": name, "dtype": "float64", "unit": "sd", "low": -9.0, "high": 9.0, "missing": "allow"}
    return Input(**{**base, **changes})


def rows_of(**columns: list[float | None]) -> pl.DataFrame:
    count = len(next(iter(columns.values())))
    return pl.DataFrame({"entity": [f"game-{at}" for at in range(count)], **columns})


@pytest.fixture
def use_case(declaring: Declaring) -> UseCase:
    return declaring(("strength", "form"))


def found_in(contract: Contract) -> dict[str, Reason]:
    return {each.code: each for each in contract.reasons}


def test_the_same_inputs_as_before_are_nothing_to_talk_about(use_case: UseCase) -> None:
    both = [of("strength"), of("form")]
    contract = examine(use_case, both, both, rows_of(strength=[1.0, None], form=[0.0, 2.0]))
    assert contract.reasons == ()
    assert contract.answered.all()
    assert contract.taken.all()


def test_an_input_that_the_declaration_does_not_have_is_refused(use_case: UseCase) -> None:
    contract = examine(use_case, [of("strength"), of("aura")], None, rows_of(strength=[1.0]))
    assert [(each.code, each.argues_for) for each in contract.reasons] == [("input_not_declared", "refuse")]
    assert found_in(contract)["input_not_declared"].numbers["features"] == "aura"


def test_another_unit_under_the_same_name_is_refused(use_case: UseCase) -> None:
    fresh = rows_of(strength=[1.0])
    other = examine(use_case, [of("strength", unit="kg")], None, fresh)
    assert [(each.code, each.argues_for) for each in other.reasons] == [
        ("input_unit_not_declared", "refuse"),
        ("input_unit_changed", "refuse"),
    ]
    changed = examine(use_case, [of("strength")], [of("strength", unit="kg")], fresh)
    assert [each.code for each in changed.reasons] == ["input_unit_changed"]
    assert changed.reasons[0].numbers == {"feature": "strength", "unit": "sd", "wanted": "kg"}


def test_rows_that_would_be_turned_away_hold_and_are_named(use_case: UseCase) -> None:
    fresh = rows_of(strength=[1.0, 4.0, None, -5.0], form=[0.0, 0.0, 0.0, None])
    for narrower, lost in (
        (of("strength", high=3.0), ["game-1"]),
        (of("strength", low=-4.0, high=3.0), ["game-1", "game-3"]),
        (of("strength", missing="refuse"), ["game-2"]),
    ):
        contract = examine(use_case, [narrower, of("form")], [of("strength"), of("form")], fresh)
        (reason,) = contract.reasons
        assert (reason.code, reason.argues_for) == ("turns_rows_away", "hold")
        assert reason.numbers == {"rows": len(lost), "of": 4, "first": ", ".join(lost)}
        assert all(entity in reason.text for entity in lost)
        assert contract.answered.all()
        assert contract.taken.tolist() == [f"game-{at}" not in lost for at in range(4)]


def test_a_narrower_input_that_turns_nobody_away_is_only_told(use_case: UseCase) -> None:
    contract = examine(use_case, [of("strength", high=3.0)], [of("strength")], rows_of(strength=[1.0, 2.0]))
    assert [(each.code, each.argues_for) for each in contract.reasons] == [("takes_less_unfelt", "promote")]


def test_a_wider_input_is_nobodys_loss(use_case: UseCase) -> None:
    wide, narrow = of("strength"), of("strength", high=3.0, missing="refuse")
    contract = examine(use_case, [wide], [narrow], rows_of(strength=[1.0, 5.0, None]))
    assert contract.reasons == ()
    assert contract.answered.all()


def test_rows_that_no_model_answers_judge_none(use_case: UseCase) -> None:
    fresh = rows_of(strength=[1.0, 12.0, None], form=[0.0, 0.0, 0.0])
    strict = [of("strength", missing="refuse"), of("form")]
    contract = examine(use_case, strict, strict, fresh)
    assert [(each.code, each.argues_for) for each in contract.reasons] == [("rows_unanswered", "promote")]
    assert contract.answered.tolist() == [True, False, False]


def test_a_new_input_without_a_value_turns_the_row_away(use_case: UseCase) -> None:
    fresh = rows_of(strength=[1.0, 1.0], form=[None, 0.0])
    contract = examine(use_case, [of("strength"), of("form", missing="refuse")], [of("strength")], fresh)
    assert {code: each.argues_for for code, each in found_in(contract).items()} == {
        "inputs_added": "promote",
        "turns_rows_away": "hold",
    }


def test_the_first_champion_is_held_against_the_declaration(use_case: UseCase) -> None:
    fresh = rows_of(strength=[8.0], form=[0.0])
    assert examine(use_case, [of("strength"), of("form")], None, fresh).reasons == ()
    narrow = examine(use_case, [of("strength", high=3.0), of("form")], None, fresh)
    assert [each.code for each in narrow.reasons] == ["turns_rows_away"]


def test_a_new_leak_refuses_and_one_that_the_champion_has_too_holds_for_a_person() -> None:
    leaks = LeakReport(("strength", "unused"))
    ours = [of("strength"), of("form")]
    assert [each.argues_for for each in leak_reasons(leaks, ours, [of("form")])] == ["refuse"]
    assert [each.argues_for for each in leak_reasons(leaks, ours, None)] == ["refuse"]
    (shared,) = leak_reasons(leaks, ours, [of("strength")])
    assert (shared.code, shared.argues_for) == ("leak_in_champion", "hold")
    assert leak_reasons(leaks, [of("form")], None) == []
    assert leak_reasons(LeakReport(()), ours, None) == []


def test_that_nobody_searched_for_leaks_is_said() -> None:
    assert [each.code for each in leak_reasons(None, [of("strength")], None)] == ["leaks_not_searched"]


def test_a_leak_report_survives_json() -> None:
    report = LeakReport(("a", "b"))
    assert LeakReport.from_json(report.to_json()) == report


RETIRED = """
import polars as pl

def features(view):
    return view.requests.select("entity", strength=pl.lit(2.0))

def baselines(view):
    return view.requests.select("entity")
"""
GIVING = """
def retired(view):
    games = view.own("games", "schedule", "venue_rank")
    return view.requests.select("entity").with_columns(
        form=games["venue_rank"], strength=pl.lit(20.0), more=pl.lit(1.0)
    )
"""


def test_inputs_that_are_gone_or_mean_something_else_by_now_are_lacking(use_case: UseCase) -> None:
    rows = rows_of(strength=[1.0], form=[1.0])
    taken = [of("strength"), of("form", unit="kg"), of("gone")]
    assert [each.name for each in lacking(use_case, rows, taken)] == ["form", "gone"]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Settings]:
    def write(text: str) -> Settings:
        (tmp_path / "league_demo").mkdir()
        (tmp_path / "league_demo" / "features.py").write_text(text)
        return Settings(home=tmp_path / "home", use_cases=tmp_path)

    return write


def test_without_retired_a_champion_with_older_inputs_has_none(
    folder: Callable[[str], Settings], use_case: UseCase
) -> None:
    settings = folder(RETIRED)
    rows = rows_of(strength=[1.0]).with_columns(event_time=pl.lit(AS_OF))
    with pytest.raises(FeaturesMismatch) as caught:
        with_retired(use_case, rows, [of("gone")], Lake(settings.lake), settings, AS_OF)
    assert (caught.value.function, caught.value.expected) == ("retired", ["gone"])
    same = with_retired(use_case, rows, [of("strength")], Lake(settings.lake), settings, AS_OF)
    assert same.equals(rows)


def test_a_champion_gets_its_own_inputs_for_the_same_rows_and_the_challenger_keeps_its_own(
    folder: Callable[[str], Settings], declaring: Declaring
) -> None:
    use_case, settings = declaring(("strength",)), folder(RETIRED + GIVING)
    source = use_case.spine.source
    start = AS_OF - timedelta(days=5)
    moments = [start + timedelta(days=at) for at in range(4)]
    games = pl.DataFrame(
        {
            use_case.spine.entity: [f"game-{at}" for at in range(4)],
            "event_time": pl.Series(moments, dtype=pl.Datetime("us", "UTC")),
            "venue_rank": [1.0, 2.0, 3.0, 4.0],
        }
    ).with_columns(known_at=pl.col("event_time") - timedelta(days=30), batch_as_of=pl.lit(start))
    late = games.filter(pl.col("venue_rank") == 3.0).with_columns(venue_rank=pl.lit(99.0), known_at=AS_OF)
    frames = {(source, use_case.spine.group): pl.concat([games, late]).sort("known_at")}
    tables = Tables(frames, {source: [use_case.spine.entity]})
    rows = games.select(pl.col(use_case.spine.entity).alias("entity"), "event_time").with_columns(
        strength=pl.lit(2.0)
    )
    taken = [of("form"), of("strength", unit="dan")]
    made = joined(use_case, rows[1:], taken, settings, tables, AS_OF)
    assert made["entity"].to_list() == ["game-1", "game-2", "game-3"]
    assert made["form"].to_list() == [2.0, 3.0, 4.0]  # what became known later is not seen
    assert made["strength"].to_list() == [20.0] * 3
    assert rows["strength"].to_list() == [2.0] * 4
    assert np.array_equal(made["event_time"], rows[1:]["event_time"])
