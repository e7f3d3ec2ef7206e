"""League results and bookmakers' prices as football-data.co.uk gives them: one CSV file per season.

The address of a season is `https://www.football-data.co.uk/mmz4281/<yyyy>/<division>.csv`, the meaning of the
columns in https://www.football-data.co.uk/notes.txt. The files are old and made by hand: columns come and go,
dates come in three spellings, some files are Latin-1, and a few have nameless columns at the end.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask
from pennant.data.parsing import csv_table
from pennant.declaration.model import Source
from pennant.reference import Window

ADDRESS = "https://www.football-data.co.uk/mmz4281/{season}/{division}.csv"
OPTIONS = ("division", "first_season")
_OPENS, _CLOSES = (7, 1), (9, 1)
"""A season's file is asked for from July of its first year to August after its end: that holds 2019/20, which
was played until 26 July, and a month for corrections."""


class FootballData:
    """Options: `division` (`E0` is the Premier League) and `first_season` (2000 is 2000/01).

    Adds to each row `season` (the year in which it began) and `match_id`, which stays the same when a match
    is moved to another day: within a season each club is at home to each other club once. A season from
    before kick-off times were told gets an empty `Time`.
    """

    kind = "football_data"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        found = [
            f"football_data knows no option {name!r}; allowed: {', '.join(OPTIONS)}"
            for name in source.options
            if name not in OPTIONS
        ]
        if not isinstance(source.options.get("division"), str):
            given = repr(source.options["division"]) if "division" in source.options else "nothing"
            found.append(f"option division: found {given}; allowed: a division's code such as E0")
        first = source.options.get("first_season")
        if not isinstance(first, int) or isinstance(first, bool) or not 1993 <= first <= 2100:
            given = "nothing" if first is None else repr(first)
            found.append(f"option first_season: found {given}; allowed: a year from 1993, for example 2000")
        addresses = (("url", source.url), ("path", source.path))
        found += [
            f"{name}: found {text!r}; allowed: text with {{season}}, which is 0001 for 2000/01"
            for name, text in addresses
            if text is not None and "{season}" not in text
        ]
        return found

    def asks(self, source: Source, window: Window) -> list[Ask]:
        """One request per season that overlaps the window or is listed ahead of its end."""
        division = str(source.options["division"])
        first = int(str(source.options["first_season"]))
        until = window.as_of + timedelta(days=source.ahead_days)
        asked = []
        for year in range(max(first, window.start.year - 1), until.year + 1):
            opens, closes = (_day(year, *_OPENS), _day(year + 1, *_CLOSES))
            if opens <= until and closes > window.start:
                code = f"{year % 100:02d}{(year + 1) % 100:02d}"
                asked.append(
                    Ask(
                        part=f"{division}_{code}",
                        url=(source.url or ADDRESS).format(season=code, division=division),
                        path=source.path.format(season=code, division=division) if source.path else None,
                        optional=True,  # the file appears with the season's first matches
                    )
                )
        return asked

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one layout
        """The rows of one season as text, with `season`, `match_id` and `Time` in every one.

        Raises:
            SourceMalformed: the body is no table of matches.
        """
        table = csv_table(replace(answer, content=_in_utf8(answer.content)))
        told = pl.any_horizontal(pl.exclude("line", "misfit").str.strip_chars().fill_null("") != "")
        table = table.filter(told)  # some files end in rows of nothing but commas
        year = (
            2000 + int(answer.part[-4:-2]) if int(answer.part[-4:-2]) < 93 else 1900 + int(answer.part[-4:-2])
        )
        added = {"season": pl.lit(str(year))}
        if {"HomeTeam", "AwayTeam"} <= set(table.columns):
            sides = (pl.col("HomeTeam").str.strip_chars(), pl.col("AwayTeam").str.strip_chars())
            added["match_id"] = pl.concat_str(pl.lit(str(year)), *sides, separator=" ")
        if "Time" not in table.columns:
            added["Time"] = pl.lit(None, pl.String)
        return table.with_columns(**added)


def _first_year(part: str) -> int:
    """2003 of `E0_0304`; the oldest file there is belongs to 1993/94."""
    year = int(part[-4:-2])
    return year + (1900 if year >= 93 else 2000)


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def _in_utf8(content: bytes) -> bytes:
    """The same text in UTF-8; a file that is not is Latin-1, as 2004/05 is for its no-break spaces."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1").encode()
    return content
