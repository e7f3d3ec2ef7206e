"""From a provider's bytes to a table of text: `line`, `misfit`, and a String column per column of theirs.

What is wrong with the whole answer raises `SourceMalformed`; a row of another shape than the header is kept
and says so in `misfit`. `line` is the line of the file, or the number of the record, for people to look at.
An empty cell is null, however the provider writes it.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pennant.data.connectors.base import Answer
from pennant.data.delimited import rows_of
from pennant.data.refusals import (
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_LINE_BYTES,
    MAX_ROWS,
    OWN,
    check_cells,
    check_columns,
    check_size,
    check_text,
    malformed,
)

__all__ = [
    "MAX_CELLS",
    "MAX_COLUMNS",
    "MAX_LINE_BYTES",
    "MAX_ROWS",
    "OWN",
    "csv_table",
    "json_content",
    "json_table",
    "parquet_table",
]

_DAMAGED = (pa.ArrowException, OSError, ValueError, pl.exceptions.PolarsError)
_BAD = "\ufffd"
"""Stands for what is no character of a text; the cells it is in are told by reading."""


def csv_table(answer: Answer, *, separator: str = ",", columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Rows of a delimited text with a header, UTF-8 with or without a byte order mark.

    Bytes that are not UTF-8 become U+FFFD, so that the cells they stand in can be named.

    Args:
        answer: what the provider gave.
        separator: one character between the fields.
        columns: the names of the columns of a file that has no header.

    Raises:
        SourceMalformed: empty, HTML, binary, a doubled column, a line beyond `MAX_LINE_BYTES`, cut off, or
            quotes that do not fit together.
    """
    content = answer.content.removeprefix(b"\xef\xbb\xbf")
    check_text(answer, content)
    try:
        content.decode()
    except UnicodeDecodeError:
        content = content.decode(errors="replace").encode()
    return rows_of(answer, content, separator, columns)


def json_table(answer: Answer, records: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Records as rows of text, nested values as JSON; a record without a field has null there.

    Raises:
        SourceMalformed: a record is no object, a value is longer than `MAX_LINE_BYTES`, or they have more
            than `MAX_COLUMNS` fields.
    """
    rows: list[dict[str, str | None]] = []
    names: dict[str, None] = {}
    for number, record in enumerate(records, 1):
        if not isinstance(record, Mapping):
            found = f"record {number} is {json.dumps(record)[:80]}"
            raise malformed(answer, "not_text", found=found, allowed="objects with named fields")
        row = {_clean(name): _text(value) for name, value in record.items() if name}
        names |= dict.fromkeys(row)
        rows.append(row)
    check_columns(answer, list(names))
    check_size(answer, len(rows), len(names))
    data: dict[str, pl.Series] = {
        "line": pl.Series("line", range(1, len(rows) + 1), dtype=pl.Int64),
        "misfit": pl.Series("misfit", [None] * len(rows), dtype=pl.String),
    }
    for name in names:
        data[name] = pl.Series(name, [row.get(name) or None for row in rows], pl.String)
    return _checked(answer, pl.DataFrame(data))


def json_content(answer: Answer) -> Any:
    """The parsed JSON body.

    Raises:
        SourceMalformed: the body is empty, HTML, cut off, or names a field of an object twice.
    """
    try:
        return json.loads(answer.content, object_pairs_hook=_object)
    except _DoubledField as doubled:
        raise malformed(
            answer, "doubled_column", column=doubled.name, found="it twice in one object", allowed="one"
        ) from None
    except (ValueError, RecursionError) as error:
        start = answer.content[:2000].removeprefix(b"\xef\xbb\xbf").lstrip()
        if not start or start.startswith(b"<"):
            check_text(answer, answer.content)
        raise malformed(
            answer, "truncated", found=f"{len(answer.content)} bytes ({error})", allowed="one JSON document"
        ) from error


def parquet_table(answer: Answer) -> pl.DataFrame:
    """Rows of a Parquet file as text: moments in ISO 8601 (UTC with its offset), floats as they round-trip.

    Raises:
        SourceMalformed: cut off, damaged, or unfolding to more cells or text than a table may have.
    """
    try:
        # Its own description first: names that are doubled, sizes that are an attack.
        with pq.ParquetFile(io.BytesIO(answer.content)) as file:
            names, rows = file.schema_arrow.names, file.metadata.num_rows
        check_columns(answer, names)
        check_size(answer, rows, len(names))
        # Text in views: a value that stands in many rows is in memory once.
        table = pl.read_parquet(io.BytesIO(answer.content))
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        raise malformed(
            answer,
            "truncated",
            found=f"{len(answer.content)} bytes ({' '.join(str(error).split())[:200]})",
            allowed="a whole Parquet file",
        ) from None
    _checked(answer, table)
    texts = [_as_text(name, dtype) for name, dtype in table.schema.items() if name]
    lines = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("line")
    return table.select(lines, pl.lit(None, pl.String).alias("misfit"), *texts)


class _DoubledField(ValueError):
    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DoubledField(next(name for name in names if names.count(name) > 1))
    return found


def _checked(answer: Answer, table: pl.DataFrame) -> pl.DataFrame:
    """The table, whose texts are neither too long by themselves nor all together."""
    texts = table.select(pl.col(pl.String).str.len_bytes().cast(pl.Int64))
    longest = {name: int(size or 0) for name, size in zip(texts.columns, texts.max().row(0), strict=True)}
    check_cells(answer, longest, sum(int(size or 0) for size in texts.sum().row(0)))
    return table


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.String):
        text = column.str.replace_all("\0", _BAD, literal=True)
        return pl.when(text != "").then(text).alias(name)
    if isinstance(dtype, pl.Datetime):
        shown = column if dtype.time_zone is None else column.dt.convert_time_zone("UTC")
        form = "%Y-%m-%dT%H:%M:%S%.6f" + ("" if dtype.time_zone is None else "+00:00")
        return shown.dt.strftime(form)
    if isinstance(dtype, pl.Binary):
        text = column.cast(pl.String, strict=False)
        return pl.when(column.is_not_null()).then(text.fill_null(_BAD)).alias(name)
    if dtype.is_nested():
        return column.map_elements(_text, return_dtype=pl.String)
    return column.cast(pl.String)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, bool | int | float):
        return str(value)
    nested = value.to_list() if isinstance(value, pl.Series) else value
    return _clean(json.dumps(nested, default=str))


def _clean(text: str) -> str:
    """Without what JSON can write and no text can hold: zero characters and halves of a character."""
    if "\0" in text:
        text = text.replace("\0", _BAD)
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_BAD if "\ud800" <= each <= "\udfff" else each for each in text)
    return text
