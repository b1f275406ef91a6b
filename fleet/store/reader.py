"""Reading the store: synchronous, a few microseconds a row, never waiting for the writer (WAL)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fleet.records.chain import genesis
from fleet.service import RecordedEvent
from fleet.store.opening import require_schema, schema_revision
from fleet.store.values import TABLES, IdempotencyKey, StoreOpenError

_EVENT = "stream, seq, global_seq, at_s, kind, body, prev_hash, hash"


class Reader:
    """Each call sees what was committed before it."""

    def __init__(self, path: Path) -> None:
        uri = path.absolute().as_uri() + "?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        self._connection.close()

    def load(self, table: str) -> dict[str, dict[str, Any]]:
        """All rows of a table of current state, by key."""
        rows = self._connection.execute(f"SELECT key, body FROM {_known(table)} ORDER BY key")
        return {key: json.loads(body) for key, body in rows}

    def get(self, table: str, key: str) -> dict[str, Any] | None:
        row = self._connection.execute(f"SELECT body FROM {_known(table)} WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def events(self, stream: str, after_seq: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """The stream's events from `after_seq` + 1 on, in order."""
        rows = self._connection.execute(
            f"SELECT {_EVENT} FROM events WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?",
            (stream, after_seq, -1 if limit is None else limit),
        )
        return [_event(row) for row in rows.fetchall()]

    def head(self, stream: str) -> tuple[int, str]:
        """Sequence number and hash of the stream's last event: the anchor to keep elsewhere. (0, genesis) if none."""
        row = self._connection.execute(
            "SELECT seq, hash FROM events WHERE stream = ? ORDER BY seq DESC LIMIT 1", (stream,)
        ).fetchone()
        return (row[0], row[1]) if row else (0, genesis(stream))

    def streams(self) -> list[str]:
        """All streams that have events, by name."""
        return [row[0] for row in self._connection.execute("SELECT DISTINCT stream FROM events ORDER BY stream")]

    def find_idempotency(self, requester: str, key: str) -> IdempotencyKey | None:
        return find_idempotency(self._connection, requester, key)


@contextmanager
def opened_readonly(path: Path) -> Iterator[Reader]:
    """A reader beside a running controller, or of a store at rest. Raises StoreOpenError with the fix."""
    if not path.is_file():
        raise StoreOpenError(f"there is no store at {path}: check `store.path`, or start the controller once")
    reader = Reader(path)
    try:
        try:
            require_schema(path, schema_revision(reader._connection))
        except sqlite3.Error as error:
            raise StoreOpenError(f"the store {path} cannot be read: {error}") from error
        yield reader
    finally:
        reader.close()


def find_idempotency(connection: sqlite3.Connection, requester: str, key: str) -> IdempotencyKey | None:
    """The first use of this key, also for the writer inside its transaction."""
    row = connection.execute(
        "SELECT requester, key, fingerprint, order_id FROM idempotency WHERE requester = ? AND key = ?",
        (requester, key),
    ).fetchone()
    return IdempotencyKey(*row) if row else None


def _known(table: str) -> str:
    if table not in TABLES:
        raise ValueError(f"no table {table!r}: one of {', '.join(TABLES)}")
    return table


def _event(row: tuple[Any, ...]) -> RecordedEvent:
    stream, seq, global_seq, at_s, kind, body, prev_hash, hash_ = row
    return RecordedEvent(stream, seq, global_seq, at_s, kind, json.loads(body), prev_hash, hash_)
