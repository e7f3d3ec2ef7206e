"""Where a source's table comes from: its public address, a mirror of it, or the simulated league."""

import gzip
import io
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

import fsspec

from pennant.data.errors import LakeCorrupt, LakeMissing, SourceDown, SourceMalformed
from pennant.data.http import MAX_BYTES, Download, download
from pennant.data.lake import Lake, sha256_of
from pennant.declaration.model import Source, UseCase
from pennant.reference import Reference
from pennant.settings import Settings


@dataclass(frozen=True)
class Retrieved:
    """A provider's table as bytes, with what its manifest says about the request."""

    source: str
    address: str
    content: bytes
    content_type: str
    etag: str | None
    last_modified: str | None
    retrieved_at: str | None


def retrieve(
    use_case: UseCase, source_name: str, as_of: datetime, lake: Lake, settings: Settings
) -> Retrieved:
    """Read the table of a source from the mirror if one is set, else from its public address.

    A simulated provider is asked for its table as it stood at `as_of`; the others know only today's.
    Over HTTP, what `remember` kept of the last answer makes the request conditional.

    Raises:
        SourceDown: no complete answer, or no such file in the mirror.
        SourceMalformed: an answer that is too large or a damaged archive.
    """
    source = use_case.sources[source_name]
    name = f"{use_case.name}.{source_name}"
    if source.kind == "simulation":
        with _simulated(use_case.name) as url:
            # The port is another one each time; the name of the simulation is what stays.
            address = f"simulation:{use_case.name}/{source_name}"
            return _unpacked(
                _over_http(name, f"{url}?as_of={as_of:%Y-%m-%dT%H:%M:%SZ}", address, source, lake)
            )
    if settings.data_mirror and source.path:
        mirror = settings.data_mirror.rstrip("/")
        if mirror.startswith(("http://", "https://")):
            url = f"{mirror}/{quote(source.path)}"
            return _unpacked(_over_http(name, url, url, source, lake))
        return _unpacked(_from_files(name, f"{mirror}/{source.path}"))
    if not source.url:
        raise SourceDown(name, "(no address)", found="neither url nor a mirror for path", attempts=0)
    return _unpacked(_over_http(name, source.url, source.url, source, lake))


def remember(retrieved: Retrieved, lake: Lake) -> None:
    """Keep a good answer and its validators, so that the next request can be conditional."""
    if not (retrieved.etag or retrieved.last_modified):
        return
    folder = _downloads(retrieved.source)
    before = _remembered(retrieved.source, lake)
    sha256 = sha256_of(retrieved.content)
    lake.put(f"{folder}/{sha256}", retrieved.content)
    pointer = {
        "address": retrieved.address,
        "etag": retrieved.etag,
        "last_modified": retrieved.last_modified,
        "content_type": retrieved.content_type,
        "sha256": sha256,
    }
    lake.replace(f"{folder}/latest.json", json.dumps(pointer, indent=1, sort_keys=True).encode())
    if before and before["sha256"] != sha256:
        lake.remove(f"{folder}/{before['sha256']}")


def _over_http(name: str, url: str, address: str, source: Source, lake: Lake) -> Retrieved:
    kept = _remembered(name, lake)
    held = _held_content(name, address, kept, lake)
    before = kept if kept and held is not None else {}
    answer = download(
        name,
        url,
        timeout_seconds=source.timeout_seconds,
        max_attempts=source.max_attempts,
        etag=before.get("etag"),
        last_modified=before.get("last_modified"),
    )
    if answer.content is None and held is not None:
        answer = replace(
            answer,
            content=held,
            content_type=before.get("content_type") or "",
            etag=before.get("etag"),
            last_modified=before.get("last_modified"),
        )
    return _retrieved(name, address, answer)


def _retrieved(name: str, address: str, answer: Download) -> Retrieved:
    if answer.content is None:
        raise SourceDown(name, address, found="status 304 to an unconditional request", attempts=1)
    return Retrieved(
        source=name,
        address=address,
        content=answer.content,
        content_type=answer.content_type,
        etag=answer.etag,
        last_modified=answer.last_modified,
        retrieved_at=answer.retrieved_at,
    )


def _from_files(name: str, address: str) -> Retrieved:
    try:
        with fsspec.open(address, "rb") as file:
            content: bytes = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SourceDown(name, address, found=f"{type(error).__name__}: {error}", attempts=1) from error
    return Retrieved(name, address, content, "", etag=None, last_modified=None, retrieved_at=None)


def _unpacked(retrieved: Retrieved) -> Retrieved:
    content = retrieved.content
    if content[:2] == b"\x1f\x8b":
        try:
            with gzip.open(io.BytesIO(content)) as archive:
                content = archive.read(MAX_BYTES + 1)
        except (EOFError, OSError, ValueError) as error:
            raise SourceMalformed(
                retrieved.source,
                retrieved.address,
                "truncated",
                found=f"a damaged gzip archive of {len(content)} bytes ({error})",
                allowed="a whole archive",
            ) from error
    if len(content) > MAX_BYTES:
        raise SourceMalformed(
            retrieved.source,
            retrieved.address,
            "too_large",
            found=f"more than {MAX_BYTES} bytes",
            allowed=f"at most {MAX_BYTES} bytes",
        )
    return replace(retrieved, content=content)


def _downloads(name: str) -> str:
    return f"downloads/{name.replace('.', '/')}"


def _remembered(name: str, lake: Lake) -> dict[str, str | None] | None:
    try:
        kept: dict[str, str | None] = json.loads(lake.get(lake.uri(f"{_downloads(name)}/latest.json")))
    except LakeMissing:
        return None
    return kept


def _held_content(name: str, address: str, kept: dict[str, str | None] | None, lake: Lake) -> bytes | None:
    if kept is None or kept["address"] != address or not kept["sha256"]:
        return None
    try:
        uri = lake.uri(f"{_downloads(name)}/{kept['sha256']}")
        return lake.get(Reference(uri=uri, sha256=kept["sha256"]))
    except (LakeMissing, LakeCorrupt):
        return None  # another window just replaced it, or it is damaged: ask for the whole table


def _simulated(use_case_name: str) -> AbstractContextManager[str]:
    from pennant.simulation.provider import serve

    return serve(use_case_name)
