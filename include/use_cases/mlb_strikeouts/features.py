"""Features of pitchers' strikeouts, taken at eleven in the morning, Eastern time, on the day of the game.

Everything below was chosen on starts before June 2025 and on prices before 15 July 2025. Fitted on 2021 to
2023, the mean of a log-linear model with splines and of trees has a log loss of 2.116 on 5,887 starts of 2024
(a plain Poisson regression on 19 raw features had 2.134, a pitcher's form alone 2.170, the base rate 2.349).
Half of the gain at the bookmakers' lines came from where a game is played: no table says it of 2022 to 2024.
"""

from datetime import timedelta

import polars as pl

from pennant.features.blocks import day_of, last_played, rolling_mean
from pennant.features.clubs import ClubKnowledge, club_knowledge
from pennant.features.market import american_probability
from pennant.features.names import letters, mark, spelt
from pennant.features.strikeouts import (
    concluded_sites,
    decayed_rate,
    faded_sums,
    faded_to,
    market_of,
    park_factors,
    shrunk_rate,
)
from pennant.features.view import View
from pennant.features.views import Known, feature_view, timeline
from pennant.features.windows import Windows

EASTERN = "America/New_York"
STARTER_BATTERS = 9
"""Batters faced from which an appearance counts as a start; see the label."""
BATTERS_OF_PRIOR = 70.0
"""A pitcher's rate is shrunk to the league's as if he had faced this many batters at that rate."""
BATTERS_OF_CLUB_PRIOR = 1000.0
BATTERS_OF_RECENT_PRIOR = 300.0
CLUB_RECENT_GAMES = 25.0
LEAGUE_GAMES = 5000.0
"""Half-life of the league's rate, in appearances: about two months."""
LONGEST_REST_DAYS = 30.0
CLUBS_SETTLED = timedelta(hours=6)
LONG_BATTERS = 13
"""Batters faced from which a game is a starter's day of work; who works less strikes out more."""
RELIEF_SHARE = 0.92
"""About a starter's strikeout rate over that of relievers."""
FORM_DAYS = (25, 100, 300, 1000)
"""Half-lives of a pitcher's form. Each alone is worse: 300 days and a prior of 50 batters come nearest."""
BATTERS_OF_FORM_PRIOR = 55.0
START_DAYS, GAME_DAYS = (15, 40, 150), (20, 60)
"""Half-lives of how long a pitcher is left in: in his starts, and in all of his games."""
USUAL_BATTERS, STARTS_OF_PRIOR = 21.5, 0.3
PARK_DAYS, BATTERS_OF_PARK_PRIOR = 900.0, 5000.0
SERIES = timedelta(days=3, hours=12)
"""Two clubs that met at one's home so shortly before are there still."""
RETROSHEET = {"KCA": "KAN", "SLN": "STL", "CHN": "CUB", "CHA": "CWS", "NYA": "NYY", "NYN": "NYM"}
RETROSHEET |= {"LAN": "LAD", "ANA": "LAA", "SDN": "SDG", "SFN": "SFG", "TBA": "TAM"}
"""Clubs whose code is another one in the tables of 2015 to 2020."""
EXPONENTS = {"opponent": 0.95, "park": 0.77, "venue": 0.03}
"""Of a log-linear model of the starts before June 2025."""
MOMENTUM = 0.25
"""How much of a price's way since the first one is still to come; by the prices of 3 June to 14 July 2025."""
OWN_PART = 0.25
"""Of the log of what form says, the rest being the lines'; on the same prices .2 to .35 are alike."""
LAST_STARTS = Windows(("strikeouts", "batters_faced"), last=(3, 10), dtype=pl.Float64)
PITCHER, NAME = pl.col("pitcher_id"), pl.col("pitcher_name")


WINTER_HOURS = 24.0 * 200
"""How old a pitcher's or a club's form may be: the break between two seasons."""
GAMES = ["pitcher_games.schedule", "pitcher_games.result"]


@feature_view(entity="pitcher", reads=GAMES, fresh_hours=WINTER_HOURS)
def pitcher_form(known: Known) -> pl.DataFrame:
    """Events per batter faced, and how a pitcher is used: all of his games."""
    games = _games(known)
    return timeline(
        games,
        strikeout_rate=_rate(games, "strikeouts"),
        walk_rate=_rate(games, "bb_allowed"),
        hit_rate=_rate(games, "h_allowed"),
        batters_last=rolling_mean(games, pl.col("batters_faced"), 1),
        last_day=last_played(games),
    )


@feature_view(entity="pitcher", reads=GAMES, fresh_hours=WINTER_HOURS, windows=LAST_STARTS)
def pitcher_starts(known: Known) -> pl.DataFrame:
    """What came of a pitcher's last starts."""
    return _games(known).filter(pl.col("batters_faced") >= STARTER_BATTERS)


@feature_view(entity="club", reads=[*GAMES, "games.matchup", "lines.prices"], fresh_hours=WINTER_HOURS)
def club_batting(known: Known) -> pl.DataFrame:
    """How often the batters of a club strike out."""
    faced = _clubs(known).faced
    rate = shrunk_rate(faced, "strikeouts", "batters", BATTERS_OF_CLUB_PRIOR, LEAGUE_GAMES)
    recent = shrunk_rate(
        faced, "strikeouts", "batters", BATTERS_OF_RECENT_PRIOR, LEAGUE_GAMES, CLUB_RECENT_GAMES
    )
    return timeline(faced, strikeout_rate=rate, recent_strikeout_rate=recent)


@feature_view(entity="pitcher and day", reads=["lines.prices"], fresh_hours=24.0)
def market(known: Known) -> pl.DataFrame:
    """What the bookmakers ask for a pitcher on a day, one row per snapshot."""
    return market_of(_quotes(known))


def features(view: View) -> pl.DataFrame:
    """One row per request; see use_case.yaml for the units."""
    form, starts = view.join(PITCHER, pitcher_form), view.join(PITCHER, pitcher_starts)
    asked = view.join(_pitcher_and_day(), market)
    columns = {
        **_rates(view),
        **_work(view),
        **_matchup(view),
        **form.select("batters_last", "walk_rate", "hit_rate").to_dict(),
        "strikeouts_last_3": starts["strikeouts_mean_3"],
        "batters_last_10": starts["batters_faced_mean_10"],
        "days_rest": (_today(view) - form["last_day"]).clip(upper_bound=LONGEST_REST_DAYS),
        "season_starts": _season_starts(view),
        "day_of_year": view.requests["event_time"].dt.ordinal_day(),
    }
    made = pl.DataFrame(columns).with_columns(log_expected=_expected())
    prices = {f"market_{name}": asked[name] for name in asked.columns if name != "even"}
    return pl.concat([view.requests.select("entity"), made, pl.DataFrame(prices)], how="horizontal")


def _expected() -> pl.Expr:
    """The log of what the main features say together; an unknown opponent or park counts as a usual one."""
    park, venue, opponent = (pl.col(name) for name in ("log_park", "venue", "log_opponent_recent"))
    met = EXPONENTS["opponent"] * opponent.fill_null(0.0) + EXPONENTS["park"] * park
    return pl.col("log_rate_300d") + pl.col("log_start_batters_150d") + met + EXPONENTS["venue"] * venue


def at_first_pitch(view: View, usual: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
    """What the last prices before the first pitch say, going on as they went; without a price, form."""
    moved = pl.col("market_mean") + MOMENTUM * pl.col("market_movement")
    return usual.select("entity", priced_strikeouts=pl.coalesce(moved, pl.col("log_expected").exp()))


def at_the_line(view: View, usual: pl.DataFrame) -> pl.DataFrame:
    """What the bookmakers' last lines and form say together; what is asked for over and under is not read."""
    even = pl.lit(view.join(_pitcher_and_day(), market, "even")["even"]).log()
    mixed = OWN_PART * pl.col("log_expected") + (1.0 - OWN_PART) * even
    return usual.select("entity", lined_strikeouts=pl.coalesce(mixed, "log_expected").exp())


def baselines(view: View) -> pl.DataFrame:
    """What a pitcher's form alone says, and the means that the last prices before the start imply.

    `market_strikeouts` takes the prices as they are, `moved_strikeouts` lets them go on as they went.
    """
    rate = view.join(PITCHER, pitcher_form)["strikeout_rate"]
    batters = view.join(PITCHER, pitcher_starts)["batters_faced_mean_10"]
    # The closing price is known when the game settles; `_quotes` holds those asked before the start only.
    late = view.requests.with_columns(moment=pl.col("settled_at"))
    closing = View(late, view.tables, view.label).join(_pitcher_and_day(), market)
    return view.requests.select(
        "entity",
        pl.lit(rate * batters).alias("form_strikeouts"),
        pl.lit(closing["mean"]).alias("market_strikeouts"),
        pl.lit(closing["mean"] + MOMENTUM * closing["movement"]).alias("moved_strikeouts"),
        pl.lit(closing["line"]).alias("closing_line"),
        pl.lit(closing["over"]).alias("closing_over"),
    )


def _games(known: View | Known) -> pl.DataFrame:
    return known.events("pitcher_games", "schedule", "result").with_columns(entity=PITCHER)


def _rate(rows: pl.DataFrame, of: str) -> pl.DataFrame:
    return shrunk_rate(rows, of, "batters_faced", BATTERS_OF_PRIOR, LEAGUE_GAMES)


def _season_starts(view: View) -> pl.Series:
    games = _games(view).with_columns(entity=_in_season())
    starts = games.filter(pl.col("batters_faced") >= STARTER_BATTERS)
    count = pl.int_range(1, pl.len() + 1).over("entity").cast(pl.Float64).alias("value")
    return view.asof(_in_season(), starts.select("entity", "known_at", count))["value"].fill_null(0.0)


def _clubs(known: View | Known) -> ClubKnowledge:
    """Who pitches for whom; the archive of odds says it of the starters of 2021, all else is concluded."""
    order = [
        pl.col("known_at"),
        pl.col("event_time"),
        pl.col("game_pk").alias("game"),
        PITCHER.alias("pitcher"),
    ]
    listed = known.events("pitcher_games", "schedule").select(*order)
    played = (pl.col("strikeouts"), pl.col("batters_faced").alias("batters"))
    return club_knowledge(
        listed, _games(known).select(*order, *played), _told(known), CLUBS_SETTLED, STARTER_BATTERS
    )


def _told(known: View | Known) -> pl.DataFrame:
    """The clubs of announced starters: their names are written `CKERSHAW-L`, cut to nine letters or fewer."""
    matchups = known.events("games", "matchup").with_columns(day=_day())
    written = pl.concat(
        [
            matchups.select(
                "known_at",
                "day",
                pl.col(f"{side}_team").alias("club"),
                pl.col(f"{side}_pitcher").str.replace(r"-[LRS]?$", "").pipe(letters).alias("mark"),
            )
            for side in ("home", "away")
        ]
    )
    listed = known.events("pitcher_games", "schedule").drop_nulls("pitcher_name")
    marks = listed.select(
        pl.col("known_at").alias("listed_at"),
        _day().alias("day"),
        PITCHER.alias("pitcher"),
        mark(NAME).alias("mark"),
    )
    found = written.join(marks, on=["day", "mark"], how="inner").unique(["day", "mark", "pitcher"])
    alone = ~pl.struct("day", "mark").is_duplicated()
    found = found.filter(alone).with_columns(known_at=pl.max_horizontal("known_at", "listed_at"))
    both = pl.concat([found.select("known_at", "pitcher", "club"), _told_by_lines(known)])
    return both.sort("known_at", "club", "pitcher")


def _told_by_lines(known: View | Known) -> pl.DataFrame:
    """The clubs of pitchers who have been priced in games against two clubs: theirs is in both."""
    quotes = known.events("lines", "prices").drop_nulls(["pitcher_id", "home_team", "away_team"])
    days = quotes.unique(["pitcher_id", "game_date"], keep="first", maintain_order=True)
    before = days.select(
        "known_at",
        PITCHER.alias("pitcher"),
        pl.concat_list("home_team", "away_team").alias("clubs"),
        pl.concat_list("home_team", "away_team").shift(1).over(PITCHER).alias("last"),
    ).drop_nulls("last")
    shared = pl.col("clubs").list.set_intersection("last")
    return before.filter(shared.list.len() == 1).select(
        "known_at", "pitcher", shared.list.first().alias("club")
    )


def _rates(view: View) -> dict[str, pl.Series]:
    """Strikeouts per batter with memories of different length, the years before 2021 among them."""
    counts = ["strikeouts", "batters_faced"]
    long = pl.col("batters_faced") >= LONG_BATTERS
    share = pl.when(long).then(1.0).otherwise(RELIEF_SHARE)
    games = _games(view).with_columns(pl.col("strikeouts") * share)
    told = view.events("earlier", "result").with_columns(entity=spelt(pl.col("player_name")))
    earlier = told.with_columns(strikeouts=pl.col("so") * share)
    today, league = _today(view), _league(view)
    made = {"league_rate": league}
    every = [(f"rate_{days}d", days, pl.lit(value=True)) for days in FORM_DAYS]
    for name, days, chosen in [*every, ("start_rate_300d", 300, long)]:
        sums = pl.DataFrame({each: [0.0] * len(today) for each in counts})
        for who, rows in ((PITCHER, games), (spelt(NAME), earlier)):
            held = view.asof(who, faded_sums(rows.filter(chosen), counts, days), *counts, "day")
            sums += faded_to(today, held, days)
        out, faced = sums.get_columns()
        made[f"log_{name}"] = ((out + BATTERS_OF_FORM_PRIOR * league) / (faced + BATTERS_OF_FORM_PRIOR)).log()
        if name in ("rate_25d", "rate_300d"):
            made[f"log_faced_{days}d"] = faced.log1p()
    rate = shrunk_rate(told, "so", "batters_faced", BATTERS_OF_PRIOR, LEAGUE_GAMES)
    return {**made, "earlier_strikeout_rate": view.asof(spelt(NAME), rate)["value"]}


def _work(view: View) -> dict[str, pl.Series]:
    """How long a pitcher is left in when he starts, how often he starts, and when he last did."""
    long = pl.col("batters_faced") >= LONG_BATTERS
    games = _games(view).with_columns(games=pl.lit(1.0), starts=long.cast(pl.Float64))
    starts, today = games.filter(long), _today(view)
    made: dict[str, pl.Series] = {}
    counts = ["batters_faced", "games"]
    for days in START_DAYS:
        held = view.asof(PITCHER, faded_sums(starts, counts, days), *counts, "day")
        faced, done = faded_to(today, held, days).get_columns()
        usual = (faced + STARTS_OF_PRIOR * USUAL_BATTERS) / (done + STARTS_OF_PRIOR)
        made[f"log_start_batters_{days}d"] = usual.log()
    counts = ["batters_faced", "starts", "games"]
    for days in GAME_DAYS:
        faced, begun, done = view.asof(PITCHER, faded_sums(games, counts, days), *counts).get_columns()
        made[f"log_batters_{days}d"] = (faced / done).clip(lower_bound=1.0).log()
        made[f"start_share_{days}d"] = begun / done
    rest = today - view.asof(PITCHER, last_played(starts))["value"]
    return {**made, "days_since_start": rest.clip(upper_bound=2.0 * LONGEST_REST_DAYS)}


def _today(view: View) -> pl.Series:
    return view.requests.select(day_of("event_time")).to_series()


def _league(view: View) -> pl.Series:
    games = _games(view).with_columns(entity=pl.lit("league"))
    rate = decayed_rate(games, "strikeouts", "batters_faced", LEAGUE_GAMES)
    return view.asof(pl.lit("league"), rate)["value"]


def _matchup(view: View) -> dict[str, pl.Series]:
    """Whose batters a pitcher meets, at home or away, and what the park does.

    Where two clubs meet is told by the archive and the bookmakers' listings; between the two, in 2022 to May
    2025, it is concluded from the game before in the same series, for a third of the starts.
    """
    clubs = _clubs(view)
    own = view.asof(PITCHER, clubs.pitchers, "club")["club"]
    guessed = view.asof(pl.concat_str("game_pk", PITCHER, separator="-"), clubs.opponents, "club")["club"]
    told = view.asof(pl.concat_str(pl.lit(own), pl.lit(" "), _day()), _calendar(view), "home", "away")
    other = pl.when(pl.col("home") == pl.lit(own)).then("away").otherwise("home")
    against = told.select(pl.coalesce(other, pl.lit(guessed)).alias("against"))["against"]
    played = _games(view).rename({"game_pk": "game", "batters_faced": "batters"})
    sites = concluded_sites(played, clubs.pitchers)
    meetings = sites.select(_pair("home", "away").alias("entity"), "known_at", "home")
    series = view.asof(_pair(pl.lit(own), pl.lit(against)), meetings, "home", within=SERIES)["home"]
    home = told["home"].fill_null(series)
    parks = park_factors(
        pl.concat([_earlier_sites(view), sites.drop("game")]), PARK_DAYS, BATTERS_OF_PARK_PRIOR
    )
    batting, league = view.join(pl.lit(against), club_batting), _league(view)
    return {
        "opponent_strikeout_rate": batting["strikeout_rate"],
        "log_opponent": (batting["strikeout_rate"] / league).log(),
        "log_opponent_recent": (batting["recent_strikeout_rate"] / league).log(),
        "venue": (2.0 * (home == own).cast(pl.Float64) - 1.0).fill_null(0.0),
        "log_park": view.asof(pl.lit(home), parks)["value"].log().fill_null(0.0),
    }


def _pair(one: str | pl.Expr, other: str | pl.Expr) -> pl.Expr:
    return pl.min_horizontal(one, other) + " " + pl.max_horizontal(one, other)


def _calendar(view: View) -> pl.DataFrame:
    """Which clubs meet on a day and where, as the archive of odds and the bookmakers' listings say."""
    matchups = view.events("games", "matchup").filter(~pl.col("neutral")).with_columns(day=_day())
    listed = view.events("lines", "prices").with_columns(day=pl.col("game_date"))
    both = pl.concat(
        [
            each.select("known_at", "day", home="home_team", away="away_team").drop_nulls()
            for each in (matchups, listed)
        ]
    ).unique(["day", "home", "away"], keep="first", maintain_order=True)
    sides = [
        both.select(pl.concat_str(club, pl.lit(" "), "day").alias("entity"), "known_at", "home", "away")
        for club in ("home", "away")
    ]
    return pl.concat(sides).sort("known_at", maintain_order=True)


def _earlier_sites(view: View) -> pl.DataFrame:
    """Games of 2015 to 2020: their names begin with the home club."""
    game = pl.col("appearance").str.split("-").list.first()
    rows = view.events("earlier", "result").with_columns(
        game=game,
        home=game.str.slice(0, 3).replace(RETROSHEET),
        club=pl.col("team").replace(RETROSHEET),
        other=pl.col("opponent").replace(RETROSHEET),
    )
    away = pl.when(pl.col("club") == pl.col("home")).then("other").otherwise("club")
    return (
        rows.group_by("game", "known_at", maintain_order=True)
        .agg(
            pl.col("event_time", "home").first(),
            away.first().alias("away"),
            pl.col("so").sum().alias("strikeouts"),
            pl.col("batters_faced").sum().alias("batters"),
        )
        .drop("game")
    )


def _quotes(known: Known) -> pl.DataFrame:
    """Prices asked before the start, as fair chances of the over."""
    quotes = known.events("lines", "prices")
    quotes = quotes.drop_nulls(["pitcher_id", "strikeout_line", "over_odds", "under_odds"])
    over, under = american_probability(pl.col("over_odds")), american_probability(pl.col("under_odds"))
    return quotes.filter(pl.col("snapshot_at") <= pl.col("event_time")).select(
        pl.concat_str(PITCHER, pl.lit(" "), "game_date").alias("entity"),
        "known_at",
        "event_time",
        "book",
        pl.col("strikeout_line").alias("line"),
        (over / (over + under)).alias("over"),
        (over + under - 1.0).alias("overround"),
    )


def _pitcher_and_day() -> pl.Expr:
    return pl.concat_str(PITCHER, pl.lit(" "), _day())


def _day() -> pl.Expr:
    return pl.col("event_time").dt.convert_time_zone(EASTERN).dt.strftime("%Y-%m-%d")


def _in_season() -> pl.Expr:
    return pl.concat_str(PITCHER, pl.lit(" "), pl.col("season").cast(pl.String))
