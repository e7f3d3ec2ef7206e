"""The planted truth of the simulated league, met by the real scheduler: drift, retrain, canary, way back."""

from typing import Any

import pytest
from sqlalchemy import text
from tests.stack.conftest import Played

pytestmark = [pytest.mark.stack, pytest.mark.timeout(2400)]


def _rows(played: Played, query: str) -> list[Any]:
    with played.warehouse.connect() as connection:
        return list(connection.execute(text(query)))


def test_planted_bad_rows_end_in_quarantine_with_reasons(league: Played) -> None:
    reasons: dict[str, int] = {}
    for row in _rows(league, "SELECT reasons FROM data_batches WHERE quarantined > 0"):
        for reason, count in row.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    assert league.story.quarantined > 100
    assert any("home_goals" in reason for reason in reasons)
    assert any("absences" in reason for reason in reasons)
    assert sum(reasons.values()) >= league.story.quarantined


def test_the_planted_drift_is_found_only_after_it_was_planted(league: Played) -> None:
    windows = _rows(league, "SELECT window_end, violates FROM drift_reports WHERE version = '1'")
    before = [row.violates for row in windows if row.window_end.isoformat() < "2025-02-01"]
    after = [row.violates for row in windows if row.window_end.isoformat() > "2025-02-15"]
    assert len(before) >= 3
    assert not any(before)
    assert len(after) >= 2
    assert all(after)


def test_the_retrain_was_asked_for_by_the_watch_and_woken_by_its_asset(league: Played) -> None:
    runs = [run.run_id for run in league.airflow.runs("league_demo__train")]
    assert league.story.verdicts[1]["run"].startswith("asset_triggered")
    assert league.story.verdicts[1]["run"] in runs
    [request] = _rows(league, "SELECT state, result FROM healing_actions WHERE state IN ('pending', 'done')")
    assert request.state == "done"
    assert request.result["outcome"] == "promote"


def test_the_challenger_answered_its_share_before_it_was_promoted(league: Played) -> None:
    [deployment] = _rows(league, "SELECT version, state, details FROM deployments WHERE version = '2'")
    assert deployment.state == "promoted"
    answered = dict(
        _rows(league, "SELECT arm, count(*) FROM predictions WHERE policy_id = 2 GROUP BY arm")  # the canary
    )
    share = answered["challenger"] / sum(answered.values())
    assert 0.2 < share < 0.4


def test_the_bad_challenger_is_held_and_the_rollback_serves_the_old_champion(league: Played) -> None:
    assert [each["outcome"] for each in league.story.verdicts] == ["promote", "promote", "hold"]
    assert [version for _, version in league.story.served] == ["1", "2", "1"]
    model = league.serving.model("league_demo")
    assert model is not None
    arms = {arm["arm"]: str(arm["version"]) for arm in model["arms"]}
    assert arms == {"champion": "1", "previous": "2"}
    actions = [row.action for row in _rows(league, "SELECT action FROM ledger ORDER BY seq")]
    assert actions[-1] == "rollback"
    assert "gate_hold" in actions
