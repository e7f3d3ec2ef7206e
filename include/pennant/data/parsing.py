"""From a provider's bytes to a table of text: `line`, `misfit`, and a String column per column of theirs.

What is wrong with the whole answer raises `SourceMalformed`; a row of another shape than the header is kept
and says so in `misfit`. `line` is the line of the file, or the number of the record, for people to look at.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pennant.data.connectors.base import Answer
from pennant.data.errors import SourceMalformed

MAX_LINE_BYTES = 1 << 20
"""A longer line is no line of a table: a missing line break, or an attack."""
MAX_COLUMNS = 5_000
MAX_ROWS = 50_000_000
MAX_CELLS = 500_000_000
"""Rows times columns that a compressed file may unfold to."""
OWN = ("line", "misfit")


def csv_table(answer: Answer, *, separator: str = ",", columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Rows of a delimited text with a header, UTF-8 with or without a byte order mark.

    Bytes that are not UTF-8 become U+FFFD, so that the cells they stand in can be named.

    Args:
        answer: what the provider gave.
        separator: one character between the fields.
        columns: the names of the columns of a file that has no header.

    Raises:
        SourceMalformed: empty, HTML, binary, a doubled column, a line beyond `MAX_LINE_BYTES`, cut off.
    """
    content = answer.content.removeprefix(b"\xef\xbb\xbf")
    _check_text(answer, content)
    rows = _plain_rows(content, separator, columns)
    if rows is None:
        rows = _any_rows(answer, content, separator, columns)
    return rows


def json_table(answer: Answer, records: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Records as rows of text, nested values as JSON; a record without a field has null there.

    Raises:
        SourceMalformed: a record is no object, or they have more than `MAX_COLUMNS` fields.
    """
    rows: list[dict[str, str | None]] = []
    names: dict[str, None] = {}
    for number, record in enumerate(records, 1):
        if not isinstance(record, Mapping):
            found = f"record {number} is {json.dumps(record)[:80]}"
            raise _malformed(answer, "not_text", found=found, allowed="objects with named fields")
        names |= dict.fromkeys(record)
        rows.append({name: _text(value) for name, value in record.items()})
    _check_columns(answer, list(names))
    data: dict[str, pl.Series] = _frame_of(range(1, len(rows) + 1))
    for name in names:
        data[name] = pl.Series(name, [row.get(name) for row in rows], pl.String)
    return pl.DataFrame(data)


def json_content(answer: Answer) -> Any:
    """The parsed JSON body.

    Raises:
        SourceMalformed: the body is empty, HTML, or cut off.
    """
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError) as error:
        _check_text(answer, answer.content)
        raise _malformed(
            answer, "truncated", found=f"{len(answer.content)} bytes ({error})", allowed="one JSON document"
        ) from error


def parquet_table(answer: Answer) -> pl.DataFrame:
    """Rows of a Parquet file as text: moments in ISO 8601 (UTC with its offset), floats as they round-trip.

    Raises:
        SourceMalformed: cut off, damaged, or unfolding to more than `MAX_CELLS`.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(answer.content))
        _check_columns(answer, file.schema_arrow.names)
        rows, width = file.metadata.num_rows, max(len(file.schema_arrow.names), 1)
        if rows > MAX_ROWS or rows * width > MAX_CELLS:
            raise _malformed(
                answer, "too_large", found=f"{rows} rows of {width} columns", allowed=f"{MAX_CELLS} cells"
            )
        table = pl.DataFrame(pl.from_arrow(file.read()))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _malformed(
            answer,
            "truncated",
            found=f"{len(answer.content)} bytes ({' '.join(str(error).split())[:200]})",
            allowed="a whole Parquet file",
        ) from error
    texts = [_as_text(name, dtype) for name, dtype in table.schema.items()]
    lines = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("line")
    return table.select(lines, pl.lit(None, pl.String).alias("misfit"), *texts)


def _check_text(answer: Answer, content: bytes) -> None:
    start = content[:2000].lstrip()
    if not start and not content.strip():
        raise _malformed(answer, "empty", found=f"{len(content)} bytes", allowed="a table")
    if start.startswith(b"<"):
        raise _malformed(answer, "html", found=repr(start[:80].decode(errors="replace")), allowed="a table")
    if b"\0" in content:
        at = content.index(b"\0")
        raise _malformed(answer, "not_text", found=f"a zero byte at {at}", allowed="text")
    ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n"))
    edges = np.concatenate([[-1], ends, [len(content)]])
    longest = int(np.diff(edges).max())
    if longest > MAX_LINE_BYTES:
        number = int(np.argmax(np.diff(edges))) + 1
        raise _malformed(
            answer,
            "too_large",
            found=f"line {number} of {longest} bytes",
            allowed=f"lines of at most {MAX_LINE_BYTES} bytes",
        )


def _plain_rows(content: bytes, separator: str, columns: Sequence[str] | None) -> pl.DataFrame | None:
    """The rows by the fast reader, where the file is so plain that both readers agree; else None."""
    mark = separator.encode()
    body = content.rstrip(b"\r\n")
    odd = b'"' in body or b"\n\n" in body or b"\r\n\r\n" in body or body.startswith((b"\n", b"\r"))
    if odd or body.count(b"\r") != body.count(b"\r\n"):
        return None
    first, _, rest = body.partition(b"\n")
    header = (
        list(columns) if columns is not None else [_name(each) for each in first.rstrip(b"\r").split(mark)]
    )
    data = body if columns is not None else rest
    rows = data.count(b"\n") + 1 if data else 0
    # With no row longer than the header, the right number of marks means that none is shorter.
    if not rows or len(set(header)) < len(header) or data.count(mark) != (len(header) - 1) * rows:
        return None
    try:
        data.decode("utf-8")
        table = pl.read_csv(
            data,
            has_header=False,
            separator=separator,
            quote_char=None,
            infer_schema=False,
            new_columns=[f"_{number}" for number in range(len(header))],
            truncate_ragged_lines=False,
        )
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return None
    if table.height != rows or table.width != len(header):
        return None
    table.columns = header
    lines = pl.int_range(0, pl.len(), dtype=pl.Int64) + (1 if columns is not None else 2)
    named = [name for name in header if name]
    return table.select(lines.alias("line"), pl.lit(None, pl.String).alias("misfit"), *named)


def _any_rows(answer: Answer, content: bytes, separator: str, columns: Sequence[str] | None) -> pl.DataFrame:
    """The rows by a patient reader that knows quotes, blank lines and rows of another shape."""
    text = content.decode("utf-8", errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    rows: list[list[str]] = []
    lines: list[int] = []
    csv.field_size_limit(MAX_LINE_BYTES)
    try:
        header = (
            list(columns)
            if columns is not None
            else [name.strip() for name in next((row for row in reader if row), [])]
        )
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        problem = "truncated" if "unexpected end of data" in str(error) else "not_text"
        found = f"{error} in line {reader.line_num}"
        raise _malformed(answer, problem, found=found, allowed="a table") from error
    _check_columns(answer, header)
    width = len(header)
    if rows and len(rows[-1]) < width:
        raise _malformed(
            answer,
            "truncated",
            found=f"{len(rows[-1])} fields in the last line ({lines[-1]})",
            allowed=f"{width} fields as in the header",
        )
    data = _frame_of(lines, [None if len(row) == width else f"{len(row)} of {width} fields" for row in rows])
    for at, name in enumerate(header):
        if name:
            cells = [row[at] if at < len(row) else None for row in rows]
            data[name] = pl.Series(name, cells, dtype=pl.String)
    return pl.DataFrame(data)


def _frame_of(lines: Iterable[int], misfits: Sequence[str | None] | None = None) -> dict[str, pl.Series]:
    numbers = pl.Series("line", list(lines), dtype=pl.Int64)
    odd = list(misfits) if misfits is not None else [None] * len(numbers)
    return {"line": numbers, "misfit": pl.Series("misfit", odd, dtype=pl.String)}


def _check_columns(answer: Answer, names: Sequence[str]) -> None:
    doubled = [name for name, count in Counter(name for name in names if name).items() if count > 1]
    if doubled:
        found = f"{list(names).count(doubled[0])} of it"
        raise _malformed(answer, "doubled_column", column=doubled[0], found=found, allowed="one")
    taken = [name for name in names if name in OWN]
    if taken:
        raise _malformed(
            answer, "doubled_column", column=taken[0], found="a column of this name", allowed="another name"
        )
    if len(names) > MAX_COLUMNS:
        raise _malformed(
            answer, "too_large", found=f"{len(names)} columns", allowed=f"at most {MAX_COLUMNS} columns"
        )


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        shown = column if dtype.time_zone is None else column.dt.convert_time_zone("UTC")
        form = "%Y-%m-%dT%H:%M:%S%.6f" + ("" if dtype.time_zone is None else "+00:00")
        return shown.dt.strftime(form)
    if isinstance(dtype, pl.Binary):
        return column.cast(pl.String, strict=False)
    if dtype.is_nested():
        return column.map_elements(_text, return_dtype=pl.String)
    return column.cast(pl.String)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    return json.dumps(value, default=str)


def _name(text: bytes) -> str:
    return text.decode("utf-8", errors="replace").strip()


def _malformed(answer: Answer, problem: str, **given: str | None) -> SourceMalformed:
    return SourceMalformed(answer.source, answer.address, problem, **given)  # type: ignore[arg-type]
