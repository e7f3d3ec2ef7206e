"""Drift is found where it was planted, by a method that does not change with the size of the data."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, func, insert, select

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.release.policy import Arm
from pennant.warehouse.tables import drift_reports, predictions
from pennant.watch.drift import measure

MONDAY = datetime(2025, 1, 6, tzinfo=UTC)
NAMES = ("elo_difference", "absence_difference", "absences_total")


@pytest.fixture
def narrow(league: UseCase) -> UseCase:
    return league.model_copy(update={"features": {name: league.features[name] for name in NAMES}})


def _champion(folder: Path) -> Arm:
    draw = np.random.default_rng(3)
    pd.DataFrame({name: draw.normal(size=2000) for name in NAMES}).to_parquet(folder / "reference.parquet")
    return Arm("champion", "1", folder.as_uri(), "0" * 64, 1.0)


def _serve(warehouse: Engine, week: int, rows: int, shift: float) -> None:
    draw = np.random.default_rng(week)
    start = MONDAY + timedelta(days=7 * week)
    moments = [start + timedelta(minutes=number) for number in range(rows)]
    values = [
        {
            "day": moment.date(),
            "prediction_id": f"{week}-{number}",
            "use_case": "league_demo",
            "entity": f"{week}-{number}",
            "event_time": moment,
            "as_of": moment - timedelta(hours=1),
            "version": "1",
            "arm": "champion",
            "policy_id": 1,
            "features": {name: float(draw.normal() + shift) for name in NAMES},
            "prediction": 0.5,
            "extra": {},
            "answered_at": moment,
        }
        for number, moment in enumerate(moments)
    ]
    with warehouse.begin() as connection:
        connection.execute(insert(predictions), values)


def test_a_planted_shift_violates_and_its_absence_does_not(
    warehouse: Engine, narrow: UseCase, tmp_path: Path
) -> None:
    lake = Lake((tmp_path / "lake").as_uri())
    _serve(warehouse, 0, 300, 0.0)
    _serve(warehouse, 1, 300, 2.5)
    _serve(warehouse, 2, 20, 2.5)  # too few rows to say anything
    champion = _champion(tmp_path)
    measured = measure(narrow, lake, warehouse, champion, MONDAY + timedelta(days=21))
    assert [each.violates for each in measured] == [False, True]
    assert set(measured[1].scores) == set(NAMES)
    assert measured[0].report_uri is None
    assert b"<html" in lake.get(str(measured[1].report_uri))[:2000].lower()
    assert measure(narrow, lake, warehouse, champion, MONDAY + timedelta(days=21)) == measured
    with warehouse.connect() as connection:
        assert connection.execute(select(func.count()).select_from(drift_reports)).scalar_one() == 2


def test_a_feature_that_was_never_seen_is_left_out_and_hides_no_other(
    warehouse: Engine, narrow: UseCase, tmp_path: Path
) -> None:
    _serve(warehouse, 0, 100, 2.5)
    champion = _champion(tmp_path)
    reference = pd.read_parquet(tmp_path / "reference.parquet").assign(absences_total=np.nan)
    reference.to_parquet(tmp_path / "reference.parquet")
    [window] = measure(
        narrow, Lake((tmp_path / "lake").as_uri()), warehouse, champion, MONDAY + timedelta(days=7)
    )
    assert "absences_total" not in window.scores
    assert window.violates
