"""Hands logged predictions to the warehouse, for as long as it takes.

A batch is one INSERT that ignores rows the table has, and only after its commit does the spool let go of
the rows. A process that dies between the two hands them over again, and the table keeps one of each.
"""

import random
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg

from pennant_serving import logs
from pennant_serving.metrics import Metrics
from pennant_serving.spool import Spool, SpoolError, batch_text
from pennant_serving.warehouse import Warehouse, plain

_BATCH = 1000
_REST_SECONDS = 0.1
_LONGEST_WAIT = 5.0
_FORGET_EVERY = 3600.0

_COLUMNS = (
    "day date, prediction_id text, use_case text, entity text, event_time timestamptz, as_of timestamptz, "
    "version text, arm text, policy_id bigint, features jsonb, prediction double precision, "
    "low double precision, high double precision, extra jsonb, answered_at timestamptz"
)
_NAMES = ", ".join(each.split()[0] for each in _COLUMNS.split(", "))
_INSERT = (
    f"INSERT INTO predictions ({_NAMES}) SELECT {_NAMES} "  # noqa: S608 - constants of this module
    f"FROM jsonb_to_recordset(%s::jsonb) AS row ({_COLUMNS}) ON CONFLICT DO NOTHING"
)


class Drain:
    """The thread that empties the spool into `predictions`; started and stopped once."""

    def __init__(self, spool: Spool, warehouse: Warehouse, metrics: Metrics, ids_kept_days: int) -> None:
        self._spool, self._warehouse, self._metrics = spool, warehouse, metrics
        self._kept = timedelta(days=ids_kept_days)
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._connection: psycopg.Connection | None = None
        self._forgotten = -_FORGET_EVERY
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._failures = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self, within_seconds: float) -> None:
        """Hand over what the warehouse takes within the time; what is left waits in the spool."""
        self._deadline = time.monotonic() + within_seconds
        self._stopping.set()
        self._spool.appended.set()
        self._thread.join()
        self._close()

    def _run(self) -> None:
        while True:
            self._spool.appended.clear()
            moved = self._attempt()
            if self._stopping.is_set():
                late = time.monotonic() >= self._deadline
                if late or self._spool.backlog == 0:
                    return
                if not moved:
                    time.sleep(0.1)
            elif moved == 0:
                wait = min(_LONGEST_WAIT, 0.25 * 2**self._failures) * random.uniform(0.8, 1.2)  # noqa: S311
                if self._failures:
                    self._stopping.wait(wait)
                else:
                    self._spool.appended.wait(_LONGEST_WAIT)
                    self._stopping.wait(_REST_SECONDS)  # let a batch gather

    def _attempt(self) -> int:
        """Hand over one batch; 0 when there was none or the warehouse did not take it."""
        try:
            moved = self._hand_over()
            self._forget()
        except (psycopg.Error, sqlite3.Error, SpoolError) as error:
            self._failures = min(self._failures + 1, 8)
            self._metrics.drain_failures.inc()
            if self._failures == 1:  # the first of a row of failures; the metric counts them all
                logs.warning("drain failed", why=plain(error), backlog=self._spool.backlog)
            self._close()
            return 0
        if self._failures:
            logs.info("drain works again", backlog=self._spool.backlog)
            self._failures = 0
        return moved

    def _hand_over(self) -> int:
        waiting = self._spool.waiting(_BATCH)
        if not waiting.seqs:
            return 0
        if self._connection is None:
            self._connection = self._warehouse.connect()
        with self._connection.transaction():
            self._connection.execute(_INSERT, (batch_text(waiting.records),))
        self._spool.drained(waiting.seqs)
        self._metrics.drained.inc(len(waiting.seqs))
        return len(waiting.seqs)

    def _forget(self) -> None:
        if time.monotonic() - self._forgotten >= _FORGET_EVERY:
            self._spool.forget((datetime.now(UTC) - self._kept).isoformat())
            self._forgotten = time.monotonic()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
