"""Delimited text to rows: by Polars where the file is regular, by a patient reader where it is not.

Both give the same table for the same bytes; that is tested. A regular file has as many fields in every line
as in its header, no blank line, and quotes only around whole fields, without a line break in them.
"""

import csv
import io
from collections.abc import Sequence

import numpy as np
import polars as pl

from pennant.data.connectors.base import Answer
from pennant.data.refusals import MAX_LINE_BYTES, check_columns, check_size, malformed

_CHUNK_BYTES = 1 << 24
_CHUNK_ROWS = 50_000
_Bytes = np.ndarray[tuple[int], np.dtype[np.uint8]]
_Marks = np.ndarray[tuple[int], np.dtype[np.bool_]]
_NEWLINE, _RETURN, _QUOTE = b'\n\r"'


def rows_of(answer: Answer, content: bytes, separator: str, columns: Sequence[str] | None) -> pl.DataFrame:
    """The table in `content`, which is UTF-8 without a byte order mark.

    Args:
        answer: for messages.
        content: the text.
        separator: one character.
        columns: names of a file without a header; None reads them from the first line.

    Raises:
        SourceMalformed: see `pennant.data.parsing.csv_table`.
    """
    check_size(answer, content.count(b"\n"), len(columns or []))
    found = regular_rows(answer, content, separator, columns)
    return found if found is not None else patient_rows(answer, content, separator, columns)


def regular_rows(
    answer: Answer, content: bytes, separator: str, columns: Sequence[str] | None
) -> pl.DataFrame | None:
    """The rows by Polars; None where the file is not regular.

    Raises:
        SourceMalformed: a doubled column.
    """
    mark, body = separator.encode(), content.rstrip(b"\r\n")
    blank = b"\n\n" in body or b"\n\r\n" in body or body.startswith((b"\n", b"\r"))
    if len(mark) != 1 or blank or body.count(b"\r") != body.count(b"\r\n"):
        return None
    first, _, rest = body.partition(b"\n")
    header = list(columns) if columns is not None else _header(first, separator)
    data = rest if columns is None else body
    if header is None or not data or not _is_regular(data, mark, len(header)):
        return None
    check_columns(answer, header)
    try:
        table = pl.read_csv(
            data,
            has_header=False,
            separator=separator,
            quote_char='"' if b'"' in data else None,
            infer_schema=False,
            new_columns=[f"_{number}" for number in range(len(header))],
        )
    except pl.exceptions.PolarsError:
        return None
    if table.height != data.count(b"\n") + 1 or table.width != len(header):
        return None
    lines = pl.int_range(0, pl.len(), dtype=pl.Int64) + (1 if columns is not None else 2)
    cells = [
        pl.when(pl.col(old) != "").then(pl.col(old)).alias(name)
        for old, name in zip(table.columns, header, strict=True)
        if name
    ]
    return table.select(lines.alias("line"), pl.lit(None, pl.String).alias("misfit"), *cells)


def _header(line: bytes, separator: str) -> list[str] | None:
    try:
        names = next(csv.reader([line.rstrip(b"\r").decode()], strict=True, delimiter=separator))
    except csv.Error:
        return None
    return [name.strip() for name in names]


def _is_regular(data: bytes, mark: bytes, width: int) -> bool:
    """Whether every line has `width` fields, and quotes stand around whole fields."""
    quoted, begin = b'"' in data, 0
    if quoted and mark in {b"\n", b"\r", b'"'}:
        return False
    while begin < len(data):
        stop = data.find(b"\n", begin + _CHUNK_BYTES)
        stop = len(data) if stop < 0 else stop + 1
        part = np.frombuffer(data[begin:stop], dtype=np.uint8)
        marks = _outside_quotes(part, mark[0]) if quoted else part == mark[0]
        if marks is None or not _evenly(part, marks, width - 1):
            return False
        begin = stop
    return True


def _evenly(part: _Bytes, marks: _Marks, each: int) -> bool:
    """Whether each line has so many marks. Polars itself lets an empty field too many pass."""
    ends = np.flatnonzero(part == _NEWLINE)
    if part[-1] != _NEWLINE:
        ends = np.append(ends, len(part))
    places = np.flatnonzero(marks)
    if len(places) != each * len(ends) or not each:
        return len(places) == each * len(ends)
    lines = places.reshape(len(ends), each)
    return bool((lines[:, -1] < ends).all() and (lines[1:, 0] > ends[:-1]).all())


def _outside_quotes(part: _Bytes, mark: int) -> _Marks | None:
    """Separators in whole lines that are not inside quotes; None where a quote stands elsewhere."""
    quote = part == _QUOTE
    inside = np.cumsum(quote, dtype=np.uint8) & 1 == 1  # from an opening quote up to its closing one
    newline = part == _NEWLINE
    if inside[-1] or bool((newline & inside).any()):
        return None
    edge = newline | (part == mark) | quote
    before = np.concatenate([[True], edge[:-1]])
    after = np.concatenate([(edge | (part == _RETURN))[1:], [True]])
    if bool((quote & inside & ~before).any()) or bool((quote & ~inside & ~after).any()):
        return None
    marks: _Marks = (part == mark) & ~inside
    return marks


def patient_rows(
    answer: Answer, content: bytes, separator: str, columns: Sequence[str] | None
) -> pl.DataFrame:
    """The rows by a reader that knows blank lines, line breaks in quotes and rows of another shape.

    Raises:
        SourceMalformed: quotes that do not fit together, a last line that is cut off, a doubled column.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(io.StringIO(content.decode(), newline=""), strict=True, delimiter=separator)
    frames: list[pl.DataFrame] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        if columns is None:
            header = [name.strip() for name in next((row for row in reader if row), [])]
        else:
            header = list(columns)
        check_columns(answer, header)
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
            if len(rows) == _CHUNK_ROWS:
                frames.append(_frame(header, rows[:-1], lines[:-1]))
                rows, lines = rows[-1:], lines[-1:]
    except csv.Error as error:
        problem = "truncated" if "unexpected end of data" in str(error) else "not_text"
        found = f"{error} in line {reader.line_num}"
        raise malformed(answer, problem, found=found, allowed="a table") from error
    if rows and len(rows[-1]) < len(header):
        raise malformed(
            answer,
            "truncated",
            found=f"{len(rows[-1])} fields in the last line ({lines[-1]})",
            allowed=f"{len(header)} fields as in the header",
        )
    return pl.concat([*frames, _frame(header, rows, lines)])


def _frame(header: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int]) -> pl.DataFrame:
    width = len(header)
    odd = [None if len(row) == width else f"{len(row)} of {width} fields" for row in rows]
    data = {
        "line": pl.Series("line", lines, dtype=pl.Int64),
        "misfit": pl.Series("misfit", odd, dtype=pl.String),
    }
    for at, name in enumerate(header):
        if name:
            cells = [(row[at] or None) if at < len(row) else None for row in rows]
            data[name] = pl.Series(name, cells, dtype=pl.String)
    return pl.DataFrame(data)
