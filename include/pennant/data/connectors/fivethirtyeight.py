"""FiveThirtyEight's Elo forecasts of every NFL game from 1920 to the season of 2020.

github.com/fivethirtyeight/nfl-elo-game, `data/nfl_games.csv`, unchanged since February 2021. `elo_prob1` is
what was said of `team1` before the game. `score1`, `score2` and `result1` stand in the same rows: they are
outcomes, and no feature has a use for them.
"""

from typing import Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask
from pennant.data.parsing import csv_table
from pennant.declaration.model import Source
from pennant.reference import Window


class FiveThirtyEight:
    """One file, no options."""

    kind = "fivethirtyeight"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        found = [f"fivethirtyeight knows no option {name!r}; allowed: none" for name in source.options]
        if source.url is None and source.path is None:
            found.append("fivethirtyeight needs an address: url, path, or both")
        return found

    def asks(self, source: Source, window: Window) -> list[Ask]:  # noqa: ARG002  # the whole table every time
        """The one file."""
        return [Ask(part="nfl_games", url=source.url, path=source.path)]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one layout
        """The rows of the file as text.

        Raises:
            SourceMalformed: the body is no CSV table.
        """
        return csv_table(answer)
