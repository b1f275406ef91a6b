"""The one thread that writes: it takes all jobs that wait, writes them in one transaction and answers after the fsync.

Group commit makes the cost of durability shared: one fsync for as many commits as arrived during the last one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from fleet.records.chain import event_hash, genesis
from fleet.service import RecordedEvent
from fleet.store.reader import find_idempotency
from fleet.store.values import IdempotencyConflictError, IdempotencyKey, NewEvent, StoreUnavailableError

MAX_BATCH = 1000
"""jobs in one transaction: bounds how long the first of them waits for the others' rows (about 20 ms)"""
BUSY_S = 5.0
"""how long a stranger's lock on the file (a backup, an sqlite3 shell) is waited for"""
MAX_HEADS = 20_000
"""streams whose head is remembered; beyond it they are looked up again"""

_INSERT_EVENT = (
    "INSERT INTO events (global_seq, stream, seq, at_s, kind, body, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

Result = list[RecordedEvent] | Exception


@dataclass(frozen=True, slots=True)
class Job:
    """One commit, its bodies encoded already: what could be wrong with them was found at the caller."""

    events: Sequence[tuple[NewEvent, bytes]]
    puts: Sequence[tuple[str, str, str | None]]
    """table, key, JSON or None to delete"""
    idempotency: IdempotencyKey | None
    token: Any
    """whose it is; comes back with the result"""


@dataclass(slots=True)
class WriterStats:
    """Counters since the start; read by metrics and tests."""

    commits: int = 0
    transactions: int = 0
    failures: int = 0
    last_failure: str = field(default="")


class Writer:
    """Owns the write connection. `deliver` is called on the writer's thread with each batch's results, in order."""

    def __init__(self, path: Path, deliver: Callable[[list[tuple[Job, Result]]], None]) -> None:
        self._path = path
        self._deliver = deliver
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._heads: dict[str, tuple[int, str]] = {}
        self._global_seq = 0
        self.stats = WriterStats()
        self._thread = Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, job: Job) -> None:
        self._queue.put(job)

    def close(self) -> None:
        """After the jobs submitted before it the thread ends; `join` waits for that."""
        self._queue.put(None)

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        jobs: list[Job] = []
        while True:
            item = self._queue.get()
            while item is not None:
                jobs.append(item)
                if len(jobs) == MAX_BATCH:
                    break
                try:
                    item = self._queue.get_nowait()
                except Empty:
                    break
            if jobs:
                self._deliver(self._write(jobs))
                jobs = []
            if item is None:
                self._disconnect()
                return

    def _write(self, jobs: list[Job]) -> list[tuple[Job, Result]]:
        try:
            connection = self._connect()
            connection.execute("BEGIN IMMEDIATE")
            results = [(job, self._apply(connection, job)) for job in jobs]
            connection.execute("COMMIT")
        except Exception as error:  # whatever it was, the callers must hear of it and the thread must live
            # After a failed fsync the kernel may have dropped pages: trust nothing in memory, open the file anew.
            self._disconnect()
            self.stats.failures += 1
            self.stats.last_failure = str(error)
            unavailable = StoreUnavailableError(f"the store {self._path} cannot be written: {error}")
            unavailable.__cause__ = error
            return [(job, unavailable) for job in jobs]
        self.stats.transactions += 1
        self.stats.commits += len(jobs)
        return results

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            # mode=rw: a file that was moved away is an error to report, not one to replace by an empty file.
            uri = self._path.absolute().as_uri() + "?mode=rw"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)
            try:
                connection.execute("PRAGMA synchronous = FULL")
                row = connection.execute("SELECT max(global_seq) FROM events").fetchone()
            except BaseException:
                connection.close()
                raise
            self._global_seq = row[0] or 0
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        self._heads.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _apply(self, connection: sqlite3.Connection, job: Job) -> Result:
        if (key := job.idempotency) is not None:
            stored = find_idempotency(connection, key.requester, key.key)
            if stored is not None:
                return IdempotencyConflictError(stored)
            connection.execute(
                "INSERT INTO idempotency (requester, key, fingerprint, order_id) VALUES (?, ?, ?, ?)",
                (key.requester, key.key, key.fingerprint, key.order_id),
            )
        recorded = []
        for event, body in job.events:
            chained = self._chain(connection, event, body)
            recorded.append(chained)
            connection.execute(
                _INSERT_EVENT,
                (
                    chained.global_seq,
                    chained.stream,
                    chained.seq,
                    chained.at_s,
                    chained.kind,
                    body.decode(),
                    chained.prev_hash,
                    chained.hash,
                ),
            )
        for table, row_key, row in job.puts:
            if row is None:
                connection.execute(f"DELETE FROM {table} WHERE key = ?", (row_key,))
            else:
                connection.execute(f"INSERT OR REPLACE INTO {table} (key, body) VALUES (?, ?)", (row_key, row))
        return recorded

    def _chain(self, connection: sqlite3.Connection, event: NewEvent, body: bytes) -> RecordedEvent:
        seq, prev_hash = self._heads.get(event.stream) or self._read_head(connection, event.stream)
        seq, self._global_seq = seq + 1, self._global_seq + 1
        at_s = float(event.at_s) + 0.0  # SQLite reads -0.0 back as 0.0, which would break the hash
        digest = event_hash(
            prev_hash,
            stream=event.stream,
            seq=seq,
            global_seq=self._global_seq,
            at_s=at_s,
            kind=event.kind,
            body_json=body,
        )
        self._heads[event.stream] = (seq, digest)
        return RecordedEvent(event.stream, seq, self._global_seq, at_s, event.kind, event.body, prev_hash, digest)

    def _read_head(self, connection: sqlite3.Connection, stream: str) -> tuple[int, str]:
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        row = connection.execute(
            "SELECT seq, hash FROM events WHERE stream = ? ORDER BY seq DESC LIMIT 1", (stream,)
        ).fetchone()
        return (row[0], row[1]) if row else (0, genesis(stream))
