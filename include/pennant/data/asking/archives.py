"""Unpacks gzip and zip, never to more than a table may have."""

import gzip
import io
import zipfile
import zlib
from dataclasses import dataclass

MAX_BYTES = 256 * 2**20
"""A larger answer is refused, packed or unpacked: a table of this project is a few megabytes."""


@dataclass
class BadArchive(Exception):
    """What is wrong with an archive, in the words of `SourceMalformed`."""

    problem: str
    found: str
    allowed: str


def unpacked(content: bytes, limit: int = MAX_BYTES) -> bytes:
    """The table in a gzip or zip archive; anything else as it is.

    Raises:
        BadArchive: damaged, encrypted, of several tables, or of more than `limit` bytes.
    """
    if content[:2] == b"\x1f\x8b":
        return gunzipped(content, limit)
    if content[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
        return _unzipped(content, limit)
    return content


def gunzipped(content: bytes, limit: int = MAX_BYTES) -> bytes:
    """What a gzip archive holds, one member after the other.

    Raises:
        BadArchive: damaged, cut off, or of more than `limit` bytes.
    """
    try:
        with gzip.open(io.BytesIO(content)) as archive:
            return _limited(archive.read(limit + 1), len(content), limit)
    except (EOFError, OSError, zlib.error) as error:
        raise _damaged("gzip", content, error) from None


def _unzipped(content: bytes, limit: int) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            tables = [each for each in archive.infolist() if not each.is_dir()]
            if len(tables) != 1:
                names = ", ".join(each.filename for each in tables[:5])
                raise BadArchive("too_many", f"a zip archive of {len(tables)} files ({names})", "one table")
            with archive.open(tables[0]) as table:
                return _limited(table.read(limit + 1), len(content), limit)
    except (EOFError, OSError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise _damaged("zip", content, error) from None


def _limited(unpacked: bytes, packed: int, limit: int) -> bytes:
    if len(unpacked) > limit:
        raise BadArchive("too_large", f"{packed} bytes that unpack to more", f"at most {limit} bytes")
    return unpacked


def _damaged(kind: str, content: bytes, error: Exception) -> BadArchive:
    return BadArchive(
        "truncated", f"a damaged {kind} archive of {len(content)} bytes ({error})", "a whole one"
    )
