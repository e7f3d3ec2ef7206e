"""Major League Baseball: pitchers' games, strikeout prices and the archive of odds, as collected by others.

Each table is one file without a schedule ahead: what it holds was written after the games. The connector adds
what the declaration needs and the files leave out: a column that names the row, and empty kick-off times.
"""

import io
from dataclasses import replace
from typing import Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pennant.data.connectors.base import Answer, Ask
from pennant.data.parsing import MAX_CELLS, csv_table, parquet_table
from pennant.declaration.model import Source
from pennant.reference import Window

OPTIONS = ("table",)
LINE = "strikeout_line"
"""What `line` is called here, where `line` counts the lines of a file."""
NAMES = {
    "pitcher_games": ("appearance", ("game_pk", "pitcher_id")),
    "strikeout_lines": ("quote", ("game_date", "pitcher_name", "book", LINE, "snapshot_at")),
    "games": ("game", ("date", "rot_away")),
}
"""Table to the column that names its rows, and what that is made of."""
TABLES = tuple(NAMES)


class Mlb:
    """Option `table`: `pitcher_games`, `strikeout_lines` or `games` (the archive of odds).

    `pitcher_games` gets `appearance` (`<game_pk>-<pitcher_id>`) and an empty `game_time`; `games` gets `game`
    (`<date>-<rotation number>`) and an empty `game_time`; `strikeout_lines` gets `quote`, which names day,
    pitcher, book, line and moment, and its `line` is read as `strikeout_line`.
    """

    kind = "mlb"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        found = [
            f"mlb knows no option {name!r}; allowed: {', '.join(OPTIONS)}"
            for name in source.options
            if name not in OPTIONS
        ]
        if source.options.get("table") not in TABLES:
            given = repr(source.options["table"]) if "table" in source.options else "nothing"
            found.append(f"option table: found {given}; allowed: {', '.join(TABLES)}")
        if source.url is None and source.path is None:
            found.append("mlb needs an address: url, path, or both")
        return found

    def asks(self, source: Source, window: Window) -> list[Ask]:  # noqa: ARG002  # the whole table every time
        """The one file of the table."""
        return [Ask(part=str(source.options["table"]), url=source.url, path=source.path)]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:
        """The rows of the file as text, with the added columns.

        Raises:
            SourceMalformed: the body is neither Parquet nor CSV.
        """
        if answer.content[:4] == b"PAR1":
            table = parquet_table(replace(answer, content=_renamed(answer.content)))
        else:
            table = csv_table(answer)
        return table.with_columns(**_added(str(source.options["table"]), set(table.columns)))


def _added(table: str, columns: set[str]) -> dict[str, pl.Expr]:
    """The columns to add, where those they are made of are there; a missing one is told by the reader."""
    name, of = NAMES[table]
    named = {name: pl.concat_str(*of, separator="-")} if set(of) <= columns else {}
    if table == "strikeout_lines":
        return named
    return {**named, "game_time": pl.lit(None, pl.String)}


def _renamed(content: bytes) -> bytes:
    """The same Parquet file with `line` under its other name; a damaged or too large one stays as it is."""
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        names = file.schema_arrow.names
        if "line" not in names or file.metadata.num_rows * len(names) > MAX_CELLS:
            return content
        table = file.read()
    except (pa.ArrowException, OSError):
        return content
    sink = io.BytesIO()
    pq.write_table(table.rename_columns([LINE if name == "line" else name for name in names]), sink)
    return sink.getvalue()
