"""Players' games derived from Retrosheet's play-by-play: one row per player and game, whole seasons.

The information used here was obtained free of charge from and is copyrighted by Retrosheet. Interested
parties may contact Retrosheet at "www.retrosheet.org". Retrosheet publishes a season after it is over; what
the table says of a game stood in the newspapers the morning after, when a declaration may let it be known.
"""

from typing import Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask
from pennant.data.parsing import csv_table, parquet_table
from pennant.declaration.model import Source
from pennant.reference import Window

OPTIONS = ("table",)
TABLES = ("batting", "pitching")


class Retrosheet:
    """Option `table`: `batting` or `pitching`.

    Adds `appearance` (`<game_id>-<player_id>`) and an empty `game_time`: the files tell days only.
    """

    kind = "retrosheet"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        found = [
            f"retrosheet knows no option {name!r}; allowed: {', '.join(OPTIONS)}"
            for name in source.options
            if name not in OPTIONS
        ]
        if source.options.get("table") not in TABLES:
            given = repr(source.options["table"]) if "table" in source.options else "nothing"
            found.append(f"option table: found {given}; allowed: {', '.join(TABLES)}")
        if source.url is None and source.path is None:
            found.append("retrosheet needs an address: url, path, or both")
        return found

    def asks(self, source: Source, window: Window) -> list[Ask]:  # noqa: ARG002  # the whole table every time
        """The one file of the table."""
        return [Ask(part=str(source.options["table"]), url=source.url, path=source.path)]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one layout
        """The rows of the file as text, with `appearance` and `game_time`.

        Raises:
            SourceMalformed: the body is neither Parquet nor CSV.
        """
        table = parquet_table(answer) if answer.content[:4] == b"PAR1" else csv_table(answer)
        added = {"game_time": pl.lit(None, pl.String)}
        if {"game_id", "player_id"} <= set(table.columns):
            added["appearance"] = pl.concat_str("game_id", "player_id", separator="-")
        return table.with_columns(**added)
