"""Features of NFL games, taken one hour before kick-off: nothing of the game's own closing line.

The constants below were chosen on the seasons up to 2017; later seasons were only measured.
"""

from datetime import timedelta

import polars as pl

from pennant.features.elo import EloRules, elo, elo_difference, elo_probability
from pennant.features.market import american_probability, moneyline_probability, spread_probability
from pennant.features.quarterbacks import (
    Effect,
    StarterRules,
    expected_line,
    starter_ratings,
    starter_value,
    usual_starters,
)
from pennant.features.stakes import League, at_stake, stakes
from pennant.features.view import View

# FiveThirtyEight's constants (github.com/fivethirtyeight/nfl-elo-game); it started new clubs at 1300.
ELO = EloRules(k=20.0, home_advantage=65.0, newcomer=1300.0, season_reversion=1.0 / 3.0, margin=True)
STARTERS = StarterRules(
    line_deviation=2.2,
    margin_deviation=4.3,
    margin_cap=21.5,
    performance_deviation=6.8,
    performance_cap=35.0,
    team_start=5.0,
    team_week=0.73,
    team_summer=1.5,
    team_reversion=0.42,
    starter_first_week=-1.7,
    starter_later=-2.7,
    starter_start=1.3,
    starter_week=0.33,
    starter_summer=0.56,
    starter_reversion=0.17,
    seasons_remembered=3,
    effects={
        "home_field": Effect(2.5, 0.5, week=0.011),
        "postseason_home": Effect(0.6, 0.3),
        "rest_days": Effect(0.06, 0.05),
        "playing_for_a_place": Effect(1.1, 0.2),
        "division_won": Effect(-3.8, 0.2),
    },
)
LEAGUE = League(
    divisions={
        ("AFC", "East"): ("BUF", "MIA", "NE", "NYJ"),
        ("AFC", "North"): ("BAL", "CIN", "CLE", "PIT"),
        ("AFC", "South"): ("HOU", "IND", "JAX", "TEN"),
        ("AFC", "West"): ("DEN", "KC", "LAC", "LV"),
        ("NFC", "East"): ("DAL", "NYG", "PHI", "WAS"),
        ("NFC", "North"): ("CHI", "DET", "GB", "MIN"),
        ("NFC", "South"): ("ATL", "CAR", "NO", "TB"),
        ("NFC", "West"): ("ARI", "LA", "SEA", "SF"),
    },
    since=2002,
    places={2002: 6, 2020: 7},
    games={2002: 16, 2021: 17},
)
USUAL_GAMES = 5
PASSING, RUNNING, INTERCEPTION, LOST_FUMBLE = 0.58, 0.47, 2.1, 3.0
"""What lines follow of an expected point added by a pass or a run; points given back per turnover."""
REST_DAYS = (4, 12)
"""Less or more rest than this is worth no more."""
SPREAD = 0.25
"""Weight of the spread in the closing chance. On 3,062 games of 2006 to 2017 the log loss of the moneyline in
proportion is .6099, of the mixture .0003 less (standard error .0002); the own expected line in it, which was
fitted on these seasons, took another .0002, which nobody can tell from luck."""
TABLES_ZONE = "America/New_York"
"""Both tables date a game by the day in the east of the United States, wherever it is played."""

HOME, AWAY = pl.col("home_team"), pl.col("away_team")
NEUTRAL = pl.col("location") == "Neutral"
REGULAR = pl.col("game_type") == "REG"
FACTORS = (
    pl.when(NEUTRAL).then(0.0).otherwise(1.0).alias("home_field"),
    (~REGULAR & ~NEUTRAL).cast(pl.Float64).alias("postseason_home"),
    (pl.col("home_rest").clip(*REST_DAYS) - pl.col("away_rest").clip(*REST_DAYS)).alias("rest_days"),
)
LEAD = timedelta(hours=1)
"""Of the requests; finished games are seen as they were so long before kick-off."""
LAST_WEEK = (REGULAR & LEAGUE.last_week()).cast(pl.Float64)
AT_STAKE = {"playing_for_a_place": "open", "division_won": "won"}
"""Factors of the last week's games, and the columns of `stakes` whose difference they are."""
LOST_FUMBLES = ("sack_fumbles_lost", "rushing_fumbles_lost", "receiving_fumbles_lost")


def features(view: View) -> pl.DataFrame:
    """One row per request; see use_case.yaml for the units."""
    told = stakes(_games(view, "schedule", "result").filter(REGULAR), LEAGUE)
    games = _started(view, told)
    ratings = starter_ratings(games, _play(view, games), STARTERS)
    usual = usual_starters(games, USUAL_GAMES)
    customary = [view.asof(side, usual)["value"] for side in (HOME, AWAY)]
    # Whoever asks days ahead does not know who starts: then the usual one does.
    named = view.own("games", "starters", "home_qb_id", "away_qb_id")
    home, away = (
        each.zip_with(each.is_not_null(), other) for each, other in zip(named, customary, strict=True)
    )
    mine, theirs, my_usual, their_usual = (
        starter_value(view, ratings, STARTERS, each) for each in (home, away, *customary)
    )
    factors = _factors(view.requests, told, pl.col("moment"))
    return view.requests.select(
        "entity",
        expected_line(view, ratings, STARTERS, (home, away), factors).alias("expected_line"),
        (mine - theirs).alias("quarterback_difference"),
        ((mine - my_usual) - (theirs - their_usual)).alias("quarterback_change_difference"),
        _elo_difference(view, games).alias("elo_difference"),
        NEUTRAL.cast(pl.Float64).alias("neutral_field"),
    )


def at_kick_off(view: View, usual: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG001
    """The closing prices as one chance; null before kick-off.

    Moneyline and spread are two markets on one game: their logits are mixed. Where one is missing the other
    one stands alone.
    """
    lines = view.own("games", "lines", "spread_line", "home_moneyline", "away_moneyline")
    home, away = (american_probability(pl.col(f"{side}_moneyline")) for side in ("home", "away"))
    # Shin's way, which for two outcomes takes the same from both.
    moneyline = _logit((1.0 + home - away) * 0.5)
    spread = _logit(spread_probability(pl.col("spread_line")))
    mixed = pl.coalesce(moneyline + SPREAD * (spread - moneyline), moneyline, spread)
    return lines.select(view.requests["entity"], closing_chance=1.0 / (1.0 + (-mixed).exp()))


def _logit(chance: pl.Expr) -> pl.Expr:
    return (chance / (1.0 - chance)).log()


def baselines(view: View) -> pl.DataFrame:
    """What Elo alone would say, ours and FiveThirtyEight's, and what the market said at kick-off.

    The market's chance is the closing moneylines with the bookmaker's margin taken out in proportion; where
    a moneyline is missing, the closing spread's; where both are, null.
    """
    lead = _elo_difference(view, _games(view, "schedule", "result"))
    lines = view.settled("games", "lines", "spread_line", "home_moneyline", "away_moneyline")
    market = lines.select(
        pl.coalesce(
            moneyline_probability(pl.col("home_moneyline"), pl.col("away_moneyline")),
            spread_probability(pl.col("spread_line")),
        ).alias("market_probability")
    )
    return market.with_columns(
        view.requests["entity"],
        elo_probability(lead).alias("elo_probability"),
        _elo_538(view).alias("elo_538"),
    )


def _elo_difference(view: View, games: pl.DataFrame) -> pl.Series:
    return elo_difference(view, elo(games, ELO, "home_score", "away_score"), ELO, HOME, AWAY, NEUTRAL)


def _games(view: View, *groups: str) -> pl.DataFrame:
    return view.events("games", *groups).with_columns(
        NEUTRAL.alias("neutral"),
        (pl.col("home_score") - pl.col("away_score")).alias("margin"),
    )


def _started(view: View, told: pl.DataFrame) -> pl.DataFrame:
    """Finished games with what was known when they were over: who started, the lines, what was at stake."""
    games = _games(view, "schedule", "result")
    started = view.events("games", "starters").select(
        "game_id", named_at="known_at", home_starter="home_qb_id", away_starter="away_qb_id"
    )
    lines = view.events("games", "lines").select("game_id", "spread_line", closed_at="known_at")
    games = games.join(started, on="game_id", how="left", maintain_order="left")
    games = games.join(lines, on="game_id", how="left", maintain_order="left")
    in_time = {"home_starter": "named_at", "away_starter": "named_at", "spread_line": "closed_at"}
    games = games.with_columns(
        pl.when(pl.col(at) <= pl.col("known_at")).then(name).alias(name) for name, at in in_time.items()
    )
    return games.hstack(_factors(games, told, pl.col("event_time") - LEAD))


def _factors(games: pl.DataFrame, told: pl.DataFrame, moment: pl.Expr) -> pl.DataFrame:
    """The factors of `STARTERS.effects`; what is at stake counts in the last week, as known at the moment."""
    differences = at_stake(games, told, moment)
    last = games.select(LAST_WEEK).to_series()
    made = [(differences[each] * last).fill_null(0.0).alias(name) for name, each in AT_STAKE.items()]
    return games.select(*FACTORS, *made)


def _play(view: View, games: pl.DataFrame) -> pl.DataFrame:
    """What the teams' play in finished games was worth, in points, home less away, and when that was known.

    Expected points added by passes and runs, drawn towards nothing as lines follow them; interceptions and
    lost fumbles in part given back, as they hardly repeat. Special teams and defences' scores are not in it.
    """
    found = view.events("player_weeks", "offence")
    side = ["season", "week", "team"]
    found = found.with_columns(pl.col("season", "week").cast(pl.Int64, strict=False), team="recent_team")
    # A row that came later than its team's others would make them known later than they were.
    found = found.filter(pl.col("known_at") == pl.col("known_at").min().over(side))
    given_back = INTERCEPTION * pl.col("interceptions") + LOST_FUMBLE * pl.sum_horizontal(LOST_FUMBLES)
    weeks = found.group_by(side).agg(
        pl.col("known_at").first(),
        pl.col("attempts").sum(),
        worth=PASSING * pl.col("passing_epa").sum()
        + RUNNING * pl.col("rushing_epa").sum()
        + given_back.sum(),
    )
    weeks = weeks.filter(pl.col("attempts") > 0)
    both = games.select("game_id", "season", "week", "home_team", "away_team", over="known_at")
    for where in ("home", "away"):
        named = weeks.select(
            "season",
            "week",
            pl.col("team").alias(f"{where}_team"),
            pl.col("worth").alias(f"{where}_worth"),
            pl.col("known_at").alias(f"{where}_at"),
        )
        both = both.join(named, on=["season", "week", f"{where}_team"], how="inner", maintain_order="left")
    known = pl.max_horizontal("over", "home_at", "away_at")
    return both.select("game_id", known_at=known, performance=pl.col("home_worth") - pl.col("away_worth"))


def _elo_538(view: View) -> pl.Series:
    """FiveThirtyEight's chance of the home team; null for a game that its table does not have.

    Found by day and teams: on neutral fields the two tables do not always name the same home team.
    """
    forecasts = view.events("elo538", "forecast")
    home = _meeting(pl.col("date"), pl.col("team1"), pl.col("team2"))
    away = _meeting(pl.col("date"), pl.col("team2"), pl.col("team1"))
    both = pl.concat(
        [
            forecasts.select(home.alias("entity"), "known_at", pl.col("elo_prob1").alias("value")),
            forecasts.select(away.alias("entity"), "known_at", (1.0 - pl.col("elo_prob1")).alias("value")),
        ]
    )
    day = pl.col("event_time").dt.convert_time_zone(TABLES_ZONE).dt.strftime("%Y-%m-%d")
    return view.asof(_meeting(day, HOME, AWAY), both)["value"]


def _meeting(day: pl.Expr, home: pl.Expr, away: pl.Expr) -> pl.Expr:
    return pl.concat_str([day, home, away], separator=" ")
