"""Tables of no particular provider: CSV, JSON and Parquet at an address, a database, the simulation.

Addresses may name the window: `https://example.org/games?from={start:%Y-%m-%d}&to={as_of:%Y-%m-%d}`.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask, KeyPlace
from pennant.data.connectors.paging import PAGING_OPTIONS, next_pages, paging_problems, records_of
from pennant.data.parsing import csv_table, json_content, json_table, parquet_table
from pennant.declaration.model import Source
from pennant.reference import Window

ENCODINGS = ("utf-8", "latin-1", "cp1252", "utf-16")
KEY_OPTIONS = ("key_in", "key_name", "key_prefix")
_EXAMPLE = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))


class _Addressed:
    """What CSV, JSON and Parquet have in common: one address, perhaps a key."""

    kind: str
    history: Literal["full", "today"] = "full"
    connection: str | None = None
    allowed: tuple[str, ...] = KEY_OPTIONS

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        found = _unknown(self.kind, source, self.allowed)
        if source.url is None and source.path is None:
            found.append(f"{self.kind} needs an address: url, path, or both")
        for name, text in (("url", source.url), ("path", source.path)):
            try:
                _filled(text, _EXAMPLE)
            except (KeyError, IndexError, ValueError, AttributeError) as error:
                found.append(
                    f"{name}: found {text!r} ({type(error).__name__}: {error}); allowed in braces are start "
                    f"and as_of, such as {{start:%Y-%m-%d}}"
                )
        return found + _key_problems(source)

    def asks(self, source: Source, window: Window) -> list[Ask]:
        """The one table."""
        url, path = _filled(source.url, window), _filled(source.path, window)
        return [Ask(part="table", url=url, path=path, key=_key(source))]


class Csv(_Addressed):
    """Options: `separator` (default `,`), `columns` (names, for a file without a header), `encoding`."""

    kind = "csv"
    allowed = ("separator", "columns", "encoding", *KEY_OPTIONS)

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        found = super().problems(source)
        separator = source.options.get("separator", ",")
        if not isinstance(separator, str) or len(separator) != 1:
            found.append(f"option separator: found {separator!r}; allowed is one character")
        if not isinstance(source.options.get("columns", []), list):
            found.append(f"option columns: found {source.options['columns']!r}; allowed is a list of names")
        if source.options.get("encoding", "utf-8") not in ENCODINGS:
            given = source.options["encoding"]
            found.append(f"option encoding: found {given!r}; allowed: {', '.join(ENCODINGS)}")
        return found

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:
        """The rows as text.

        Raises:
            SourceMalformed: the body is no table.
        """
        encoding = str(source.options.get("encoding", "utf-8"))
        if encoding != "utf-8":
            text = answer.content.decode(encoding, errors="replace")
            answer = replace(answer, content=text.encode())
        columns = source.options.get("columns")
        return csv_table(
            answer,
            separator=str(source.options.get("separator", ",")),
            columns=columns if isinstance(columns, list) else None,
        )


class Json(_Addressed):
    """Option `records`: dotted path to the list of records (default: the document is the list).

    Paging (option `paging`): `next`, `page` or `offset`; see `pennant.data.connectors.paging`.
    """

    kind = "json"
    allowed = (*PAGING_OPTIONS, *KEY_OPTIONS)

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        return super().problems(source) + paging_problems(source)

    def asks(self, source: Source, window: Window) -> list[Ask]:
        """The one table, page by page."""
        first, following = next_pages(source)
        return [replace(ask, params=first, next_page=following) for ask in super().asks(source, window)]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:
        """The records of one page as text, nested values as JSON.

        Raises:
            SourceMalformed: no JSON document, or no list of objects at `records`.
        """
        return json_table(answer, records_of(source, answer, json_content(answer)))


class Parquet(_Addressed):
    """One Parquet file."""

    kind = "parquet"

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one layout
        """The rows as text.

        Raises:
            SourceMalformed: no whole Parquet file.
        """
        return parquet_table(answer)


class Sql:
    """The rows of a query; `:start` and `:as_of` in it are the window's."""

    kind = "sql"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        found = _unknown(self.kind, source, ())
        if source.sql is None:
            found.append("sql needs the text of a query: sql")
        if source.connection is None:
            found.append("sql needs the Airflow connection of its database: connection")
        return found

    def asks(self, source: Source, window: Window) -> list[Ask]:  # noqa: ARG002  # bound by the engine
        """The one query."""
        return [Ask(part="query", sql=source.sql)]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one layout
        """The rows as text.

        Raises:
            SourceMalformed: a value longer than a line may be.
        """
        return csv_table(answer)


class Simulation:
    """The simulated provider of the use case, which the engine starts for the time of asking."""

    kind = "simulation"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options, in words; empty if nothing is."""
        return _unknown(self.kind, source, ())

    def asks(self, source: Source, window: Window) -> list[Ask]:  # noqa: ARG002  # nothing is declared
        """The table as it stood at the window's end."""
        as_of = f"{window.as_of:%Y-%m-%dT%H:%M:%SZ}"
        return [Ask(part="table", url="simulation:", params={"as_of": as_of})]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one layout
        """The rows as text.

        Raises:
            SourceMalformed: the body is no table.
        """
        return csv_table(answer)


def _filled(text: str | None, window: Window) -> str | None:
    return text.format(start=window.start, as_of=window.as_of) if text is not None else None


def _unknown(kind: str, source: Source, allowed: tuple[str, ...]) -> list[str]:
    named = ", ".join(allowed) or "none"
    return [
        f"{kind} knows no option {name!r}; allowed: {named}" for name in source.options if name not in allowed
    ]


def _key_problems(source: Source) -> list[str]:
    place = source.options.get("key_in")
    if place is None:
        return [f"option {name} needs key_in" for name in KEY_OPTIONS[1:] if name in source.options]
    found = []
    if place not in {"query", "header"}:
        found.append(f"option key_in: found {place!r}; allowed: query, header")
    if not isinstance(source.options.get("key_name"), str):
        found.append("option key_name: found nothing; allowed is the name of the parameter or header")
    if source.connection is None:
        found.append("option key_in: the key needs the Airflow connection that holds it: connection")
    return found


def _key(source: Source) -> KeyPlace | None:
    place = source.options.get("key_in")
    if place is None:
        return None
    return KeyPlace(
        where="query" if place == "query" else "header",
        name=str(source.options["key_name"]),
        prefix=str(source.options.get("key_prefix", "")),
    )
