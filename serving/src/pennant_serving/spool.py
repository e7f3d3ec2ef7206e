"""The prediction log on this machine's disk: an answer leaves only after its row is safe here.

One SQLite file in WAL mode with `synchronous=FULL`: a commit is on the disk before `append` resolves,
so an answered prediction survives the death of the process and of the power alike. One thread writes,
and commits everything that waits as one group, so that many requests share one fsync.
A drained row whose id the caller chose is kept for a while: the same id again gets the first answer.
"""

import contextlib
import fcntl
import json
import queue
import sqlite3
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pennant_serving import logs

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    prediction_id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    chosen INTEGER NOT NULL,
    drained INTEGER NOT NULL DEFAULT 0,
    answered_at TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS waiting ON spool (seq) WHERE drained = 0;
CREATE INDEX IF NOT EXISTS kept ON spool (answered_at) WHERE drained = 1;
"""
_GROUP = 512
_PAGE_BYTES = 4096


class SpoolError(Exception):
    """The spool cannot be opened or written. `full` is True when there is no room for more."""

    def __init__(self, message: str, *, full: bool = False) -> None:
        self.full = full
        super().__init__(message)


class IdTaken(Exception):
    """A prediction_id that was answered before for another entity or use case."""

    def __init__(self, prediction_id: str) -> None:
        self.prediction_id = prediction_id
        super().__init__(prediction_id)


@dataclass(frozen=True)
class Entry:
    """One answered prediction.

    Attributes:
        chosen: whether the caller chose the id (and may send it again).
        owner: use case and entity; a repeated id must have the same.
        record: the row of `predictions`, as JSON.
    """

    prediction_id: str
    owner: str
    chosen: bool
    answered_at: str
    record: str


@dataclass(frozen=True)
class Waiting:
    """A run of rows not yet in the warehouse, oldest first."""

    seqs: list[int]
    records: list[str]


@dataclass(frozen=True)
class _Append:
    entries: list[Entry]
    done: "Future[list[str]]"


@dataclass(frozen=True)
class _Drained:
    seqs: list[int]
    done: "Future[None]"


@dataclass(frozen=True)
class _Forget:
    before: str
    done: "Future[None]"


class Spool:
    """The open spool; one process at a time, which a lock file enforces.

    Raises:
        SpoolError: another process holds it, or the file cannot be opened or is damaged.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock(folder / "spool.lock")
        self._path = folder / "spool.sqlite"
        try:
            self._writer = self._connect()
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute("PRAGMA synchronous=FULL")
            self._writer.executescript(_SCHEMA)
            self._writer.execute(f"PRAGMA max_page_count={megabytes * 1_000_000 // _PAGE_BYTES}")
            self._reader = self._connect()
            row = self._reader.execute("SELECT count(*) FROM spool WHERE drained = 0").fetchone()
        except sqlite3.Error as error:
            self._lock_file.close()
            raise SpoolError(f"{self._path}: {error}; it is left as it is, move it aside to start") from error
        self._backlog = int(row[0])
        self.appended = threading.Event()
        self._jobs: queue.SimpleQueue[_Append | _Drained | _Forget | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_jobs, name="spool", daemon=True)
        self._thread.start()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)

    @property
    def backlog(self) -> int:
        """Rows not yet in the warehouse."""
        return self._backlog

    def append(self, entries: list[Entry]) -> "Future[list[str]]":
        """Write all entries or none; resolves, once they are on the disk, to the record of each id.

        The record is the first one written under that id. The future fails with SpoolError or IdTaken.
        """
        done: Future[list[str]] = Future()
        self._jobs.put(_Append(entries, done))
        return done

    def waiting(self, limit: int) -> Waiting:
        """The oldest rows that are not in the warehouse. For one thread only."""
        rows = self._reader.execute(
            "SELECT seq, record FROM spool WHERE drained = 0 ORDER BY seq LIMIT ?", (limit,)
        ).fetchall()
        return Waiting([row[0] for row in rows], [row[1] for row in rows])

    def drained(self, seqs: list[int]) -> None:
        """Let go of rows that the warehouse has committed.

        Raises:
            SpoolError: the disk is full; the rows wait on and are handed over again, which changes nothing.
        """
        done: Future[None] = Future()
        self._jobs.put(_Drained(seqs, done))
        done.result()

    def forget(self, before: str) -> None:
        """Drop kept ids answered before the moment `before` (ISO text in UTC)."""
        done: Future[None] = Future()
        self._jobs.put(_Forget(before, done))
        done.result()

    def close(self) -> None:
        """Finish what was asked for, then close the file."""
        self._jobs.put(None)
        self._thread.join()
        self._reader.close()
        self._writer.close()
        self._lock_file.close()

    def _write_jobs(self) -> None:
        going = True
        while going:
            group: list[_Append] = []
            job: _Append | _Drained | _Forget | None = self._jobs.get()
            while True:
                if job is None:
                    going = False
                    break
                if isinstance(job, _Append):
                    group.append(job)
                else:  # apart from the appends: it frees room, so it must not fail with them
                    self._write_other(job)
                if len(group) >= _GROUP or self._jobs.empty():
                    break
                job = self._jobs.get()
            if group:
                self._write_group(group)

    def _write_group(self, group: list[_Append]) -> None:
        answers: list[list[str] | IdTaken] = []
        new = 0
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for job in group:
                before = self._writer.total_changes
                answer = self._insert(job.entries)
                answers.append(answer)
                new += self._writer.total_changes - before if isinstance(answer, list) else 0
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            failure = self._failed("append", error)
            for job in group:
                job.done.set_exception(failure)
            return
        self._backlog += new
        self.appended.set()
        for job, answer in zip(group, answers, strict=True):
            if isinstance(answer, IdTaken):
                job.done.set_exception(answer)
            else:
                job.done.set_result(answer)

    def _insert(self, entries: list[Entry]) -> list[str] | IdTaken:
        """One request's rows; all its ids are checked before the first is written."""
        known: dict[str, tuple[str, str]] = {}
        for entry in entries:
            if entry.chosen:
                first = known.get(entry.prediction_id) or self._find(entry.prediction_id)
                if first is not None and first[0] != entry.owner:
                    return IdTaken(entry.prediction_id)
                known[entry.prediction_id] = first or (entry.owner, entry.record)
        self._writer.executemany(
            "INSERT OR IGNORE INTO spool (prediction_id, owner, chosen, answered_at, record) "
            "VALUES (?, ?, ?, ?, ?)",
            [
                (each.prediction_id, each.owner, each.chosen, each.answered_at, each.record)
                for each in entries
            ],
        )
        return [known[each.prediction_id][1] if each.chosen else each.record for each in entries]

    def _find(self, prediction_id: str) -> tuple[str, str] | None:
        row = self._writer.execute(
            "SELECT owner, record FROM spool WHERE prediction_id = ?", (prediction_id,)
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def _write_other(self, job: _Drained | _Forget) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            if isinstance(job, _Drained):
                marks = [(seq,) for seq in job.seqs]
                self._writer.executemany("DELETE FROM spool WHERE seq = ? AND chosen = 0", marks)
                self._writer.executemany("UPDATE spool SET drained = 1 WHERE seq = ? AND chosen = 1", marks)
            else:
                self._writer.execute("DELETE FROM spool WHERE drained = 1 AND answered_at < ?", (job.before,))
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            job.done.set_exception(self._failed(type(job).__name__, error))
            return
        if isinstance(job, _Drained):
            self._backlog -= len(job.seqs)
        job.done.set_result(None)

    def _failed(self, what: str, error: sqlite3.Error) -> SpoolError:
        with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back already
            self._writer.execute("ROLLBACK")
        name = getattr(error, "sqlite_errorname", "")
        logs.error("spool write failed", what=what, why=str(error), code=name)
        # A quota or a file size limit shows as a failed write, not as a full disk.
        full = name in {"SQLITE_FULL", "SQLITE_IOERR_WRITE"}
        return SpoolError(f"{self._path.name}: {error}", full=full)


def _lock(path: Path) -> IO[Any]:
    try:
        file = path.open("w")
    except OSError as error:
        raise SpoolError(f"{path}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        why = "another serving process uses this state folder; give each its own"
        raise SpoolError(f"{path}: {why} ({error.strerror})") from error
    return file


def record_text(row: dict[str, Any]) -> str:
    """The record of one prediction as JSON, with floats that read back to the same bits."""
    return json.dumps(row, allow_nan=False, separators=(",", ":"))


def batch_text(records: Iterable[str]) -> str:
    """Many records as one JSON array."""
    return f"[{','.join(records)}]"
