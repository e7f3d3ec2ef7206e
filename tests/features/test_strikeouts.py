"""Sums that fade, whose home a game was played at, and what a park does: by hand."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennant.features.strikeouts import concluded_sites, faded_sums, faded_to, market_of, park_factors

MOMENT = pl.Datetime("us", "UTC")
START = datetime(2024, 4, 1, 16, tzinfo=UTC)
Row = tuple[str, int, int | None]


def rows_of(rows: list[Row]) -> pl.DataFrame:
    """Rows of an entity, a day and a count, in the order of knowing."""
    ordered = sorted(rows, key=lambda each: each[1])
    days = [START + timedelta(days=each[1]) for each in ordered]
    made = {"entity": [each[0] for each in ordered], "out": [each[2] for each in ordered]}
    frame = pl.DataFrame(made, schema={"entity": pl.String, "out": pl.Int64})
    frame = frame.with_columns(pl.Series("event_time", days, MOMENT))
    return frame.with_columns(known_at=pl.col("event_time") + timedelta(hours=16))


def games_of(games: list[dict[str, tuple[int, int, int]]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pitchers with (outs, strikeouts, batters), game after game; a pitcher's first letter is his club."""
    rows = [
        {"entity": pitcher, "game": str(at), "outs": outs, "strikeouts": out, "batters": faced, "day": at}
        for at, game in enumerate(games)
        for pitcher, (outs, out, faced) in game.items()
    ]
    time = (pl.lit(START) + pl.duration(days="day")).dt.cast_time_unit("us")
    pitched = pl.DataFrame(rows).with_columns(event_time=time)
    pitched = pitched.with_columns(known_at=pl.col("event_time") + timedelta(hours=16))
    clubs = pitched.select("entity", pl.col("entity").str.slice(0, 1).alias("club")).unique()
    clubs = clubs.filter(pl.col("club") != "?")
    return pitched, clubs.with_columns(known_at=pl.lit(START).dt.cast_time_unit("us"))


def test_what_happened_a_half_life_ago_counts_half() -> None:
    rows = rows_of([("a", 0, 8), ("b", 1, 100), ("a", 10, 3), ("a", 11, None)])
    sums = faded_sums(rows, ["out"], 10.0)
    told = sums.filter(pl.col("entity") == "a")
    assert told["out"].to_list() == pytest.approx([8.0, 8.0 / 2 + 3])
    later = faded_to(pl.Series([told["day"][1] + 20.0] * 2), told.select("out", "day"), 10.0)
    assert later["out"][1] == pytest.approx(7.0 / 4)


def test_of_whom_nothing_is_known_nothing_is_left() -> None:
    none = pl.DataFrame({"out": [None], "day": [None]}, schema={"out": pl.Float64, "day": pl.Float64})
    assert faded_to(pl.Series([19_000.0]), none, 10.0)["out"].to_list() == [0.0]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 900), st.integers(0, 15)), max_size=15),
    st.integers(0, 15),
)
def test_later_rows_change_no_earlier_sum(rows: list[Row], until: int) -> None:
    whole = rows_of(rows)
    part = whole.head(until)
    cut = part["known_at"].max() if part.height else None
    part = whole.filter(pl.col("known_at") <= cut) if cut is not None else whole.clear()
    sums = faded_sums(whole, ["out"], 25.0)
    before = sums.filter(pl.col("known_at") <= cut) if cut is not None else sums.clear()
    assert faded_sums(part, ["out"], 25.0).equals(before)


def test_the_club_whose_pitchers_got_fewer_outs_was_away() -> None:
    won_at_home = {"A1": (18, 5, 25), "A2": (9, 4, 11), "B1": (24, 6, 33)}
    walked_off = {"A1": (26, 5, 36), "B1": (27, 7, 38)}
    lost_at_home = {"A1": (27, 5, 36), "B1": (27, 7, 38)}
    one_unknown = {"A1": (18, 5, 25), "?1": (9, 4, 11), "B1": (24, 6, 33)}
    called_off = {"A1": (13, 5, 20), "B1": (12, 7, 18)}
    sites = concluded_sites(*games_of([won_at_home, walked_off, lost_at_home, one_unknown, called_off]))
    assert sites.select("game", "home", "away").rows() == [("0", "A", "B"), ("1", "B", "A")]
    assert sites.select("strikeouts", "batters").row(0) == (15, 69)


def test_a_park_is_how_its_games_differ_from_its_clubs_games_away() -> None:
    games = pl.DataFrame(
        {
            "home": ["A", "B"] * 40,
            "away": ["B", "A"] * 40,
            "strikeouts": [30, 20] * 40,
            "batters": [100, 100] * 40,
        }
    ).with_row_index("day")
    time = (pl.lit(START) + pl.duration(days="day")).dt.cast_time_unit("us")
    games = games.with_columns(event_time=time, known_at=time)
    last = park_factors(games, 1e6, 0.0).group_by("entity", maintain_order=True).last()
    assert dict(last.select("entity", "value").iter_rows()) == pytest.approx({"A": 1.5, "B": 1 / 1.5})
    drawn = park_factors(games, 1e6, 4000.0).group_by("entity", maintain_order=True).last()
    found = dict(drawn.select("entity", "value").iter_rows())
    assert 1.0 < found["A"] < 1.3
    assert found["A"] * found["B"] == pytest.approx(1.0)


def test_each_bookmakers_line_nearest_to_even_stands_for_it() -> None:
    asked = [("x", 4.5, 0.7), ("x", 5.5, 0.48), ("y", 5.5, 0.52), ("z", 6.5, 0.5)]
    quotes = pl.DataFrame(asked, schema=["book", "line", "over"], orient="row").with_columns(
        pl.lit("p").alias("entity"),
        pl.lit(START).alias("known_at"),
        pl.lit(START).alias("event_time"),
        pl.lit(0.05).alias("overround"),
    )
    later = quotes.with_columns(pl.col("known_at") + timedelta(hours=3), over=pl.col("over") + 0.05)
    made = market_of(pl.concat([quotes, later]))
    assert made["line"].to_list() == [5.5, 5.5]
    assert made["books"].to_list() == [3.0, 3.0]
    assert made["over"][0] == pytest.approx(0.5)
    assert made["movement"][0] == 0.0
    assert made["movement"][1] > 0.0
