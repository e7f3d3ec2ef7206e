"""What comes of a verdict: who is told how loudly, and what a person's answer can decide."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from pennant.orchestration import training_steps
from pennant.orchestration.workplace import Workplace
from pennant.settings import REPOSITORY, Settings
from pennant.warehouse.engine import connect
from pennant.warehouse.tables import system_alerts

NAME = "league_demo"
AS_OF = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def warehouse(new_warehouse: Callable[[], str]) -> Iterator[Engine]:
    engine = connect(new_warehouse())
    yield engine
    engine.dispose()


@pytest.fixture
def place(warehouse: Engine, tmp_path: Path, airflow_database: None) -> Workplace:
    """A workplace whose promotions a person approves."""
    opened = Workplace(Settings(home=tmp_path, use_cases=REPOSITORY / "include" / "use_cases"), NAME)
    gate = opened.use_case.gate.model_copy(update={"approval": "person", "approvers": ["ben"]})
    opened.__dict__.update(warehouse=warehouse, use_case=opened.use_case.model_copy(update={"gate": gate}))
    return opened


def judged(outcome: str, *codes: str, version: str = "7") -> dict[str, Any]:
    opened = outcome == "hold" and set(codes) == {"champion_unscorable"}
    evidence = {"uri": "file:///evidence.json", "sha256": "a" * 64}
    summary = "The champion (version 6) could not be scored: no column for form."
    return {
        "version": version,
        "champion": "6",
        "outcome": outcome,
        "codes": list(codes),
        "open": opened,
        "evidence": evidence,
        "summary": summary,
    }


def answered(by: str = "ben", chosen: str = "Approve", evidence: str = "a" * 64) -> dict[str, Any]:
    return {
        "chosen_options": [chosen],
        "responded_by_user": {"id": by, "name": by},
        "responded_at": "2024-06-01T02:00:00+00:00",
        "asked_at": "2024-06-01T01:00:00+00:00",
        "evidence_sha256": evidence,
    }


def told(warehouse: Engine, version: str) -> dict[str, Any]:
    query = select(system_alerts).where(system_alerts.c.what.contains(f"version {version}."))
    with warehouse.connect() as connection:
        return dict(connection.execute(query).mappings().one())


@pytest.mark.parametrize(
    ("given", "severity", "class_"),
    [
        (judged("hold", "champion_unscorable", version="11"), "critical", "champion_unscorable"),
        (judged("hold", "leak_in_champion", "too_slow", version="12"), "critical", "leak_in_champion"),
        (judged("hold", "not_better_than_champion", version="13"), "info", "gate_hold"),
        (judged("refuse", "new_leak", version="14"), "warning", "gate_refuse"),
        (judged("promote", "beats_champion", version="15"), "info", "gate_promote"),
    ],
)
def test_what_is_wrong_with_the_champion_is_critical(
    place: Workplace, warehouse: Engine, given: dict[str, Any], severity: str, class_: str
) -> None:
    training_steps._tell(place, given, given["outcome"], given["summary"], AS_OF)
    found = told(warehouse, given["version"])
    assert (found["severity"], found["class"]) == (severity, class_)
    assert ("person" in found["action"]) is (severity == "critical")


def test_only_a_promote_or_a_champion_that_cannot_be_scored_is_put_to_a_person() -> None:
    asked = {
        "promote": judged("promote", "beats_champion"),
        "open": judged("hold", "champion_unscorable"),
        "held": judged("hold", "badly_calibrated", "champion_unscorable"),
        "refused": judged("refuse", "new_leak"),
    }
    assert {name: training_steps.asks_person(each) for name, each in asked.items()} == {
        "promote": True,
        "open": True,
        "held": False,
        "refused": False,
    }


def test_without_a_scored_champion_nothing_but_an_approvers_answer_promotes(place: Workplace) -> None:
    given = judged("hold", "champion_unscorable")

    def outcome(answer: dict[str, Any] | None) -> str:
        return training_steps._outcome(place, given, answer, "ana@example.org")[0]

    assert outcome(answered()) == "promote"
    for answer in (None, answered(chosen="Reject"), answered(by="ana"), answered(evidence="b" * 64)):
        assert outcome(answer) == "hold"
    automatic = place.use_case.gate.model_copy(update={"approval": "none", "approvers": []})
    place.__dict__["use_case"] = place.use_case.model_copy(update={"gate": automatic})
    for answer in (None, answered()):
        assert outcome(answer) == "hold"


def test_an_answer_cannot_end_a_hold_that_has_other_reasons(place: Workplace) -> None:
    given = judged("hold", "champion_unscorable", "badly_calibrated")
    assert training_steps._outcome(place, given, answered(), "ana@example.org")[0] == "hold"


@pytest.mark.parametrize("name", ["Ajax", "アヤックス", "\U0001f3c6"])
def test_a_summary_in_any_script_fits_into_an_xcom_beside_the_rest(name: str) -> None:
    kept = training_steps._cut(f"3 of 40 fresh rows would be refused: {', '.join([name] * 500)}.")
    assert kept.startswith("3 of 40 fresh rows")
    assert 1000 < len(json.dumps(kept)) <= 1500
    short = f"{name} is better."
    assert training_steps._cut(short) == short
