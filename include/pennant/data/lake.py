"""The lake: immutable objects under paths, on any fsspec address.

On a local disk an object is written beside the others first and appears under its name in one
step, so that a reader, a full disk or a killed process never meets half of one.
"""

import errno
import fcntl
import hashlib
import os
import re
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import fsspec

from pennant.data.errors import LakeConflict, LakeCorrupt, LakeFull, LakeMissing
from pennant.reference import Reference

_PATH = re.compile(r"^[A-Za-z0-9_=+-][A-Za-z0-9_.=+-]*(/[A-Za-z0-9_=+-][A-Za-z0-9_.=+-]*)*$")
_UNFINISHED = ".unfinished"
Paths = list[str]  # inside the class, `list` is the method
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def sha256_of(content: bytes) -> str:
    """SHA-256 of some bytes, in lower-case hex."""
    return hashlib.sha256(content).hexdigest()


class Lake:
    """Objects under relative paths such as `raw/league_demo/games/<batch>.parquet`.

    Batches, snapshots and reports are never changed and never removed here.
    """

    def __init__(self, url: str) -> None:
        """Open the lake at `url`: a folder, `file://`, `s3://`, `gs://` or any other fsspec address."""
        split = urlsplit(url)
        self._folder: Path | None = None
        if split.scheme in {"", "file"}:
            # as_uri() writes a space as %20; fsspec would take that literally.
            text = unquote(split.path) if split.scheme else url
            self._folder = Path(text).expanduser().resolve()
            self.url = self._folder.as_uri()
        else:
            self.url = url.rstrip("/")
        self._fs: Any
        self._root: str
        self._fs, self._root = fsspec.core.url_to_fs(str(self._folder) if self._folder else self.url)
        self._root = self._root.rstrip("/")

    def uri(self, path: str) -> str:
        """Absolute address of the object at `path`, whether it exists or not."""
        return f"{self.url}/{_checked(path)}"

    def put(self, path: str, content: bytes) -> Reference:
        """Store `content` under `path`, whole or not at all. The same content again changes nothing.

        Raises:
            LakeConflict: other content stands there already.
            LakeFull: the disk took no more bytes.
        """
        reference = Reference(uri=self.uri(path), sha256=sha256_of(content))
        if not self.exists(path):
            try:
                self._write(path, content, exclusive=True)
            except FileExistsError:
                pass  # another process was first: its content decides below
            else:
                return reference
        held = sha256_of(self.get(reference.uri))
        if held != reference.sha256:
            raise LakeConflict(reference.uri, held=held, given=reference.sha256)
        return reference

    def replace(self, path: str, content: bytes) -> Reference:
        """Store `content` under `path` over whatever stands there.

        Only for what no manifest names yet (an interrupted run's files) and for pointers.

        Raises:
            LakeFull: the disk took no more bytes.
        """
        reference = Reference(uri=self.uri(path), sha256=sha256_of(content))
        if not self.exists(path) or sha256_of(self.get(reference.uri)) != reference.sha256:
            self._write(path, content, exclusive=False)
        return reference

    def get(self, reference: Reference | str) -> bytes:
        """Bytes of an object. With a `Reference` its hash is verified; with an address it is not.

        Raises:
            LakeMissing: no such object, or its address is not in this lake.
            LakeCorrupt: the bytes do not have the hash of the reference.
        """
        uri = reference if isinstance(reference, str) else reference.uri
        try:
            content: bytes = self._fs.cat_file(self._place(self.path_of(uri)))
        except FileNotFoundError as error:
            raise LakeMissing(uri) from error
        if isinstance(reference, Reference) and (found := sha256_of(content)) != reference.sha256:
            raise LakeCorrupt(uri, expected=reference.sha256, found=found)
        return content

    def exists(self, path: str) -> bool:
        """Whether there is an object at `path`."""
        return bool(self._fs.isfile(self._place(_checked(path))))

    def list(self, prefix: str = "") -> Paths:
        """Paths of all objects under the folder `prefix`, sorted; the whole lake when it is empty."""
        folder = prefix.strip("/")
        place = self._place(_checked(folder)) if folder else self._root
        if self._folder is not None:
            return _list_local(self._folder, Path(place))
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(place)
        except FileNotFoundError:
            return []
        paths = (str(each).removeprefix(self._root).lstrip("/") for each in found)
        return sorted(path for path in paths if not path.startswith(_UNFINISHED))

    def path_of(self, uri: str) -> str:
        """Path of the object at `uri`.

        Raises:
            LakeMissing: the address is not in this lake.
        """
        if not uri.startswith(self.url + "/"):
            raise LakeMissing(uri)
        return _checked(uri.removeprefix(self.url + "/"))

    def sweep(self) -> int:
        """Remove what killed processes left unfinished; files of living writers stay. Gives the count."""
        if self._folder is None or not (folder := self._folder / _UNFINISHED).is_dir():
            return 0
        swept = 0
        for leftover in folder.iterdir():
            try:
                with leftover.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its writer holds this lock
                    leftover.unlink(missing_ok=True)
                    swept += 1
            except (BlockingIOError, FileNotFoundError):
                continue
        return swept

    def remove(self, path: str) -> None:
        """Remove a superseded download; a missing one is no error. Batches are never removed."""
        try:
            self._fs.rm_file(self._place(_checked(path)))
        except FileNotFoundError:
            return

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _write(self, path: str, content: bytes, *, exclusive: bool) -> None:
        if self._folder is None:
            # One request to an object store is whole or not at all by itself.
            mode = "create" if exclusive else "overwrite"
            self._fs.pipe_file(self._place(path), content, mode=mode)
            return
        try:
            _write_local(self._folder, path, content, exclusive=exclusive)
        except OSError as error:
            if error.errno in _FULL:
                found = f"{os.strerror(error.errno)} on {self._folder}"
                raise LakeFull(self.uri(path), size=len(content), found=found) from error
            raise


def _list_local(folder: Path, place: Path) -> Paths:
    """Files below `place`, relative to `folder`: fsspec takes four times as long, and batches are many."""
    top, found = str(folder), []
    for parent, folders, files in os.walk(place, followlinks=True):
        if parent == top:
            folders[:] = [name for name in folders if name != _UNFINISHED]
        below = f"{parent[len(top) + 1 :]}/" if parent != top else ""
        found += [below + name for name in files]
    return sorted(found)


def _checked(path: str) -> str:
    if not _PATH.match(path):
        raise ValueError(
            f"lake path: found {path!r}; allowed are parts of letters, digits and . _ = + - joined by /, "
            f"none of them starting with a dot"
        )
    return path


def _write_local(folder: Path, path: str, content: bytes, *, exclusive: bool) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    (folder / _UNFINISHED).mkdir(exist_ok=True)
    unfinished = folder / _UNFINISHED / uuid.uuid4().hex
    try:
        with unfinished.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink == 0:  # swept between its opening and its lock
                return _write_local(folder, path, content, exclusive=exclusive)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if exclusive:
                os.link(unfinished, target)
            else:
                unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
