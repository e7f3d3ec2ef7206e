"""The real table of NFL games, 1999 to 2024, season by season."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Engine

from pennant.data.ingest import BatchResult, fetch, validate
from pennant.data.lake import Lake
from pennant.data.validated import versions
from pennant.declaration.loader import load
from pennant.declaration.model import UseCase
from pennant.reference import Window
from pennant.settings import REPOSITORY, Settings

MIRROR = os.environ.get("PENNANT_DATA_MIRROR", "")
PATH = "game_outcome/nfl/games_1999_2024.csv"
pytestmark = pytest.mark.skipif(
    not MIRROR or not (Path(MIRROR) / PATH).is_file(),
    reason=f"needs the folder of public data sets: set PENNANT_DATA_MIRROR to one that has {PATH}",
)
# First year and year after the last, each from March to March: the seasons that tell something alone.
SPANS = (
    (1999, 2006),
    (2006, 2007),
    (2007, 2008),
    (2008, 2009),
    (2009, 2021),
    (2021, 2022),
    (2022, 2023),
    (2023, 2025),
)
END = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    return load(REPOSITORY / "include" / "use_cases" / "nfl_games")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(tmp_path_factory.mktemp("nfl lake").as_uri())


@pytest.fixture(scope="module")
def results(use_case: UseCase, lake: Lake, warehouse: Engine) -> dict[int, BatchResult]:
    settings = Settings(data_mirror=MIRROR)
    found = {}
    for first, end in SPANS:
        window = Window(datetime(first, 3, 1, tzinfo=UTC), datetime(end, 3, 1, tzinfo=UTC))
        found[first] = validate(
            use_case, fetch(use_case, "games", window, lake, warehouse, settings), lake, warehouse
        )
    return found


@pytest.fixture(scope="module")
def groups(use_case: UseCase, lake: Lake, results: dict[int, BatchResult]) -> dict[str, pl.DataFrame]:
    return {group: versions(use_case, "games", group, lake, END) for group in ("schedule", "lines", "result")}


def test_every_game_is_there_once_and_none_is_quarantined(
    groups: dict[str, pl.DataFrame], results: dict[int, BatchResult]
) -> None:
    assert {group: rows.height for group, rows in groups.items()} == dict.fromkeys(groups, 6991)
    assert sum(result.quarantined for result in results.values()) == 0
    ties = groups["result"].filter(pl.col("home_score") == pl.col("away_score"))
    assert ties.height == 14


def test_seasons_have_the_games_that_were_played(groups: dict[str, pl.DataFrame]) -> None:
    games = dict(groups["schedule"].group_by("season").len().rows())
    assert games[2022] == 284  # one game was cancelled
    assert (games[1999], games[2002], games[2020], games[2021]) == (259, 267, 269, 285)
    assert groups["schedule"].filter(pl.col("location") == "Neutral").height == 86


def test_missing_prices_are_told_and_kept_missing(
    groups: dict[str, pl.DataFrame], results: dict[int, BatchResult]
) -> None:
    rule = "lines: ExpectColumnValuesToNotBeNull: home_moneyline"
    warned = {year: result.warnings[rule] for year, result in results.items() if result.warnings}
    # None before 2006; single games lack them in other seasons, which the rule allows.
    assert warned == {1999: 3 * 259 + 4 * 267, 2006: 47, 2008: 73}
    assert groups["lines"]["spread_line"].null_count() == 0


def test_team_codes_stay_as_they_were_written(groups: dict[str, pl.DataFrame]) -> None:
    teams = groups["schedule"].group_by("home_team").agg(pl.col("season").max())
    last = dict(teams.rows())
    assert (last["OAK"], last["SD"], last["STL"]) == (2019, 2016, 2015)


def test_kick_off_is_eastern_time_wherever_the_game_is(groups: dict[str, pl.DataFrame]) -> None:
    happens = dict(groups["result"].select("game_id", "event_time").rows())
    assert happens["1999_01_MIN_ATL"] == datetime(1999, 9, 12, 17, tzinfo=UTC)  # no time: 13:00, summer
    assert happens["2010_06_NYJ_DEN"] == datetime(2010, 10, 17, 20, 5, tzinfo=UTC)  # played in Denver
    assert happens["2024_22_KC_PHI"] == datetime(2025, 2, 9, 23, 30, tzinfo=UTC)  # winter


def test_each_group_is_known_at_its_own_moment(groups: dict[str, pl.DataFrame]) -> None:
    after = {"schedule": timedelta(days=-10), "lines": timedelta(0), "result": timedelta(hours=4)}
    for group, rows in groups.items():
        assert rows.filter(pl.col("known_at") - pl.col("event_time") != after[group]).is_empty()
