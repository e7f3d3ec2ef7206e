"""Features of pitchers' strikeouts, taken at eleven in the morning, Eastern time, on the day of the game.

The constants below were chosen on the seasons 2021 to 2023; 2024 was only measured, 2025 was not looked at.
"""

from dataclasses import replace
from datetime import timedelta

import polars as pl

from pennant.features.blocks import last_played, rolling_mean
from pennant.features.clubs import ClubKnowledge, club_knowledge
from pennant.features.market import american_probability
from pennant.features.strikeouts import decayed_rate, poisson_mean, shrunk_rate
from pennant.features.view import View

EASTERN = "America/New_York"
STARTER_BATTERS = 9
"""Batters faced from which an appearance counts as a start; see the label."""
BATTERS_OF_PRIOR = 70.0
"""A pitcher's rate is shrunk to the league's as if he had faced this many batters at that rate."""
BATTERS_OF_CLUB_PRIOR = 1000.0
BATTERS_OF_RECENT_PRIOR = 300.0
RECENT_GAMES = 12.0
CLUB_RECENT_GAMES = 25.0
LEAGUE_GAMES = 5000.0
"""Half-life of the league's rate, in appearances: about two months."""
LONGEST_REST_DAYS = 30.0
CLUBS_SETTLED = timedelta(hours=6)
LAST_STARTS = (("strikeouts", "strikeouts", (3, 5, 10)), ("batters", "batters_faced", (3, 10)))
PITCHER, NAME = pl.col("pitcher_id"), pl.col("pitcher_name")


def features(view: View) -> pl.DataFrame:
    """One row per request; see use_case.yaml for the units."""
    games = _games(view)
    starts = games.filter(pl.col("batters_faced") >= STARTER_BATTERS)
    columns = {
        **_rates(view, games),
        **_starts(view, games, starts),
        **_opponent(view, _clubs(view), "opponent"),
        **_market(view, _prices(view)),
    }
    columns["expected_strikeouts"] = columns["recent_strikeout_rate"] * columns["batters_last_10"]
    return view.requests.select("entity", *(pl.lit(values).alias(name) for name, values in columns.items()))


def baselines(view: View) -> pl.DataFrame:
    """What a pitcher's form alone says, and the mean that the last prices before the start imply."""
    games = _games(view)
    starts = games.filter(pl.col("batters_faced") >= STARTER_BATTERS)
    rate = shrunk_rate(games, "strikeouts", "batters_faced", BATTERS_OF_PRIOR, LEAGUE_GAMES)
    batters = view.asof(PITCHER, rolling_mean(starts, pl.col("batters_faced"), 10))["value"]
    # The closing price is known when the game settles; `_prices` holds those asked before the start only.
    closing = replace(view, requests=view.requests.with_columns(moment=pl.col("settled_at")))
    market = _market(closing, _prices(closing))["market_mean"]
    return view.requests.select(
        "entity",
        pl.lit(view.asof(PITCHER, rate)["value"] * batters).alias("form_strikeouts"),
        pl.lit(market).alias("market_strikeouts"),
    )


def _games(view: View) -> pl.DataFrame:
    return view.events("pitcher_games", "schedule", "result").with_columns(entity=PITCHER)


def _rates(view: View, games: pl.DataFrame) -> dict[str, pl.Series]:
    """Events per batter faced: over all games, of late, in this season, and in the years before the table."""
    of_season = games.with_columns(entity=_in_season())
    earlier = view.events("earlier", "result").with_columns(
        entity=_spelt(pl.col("player_name")), strikeouts="so"
    )
    league = decayed_rate(
        games.with_columns(entity=pl.lit("league")), "strikeouts", "batters_faced", LEAGUE_GAMES
    )

    def rate(rows: pl.DataFrame, of: str, games_half_life: float | None = None) -> pl.DataFrame:
        return shrunk_rate(rows, of, "batters_faced", BATTERS_OF_PRIOR, LEAGUE_GAMES, games_half_life)

    return {
        "strikeout_rate": view.asof(PITCHER, rate(games, "strikeouts"))["value"],
        "recent_strikeout_rate": view.asof(PITCHER, rate(games, "strikeouts", RECENT_GAMES))["value"],
        "season_strikeout_rate": view.asof(_in_season(), rate(of_season, "strikeouts"))["value"],
        "earlier_strikeout_rate": view.asof(_spelt(NAME), rate(earlier, "strikeouts"))["value"],
        "walk_rate": view.asof(PITCHER, rate(games, "bb_allowed"))["value"],
        "hit_rate": view.asof(PITCHER, rate(games, "h_allowed"))["value"],
        "league_strikeout_rate": view.asof(pl.lit("league"), league)["value"],
    }


def _starts(view: View, games: pl.DataFrame, starts: pl.DataFrame) -> dict[str, pl.Series]:
    """How long a pitcher stays in, how much he rests, and what came of his last starts."""
    start = view.requests["event_time"].dt.epoch("s") / 86_400.0
    rest = start - view.asof(PITCHER, last_played(games))["value"]
    begun = (pl.col("batters_faced") >= STARTER_BATTERS).cast(pl.Float64)
    count = pl.int_range(1, pl.len() + 1).over("entity").cast(pl.Float64).alias("value")
    season = starts.with_columns(entity=_in_season()).select("entity", "known_at", count)
    made = {
        f"{name}_last_{last}": view.asof(PITCHER, rolling_mean(starts, pl.col(of), last))["value"]
        for name, of, spans in (
            ("strikeouts", "strikeouts", (3, 5, 10)),
            ("batters", "batters_faced", (3, 10)),
        )
        for last in spans
    }
    return {
        **made,
        "batters_last": view.asof(PITCHER, rolling_mean(games, pl.col("batters_faced"), 1))["value"],
        "days_rest": rest.clip(upper_bound=LONGEST_REST_DAYS),
        "season_starts": view.asof(_in_season(), season)["value"].fill_null(0.0),
        "start_share": view.asof(PITCHER, rolling_mean(games, begun, 10))["value"],
    }


def _clubs(view: View) -> ClubKnowledge:
    """Who pitches for whom; the archive of odds says it of the starters of 2021, all else is concluded."""
    order = [
        pl.col("known_at"),
        pl.col("event_time"),
        pl.col("game_pk").alias("game"),
        PITCHER.alias("pitcher"),
    ]
    listed = view.events("pitcher_games", "schedule").select(*order)
    played = (pl.col("strikeouts"), pl.col("batters_faced").alias("batters"))
    return club_knowledge(
        listed, _games(view).select(*order, *played), _told(view), CLUBS_SETTLED, STARTER_BATTERS
    )


def _told(view: View) -> pl.DataFrame:
    """The clubs of announced starters: their names are written `CKERSHAW-L`, cut to nine letters or fewer."""
    matchups = view.events("games", "matchup").with_columns(day=_day())
    written = pl.concat(
        [
            matchups.select(
                "known_at",
                "day",
                pl.col(f"{side}_team").alias("club"),
                pl.col(f"{side}_pitcher").str.replace(r"-[LRS]?$", "").pipe(_letters).alias("mark"),
            )
            for side in ("home", "away")
        ]
    )
    listed = view.events("pitcher_games", "schedule").drop_nulls("pitcher_name")
    marks = listed.select(
        pl.col("known_at").alias("listed_at"),
        _day().alias("day"),
        PITCHER.alias("pitcher"),
        _mark().alias("mark"),
    )
    found = written.join(marks, on=["day", "mark"], how="inner").unique(["day", "mark", "pitcher"])
    alone = ~pl.struct("day", "mark").is_duplicated()
    found = found.filter(alone).with_columns(known_at=pl.max_horizontal("known_at", "listed_at"))
    return found.sort("known_at", "club", "pitcher").select("known_at", "pitcher", "club")


def _opponent(view: View, clubs: ClubKnowledge, name: str) -> dict[str, pl.Series]:
    """How often the batters of the other club strike out."""
    here = pl.concat_str("game_pk", PITCHER, separator="-")
    against = pl.lit(view.asof(here, clubs.opponents, "club")["club"])
    rate = shrunk_rate(clubs.faced, "strikeouts", "batters", BATTERS_OF_CLUB_PRIOR, LEAGUE_GAMES)
    recent = shrunk_rate(
        clubs.faced, "strikeouts", "batters", BATTERS_OF_RECENT_PRIOR, LEAGUE_GAMES, CLUB_RECENT_GAMES
    )
    return {
        f"{name}_strikeout_rate": view.asof(against, rate)["value"],
        f"{name}_recent_strikeout_rate": view.asof(against, recent)["value"],
    }


def _prices(view: View) -> pl.DataFrame:
    """Timeline of what the bookmakers asked for a pitcher on a day, one row per snapshot.

    Of each bookmaker the line nearest to even stands for all of its lines. The line of the market is the
    lower median of these, `over` the mean fair chance at the bookmakers that ask at that line, and `mean` the
    mean of the Poisson means that the single prices imply.
    """
    quotes = view.events("lines", "prices").drop_nulls(
        ["pitcher_id", "strikeout_line", "over_odds", "under_odds"]
    )
    quotes = quotes.filter(pl.col("snapshot_at") <= pl.col("event_time"))
    over, under = american_probability(pl.col("over_odds")), american_probability(pl.col("under_odds"))
    quotes = quotes.select(
        pl.concat_str(PITCHER, pl.lit(" "), "game_date").alias("entity"),
        "known_at",
        "book",
        pl.col("strikeout_line").alias("line"),
        (over / (over + under)).alias("over"),
        (over + under - 1.0).alias("overround"),
    )
    near = (pl.col("over") - 0.5).abs()
    snapshot = ["entity", "known_at"]
    main = quotes.sort(*snapshot, "book", near, "line").unique(
        [*snapshot, "book"], keep="first", maintain_order=True
    )
    main = main.with_columns(poisson_mean(main["line"], main["over"]).alias("mean"))
    market = pl.col("line").quantile(0.5, interpolation="lower").over(snapshot)
    made = main.with_columns(market.alias("market")).group_by(snapshot, maintain_order=True)
    return made.agg(
        pl.col("market").first().alias("line"),
        pl.col("over").filter(pl.col("line") == pl.col("market")).mean(),
        pl.col("mean").mean(),
        pl.col("overround").mean(),
        pl.len().cast(pl.Float64).alias("books"),
        (pl.col("mean").max() - pl.col("mean").min()).alias("spread"),
    ).sort("known_at", "entity")


def _market(view: View, prices: pl.DataFrame) -> dict[str, pl.Series]:
    """What was asked last as of each moment; null where nobody asked."""
    prices = prices.with_columns(movement=pl.col("mean") - pl.col("mean").first().over("entity"))
    names = ("line", "over", "mean", "movement", "overround", "books", "spread")
    found = view.asof(pl.concat_str(PITCHER, pl.lit(" "), _day()), prices, *names)
    return {f"market_{name}": found[name] for name in names}


def _day() -> pl.Expr:
    return pl.col("event_time").dt.convert_time_zone(EASTERN).dt.strftime("%Y-%m-%d")


def _in_season() -> pl.Expr:
    return pl.concat_str(PITCHER, pl.lit(" "), pl.col("season").cast(pl.String))


def _spelt(name: pl.Expr) -> pl.Expr:
    """A name without accents, dots and capitals, as two sources can agree on it."""
    return name.str.normalize("NFD").str.to_lowercase().str.replace_all(r"[^a-z ]", "")


def _letters(name: pl.Expr) -> pl.Expr:
    return name.str.normalize("NFD").str.to_uppercase().str.replace_all(r"[^A-Z]", "").str.slice(0, 9)


def _mark() -> pl.Expr:
    """`Clayton Kershaw` as the archive writes it: the initial and the surname."""
    return _letters(NAME.str.slice(0, 1) + NAME.str.replace(r"^\S+\s+", ""))
