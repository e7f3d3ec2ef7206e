"""The tables of nflverse: every NFL game with its closing lines, and players' weeks.

github.com/nflverse/nfldata (games, Lee Sharpe) and github.com/nflverse/nflverse-data (player_stats). Both are
whole tables that are written anew: past, present and, for games, the coming season. Players' weeks say no
date: the connector adds the day by which the week is over and counted.
"""

from typing import Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask
from pennant.data.parsing import csv_table, parquet_table
from pennant.declaration.model import Source
from pennant.reference import Window

TABLES = ("games", "player_weeks")
OPTIONS = ("table", "also")
WEEK_OVER = "week_over"
"""Column added to players' weeks, which have no date: the Thursday after the week, by then all is counted."""


class Nflverse:
    """Option `table`: `games` or `player_weeks`, CSV or Parquet. Option `also`: more files below the mirror.

    A public address has past and coming games in one file; a mirror may keep the coming season apart.
    """

    kind = "nflverse"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        found = [
            f"nflverse knows no option {name!r}; allowed: {', '.join(OPTIONS)}"
            for name in source.options
            if name not in OPTIONS
        ]
        if source.options.get("table") not in TABLES:
            given = source.options.get("table", "nothing")
            found.append(f"option table: found {given!r}; allowed: {', '.join(TABLES)}")
        also = source.options.get("also", [])
        if not isinstance(also, list):
            found.append(f"option also: found {also!r}; allowed: a list of files below the mirror")
        if source.url is None and source.path is None:
            found.append("nflverse needs an address: url, path, or both")
        return found

    def asks(self, source: Source, window: Window) -> list[Ask]:  # noqa: ARG002  # the whole table every time
        """The table, and the mirror's further parts of it."""
        table = str(source.options["table"])
        also = source.options.get("also", [])
        further = also if isinstance(also, list) else []
        return [
            Ask(part=table, url=source.url, path=source.path),
            *(Ask(part=path.rsplit("/", 1)[-1], path=path, optional=True) for path in further),
        ]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:
        """The rows of one file as text; players' weeks with `WEEK_OVER`.

        Raises:
            SourceMalformed: the body is neither Parquet nor CSV.
        """
        rows = parquet_table(answer) if answer.content[:4] == b"PAR1" else csv_table(answer)
        if source.options.get("table") == "player_weeks" and {"season", "week"} <= set(rows.columns):
            return rows.with_columns(_week_over().alias(WEEK_OVER))
        return rows


def _week_over() -> pl.Expr:
    """The Thursday after a week of a season as YYYY-MM-DD; empty where season or week is no number.

    The first week ends on the Monday after Labor Day, the first Monday of September (in 2000 it ended on
    Labor Day itself); a game put off to Tuesday or Wednesday (2020) is over by Thursday too. The Super Bowl
    is two weeks after the round before it, in week 21, and in week 22 from 2021 on. In 2001 all but the
    first week were played a week later.
    """
    season, week = (
        pl.col(name).cast(pl.Float64, strict=False).cast(pl.Int32, strict=False)
        for name in ("season", "week")
    )
    september = pl.date(season, 9, 1)
    labor_day = september + pl.duration(days=(8 - september.dt.weekday()) % 7)
    final = pl.when(season < 2021).then(21).otherwise(22)
    late = (week >= final).cast(pl.Int32) + ((season == 2001) & (week > 1)).cast(pl.Int32)
    return (labor_day + pl.duration(days=10 + 7 * (week - 1 + late))).dt.strftime("%Y-%m-%d")
