"""Rates per batter faced, where a game is played and what that does, and the mean that a price implies."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import gammaincinv

from pennant.features.blocks import day_of


def poisson_mean(line: pl.Series, over: pl.Series) -> pl.Series:
    """The mean of the Poisson law that is over `line` with chance `over`; null where either is.

    By the identity `P(X >= k) = P(Gamma(k) <= mean)` it is a quantile of the Gamma law with
    `k = floor(line) + 1`.
    """
    least = np.floor(line.to_numpy().astype(float)) + 1.0
    chance = over.to_numpy().astype(float)
    asked = np.isfinite(least) & (chance > 0.0) & (chance < 1.0)
    mean = np.full(len(line), np.nan)
    mean[asked] = gammaincinv(least[asked], chance[asked])
    return pl.Series("mean", mean).fill_nan(None)


def market_of(quotes: pl.DataFrame) -> pl.DataFrame:
    """What the bookmakers ask together, one row per entity and snapshot.

    Of each bookmaker the line nearest to even stands for all of its lines.

    Args:
        quotes: entity, known_at, event_time, book, line, over (fair chance), overround.

    Returns:
        entity, known_at, event_time; `line`, the lower median; `over`, the mean fair chance at the bookmakers
        that ask at that line; `mean`, of the Poisson means that the single prices imply; `even`, of those
        that the lines alone would imply at even prices; `overround` and `books`; `spread`, from the lowest
        `mean` of a bookmaker to the highest; `movement` of `mean` since the first.
    """
    snapshot = ["entity", "known_at"]
    near = (pl.col("over") - 0.5).abs()
    main = quotes.sort(*snapshot, "book", near, "line")
    main = main.unique([*snapshot, "book"], keep="first", maintain_order=True)
    half = pl.repeat(0.5, main.height, eager=True)
    main = main.with_columns(
        poisson_mean(main["line"], main["over"]).alias("mean"),
        poisson_mean(main["line"], half).alias("even"),
    )
    median = pl.col("line").quantile(0.5, interpolation="lower").over(snapshot)
    made = main.with_columns(median.alias("market")).group_by(snapshot, maintain_order=True)
    prices = made.agg(
        pl.col("event_time").first(),
        pl.col("market").first().alias("line"),
        pl.col("over").filter(pl.col("line") == pl.col("market")).mean(),
        pl.col("mean", "even").mean(),
        pl.col("overround").mean(),
        pl.len().cast(pl.Float64).alias("books"),
        (pl.col("mean").max() - pl.col("mean").min()).alias("spread"),
    ).sort("known_at", "entity")
    return prices.with_columns(movement=pl.col("mean") - pl.col("mean").first().over("entity"))


def shrunk_rate(
    rows: pl.DataFrame,
    events: str,
    trials: str,
    prior: float,
    league_half_life: float,
    half_life: float | None = None,
) -> pl.DataFrame:
    """Timeline of an entity's events per trial, drawn towards what was the league's rate at the time.

    The estimate is the mean of the Beta law whose prior has the league's rate and the weight of `prior`
    trials (empirical Bayes: Efron and Morris 1977, "Stein's paradox in statistics", Scientific American
    236, 119-127).

    Args:
        rows: entity, known_at and the two counts, in the order of knowing; null counts are passed over.
        events: column of what is counted.
        trials: column of how often it could have happened.
        prior: weight of the league, in trials.
        league_half_life: rows of the league after which a row counts half in the league's rate.
        half_life: rows of the entity after which a row counts half; None counts all alike.
    """
    used = rows.drop_nulls(["entity", events, trials])
    league = _weighted(events, league_half_life) / _weighted(trials, league_half_life)
    hits, tries = (_weighted(name, half_life).over("entity") for name in (events, trials))
    value = (hits + prior * league) / (tries + prior)
    return _timeline(used.select("entity", "known_at", value.fill_nan(None).alias("value")))


def decayed_rate(rows: pl.DataFrame, events: str, trials: str, half_life: float) -> pl.DataFrame:
    """Timeline of an entity's events per trial in which a row `half_life` rows ago counts half as much."""
    used = rows.drop_nulls(["entity", events, trials])
    value = (_weighted(events, half_life) / _weighted(trials, half_life)).over("entity")
    return _timeline(used.select("entity", "known_at", value.fill_nan(None).alias("value")))


def faded_sums(rows: pl.DataFrame, columns: Sequence[str], half_life_days: float) -> pl.DataFrame:
    """Timeline of an entity's sums in which what happened `half_life_days` earlier counts half.

    Args:
        rows: entity, known_at, event_time and the columns, in the order of knowing; rows with a null are
            passed over.
        columns: what is summed.
        half_life_days: above a hundredth of the days that the rows of an entity span; numbers overflow below.

    Returns:
        entity, known_at, the sums under the columns' names, and `day`, since 1970, on which they are so much;
        `faded_to` tells what is left of them later.
    """
    used = rows.drop_nulls(["entity", *columns]).with_columns(day=day_of("event_time"))
    age = (pl.col("day") - pl.col("day").first().over("entity")) * (1.0 / half_life_days)
    grown = pl.lit(2.0).pow(age)
    sums = [((pl.col(name).cast(pl.Float64) * grown).cum_sum().over("entity") / grown) for name in columns]
    made = used.select(
        "entity", "known_at", *(each.alias(name) for each, name in zip(sums, columns, strict=True)), "day"
    )
    return _timeline(made)


def faded_to(day: pl.Series, sums: pl.DataFrame, half_life_days: float) -> pl.DataFrame:
    """What is left on a later `day` of sums of `faded_sums` joined to requests; 0 where there are none."""
    left = pl.lit(2.0).pow((pl.col("day") - day) * (1.0 / half_life_days))
    return sums.select((pl.exclude("day") * left).fill_null(0.0))


def concluded_sites(pitched: pl.DataFrame, clubs: pl.DataFrame) -> pl.DataFrame:
    """Whose home a finished game was played at, where its score sheet lets that be seen.

    The home club bats last, and not at all when it leads: then the other club's pitchers get one to three
    outs fewer. Games in which both got as many, or in which somebody's club is not known, are left out.

    Args:
        pitched: entity (the pitcher), game, known_at, event_time, outs, strikeouts, batters.
        clubs: entity, known_at, club: whose pitcher he is.

    Returns:
        game, known_at, event_time, home, away, strikeouts and batters (both clubs'), in the order of knowing.
    """
    known = pitched.sort("known_at", maintain_order=True).join_asof(
        clubs.sort("known_at", maintain_order=True),
        on="known_at",
        by="entity",
        check_sortedness=False,  # sorted just above; polars cannot check it by group
    )
    sides = (
        known.group_by("game", "known_at", "club", maintain_order=True)
        .agg(pl.col("event_time").first(), pl.col("outs", "strikeouts", "batters").sum())
        .sort("known_at", "event_time", "game", "outs", descending=[False, False, False, True])
    )
    games = sides.group_by("game", "known_at", maintain_order=True).agg(
        pl.col("event_time").first(),
        pl.col("club").first().alias("home"),
        pl.col("club").last().alias("away"),
        (pl.col("outs").first() - pl.col("outs").last()).alias("lead"),
        (pl.col("outs").first() % 3).alias("part"),
        pl.col("strikeouts", "batters").sum(),
        (pl.len() == 2).alias("two") & pl.col("club").is_not_null().all(),
    )
    seen = games.filter("two", pl.col("lead").is_between(1, 3), pl.col("part") == 0)
    return seen.select("game", "known_at", "event_time", "home", "away", "strikeouts", "batters")


def park_factors(games: pl.DataFrame, half_life_days: float, prior: float) -> pl.DataFrame:
    """Timeline of how much likelier strikeouts are in a club's home games than in its games away.

    Both clubs' pitchers count, so that how good a club is cancels out.

    Args:
        games: known_at, event_time, home, away, strikeouts, batters, in the order of knowing.
        half_life_days: after which a game counts half.
        prior: batters by which home and away are drawn together.
    """
    both = []
    for club, at_home in (("home", 1.0), ("away", 0.0)):
        count = {"home": at_home, "away": 1.0 - at_home}
        both.append(
            games.with_row_index("_row").select(
                "_row",
                pl.col(club).alias("entity"),
                "known_at",
                "event_time",
                *(
                    (pl.col(what) * share).alias(f"{where}_{what}")
                    for where, share in count.items()
                    for what in ("strikeouts", "batters")
                ),
            )
        )
    rows = pl.concat(both).sort("_row", maintain_order=True)
    names = [f"{where}_{what}" for where in ("home", "away") for what in ("strikeouts", "batters")]
    sums = faded_sums(rows, names, half_life_days)
    home_out, home, away_out, away = (pl.col(name) for name in names)
    usual = (home_out + away_out) / (home + away)
    value = ((home_out + prior * usual) / (home + prior)) / ((away_out + prior * usual) / (away + prior))
    return sums.select("entity", "known_at", value.alias("value"))


def _weighted(name: str, half_life: float | None) -> pl.Expr:
    """Sum of a column in which a row `half_life` rows ago counts half as much; None counts all alike.

    Polars gives the mean; times the sum of its weights, a geometric series, it is the sum.
    """
    if half_life is None:
        return pl.col(name).cast(pl.Float64).cum_sum()
    fade = 0.5 ** (1.0 / half_life)
    weights: pl.Expr = (1.0 - pl.lit(fade).pow(pl.int_range(1, pl.len() + 1))) / (1.0 - fade)
    return pl.col(name).cast(pl.Float64).ewm_mean(half_life=half_life) * weights


def _timeline(made: pl.DataFrame) -> pl.DataFrame:
    return made.unique(subset=["entity", "known_at"], keep="last", maintain_order=True)
