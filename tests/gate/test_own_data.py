"""Data for a walk forward: what has landed stays, also when the database is killed in the middle."""

import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pennant.declaration.loader import load
from pennant.gate.own_data import Busy, DatabaseGone, NothingKnown, fetched, newest, own
from pennant.reference import Window
from pennant.settings import REPOSITORY, Settings

YEARS = [
    Window(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)) for year in (2017, 2018)
]


@pytest.fixture
def telco():
    return load(REPOSITORY / "include" / "use_cases" / "telco_churn")


@pytest.fixture
def settings(telco, tmp_path):
    mirror = os.environ.get("PENNANT_DATA_MIRROR", "")
    if not mirror or not Path(mirror, "README.md").exists():  # the working copy has one of its own
        pytest.skip("needs the public data sets: set PENNANT_DATA_MIRROR to their folder")
    return own(telco, Settings(home=tmp_path / "a home", data_mirror=mirror))


def test_a_killed_database_is_one_clear_error_and_the_next_run_goes_on(telco, settings) -> None:
    def kill() -> None:
        (running,) = (settings.home / "postgres").rglob("postmaster.pid")
        os.kill(int(running.read_text().split()[0]), signal.SIGKILL)

    with pytest.raises(DatabaseGone) as gone:
        fetched(telco, settings, YEARS, kill)
    assert gone.value.logs == settings.home / "logs"
    assert newest(telco, settings) == YEARS[0].as_of
    told: list[None] = []
    fetched(telco, settings, YEARS, lambda: told.append(None))
    assert len(told) == 2
    assert newest(telco, settings) == YEARS[1].as_of


def test_two_fetches_into_one_folder_do_not_meet(telco, settings) -> None:
    def again() -> None:
        with pytest.raises(Busy):
            fetched(telco, settings, YEARS, lambda: None)

    fetched(telco, settings, YEARS[:1], again)


def test_a_lake_without_a_batch_is_said_so(telco, settings) -> None:
    with pytest.raises(NothingKnown):
        newest(telco, settings)


def test_another_declaration_of_the_sources_has_a_folder_of_its_own(telco, tmp_path) -> None:
    source = telco.sources["customers"].model_copy(update={"ahead_days": 9})
    other = telco.model_copy(update={"sources": {"customers": source}})
    homes = {own(each, Settings(home=tmp_path)).home for each in (telco, other)}
    assert len(homes) == 2
