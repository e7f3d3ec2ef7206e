"""What the features and baselines of NFL games make of a few planted games."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pennant.declaration.loader import load_trained
from pennant.declaration.model import TrainedUseCase
from pennant.declaration.variants import as_variant
from pennant.features.build import feature_rows, requests_of
from pennant.features.labels import labels_of
from pennant.features.module import features_module, variant_module
from pennant.features.tables import Tables, in_order

from .conftest import USE_CASES

FIRST, LAST = datetime(1999, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
STARTING_HOME_FIELD = 2.5
Rows = Callable[..., pl.DataFrame]


@pytest.fixture(scope="module")
def nfl_games() -> TrainedUseCase:
    return load_trained(USE_CASES / "nfl_games")


def game(number: int, **given: object) -> dict[str, object]:
    return {
        "game_id": f"2016_{number:02}",
        "event_time": datetime(2016, 9, 1, 17, tzinfo=UTC) + timedelta(days=7 * number),
        "season": 2016,
        "game_type": "REG",
        "week": number,
        "home_team": "LV",
        "away_team": "DEN",
        "location": "Home",
        "home_rest": 7,
        "away_rest": 14,
        "div_game": True,
        "spread_line": 3.0,
        "total_line": 44.0,
        "home_moneyline": -150.0,
        "away_moneyline": 130.0,
        "home_score": 24,
        "away_score": 17,
        "home_qb_id": "carr",
        "away_qb_id": "siemian",
    } | given


def offence(number: int, team: str, epa: float, **given: object) -> dict[str, object]:
    """What a team's one player did in the week of `game(number)`, known on the Thursday after."""
    return {
        "player_id": f"{team} {number}",
        "season": "2016",
        "week": str(number),
        "event_time": datetime(2016, 9, 8, 4, tzinfo=UTC) + timedelta(days=7 * number),
        "recent_team": team,
        "attempts": 30,
        "passing_epa": epa,
        "rushing_epa": 0.0,
        "interceptions": 0.0,
        "sack_fumbles_lost": 0.0,
        "rushing_fumbles_lost": 0.0,
        "receiving_fumbles_lost": 0.0,
    } | given


def forecast(day: str, team1: str, team2: str, chance: float) -> dict[str, object]:
    midnight = datetime.fromisoformat(f"{day}T04:00:00+00:00")
    teams = {"date": day, "team1": team1, "team2": team2, "event_time": midnight}
    return teams | {"neutral": False, "elo1": 1500.0, "elo2": 1500.0, "elo_prob1": chance}


@pytest.fixture(scope="module")
def rows_of(nfl_games: TrainedUseCase) -> Rows:
    """Builds the features of planted games, each group known when its rule says so."""

    def versions(source: str, group: str, told: list[dict[str, object]]) -> pl.DataFrame:
        declared = nfl_games.sources[source]
        rule = declared.groups[group].known_at
        hours = timedelta(hours=rule.hours if rule.rule == "after_event" else -rule.hours)
        rows = pl.DataFrame(told, infer_schema_length=None).cast({"event_time": pl.Datetime("us", "UTC")})
        known = (pl.col("event_time") + hours).alias("known_at")
        columns = [name for name in declared.groups[group].columns if name not in declared.key]
        rows = rows.select(*declared.key, "event_time", known, known.alias("batch_as_of"), *columns)
        return in_order(rows, declared.key)

    def build(
        games: list[dict[str, object]],
        told: list[dict[str, object]] | None = None,
        weeks: list[dict[str, object]] | None = None,
        variant: str = "",
        hours: float | None = None,
    ) -> pl.DataFrame:
        given = {
            "games": games,
            "elo538": told or [forecast("1999-09-12", "CHI", "GB", 0.5)],
            "player_weeks": weeks or [offence(1, "CHI", 0.0)],
        }
        frames = {
            (source, group): versions(source, group, given[source])
            for source, declared in nfl_games.sources.items()
            for group in declared.groups
        }
        tables = Tables(frames, {source: declared.key for source, declared in nfl_games.sources.items()})
        asked, module = nfl_games, features_module(USE_CASES / "nfl_games")
        if variant:
            asked = as_variant(nfl_games, variant)
            declared = nfl_games.training.variants[variant]
            module = variant_module(USE_CASES / "nfl_games", variant, declared)
        if hours is not None:
            asked = asked.model_copy(update={"spine": asked.spine.model_copy(update={"lead_hours": hours})})
        requests = requests_of(asked, tables, FIRST, LAST, LAST)
        known = labels_of(nfl_games, tables).filter(~pl.col("void")).select("entity", "label")
        made = feature_rows(asked, module, tables, requests)
        return made.join(known, on="entity", how="left", maintain_order="left")

    return build


def test_the_line_of_the_game_itself_is_in_no_feature_and_in_the_markets_baseline(nfl_games, rows_of) -> None:
    told = game(2, spread_line=-9.0, home_moneyline=400.0, away_moneyline=-500.0)
    one, other = (rows_of([game(1), last]) for last in (game(2), told))
    assert one.select(*nfl_games.features).equals(other.select(*nfl_games.features))
    market = [each["baseline__market_probability"][1] for each in (one, other)]
    assert market == pytest.approx([0.6 / (0.6 + 100 / 230), 0.2 / (0.2 + 5 / 6)])


def test_the_market_falls_back_on_the_spread_and_then_on_nothing(rows_of) -> None:
    unpriced = game(1, home_moneyline=None, spread_line=0.0)
    unlined = game(2, home_moneyline=None, away_moneyline=None, spread_line=None)
    rows = rows_of([unpriced, unlined, game(3)])
    assert rows["baseline__market_probability"].to_list()[:2] == [0.5, None]


def test_nobody_has_the_home_advantage_on_a_neutral_field(rows_of) -> None:
    by_field = rows_of([game(1), game(1, game_id="x", location="Neutral")]).sort("neutral_field")
    assert by_field["elo_difference"].to_list() == [65.0, 0.0]
    home, neutral = by_field["expected_line"].to_list()
    assert home - neutral == pytest.approx(STARTING_HOME_FIELD)


def test_the_first_game_of_a_league_has_starting_ratings_and_no_usual_quarterback(rows_of) -> None:
    row = rows_of([game(1)]).row(0, named=True)
    assert row["elo_difference"] == 65.0
    assert row["quarterback_difference"] == 0.0
    assert row["quarterback_change_difference"] is None
    assert row["baseline__elo_probability"] == pytest.approx(1 / (1 + 10 ** (-65 / 400)))


def test_a_substitute_at_quarterback_lowers_the_line_before_he_has_played(rows_of) -> None:
    games = [game(1), game(2), game(3)]
    usual, changed = (rows_of([*games, last]) for last in (game(4), game(4, home_qb_id="cook")))
    for name in ("expected_line", "quarterback_difference", "quarterback_change_difference"):
        assert changed[name][3] < usual[name][3] - 0.5
        assert changed[name][:3].to_list() == usual[name][:3].to_list()
    assert usual["quarterback_change_difference"][3] == 0.0


def test_where_nobody_is_named_the_usual_quarterback_is_taken(rows_of) -> None:
    games = [game(1), game(2), game(3)]
    unnamed = game(4, home_qb_id=None, away_qb_id=None)
    named, without = (rows_of([*games, last]) for last in (game(4), unnamed))
    names = ["expected_line", "quarterback_difference", "quarterback_change_difference"]
    assert named.select(names).equals(without.select(names))


def test_how_teams_played_counts_from_the_thursday_after_and_moves_the_line(rows_of) -> None:
    games = [game(1), game(2)]
    thursday = datetime(2016, 9, 16, 0, 30, tzinfo=UTC)  # of the week after game(1)
    games[1]["event_time"] = thursday
    well, badly = ([offence(1, "LV", epa), offence(1, "DEN", -epa)] for epa in (15.0, -15.0))
    early = [each | {"event_time": thursday - timedelta(hours=6, minutes=30)} for each in well]
    lines = [rows_of(games, weeks=weeks)["expected_line"].to_list() for weeks in (well, badly, early)]
    assert lines[0][0] == lines[1][0] == lines[2][0]
    assert lines[0][1] > lines[1][1] + 0.5
    unknown = rows_of(games, weeks=[offence(9, "LV", 0.0)])["expected_line"].to_list()
    assert lines[2] == unknown  # known half an hour after the prediction


def test_a_row_that_comes_late_does_not_make_the_others_known_late(rows_of) -> None:
    weeks = [offence(1, "LV", 15.0), offence(1, "DEN", -15.0)]
    late = offence(1, "LV", 9.0, player_id="late")
    late["event_time"] = datetime(2016, 9, 24, tzinfo=UTC)
    games = [game(1), game(2)]
    one, other = (rows_of(games, weeks=each)["expected_line"].to_list() for each in (weeks, [*weeks, late]))
    assert one == other


def test_fivethirtyeights_forecast_is_found_by_day_and_teams_whichever_of_them_is_named_first(
    rows_of,
) -> None:
    told = [
        forecast("2016-09-08", "LV", "DEN", 0.7),
        forecast("2016-09-15", "DEN", "LV", 0.7),
        forecast("2016-09-23", "LV", "DEN", 0.7),  # another day
        forecast("2016-09-29", "LV", "KC", 0.7),  # another opponent
    ]
    rows = rows_of([game(each) for each in (1, 2, 3, 4)], told)
    assert rows["baseline__elo_538"].to_list() == pytest.approx([0.7, 0.3, None, None])


def test_a_forecast_is_looked_up_by_the_day_in_new_york_and_not_in_utc(rows_of) -> None:
    late = datetime(2016, 9, 13, 2, 20, tzinfo=UTC)  # Monday night in the east
    rows = rows_of([game(1, event_time=late)], [forecast("2016-09-12", "LV", "DEN", 0.6)])
    assert rows["baseline__elo_538"].to_list() == [0.6]


def season(*lost_by_denver: int) -> list[dict[str, object]]:
    """Fifteen weeks in which Las Vegas beats Kansas City, and Denver the Chargers but for some."""
    played = []
    for week in range(2, 17):
        scores = {"home_score": 17, "away_score": 24} if week in lost_by_denver else {}
        played.append(game(week, game_id=f"{week}a", away_team="KC", away_qb_id="smith"))
        names = {"home_team": "DEN", "away_team": "LAC", "home_qb_id": "siemian", "away_qb_id": "rivers"}
        played.append(game(week, game_id=f"{week}b", **names, **scores))
    return played


def last_line(rows_of: Rows, played: list[dict[str, object]], **given: object) -> float:
    later = game(19, game_type="WC")  # asks when the last game has long been over
    rows = rows_of([*played, game(17, game_id="last", **given), later])
    return float(rows.filter(pl.col("entity") == "last")["expected_line"][0])


def test_a_team_whose_division_is_won_is_worth_less_in_the_last_week_and_only_then(rows_of) -> None:
    played = season(14, 15, 16)
    assert last_line(rows_of, played, week=16) - last_line(rows_of, played) > 2.0
    level = season()
    assert last_line(rows_of, level, week=16) == last_line(rows_of, level)


def test_what_the_last_game_decides_is_not_known_before_it(rows_of) -> None:
    """Level before it, the winner has the division: neither its score nor its line tell of themselves."""
    level = season()
    won, lost = (last_line(rows_of, level, home_score=score, spread_line=score / 2) for score in (40, 3))
    assert won == lost


def test_only_whoever_asks_at_kick_off_is_told_the_closing_prices(rows_of) -> None:
    told = [
        game(1, home_moneyline=400.0, away_moneyline=-500.0, spread_line=-9.0),
        game(2, home_moneyline=None, spread_line=0.0),
        game(3, spread_line=None),
    ]
    assert "closing_chance" not in rows_of(told).columns
    assert rows_of(told, variant="at_kick_off", hours=1 / 60)["closing_chance"].null_count() == 3
    first, second, third = rows_of(told, variant="at_kick_off")["closing_chance"]
    # Break-even chances of 1/5 and 5/6: a thirtieth too much, half of it of each. Phi(-9/13.86) is .2581.
    odds = ((11 / 60) / (49 / 60)) ** 0.75 * (0.2581 / 0.7419) ** 0.25
    assert first == pytest.approx(odds / (1 + odds), abs=1e-4)
    assert second == 0.5
    assert third == pytest.approx((1 + 0.6 - 100 / 230) / 2)
