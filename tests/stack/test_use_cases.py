"""Every shipped use case ingests, validates, builds features and a snapshot under the real scheduler."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import text
from tests.stack.conftest import Played

from pennant.data.lake import Lake
from pennant.declaration.loader import load
from pennant.demo.past import Past
from pennant.demo.plot import play_past
from pennant.demo.progress import Progress

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

SINCE = {
    "epl_matches": datetime(2021, 7, 1, tzinfo=UTC),
    "mlb_strikeouts": datetime(2024, 1, 1, tzinfo=UTC),
    "pedestrian_paths": None,
    "telco_churn": None,
}
"""Where the backfill begins; None is the declared start."""


@pytest.mark.skipif(
    not (Path(os.environ.get("PENNANT_DATA_MIRROR") or "/nowhere") / "README.md").exists(),
    reason="PENNANT_DATA_MIRROR is not set to a folder with the public data sets",
)
@pytest.mark.parametrize("name", SINCE)
def test_a_use_case_reaches_its_snapshot_and_leaks_nothing(played: Played, name: str) -> None:
    use_case = load(played.settings.use_cases / name)
    with Progress(Console(force_terminal=False)) as progress:
        past = Past(use_case, played.airflow, played.warehouse, progress)
        play_past(past, SINCE[name] or use_case.schedules.start, played.settings)
    assert past.story.rows > 1000
    assert past.story.snapshot_rows > 500
    assert past.story.leaks == 0
    query = text("SELECT state, count(*) FROM data_batches WHERE use_case = :name GROUP BY state")
    stored = text("SELECT count(*) FROM feature_store WHERE use_case = :name")
    with played.warehouse.connect() as connection:
        states = {row[0]: row[1] for row in connection.execute(query, {"name": name})}
        online = connection.execute(stored, {"name": name}).scalar_one()
    assert set(states) == {"validated"}
    assert online > 0
    pages = Lake(played.settings.lake).list(f"reports/data/{name}")
    assert sum(page.endswith(".html") for page in pages) >= sum(states.values())
