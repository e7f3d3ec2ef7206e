"""Features of Premier League matches, taken one hour before kick-off: nothing of the match's closing prices.

All constants were chosen on the seasons up to 2018/19, the ratings' on how near they come to the closing
prices. Mean ranked probability scores there (2012/13 on, when closing prices are told), and on the 2,280
matches of 2019/20 to 2024/25, which were measured once, with nothing chosen after:

    base rate                        -      .2356
    Elo                              .1979  .2060
    goals alone, no prices           .1940  .2020
    goals_*: none of this match      .1913  .1979
    opening_*                        .1909  .1969
    closing prices (Pinnacle)        .1903  .1954

One figure of the last column is uncertain by .003; `goals_*` less the closing price is .0025 with a standard
error of .0007. A logistic regression or small trees fitted to outcomes on top of these chances never helped
by more than .0001 and mostly cost .0003 to .001: they are best taken as forecasts as they are. Nor did
`goals_*` mixed into the opening or the closing prices add anything that could be told from luck.
"""

from collections import defaultdict
from collections.abc import Iterator

import polars as pl

from pennant.decisions.devig import fair
from pennant.features.blocks import day_of, decayed_mean, expanding_mean, last_played, sides
from pennant.features.elo import EloRules, elo, elo_difference
from pennant.features.goals import (
    GoalRules,
    draw_probabilities,
    expected_goals,
    goal_ratings,
    implied_goals,
    outcome_probabilities,
)
from pennant.features.strengths import StrengthRules, TraitRules, expected_rates, strengths
from pennant.features.view import View
from pennant.features.views import Known, feature_view, timeline

ELO = EloRules(k=21.0, home_advantage=108.0, newcomer=1364.0, season_reversion=0.0, margin=True)
DRAW = 0.76
"""Davidson's nu: equal sides draw 11 matches in 40."""
GOALS = GoalRules(
    gain=0.013, level_gain=0.0005, home_level=0.40, away_level=0.08, season_reversion=0.0, newcomer=-0.3
)
LOW_SCORE = -0.065
LEAD = TraitRules(
    other=-1.0,
    drift_per_day=1.73e-4,
    newcomer=-0.22,
    newcomer_variance=0.03,
    start=0.2,
    league_variance=0.01,
    # Half of it served 2006/07 to 2018/19 as well; no season of those told of a sudden change.
    league_drift_per_day=5e-6,
    price_variance=0.0193,
    goal_variance=0.686,
    strong_at_home=0.028,
)
LEVEL = TraitRules(
    other=1.0,
    drift_per_day=5.5e-6,
    newcomer=-0.031,
    newcomer_variance=0.001,
    start=0.25,
    league_variance=0.01,
    league_drift_per_day=2.3e-6,
    price_variance=0.0065,
    goal_variance=0.76,
)
STRENGTHS = StrengthRules(LEAD, LEVEL, shot_variance=0.654)
SHOT_SHARE = (0.035, 0.547)
"""Home less away shots, as a part of all, are the first number plus the second times the lead."""
FORM_HALF_LIFE_MATCHES = 8.0
LONGEST_REST_DAYS = 21.0
"""The summer and the winter breaks of a league: beyond three weeks rest is rest."""

CLUBS, MATCHES = 20, 38
RELEGATED, PRIZES = 3, (1, 4)
"""Clubs that go down; places worth playing for: the title, and the last one in the Champions League."""
LAST_MATCHES, REACH = 8, 1.5
"""In so many last matches a place at most this many points per match away, and one more, is played for."""
FIGHT, RACE, HASTE = 0.28, 0.08, 1.3
"""What they are worth in the lead with one match to go; with n to go, divided by n to the power of HASTE."""

OPENING = (("AvgH", "AvgD", "AvgA"), ("BbAvH", "BbAvD", "BbAvA"), ("B365H", "B365D", "B365A"))
"""The market's average says more than one bookmaker; it is there from 2005/06 on."""
CLOSING = (("PSCH", "PSCD", "PSCA"), ("AvgCH", "AvgCD", "AvgCA"), ("B365CH", "B365CD", "B365CA"))
"""Pinnacle takes the smallest margin. Before 2012/13 nobody kept closing prices: opening ones judge there."""
OUTCOMES = ("home", "draw", "away")
SIDES = ("HomeTeam", "AwayTeam")
Prices = tuple[tuple[str, str, str], ...]


SUMMER_HOURS = 24.0 * 100
"""How old what is known of a club may be: the longest break between two seasons."""
RESULTS, STATISTICS = ["matches.fixture", "matches.result"], ["matches.fixture", "matches.statistics"]
PRICED = [*RESULTS, "matches.opening", "matches.closing", "matches.statistics"]


@feature_view(entity="club", reads=RESULTS, fresh_hours=SUMMER_HOURS)
def club_last(known: Known) -> pl.DataFrame:
    """The day of a club's last match since 1970."""
    rows = _goals(_matches(known, "result"))
    return timeline(rows, last_day=last_played(rows))


@feature_view(entity="club", reads=STATISTICS, fresh_hours=SUMMER_HOURS)
def club_shots(known: Known) -> pl.DataFrame:
    """Shots on target per match of late, less those of the other sides."""
    rows = sides(_matches(known, "statistics"), {"shots": ("HST", "AST")})
    return timeline(rows, shots=decayed_mean(rows, _margin("shots"), FORM_HALF_LIFE_MATCHES))


@feature_view(entity="club, or league", reads=PRICED, fresh_hours=SUMMER_HOURS)
def strength(known: Known) -> pl.DataFrame:
    """What closing prices of earlier matches, their goals and their shots say of clubs and of the league."""
    stakes = club_stakes.timeline(known)
    results = _priced(known)
    results = results.with_columns(
        home_goals=pl.col("FTHG"), away_goals=pl.col("FTAG"), shots=pl.lit(None, pl.Float64)
    )
    share = (pl.col("HS") - pl.col("AS")) / (pl.col("HS") + pl.col("AS"))
    shots = ((share - SHOT_SHARE[0]) * (1.0 / SHOT_SHARE[1])).fill_nan(None)
    shot = _matches(known, "statistics").with_columns(shots=shots)
    rows = pl.concat([results, shot], how="diagonal").sort("known_at", "event_time", "match_id")
    home, away = (_stakes_then(rows, side, stakes) for side in SIDES)
    return strengths(rows.with_columns(stakes=home - away), STRENGTHS)


@feature_view(entity="club of a season", reads=RESULTS, fresh_hours=SUMMER_HOURS)
def club_stakes(known: Known) -> pl.DataFrame:
    """How much the last matches of a season mean to a club: in prices, as logs of goals of the lead."""
    played = _matches(known, "result").select(
        "known_at", "event_time", "season", "home_team", "away_team", "FTHG", "FTAG"
    )
    kinds = {"entity": pl.String, "at": pl.Int64, "stakes": pl.Float64}
    made = pl.DataFrame(list(_stakes(played)), kinds, orient="row")
    clocks = played.select("known_at", "event_time")[made["at"]]
    rows = pl.concat([made.select("entity"), clocks, made.select("stakes")], how="horizontal")
    return rows.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)


def features(view: View) -> pl.DataFrame:
    """One row per request; see use_case.yaml for the units."""
    results = _matches(view, "result")
    goals = _goals(results)
    last = [view.join(side, club_last)["last_day"] for side in SIDES]
    aim = [view.join(side, club_shots)["shots"] for side in SIDES]
    mine, theirs = (
        view.join(_of_season(side, pl.col("season")), club_stakes)["stakes"].fill_null(0.0) for side in SIDES
    )
    rates = expected_rates(view, strength, STRENGTHS, *SIDES, stakes=mine - theirs)
    chances = outcome_probabilities(rates, LOW_SCORE)
    columns = {
        **{f"goals_{outcome}": chances[outcome] for outcome in OUTCOMES},
        "expected_goals_home": rates["home"],
        "expected_goals_away": rates["away"],
        "league_home_edge": 2.0 * rates["edge"],
        "stakes_difference": mine - theirs,
        "elo_difference": _elo_difference(view, results),
        "shot_form_difference": aim[0] - aim[1],
        **_season(view, goals),
        **_rest(view, last),
    }
    prices = view.own("matches", "opening", *(name for each in OPENING for name in each))
    open_at = _fair(prices, OPENING)
    return prices.select(
        view.requests["entity"],
        *(pl.lit(values).alias(name) for name, values in columns.items()),
        *(open_at[outcome].alias(f"opening_{outcome}") for outcome in OUTCOMES),
        opening_overround=_whole(OPENING) - 1.0,
    )


def at_kick_off(view: View, usual: pl.DataFrame) -> pl.DataFrame:
    """What the closing prices of Pinnacle and of the market say together; null before kick-off.

    Where one has no closing prices the other one stands alone; where none has, the opening ones do.
    """
    prices = view.own("matches", "closing", *(name for book in CLOSING for name in book))
    logs = [_fair(prices, books).select(pl.all().log()) for books in (CLOSING[:1], CLOSING[1:])]
    rows = pl.concat([logs[0], logs[1].select(pl.all().name.suffix("_2"))], how="horizontal")
    mixed = rows.select(pl.mean_horizontal(name, f"{name}_2").exp().alias(name) for name in OUTCOMES)
    shares = mixed.select(pl.all() / pl.sum_horizontal(OUTCOMES, ignore_nulls=False))
    said = {name: pl.coalesce(pl.lit(shares[name]), f"opening_{name}") for name in OUTCOMES}
    return usual.select("entity", *(chance.alias(f"closing_{name}") for name, chance in said.items()))


def baselines(view: View) -> pl.DataFrame:
    """What Elo, expected goals and the bookmakers would say.

    The market's chances are the inverse closing prices raised to a power that makes them sum to one, of
    Pinnacle where there are any; before 2012/13, when nobody kept closing prices, they are those of the
    opening prices. `goals` knows of nothing but goals.
    """
    results = _matches(view, "result")
    ratings = goal_ratings(results, GOALS, "FTHG", "FTAG")
    expected = expected_goals(view, ratings, GOALS, *SIDES)
    closing = view.settled("matches", "closing", *(name for each in CLOSING for name in each))
    opening = view.settled("matches", "opening", *(name for each in OPENING for name in each))
    said = {
        "elo": draw_probabilities(_elo_difference(view, results), DRAW),
        "goals": outcome_probabilities(expected, LOW_SCORE),
        "market": _fair(pl.concat([closing, opening], how="horizontal"), (*CLOSING, *OPENING)),
    }
    columns = [
        chances[outcome].alias(f"{name}_{outcome}") for name, chances in said.items() for outcome in OUTCOMES
    ]
    prices = [_price(book, name) for book, name in ((opening, "price"), (closing, "closing"))]
    return pl.DataFrame([view.requests["entity"], *columns, *(each for made in prices for each in made)])


def _price(books: pl.DataFrame, name: str) -> list[pl.Series]:
    """Decimal prices of the three outcomes, of one bookmaker or of their mean."""
    declared = OPENING if name == "price" else CLOSING
    return [
        books.select(_first(declared, at).alias(f"{name}_{outcome}")).to_series()
        for at, outcome in enumerate(OUTCOMES)
    ]


def _matches(known: View | Known, group: str) -> pl.DataFrame:
    return known.events("matches", "fixture", group).with_columns(
        home_team=pl.col("HomeTeam"), away_team=pl.col("AwayTeam")
    )


def _goals(results: pl.DataFrame) -> pl.DataFrame:
    return sides(results, {"goals": ("FTHG", "FTAG"), "season": ("season", "season")})


def _margin(what: str) -> pl.Expr:
    return pl.col(what) - pl.col(f"{what}_against")


def _elo_difference(view: View, results: pl.DataFrame) -> pl.Series:
    return elo_difference(view, elo(results, ELO, "FTHG", "FTAG"), ELO, *SIDES)


def _points() -> pl.Expr:
    """Three for a win, one for a draw."""
    lead = (pl.col("goals") - pl.col("goals_against")).sign()
    return pl.when(lead > 0).then(3.0).when(lead == 0).then(1.0).when(lead < 0).then(0.0)


def _season(view: View, rows: pl.DataFrame) -> dict[str, pl.Series]:
    """What a club has done in this season, and whether it was in the league in the last one.

    A club of each season is an entity of its own, so nothing is carried over the summer.
    """
    clubs = rows.with_columns(entity=_of_season("entity", pl.col("season").cast(pl.Int64)))
    points, played = expanding_mean(clubs, _points()), _counted(clubs)
    home, away = (view.asof(_of_season(side, pl.col("season")), points)["value"] for side in SIDES)
    so_far = view.asof(_of_season("HomeTeam", pl.col("season")), played)["value"]
    league = _counted(rows.with_columns(entity=_of_season(pl.lit("league"), pl.col("season").cast(pl.Int64))))
    last = pl.col("season") - 1
    told = view.asof(_of_season(pl.lit("league"), last), league)["value"].is_not_null()
    new = [view.asof(_of_season(side, last), played)["value"].is_null() for side in SIDES]
    return {
        "season_points_difference": home - away,
        "season_progress": so_far.fill_null(0.0) * (1.0 / 38.0),
        # In the first season that is told every club would seem promoted: nothing is said there.
        "home_promoted": new[0].cast(pl.Float64).set(~told, None),
        "away_promoted": new[1].cast(pl.Float64).set(~told, None),
    }


def _rest(view: View, last_days: list[pl.Series]) -> dict[str, pl.Series]:
    """Days since the last league match; cups and Europe are not in this table."""
    start = view.requests.select(day_of("event_time")).to_series()
    names = ("home_rest", "away_rest")
    rested = [(start - last).clip(upper_bound=LONGEST_REST_DAYS) for last in last_days]
    return dict(zip(names, rested, strict=True))


def _priced(known: Known) -> pl.DataFrame:
    """Results, and the lead and level that the prices of their matches imply, closing ones if there are any.

    A price that became known later than the result is left out, so that a row never changes.
    """
    rows = _matches(known, "result")
    for group, books in (("closing", CLOSING), ("opening", OPENING)):
        names = [name for book in books for name in book]
        prices = known.events("matches", group).select("match_id", *names, priced_at="known_at")
        rows = rows.join(prices, on="match_id", how="left", maintain_order="left")
        told = pl.col("priced_at") <= pl.col("known_at")
        rows = rows.with_columns(pl.when(told).then(name).alias(name) for name in names).drop("priced_at")
    return rows.hstack(implied_goals(_fair(rows, (*CLOSING, *OPENING)), LOW_SCORE))


def _stakes(played: pl.DataFrame) -> Iterator[tuple[str, int, float]]:
    """After each result late in a season: what the matches left mean to each club, if that has changed."""
    tables: dict[int, dict[str, tuple[int, int]]] = defaultdict(dict)
    said: dict[str, float] = {}
    for at, (season, home, away, scored, conceded) in enumerate(
        played.select("season", "home_team", "away_team", "FTHG", "FTAG").iter_rows()
    ):
        table = tables[season]
        for club, lead in ((home, scored - conceded), (away, conceded - scored)):
            points, matches = table.get(club, (0, 0))
            table[club] = points + (3 if lead > 0 else 1 if lead == 0 else 0), matches + 1
        if len(table) < CLUBS or max(matches for _, matches in table.values()) < MATCHES - LAST_MATCHES:
            continue
        for club in table:
            stakes, entity = _stakes_of(club, table), f"{club} {season}"
            if stakes != said.get(entity, 0.0):
                said[entity] = stakes
                yield entity, at, stakes


def _stakes_of(club: str, table: dict[str, tuple[int, int]]) -> float:
    points, matches = table[club]
    left = MATCHES - matches
    if not 0 < left <= LAST_MATCHES:
        return 0.0
    others = sorted((each for name, (each, _) in table.items() if name != club), reverse=True)
    near = min(REACH * left + 1.0, 3.0 * left)
    # The best of those who go down if the club does not, and who holds each prize if the club does not.
    fight = abs(points - others[-RELEGATED]) <= near
    race = any(abs(points - others[place - 1]) <= near for place in PRIZES)
    worth: float = (FIGHT * fight + RACE * race) / left**HASTE
    return worth


def _stakes_then(rows: pl.DataFrame, side: str, stakes: pl.DataFrame) -> pl.Series:
    """What each match meant to a side, as known when it began."""
    asked = rows.select(_of_season(side, pl.col("season")).alias("entity"), "event_time").with_row_index(
        "row"
    )
    met = asked.sort("event_time", maintain_order=True).join_asof(
        stakes.select("entity", "known_at", "stakes").sort("known_at", maintain_order=True),
        left_on="event_time",
        right_on="known_at",
        by="entity",
        check_sortedness=False,  # both sorted just above
    )
    return met.sort("row")["stakes"].fill_null(0.0)


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    """Timeline of how many matches of an entity are known."""
    count = pl.int_range(1, pl.len() + 1).over("entity").cast(pl.Float64).alias("value")
    made = rows.select("entity", "known_at", count)
    return made.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)


def _of_season(who: str | pl.Expr, season: pl.Expr) -> pl.Expr:
    return pl.concat_str(who, season.cast(pl.String), separator=" ")


def _fair(prices: pl.DataFrame, books: Prices) -> pl.DataFrame:
    """Chances of the first bookmaker with all three prices; null if none has.

    The margin is taken out by a power: outsiders are asked for more of it than favourites.
    """
    asked = prices.select(_first(books, number) for number in range(3))
    return pl.DataFrame(fair(asked.to_numpy().astype(float), "power"), OUTCOMES, orient="row").fill_nan(None)


def _whole(books: Prices) -> pl.Expr:
    return 1.0 / _first(books, 0) + 1.0 / _first(books, 1) + 1.0 / _first(books, 2)


def _first(books: Prices, outcome: int) -> pl.Expr:
    """Price of an outcome at the first bookmaker who has all three; null if none has."""
    asked = [
        pl.when(pl.all_horizontal(pl.col(name) > 1.0 for name in book)).then(pl.col(book[outcome]))
        for book in books
    ]
    return pl.coalesce(asked)
