"""From a provider's bytes to rows of text, and from text to the declared types.

Everything is read as text first. What is wrong with the whole table raises `SourceMalformed`; what
is wrong with single rows becomes a fault of those rows, and they end in quarantine.
"""

import difflib
from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

from pennant.data.connectors.base import Answer
from pennant.data.connectors.kinds import connector_of, source_of
from pennant.data.errors import SourceMalformed
from pennant.data.parsing import OWN
from pennant.declaration.model import Source

TEXT = "text."
"""Prefix of a provider's column as it was written, so that no name of its can meet one of ours."""
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""What providers write for an absent number, flag or moment. In a `str` column only the empty text is."""
UNDECODABLE = "\ufffd"
_FEWEST_FOR_RETYPED = 3
UTC_MOMENT = pl.Datetime("us", "UTC")
FIRST_MOMENT, LAST_MOMENT = datetime(1800, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)

_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")
_ISO_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%dT%H:%M%:z")
_ISO_LOCAL = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d")

POLARS_TYPES: dict[str, pl.DataType] = {
    "str": pl.String(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us", "UTC"),
}


def declared_columns(source: Source) -> list[str]:
    """Every column of the provider that the declaration reads, each once, keys first."""
    names = [*source.key, *source.event_time.columns]
    for group in source.groups.values():
        names += [*group.columns, *([group.known_at.column] if group.known_at.column else [])]
    return list(dict.fromkeys(names))


def read_table(answers: Sequence[Answer], source: Source) -> pl.DataFrame:
    """The provider's table as text, over all parts and pages of it.

    Columns: `line` (of the part), `part`, `provider`, `retrieved_at` (Datetime us UTC), `misfit` (how a row's
    shape is wrong, else null) and one `text.<column>` per declared column. Text is stripped of surrounding
    blanks; empty text is null.

    Raises:
        SourceMalformed: the bytes are not the declared table.
    """
    return read_parts(answers, source)[0]


def read_parts(answers: Sequence[Answer], source: Source) -> tuple[pl.DataFrame, list[str]]:
    """As `read_table`; and the provider's own columns, in the order they first came."""
    frames, columns = [], dict[str, None]()
    for answer in answers:
        read_by = source_of(source, answer.provider)
        given = connector_of(read_by).read(read_by, answer)
        columns |= dict.fromkeys(name for name in given.columns if name not in OWN)
        frames.append(_part(answer, given, source))
    table = pl.concat(frames) if frames else pl.DataFrame(schema=_schema(source))
    if frames:
        _check_retyped(answers[0], table, source)
    return table, list(columns)


def _part(answer: Answer, table: pl.DataFrame, source: Source) -> pl.DataFrame:
    columns = declared_columns(source)
    _check_header(answer, table.columns, [name for name in columns if name not in source.optional_columns])
    texts = []
    for name in columns:
        given = pl.col(name).str.strip_chars() if name in table.columns else pl.lit(None, pl.String)
        texts.append(pl.when(given != "").then(given).alias(TEXT + name))
    return table.select(
        "line",
        pl.lit(answer.part).alias("part"),
        pl.lit(answer.provider).alias("provider"),
        pl.lit(answer.retrieved_at).cast(UTC_MOMENT).alias("retrieved_at"),
        "misfit",
        *texts,
    )


def _schema(source: Source) -> dict[str, pl.DataType]:
    schema: dict[str, pl.DataType] = {"line": pl.Int64(), "part": pl.String(), "provider": pl.String()}
    schema |= {"retrieved_at": UTC_MOMENT, "misfit": pl.String()}
    return schema | {TEXT + name: pl.String() for name in declared_columns(source)}


def value_of(column: str, kind: str, time_zone: str = "UTC") -> pl.Expr:
    """The typed value of a text column; null where it is missing or cannot be read as `kind`.

    A datetime is ISO 8601; one without offset is taken in `time_zone`.
    """
    text = pl.col(TEXT + column)
    if kind == "str":
        return text
    given = pl.when(~text.is_in(MISSING)).then(text)
    if kind == "int":
        whole = given.str.extract(r"^\+?(-?\d{1,18})(?:\.0*)?$", 1)
        return whole.cast(pl.Int64, strict=False)
    if kind == "float":
        number = given.cast(pl.Float64, strict=False)
        return pl.when(number.is_finite()).then(number)
    if kind == "bool":
        lower = given.str.to_lowercase()
        return pl.when(lower.is_in(_TRUE)).then(True).when(lower.is_in(_FALSE)).then(False)
    return _moment(given, time_zone)


def is_given(column: str, kind: str) -> pl.Expr:
    """Whether the provider gave anything for this column in a row."""
    text = pl.col(TEXT + column)
    return text.is_not_null() if kind == "str" else text.is_not_null() & ~text.is_in(MISSING)


def plausible(moment: pl.Expr) -> pl.Expr:
    """The moment; null where it is before `FIRST_MOMENT` or after `LAST_MOMENT`.

    Beyond them it is a slip of the keyboard, and calendars of other libraries end.
    """
    first, last = (pl.lit(each).cast(UTC_MOMENT) for each in (FIRST_MOMENT, LAST_MOMENT))
    return pl.when(moment.is_between(first, last)).then(moment)


def fault_of(column: str, kind: str, value: pl.Expr) -> pl.Expr:
    """Text that says what is wrong with a row's value of this column; null where nothing is.

    Args:
        column: the provider's column.
        kind: its declared kind.
        value: as `value_of` reads it.
    """
    article = "an" if kind == "int" else "a"
    text = pl.col(TEXT + column)
    return (
        pl.when(text.str.contains(UNDECODABLE, literal=True))
        .then(pl.lit(f"not UTF-8: {column}"))
        .when(is_given(column, kind) & value.is_null())
        .then(pl.lit(f"not {article} {kind}: {column}"))
    )


def _moment(text: pl.Expr, time_zone: str) -> pl.Expr:
    iso = text.str.replace(" ", "T", literal=True).str.replace(r"[Zz]$", "+00:00")
    utc = [
        iso.str.strptime(pl.Datetime("us"), form, strict=False).dt.convert_time_zone("UTC")
        for form in _ISO_ZONED
    ]
    local = [
        iso.str.strptime(pl.Datetime("us"), form, strict=False)
        .dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
        .dt.convert_time_zone("UTC")
        for form in _ISO_LOCAL
    ]
    return plausible(pl.coalesce(*utc, *local))


def _check_header(answer: Answer, header: list[str], columns: list[str]) -> None:
    missing = [name for name in columns if name not in header]
    if not missing:
        return
    free = [name for name in header if name not in columns]
    raise _malformed(
        answer,
        "missing_column",
        column=missing[0],
        found=f"the columns {', '.join(header)[:600]}",
        allowed=f"a table with {', '.join(missing)}",
        nearest=_nearest(missing[0], free),
    )


def _nearest(name: str, names: list[str]) -> str | None:
    folded = {each.casefold(): each for each in names}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return folded[found[0]] if found else None


def _check_retyped(answer: Answer, table: pl.DataFrame, source: Source) -> None:
    whole = table.filter(pl.col("misfit").is_null())
    zone = source.event_time.time_zone
    for group in source.groups.values():
        for name, kind in group.columns.items():
            given = whole.filter(is_given(name, kind))
            if given.height < _FEWEST_FOR_RETYPED or kind == "str":
                continue
            if given.select(value_of(name, kind, zone).is_null().all()).item():
                sample = given[TEXT + name].unique(maintain_order=True).head(3).to_list()
                raise _malformed(
                    answer,
                    "retyped_column",
                    column=name,
                    found=f"{sample} and no {kind} in {given.height} rows",
                    allowed=kind,
                )


def _malformed(answer: Answer, problem: str, **given: str | None) -> SourceMalformed:
    return SourceMalformed(answer.source, answer.address, problem, **given)  # type: ignore[arg-type]
