"""The real tables of NFL games, 1999 to the coming season, from their files to a snapshot."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from pennant.data.connectors.base import Answer
from pennant.data.connectors.nflverse import Nflverse
from pennant.features.leaks import leaks
from pennant.features.snapshot import snapshot_frame
from pennant.features.tables import load_tables

from .conftest import USE_CASES, Ingested, year_windows

# From March to March: the seasons that tell something alone, and the coming one.
EDGES = (1999, 2006, 2007, 2008, 2009, 2025, 2026)
END = datetime(2025, 3, 1, tzinfo=UTC)
MIDSUMMER = datetime(2026, 9, 7, tzinfo=UTC)
PAST = 6991


@pytest.fixture(scope="module")
def nfl(ingest) -> Ingested:
    from pennant.reference import Window

    windows = year_windows(*EDGES, month=3)
    return ingest("nfl_games", [*windows, Window(windows[-1].as_of, MIDSUMMER)])


@pytest.fixture(scope="module")
def groups(nfl: Ingested) -> dict[str, pl.DataFrame]:
    past = pl.col("event_time") < END
    names = ("schedule", "lines", "starters", "result")
    return {group: nfl.versions("games", group).filter(past) for group in names}


@pytest.fixture(scope="module")
def snapshot(nfl: Ingested) -> pl.DataFrame:
    longer = nfl.use_case.split.model_copy(update={"history_days": 9500})
    use_case = nfl.use_case.model_copy(update={"split": longer})
    return snapshot_frame(use_case, nfl.lake, nfl.settings, END)


def test_every_game_is_there_once_and_none_is_set_aside(nfl: Ingested, groups) -> None:
    assert {group: rows.height for group, rows in groups.items()} == dict.fromkeys(groups, PAST)
    set_aside = {
        source: [each.reasons for each in found if each.quarantined] for source, found in nfl.results.items()
    }
    # Matthew Stafford's two rows of one week: of differing copies none can be trusted.
    assert set_aside == {"games": [], "elo538": [], "player_weeks": [{"duplicate key": 2}]}
    ties = groups["result"].filter(pl.col("home_score") == pl.col("away_score"))
    assert ties.height == 14


def test_seasons_have_the_games_that_were_played(groups) -> None:
    games = dict(groups["schedule"].group_by("season").len().rows())
    assert games[2022] == 284  # one game was cancelled
    assert (games[1999], games[2002], games[2020], games[2021]) == (259, 267, 269, 285)
    assert groups["schedule"].filter(pl.col("location") == "Neutral").height == 86


def test_missing_prices_are_told_and_kept_missing(nfl: Ingested, groups) -> None:
    rule = "lines: ExpectColumnValuesToNotBeNull: home_moneyline"
    told = dict(zip(EDGES, nfl.results["games"], strict=False))
    warned = {year: result.warnings[rule] for year, result in told.items() if rule in result.warnings}
    # None before 2006; single games lack them in other seasons, which the rule allows.
    assert warned == {1999: 3 * 259 + 4 * 267, 2006: 47, 2008: 73}
    assert groups["lines"]["spread_line"].null_count() == 0


def test_the_coming_seasons_first_week_is_listed_and_has_neither_line_nor_result(nfl: Ingested) -> None:
    coming = nfl.versions("games", "schedule").filter(pl.col("season") == 2026)
    assert coming["week"].unique().to_list() == [1]
    assert coming.height == 16
    after = pl.col("event_time") > END
    assert nfl.versions("games", "lines").filter(after).is_empty()
    assert nfl.versions("games", "result").filter(after).is_empty()


def test_a_franchise_has_one_name_for_good_and_the_lake_keeps_what_was_written(nfl: Ingested, groups) -> None:
    codes = set(groups["schedule"]["home_team"]) | set(groups["schedule"]["away_team"])
    assert codes == set(nfl.use_case.identities["nfl_teams"])
    raw = {path for path in nfl.lake.list("validated/nfl_games/games") if path.endswith("schedule.parquet")}
    import io

    written = pl.concat(pl.read_parquet(io.BytesIO(nfl.lake.get(nfl.lake.uri(path)))) for path in sorted(raw))
    seasons = dict(written.group_by("home_team").agg(pl.col("season").max()).rows())
    assert (seasons["OAK"], seasons["SD"], seasons["STL"]) == (2019, 2016, 2015)


def test_kick_off_is_eastern_time_wherever_the_game_is(groups) -> None:
    happens = dict(groups["result"].select("game_id", "event_time").rows())
    assert happens["1999_01_MIN_ATL"] == datetime(1999, 9, 12, 17, tzinfo=UTC)  # no time: 13:00, summer
    assert happens["2010_06_NYJ_DEN"] == datetime(2010, 10, 17, 20, 5, tzinfo=UTC)  # played in Denver
    assert happens["2024_22_KC_PHI"] == datetime(2025, 2, 9, 23, 30, tzinfo=UTC)  # winter


def test_each_group_is_known_at_its_own_moment(groups) -> None:
    after = {
        "schedule": timedelta(days=-10),
        "starters": timedelta(hours=-1.25),
        "lines": timedelta(0),
        "result": timedelta(hours=4),
    }
    for group, rows in groups.items():
        assert rows.filter(pl.col("known_at") - pl.col("event_time") != after[group]).is_empty()


def test_fivethirtyeight_has_a_forecast_for_every_game_to_the_season_of_2020(snapshot: pl.DataFrame) -> None:
    until = datetime(2021, 3, 1, tzinfo=UTC)
    early, late = (
        snapshot.filter(each) for each in (pl.col("event_time") < until, pl.col("event_time") > until)
    )
    assert early.height == 5852 - 11  # ties are void
    assert early["baseline__elo_538"].null_count() == 0
    assert late["baseline__elo_538"].null_count() == late.height > 1000
    # Two Elo ratings by the same rules: ours reads its home advantage and its start otherwise.
    assert early.select(pl.corr("baseline__elo_538", "baseline__elo_probability")).item() > 0.95


def test_no_feature_of_a_game_looks_ahead(nfl: Ingested) -> None:
    assert leaks(nfl.use_case, nfl.lake, nfl.settings, END, moments=2) == []


def log_loss(label: np.ndarray, chance: np.ndarray) -> float:
    return float(-np.mean(np.log(np.where(label == 1.0, chance, 1.0 - chance))))


def fitted(names: list[str], train: pl.DataFrame, test: pl.DataFrame) -> np.ndarray:
    """Chances from a plain logistic regression on the standardised features."""
    both = [each.select(names).fill_null(0.0).to_numpy() for each in (train, test)]
    mean, scale = both[0].mean(axis=0), both[0].std(axis=0) + 1e-9
    model = LogisticRegression().fit((both[0] - mean) / scale, train["label"].to_numpy())
    return model.predict_proba((both[1] - mean) / scale)[:, 1]


def test_who_asks_at_kick_off_reads_closing_prices_and_nothing_later(nfl: Ingested, leaks_of_variant) -> None:
    held = load_tables(nfl.use_case, nfl.lake, END)
    start = datetime(2024, 9, 1, tzinfo=UTC)
    late = {group: rows.filter(pl.col("event_time") > start) for group, rows in held.frames.items()}
    assert leaks_of_variant(nfl, "at_kick_off", replace(held, frames=late), start, END) == []


def test_the_features_beat_elo_walking_forward_and_not_the_market(nfl: Ingested, snapshot) -> None:
    rows = snapshot.with_columns(pl.col("event_time").dt.offset_by("-4mo").dt.year().alias("season"))
    parts = []
    for year in range(2018, 2025):
        test = rows.filter(pl.col("season") == year)
        train = rows.filter(pl.col("season") < year, pl.col("season") >= 2002)
        parts.append(test.with_columns(model=fitted(list(nfl.use_case.features), train, test)))
    told = pl.concat(parts)
    names = ("model", "baseline__elo_probability", "baseline__market_probability")
    model, elo, market = (log_loss(told["label"].to_numpy(), told[name].to_numpy()) for name in names)
    assert told.height == 1935
    assert market < model < elo - 0.012
    assert model < 0.626


FORECASTS, WEEKS = "game_outcome/nfl_elo_538/nfl_games.csv", "player_props/nfl/player_weeks_2009_2024.parquet"


def copied(mirror: Path, folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes((mirror / file).read_bytes())


def test_prices_that_no_book_offers_and_a_team_against_itself_are_set_aside(ingest, mirror, tmp_path) -> None:
    file = "game_outcome/nfl/games_1999_2024.csv"
    rows = pl.read_csv(mirror / file, infer_schema=False).filter(pl.col("season") == "2023")
    priced, doubled = pl.col("game_id") == "2023_01_DET_KC", pl.col("game_id") == "2023_02_KC_JAX"
    changed = rows.with_columns(
        pl.when(priced).then(pl.lit("-300")).otherwise(pl.col(name)).alias(name)
        for name in ("home_moneyline", "away_moneyline")
    ).with_columns(pl.when(doubled).then(pl.lit("KC")).otherwise("home_team").alias("home_team"))
    (tmp_path / file).parent.mkdir(parents=True)
    changed.write_csv(tmp_path / file)
    copied(mirror, tmp_path, FORECASTS, WEEKS)
    found = ingest("nfl_games", year_windows(2023, 2024, month=3), tmp_path).results["games"][0]
    assert found.reasons == {
        "two moneylines that no bookmaker asks together": 1,
        "a team that plays against itself": 1,
    }


def test_a_club_that_no_table_knows_is_told_and_kept(ingest, mirror, tmp_path) -> None:
    copied(mirror, tmp_path, WEEKS)
    for file in ("game_outcome/nfl/games_1999_2024.csv", FORECASTS):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        rows = pl.read_csv(mirror / file, infer_schema=False).filter(pl.col("season") == "2016")
        name = "home_team" if "home_team" in rows.columns else "team1"
        rows.with_columns(pl.col(name).replace({"GB": "GBP"})).write_csv(tmp_path / file)
    found = ingest("nfl_games", year_windows(2016, 2017, month=3), tmp_path)
    assert found.results["games"][0].unresolved == {"home_team": {"GBP": 9}}
    assert found.results["elo538"][0].unresolved == {"team1": {"GBP": 9}}
    assert found.versions("games", "schedule").filter(pl.col("home_team") == "GBP").height == 9


def test_player_weeks_are_read_and_their_one_doubled_key_stands_out(mirror: Path) -> None:
    from pennant.declaration.loader import load

    source = load(USE_CASES / "nfl_games").sources["player_weeks"]
    content = (mirror / "player_props/nfl/player_weeks_2009_2024.parquet").read_bytes()
    answer = Answer("nfl.weeks", "weeks", "player_weeks", 0, content, "", "nflverse", END)
    rows = Nflverse().read(source, answer)
    assert rows.height == 86_161
    key = ["player_id", "season", "season_type", "week"]
    doubled = rows.filter(pl.struct(key).is_duplicated())
    assert doubled["player_display_name"].unique().to_list() == ["Matthew Stafford"]


def test_a_players_week_is_known_only_when_the_last_game_of_the_week_has_long_been_over(nfl, groups) -> None:
    """Games put off to a Tuesday or a Wednesday among them, and the two weeks before a Super Bowl."""
    weeks = nfl.versions("player_weeks", "offence")
    assert weeks.height == 86_161 - 2
    told = weeks.select(pl.col("season", "week").cast(pl.Int64), told="known_at").unique()
    assert told.height == told.unique(["season", "week"]).height == 12 * 21 + 4 * 22
    games = groups["schedule"].select("season", "week", "event_time").join(told, on=["season", "week"])
    over = (pl.col("told") - pl.col("event_time")).dt.total_hours()
    wait = games.group_by("season", "week").agg(over.min().alias("least"), over.max().alias("most"))
    assert wait["least"].min() >= 12
    assert wait["most"].max() < 24 * 8


@pytest.mark.parametrize(
    ("season", "week", "over"),
    [
        ("1999", "1", "1999-09-16"),
        ("2001", "2", "2001-09-27"),  # played a week later than it was to be
        ("2020", "12", "2020-12-03"),  # BAL at PIT was played on Wednesday
        ("2020", "21", "2021-02-11"),  # the Super Bowl
        ("2024", "18", "2025-01-09"),
        ("2024", "22", "2025-02-13"),
        ("2024", "", None),
        ("x", "1", None),
    ],
)
def test_a_week_is_over_on_the_thursday_after_it(season: str, week: str, over: str | None) -> None:
    from pennant.declaration.loader import load

    source = load(USE_CASES / "nfl_games").sources["player_weeks"]
    content = f"player_id,season,week\na,{season},{week}\n".encode()
    answer = Answer("nfl.weeks", "weeks", "player_weeks", 0, content, "", "nflverse", END)
    assert Nflverse().read(source, answer)["week_over"].to_list() == [over]


def test_a_later_snapshot_built_on_an_earlier_one_has_the_bytes_of_one_built_anew(nfl, built_on) -> None:
    assert built_on(nfl, datetime(2009, 3, 1, tzinfo=UTC), END) > 0
