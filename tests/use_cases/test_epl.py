"""The real files of the Premier League, 2000/01 to 2024/25, from their bytes to a snapshot."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pennant.data.connectors.base import Answer
from pennant.data.connectors.football_data import FootballData
from pennant.declaration.loader import load
from pennant.features.build import requests_of
from pennant.features.leaks import leaks, leaks_of
from pennant.features.module import features_module
from pennant.features.snapshot import snapshot_frame
from pennant.features.tables import load_tables
from pennant.features.views import timelines
from pennant.reference import Window

from .conftest import USE_CASES, Ingested, year_windows

EDGES = (2000, 2006, 2019, 2023, 2025)
BEFORE_2019 = datetime(2019, 7, 1, tzinfo=UTC)
"""The constants were chosen on what came before; nothing is asserted of how good they are after it."""
LONDON = ZoneInfo("Europe/London")
Match = dict[str, object]


@pytest.fixture(scope="module")
def source():
    return load(USE_CASES / "epl_matches").sources["matches"]


@pytest.fixture(scope="module")
def epl(ingest: Callable[[str, Sequence[Window]], Ingested]) -> Ingested:
    return ingest("epl_matches", year_windows(*EDGES, month=7))


@pytest.fixture(scope="module")
def snapshot(epl: Ingested) -> pl.DataFrame:
    return snapshot_frame(epl.use_case, epl.lake, epl.settings, datetime(2023, 7, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def matches(mirror: Path) -> list[Match]:
    """The files once more, read by hand: in the order of their dates."""
    found: list[Match] = []
    for path in sorted((mirror / "game_outcome/epl").glob("E0_*.csv")):
        text = path.read_bytes().decode("latin-1")
        for row in csv.DictReader(io.StringIO(text)):
            season = 2000 + int(path.stem[3:5])
            name = f"{season} {row['HomeTeam']} {row['AwayTeam']}"
            found.append({**row, "season": season, "match_id": name, "start": kick_off(row)})
    return sorted(found, key=lambda match: match["start"])


def kick_off(row: Match) -> datetime:
    """In London's time; the year has two or four digits."""
    day, month, year = (int(part) for part in str(row["Date"]).replace("-", "/").split("/"))
    hour, minute = (int(part) for part in (row.get("Time") or "15:00").split(":"))
    return datetime(year % 100 + 2000, month, day, hour, minute, tzinfo=LONDON).astimezone(UTC)


def answer(content: bytes, part: str = "E0_0405") -> Answer:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Answer("epl_matches.matches", "here", part, 0, content, "text/csv", "football_data", at)


def asked(source, start: tuple[int, int, int], end: tuple[int, int, int]) -> list[str]:
    window = Window(datetime(*start, tzinfo=UTC), datetime(*end, tzinfo=UTC))
    return [ask.part for ask in FootballData().asks(source, window)]


def test_only_seasons_that_a_window_touches_are_asked_for(source) -> None:
    assert asked(source, (2012, 12, 1), (2013, 3, 1)) == ["E0_1213"]
    assert asked(source, (2013, 6, 1), (2013, 8, 20)) == ["E0_1213", "E0_1314"]
    assert asked(source, (1999, 7, 1), (2001, 6, 1)) == ["E0_0001"]
    assert asked(source, (1996, 7, 1), (1999, 6, 1)) == []


def test_the_coming_season_is_asked_for_as_soon_as_it_can_be_listed(source) -> None:
    assert asked(source, (2013, 6, 1), (2013, 6, 23)) == ["E0_1213"]
    assert asked(source, (2013, 6, 1), (2013, 6, 24)) == ["E0_1213", "E0_1314"]


def test_a_season_has_a_public_address_and_a_file_in_the_mirror(source) -> None:
    window = Window(datetime(2012, 12, 1, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC))
    (ask,) = FootballData().asks(source, window)
    assert ask.url == "https://www.football-data.co.uk/mmz4281/1213/E0.csv"
    assert ask.path == "game_outcome/epl/E0_1213.csv"
    assert ask.optional


def test_unknown_options_and_addresses_without_a_season_are_told(source) -> None:
    assert FootballData().problems(source) == []
    wrong = source.model_copy(update={"options": {"league": "E0"}, "url": "https://example.org/E0.csv"})
    told = " ".join(FootballData().problems(wrong))
    assert all(word in told for word in ("'league'", "division", "first_season", "{season}"))


def test_latin_1_bytes_and_rows_of_nothing_but_commas_are_read(source) -> None:
    content = (
        b"Div,Date,HomeTeam,AwayTeam,Referee,,\r\nE0,14-08-2004,Aston Villa,Leeds,R\xa0Styles,,\r\n,,,,,,\r\n"
    )
    table = FootballData().read(source, answer(content))
    assert table.height == 1
    row = table.to_dicts()[0]
    assert (row["Referee"], row["Time"], row["season"]) == ("R\xa0Styles", None, "2004")
    assert row["match_id"] == "2004 Aston Villa Leeds"
    assert not {"", "_5", "_6"} & set(table.columns)


def test_every_season_has_its_380_matches_and_all_its_results(epl: Ingested) -> None:
    fixtures = epl.versions("matches", "fixture")
    assert dict(fixtures.group_by("season").len().rows()) == dict.fromkeys(range(2000, 2025), 380)
    assert epl.versions("matches", "result").height == 9500
    played = fixtures.group_by("season", "HomeTeam").len()
    assert set(played["len"]) == {19}


def test_matches_with_more_shots_on_target_than_shots_lose_their_statistics_and_nothing_else(epl) -> None:
    reasons = [result.reasons for result in epl.results["matches"]]
    told = [(reason, found) for each in reasons for reason, found in each.items()]
    assert sum(found for _, found in told) == 3
    assert all("more shots on target than shots" in reason for reason, _ in told)
    without = epl.versions("matches", "fixture").join(
        epl.versions("matches", "statistics"), on="match_id", how="anti"
    )
    assert sorted(without["match_id"]) == [
        "2000 Bradford Charlton",
        "2000 Coventry Tottenham",
        "2021 Newcastle West Ham",
    ]


def test_three_spellings_of_a_date_give_the_kick_off_that_was_written(epl: Ingested, matches) -> None:
    read = dict(epl.versions("matches", "fixture").select("match_id", "event_time").rows())
    assert read == {match["match_id"]: match["start"] for match in matches}


def test_every_club_is_known_by_name(epl: Ingested) -> None:
    fixtures = epl.versions("matches", "fixture")
    known = set(epl.use_case.identities["clubs"])
    assert set(fixtures["HomeTeam"]) | set(fixtures["AwayTeam"]) <= known
    unresolved = [result.unresolved for result in epl.results["matches"]]
    assert not any(names for each in unresolved for names in each.values())


def test_closing_prices_are_there_from_2012_and_opening_ones_from_2002(epl: Ingested) -> None:
    seasons = epl.versions("matches", "fixture").select("match_id", "season")
    for group, column, first in (("closing", "PSCH", 2012), ("opening", "B365H", 2002)):
        prices = epl.versions("matches", group).join(seasons, on="match_id")
        assert prices.filter(pl.col(column).is_not_null())["season"].min() == first


def test_home_advantage_all_but_vanished_without_spectators(epl: Ingested) -> None:
    results = epl.versions("matches", "result").join(
        epl.versions("matches", "fixture").select("match_id", "season"), on="match_id"
    )
    wins = dict(results.group_by("season").agg((pl.col("FTR") == "H").mean()).rows())
    assert wins[2020] == pytest.approx(0.379, abs=0.001)
    assert min(wins, key=wins.__getitem__) == 2020


def test_the_snapshot_has_three_classes_and_every_declared_column(epl: Ingested, snapshot) -> None:
    assert snapshot.height == 23 * 380
    shares = snapshot.group_by("label").len().sort("label")
    assert shares["label"].to_list() == [0.0, 1.0, 2.0]
    assert shares["len"][0] / snapshot.height == pytest.approx(0.46, abs=0.01)
    assert set(epl.use_case.features) < set(snapshot.columns)
    assert (snapshot["event_time"] - snapshot["moment"]).unique().to_list() == [timedelta(hours=1)]


def test_features_stay_in_their_declared_ranges(epl: Ingested, snapshot) -> None:
    for name, feature in epl.use_case.features.items():
        values = snapshot[name].drop_nulls()
        assert feature.low <= values.min() <= values.max() <= feature.high, name


def test_market_chances_are_fair_and_nearer_to_what_happened_than_elo(snapshot) -> None:
    told = snapshot.filter(pl.col("event_time") > datetime(2015, 7, 1, tzinfo=UTC))
    losses = {}
    for name in ("elo", "goals", "market"):
        chances = told.select(f"baseline__{name}_{each}" for each in ("home", "draw", "away"))
        assert chances.sum_horizontal().is_between(1 - 1e-9, 1 + 1e-9).all()
        hit = [row[int(label)] for row, label in zip(chances.rows(), told["label"], strict=True)]
        losses[name] = -pl.Series(hit).log().mean()
    assert losses["market"] < losses["goals"] < losses["elo"] < 1.0


@pytest.mark.parametrize(
    "name", ["2001 Leeds Newcastle", "2011 Man City QPR", "2015 Leicester Everton", "2022 Liverpool Fulham"]
)
def test_features_of_a_match_are_those_of_a_computation_by_hand(snapshot, matches, name: str) -> None:
    row = snapshot.filter(pl.col("entity") == name).to_dicts()[0]
    match = next(each for each in matches if each["match_id"] == name)
    moment = match["start"] - timedelta(hours=1)
    known = [each for each in matches if each["start"] + timedelta(hours=2.5) <= moment]
    expected = {
        "season_points_difference": by_hand_points(known, match, "HomeTeam")
        - by_hand_points(known, match, "AwayTeam")
    }
    for side, club in (("home", match["HomeTeam"]), ("away", match["AwayTeam"])):
        own = [each for each in known if club in (each["HomeTeam"], each["AwayTeam"])]
        rest = (match["start"] - own[-1]["start"]) / timedelta(days=1)
        expected[f"{side}_rest"] = min(rest, 21.0)
        before = {each["season"] for each in own}
        expected[f"{side}_promoted"] = float(match["season"] - 1 not in before)
    for number, outcome in enumerate(("home", "draw", "away")):
        expected[f"opening_{outcome}"] = by_hand_fair(opening(match))[number] if opening(match) else None
    for feature, value in expected.items():
        assert row[feature] == (None if value is None else pytest.approx(value)), feature


def by_hand_points(known: list[Match], match: Match, side: str) -> float:
    points = []
    for each in known:
        if each["season"] == match["season"] and match[side] in (each["HomeTeam"], each["AwayTeam"]):
            lead = int(each["FTHG"]) - int(each["FTAG"])
            lead = lead if each["HomeTeam"] == match[side] else -lead
            points.append(3 if lead > 0 else 1 if lead == 0 else 0)
    return sum(points) / len(points)


def by_hand_fair(prices: list[float]) -> list[float]:
    """Inverse prices to the power that makes them sum to one, found by halving."""
    low, high = 0.5, 2.0
    for _ in range(60):
        power = (low + high) / 2
        low, high = (power, high) if sum(price**-power for price in prices) > 1 else (low, power)
    return [price**-power for price in prices]


@pytest.mark.parametrize(
    ("name", "home", "away"),
    [
        # Level with United at the top with one match to go; two points above the third from the bottom.
        ("2011 Man City QPR", 0.08, 0.28),
        # Champions since the Monday before, and a club in the middle.
        ("2015 Leicester Everton", 0.0, 0.0),
        # Four points behind the fourth place with five matches to go.
        ("2022 Liverpool Fulham", 0.08 / 5**1.3, 0.0),
        ("2022 Fulham Liverpool", 0.0, 0.0),
    ],
)
def test_the_last_matches_mean_most_to_those_who_may_still_go_down(snapshot, name, home, away) -> None:
    row = snapshot.filter(pl.col("entity") == name)
    assert row["stakes_difference"].item() == pytest.approx(home - away)


def test_at_home_nobody_was_told_of_the_empty_grounds_but_the_prices_followed(snapshot) -> None:
    edge = dict(
        snapshot.group_by(pl.col("event_time").dt.year()).agg(pl.col("league_home_edge").mean()).rows()
    )
    assert edge[2021] < edge[2019] - 0.05
    assert edge[2021] < edge[2022]


def test_the_prices_of_earlier_matches_say_more_than_their_goals_and_less_than_the_matchs_own(
    snapshot,
) -> None:
    told = snapshot.filter(pl.col("event_time").is_between(datetime(2006, 7, 1, tzinfo=UTC), BEFORE_2019))
    scores = [
        ranked_score(told, name) for name in ("baseline__goals", "goals", "opening", "baseline__market")
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[1] > 0.002
    assert scores[1] < 0.192


def ranked_score(rows: pl.DataFrame, name: str) -> float:
    """Mean ranked probability score of three chances."""
    home, draw, _ = (rows[f"{name}_{each}"] for each in ("home", "draw", "away"))
    first = home - (rows["label"] == 0).cast(pl.Float64)
    second = home + draw - (rows["label"] <= 1).cast(pl.Float64)
    return float(((first**2 + second**2) / 2).mean())


def opening(match: Match) -> list[float] | None:
    for book in ("Avg", "BbAv", "B365"):
        if match.get(f"{book}H"):
            return [float(match[f"{book}{each}"]) for each in "HDA"]
    return None


def test_declared_views_hold_what_is_known_of_every_club_up_to_now(epl: Ingested) -> None:
    tables = load_tables(epl.use_case, epl.lake, datetime(2006, 7, 1, tzinfo=UTC))
    made = timelines(features_module(USE_CASES / "epl_matches"), tables, datetime(2006, 7, 1, tzinfo=UTC))
    assert list(made) == ["club_last", "club_shots", "strength", "club_stakes"]
    clubs = set(tables.versions("matches", "fixture")["HomeTeam"])
    assert set(made["club_last"]["entity"]) == clubs
    assert set(made["strength"]["entity"]) == clubs | {"league"}
    assert made["strength"].filter(pl.col("entity") == "league").height > 400
    # What a match means to a club is known when another one's result is.
    ends = tables.versions("matches", "result").select("event_time", "known_at")
    assert made["club_stakes"].height > 500
    assert made["club_stakes"].join(ends, on=["event_time", "known_at"], how="anti").is_empty()


def test_no_feature_looks_ahead(epl: Ingested) -> None:
    until = datetime(2006, 7, 1, tzinfo=UTC)
    assert leaks(epl.use_case, epl.lake, epl.settings, until, moments=4) == []


def test_no_feature_looks_ahead_in_the_last_weeks_of_a_season_with_closing_prices(epl: Ingested) -> None:
    # Kick-off times are told: some matches are asked for while others are played.
    until, start = datetime(2023, 7, 1, tzinfo=UTC), datetime(2023, 4, 10, tzinfo=UTC)
    held = load_tables(epl.use_case, epl.lake, until)
    since = datetime(2021, 7, 1, tzinfo=UTC)
    late = {group: rows.filter(pl.col("event_time") > since) for group, rows in held.frames.items()}
    tables = replace(held, frames=late)
    requests = requests_of(epl.use_case, tables, start, until, until)
    assert requests.height > 50
    assert (
        leaks_of(epl.use_case, features_module(USE_CASES / "epl_matches"), tables, requests, moments=8) == []
    )


def test_who_asks_at_kick_off_reads_closing_prices_and_nothing_later(epl: Ingested, leaks_of_variant) -> None:
    until, start = datetime(2023, 7, 1, tzinfo=UTC), datetime(2023, 4, 10, tzinfo=UTC)
    held = load_tables(epl.use_case, epl.lake, until)
    late = {group: rows.filter(pl.col("event_time") > start) for group, rows in held.frames.items()}
    assert leaks_of_variant(epl, "at_kick_off", replace(held, frames=late), start, until) == []


def test_a_planted_look_at_the_closing_price_of_the_match_itself_is_found(epl: Ingested) -> None:
    until, start = BEFORE_2019, datetime(2019, 3, 1, tzinfo=UTC)
    held = load_tables(epl.use_case, epl.lake, until)
    season = {group: rows.filter(pl.col("event_time") > start) for group, rows in held.frames.items()}
    tables = replace(held, frames=season)
    requests = requests_of(epl.use_case, tables, start, until, until)
    honest = features_module(USE_CASES / "epl_matches")

    def features(view) -> pl.DataFrame:
        closing = view.tables.versions("matches", "closing").select("match_id", "PSCH")
        own = view.requests.select("match_id").join(closing, on="match_id", how="left", maintain_order="left")
        return honest.features(view).with_columns((1.0 / own["PSCH"]).alias("goals_home"))

    module = SimpleNamespace(features=features, baselines=honest.baselines)
    assert {leak.feature for leak in leaks_of(epl.use_case, module, tables, requests, moments=1)} == {
        "goals_home"
    }


def test_a_planted_look_at_the_shots_of_the_match_itself_is_found(epl: Ingested) -> None:
    until = datetime(2006, 7, 1, tzinfo=UTC)
    start = datetime(2006, 3, 1, tzinfo=UTC)
    held = load_tables(epl.use_case, epl.lake, until)
    season = {group: rows.filter(pl.col("event_time") > start) for group, rows in held.frames.items()}
    tables = replace(held, frames=season)
    requests = requests_of(epl.use_case, tables, start, until, until)
    honest = features_module(USE_CASES / "epl_matches")

    def features(view) -> pl.DataFrame:
        shots = view.tables.versions("matches", "statistics").select("match_id", "HST", "AST")
        own = view.requests.select("match_id").join(shots, on="match_id", how="left", maintain_order="left")
        return honest.features(view).with_columns((own["HST"] - own["AST"]).alias("shot_form_difference"))

    module = SimpleNamespace(features=features, baselines=honest.baselines)
    found = leaks_of(epl.use_case, module, tables, requests, moments=1)
    assert {leak.feature for leak in found} == {"shot_form_difference"}


def test_a_later_snapshot_built_on_an_earlier_one_has_the_bytes_of_one_built_anew(epl, built_on) -> None:
    assert built_on(epl, datetime(2021, 7, 1, tzinfo=UTC), datetime(2022, 7, 1, tzinfo=UTC)) > 0
