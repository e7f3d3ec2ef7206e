"""What was served is measured against what came true: only in time, only once, only what is known."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from pennant.declaration.model import UseCase
from pennant.warehouse.tables import model_performance, outcomes, predictions
from pennant.watch.performance import measure, promised
from pennant.watch.served import served

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
AS_OF = MONDAY + timedelta(days=15)


def _promise(warehouse: Engine, league: UseCase, value: float) -> None:
    row = {
        "use_case": league.name,
        "version": "1",
        "source": "gate",
        "window_start": MONDAY,
        "window_end": MONDAY,
        "metric": "log_loss",
        "rows": 300,
        "value": value,
        "details": {},
    }
    with warehouse.begin() as connection:
        connection.execute(insert(model_performance).values(row))


def _asked(entity: str, event: datetime, prediction: float, **given: Any) -> dict[str, Any]:
    as_of = given.get("as_of", event - timedelta(hours=1))
    return {
        "day": event.date(),
        "prediction_id": f"{entity}-{as_of.isoformat()}",
        "use_case": "league_demo",
        "entity": entity,
        "event_time": event,
        "as_of": as_of,
        "version": "1",
        "arm": "champion",
        "policy_id": 1,
        "features": {},
        "prediction": prediction,
        "extra": {},
        "answered_at": event,
    }


def _came(entity: str, event: datetime, label: float | None, hours: float = 3) -> dict[str, Any]:
    return {
        "use_case": "league_demo",
        "entity": entity,
        "event_time": event,
        "known_at": event + timedelta(hours=hours),
        "label": label,
        "void": label is None,
    }


def _write(warehouse: Engine, asked: list[dict[str, Any]], came: list[dict[str, Any]]) -> None:
    with warehouse.begin() as connection:
        connection.execute(insert(predictions), asked)
        if came:
            connection.execute(insert(outcomes), came)


def _rows(warehouse: Engine, as_of: datetime = AS_OF) -> list[Any]:
    return served(warehouse, "league_demo", "1", MONDAY, MONDAY + timedelta(days=14), as_of)


@pytest.mark.parametrize(("truth", "violates"), [(0.8, False), (0.35, True)])
def test_a_stale_champion_violates_and_a_sound_one_does_not(
    warehouse: Engine, league: UseCase, truth: float, violates: bool
) -> None:
    """It says 0.8 in every game of two weeks; planted: the home team wins as often as `truth`."""
    draw = Random(7)
    games = [(f"g{number}", MONDAY + timedelta(hours=number)) for number in range(330)]
    asked = [_asked(name, event, 0.8) for name, event in games]
    came = [_came(name, event, float(draw.random() < truth)) for name, event in games]
    _write(warehouse, asked, came)
    _promise(warehouse, league, 0.5004)
    measured = measure(league, warehouse, "1", AS_OF)
    assert len(measured) == 2
    assert [each.violates for each in measured] == [violates, violates]
    assert all(each.low < each.value < each.high for each in measured)
    again = measure(league, warehouse, "1", AS_OF)
    assert again == measured


def test_a_version_that_the_gate_never_judged_has_no_promise(warehouse: Engine, league: UseCase) -> None:
    assert promised(warehouse, league, "1") is None


def test_an_outcome_is_unknown_until_its_moment(warehouse: Engine) -> None:
    _write(warehouse, [_asked("a", MONDAY, 0.6)], [_came("a", MONDAY, 1.0)])
    assert [row.label for row in _rows(warehouse, MONDAY + timedelta(hours=2))] == [None]
    assert [row.label for row in _rows(warehouse)] == [1.0]


def test_a_corrected_outcome_counts_from_its_correction(warehouse: Engine) -> None:
    _write(
        warehouse, [_asked("a", MONDAY, 0.6)], [_came("a", MONDAY, 1.0), _came("a", MONDAY, 0.0, hours=48)]
    )
    assert [row.label for row in _rows(warehouse, MONDAY + timedelta(hours=47))] == [1.0]
    assert [row.label for row in _rows(warehouse)] == [0.0]


def test_a_void_event_is_left_out(warehouse: Engine) -> None:
    _write(warehouse, [_asked("a", MONDAY, 0.6), _asked("b", MONDAY, 0.7)], [_came("a", MONDAY, None)])
    assert [row.entity for row in _rows(warehouse)] == ["b"]


def test_the_last_prediction_before_the_event_counts_and_none_after_it(warehouse: Engine) -> None:
    asked = [
        _asked("a", MONDAY, 0.1, as_of=MONDAY - timedelta(hours=9)),
        _asked("a", MONDAY, 0.2, as_of=MONDAY - timedelta(hours=1)),
        _asked("a", MONDAY, 0.9, as_of=MONDAY + timedelta(hours=1)),
    ]
    _write(warehouse, asked, [])
    assert [row.prediction for row in _rows(warehouse)] == [0.2]
