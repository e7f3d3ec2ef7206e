"""What a connector is: a pure description of what to ask a provider and how to read its answer.

A connector opens nothing, waits for nothing and knows no secret. The engine (`pennant.data.asking`)
asks, politely and again where that helps; so every provider has the same manners and the same tests.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

import polars as pl

from pennant.declaration.model import Source
from pennant.reference import Window


@dataclass(frozen=True)
class KeyPlace:
    """Where a request carries the secret of its Airflow connection."""

    where: Literal["query", "header"]
    name: str
    prefix: str = ""
    """Text before the secret, for example `Bearer `."""


@dataclass(frozen=True)
class Ask:
    """One request: an address on the web, a file below the mirror, or a query.

    Attributes:
        part: names this piece of the table among those of its source, the same in every run.
        url: public address, without any secret.
        path: the file that stands for it below `PENNANT_DATA_MIRROR`.
        params: query parameters, without any secret.
        headers: request headers, without any secret.
        key: where the secret goes, for a provider that wants one.
        sql: the text of a query, for a database; `:start` and `:as_of` are bound to the window.
        optional: a 404 or a missing file means that the part is not there yet, and brings no rows.
        next_page: from an answer's body, the query parameters that change for the next page; None ends.
    """

    part: str
    url: str | None = None
    path: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    key: KeyPlace | None = None
    sql: str | None = None
    optional: bool = False
    next_page: Callable[[bytes], Mapping[str, str] | None] | None = None


@dataclass(frozen=True)
class Answer:
    """One page of what a provider gave, whole and unpacked.

    Attributes:
        source: `<use case>.<source>`.
        address: what was asked, without secrets; for messages and manifests.
        part: of the `Ask`.
        page: 0 for the first.
        content: the body.
        content_type: as the provider said.
        provider: kind of the connector that asked; the fallback's where the engine failed over.
        retrieved_at: when the answer was complete, UTC, by this machine's clock; a cached answer
            keeps the moment it was first given.
        etag: the answer's validator, if it had one.
        last_modified: the same.
    """

    source: str
    address: str
    part: str
    page: int
    content: bytes
    content_type: str
    provider: str
    retrieved_at: datetime
    etag: str | None = None
    last_modified: str | None = None


class Connector(Protocol):
    """One provider's table."""

    kind: str
    """The `kind` of the declared source."""
    history: Literal["full", "today"]
    """`today`: the provider only tells how things stand now, so its past cannot be rebuilt."""
    connection: str | None
    """Airflow connection that holds the key, unless the declaration names another; None needs none."""

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        ...

    def asks(self, source: Source, window: Window) -> list[Ask]:
        """The requests that bring what a window needs, in a fixed order."""
        ...

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:
        """The rows of one answer as text.

        Returns:
            `line` (Int64), `misfit` (String: how a row's shape is wrong, else null) and a String
            column for every column of the provider.

        Raises:
            SourceMalformed: the body is not what this provider gives.
        """
        ...
